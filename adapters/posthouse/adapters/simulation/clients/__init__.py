"""Simulated clients: what they say over each transport, and what they may hear.

It may not look into the server: a client judges by what reaches it.
"""
