"""Several processes that serve one service: who runs, who is replaced, and when.

The roster decides, and knows no process: it is told what happened and when. The supervisor has the processes, the
sockets and the signals, and does what the roster asks for. Nothing here knows what a worker serves.
"""
