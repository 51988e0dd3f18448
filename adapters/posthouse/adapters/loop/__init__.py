"""One switchboard in one event loop: the clock, readiness of sockets, and the turn of input, flush and wait.

It may not know what a socket, a pipe or a handler is.
"""
