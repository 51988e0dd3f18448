"""Calls in both directions: in flight, waiting, their outcomes and replies, and requests of our own.

It knows connections by their records. It may not decide who may call, nor close a connection.
"""
