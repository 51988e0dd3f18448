"""Connections and sockets: how they open, their records and states, signs of life, and what is queued for them.

It may not know calls, services or JSON-RPC: a connection holds the ids of its calls.
"""
