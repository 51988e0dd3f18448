"""The server: listening sockets, channels, pipes and signals, and `serve`, which puts everything together.

This folder does not know the command line.
"""
