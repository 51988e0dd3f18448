"""External operations, performed by this server: each gets exactly one `conclude`, after it has ended.

This folder does not know why the gateway asks for an operation.
"""
