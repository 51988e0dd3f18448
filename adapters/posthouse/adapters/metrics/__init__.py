"""Metrics, as Prometheus reads them: the names of what a server counts and measures, and their text.

Nothing here counts: the core does. Nothing here knows a socket or a server.
"""
