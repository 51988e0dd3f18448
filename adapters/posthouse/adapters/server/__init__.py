"""The server: listening sockets, channels, pipes and signals, and `serve`, which puts everything together.

`actions.py` names every action of the switchboard and the method that performs it. This folder does not know the
command line.
"""
