"""Connections of a host that speaks HTTP and WebSocket by itself, such as an ASGI server.

Their heads and messages come whole. They are judged by the functions that judge bytes. This folder may not know what
the host is.
"""
