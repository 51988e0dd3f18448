"""The ways in for clients: which addresses a server listens on and by which names it is called, sockets with TLS and
without, and pipes.

This folder does not know handlers or lifespans.
"""
