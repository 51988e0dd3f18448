"""User code: handlers, interceptors and hooks, behind a firewall, in the event loop, in tasks and in worker threads.

This folder does not know sockets. The simulator runs the same firewall and the same context (`firewall.py`,
`invoked_context.py`): these two know no event loop.
"""
