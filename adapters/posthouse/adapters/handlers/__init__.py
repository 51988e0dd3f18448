"""User code: handlers, interceptors and hooks, each behind a firewall, in tasks or worker threads.

It may not know sockets. The simulator runs the same firewall and contexts.
"""
