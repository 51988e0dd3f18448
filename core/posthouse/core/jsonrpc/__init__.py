"""JSON-RPC 2.0 texts: decoded into messages, and encoded from results, errors and notifications.

It may not know connections, calls or services.
"""
