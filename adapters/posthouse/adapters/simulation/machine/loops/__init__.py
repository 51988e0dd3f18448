"""Event loops of a simulated process, on virtual time: asyncio's and trio's. `loop.py` holds what they have in common.

This folder knows descriptors and signals, and neither sockets nor servers.
"""
