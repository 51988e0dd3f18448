"""Declarations: services, methods, typed parameters and results, hooks, and the OpenRPC document.

It may not know connections or calls: a service is complete before the first gateway serves it.
"""
