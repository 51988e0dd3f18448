"""The server: `serve`, which puts everything together, its shut-down and its signals.

This folder does not know the command line.
"""
