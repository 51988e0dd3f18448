"""One process of the real server: `serve` on a simulated machine, and everything that is seen of it.

This folder does not know clients. It observes: nothing here decides what the server does.
"""
