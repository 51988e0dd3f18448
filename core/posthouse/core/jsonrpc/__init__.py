"""JSON-RPC 2.0 texts: read into messages, and written from results, errors and notifications.

It may not know connections, calls or services.
"""
