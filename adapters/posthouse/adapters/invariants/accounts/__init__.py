"""The facts of what outlives connections: sessions, and what the store is asked about them."""
