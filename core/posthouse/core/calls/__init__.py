"""Calls in both directions: calls of peers, their outcomes and replies, and the gateway's own requests to peers.

It knows connections by their records. It may not decide who may call, nor close a connection.
"""
