"""Connections and sockets: how they open, their records and states, heartbeats, and payloads queued for them.

It may not know calls, services or JSON-RPC: a connection holds the ids of its calls.
"""
