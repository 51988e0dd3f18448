"""The server: listening sockets, channels, pipes, signals, and `serve`, which puts everything together.

It may not know the command line.
"""
