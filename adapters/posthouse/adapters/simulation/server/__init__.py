"""The server of a world: one process after another on the virtual clock, each checked after every step.

This folder runs the real switchboard and gateway. It does not know the clients or the transports they use.
"""
