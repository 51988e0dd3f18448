"""Calls in both directions, and their replies: in flight, waiting, batches, and requests of our own.

It knows connections by their records. It may not read JSON-RPC messages or decide who may call.
"""
