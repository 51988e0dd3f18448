"""One process of the real server: `serve` on a simulated machine, its entrances for clients, and its observer.

This folder does not know the clients themselves. It observes the server, and decides nothing in its place.
"""
