"""One switchboard in one event loop: the readiness of sockets, the turn, and the only timer.

This folder does not know what a socket says, what an action means or what a handler is: it calls what is registered.
"""
