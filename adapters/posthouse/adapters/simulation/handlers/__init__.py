"""Handlers and hooks on the virtual clock, and the faults that are drawn for them.

It runs users' functions behind the server's own firewall.
"""
