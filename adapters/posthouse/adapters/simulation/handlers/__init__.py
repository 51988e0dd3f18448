"""Handlers and hooks on the virtual clock, and the faults that are injected into handlers.

Functions of the service run behind the same firewall as in the server. This folder does not know clients or links.
"""
