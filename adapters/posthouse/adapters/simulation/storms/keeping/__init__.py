"""Storms whose server keeps sessions: its service, its store, and what the clients do with them."""
