"""The machine under a server: clock, entropy, sockets, descriptors, threads and signals.

`system.py` holds the protocols through which the server uses it. `machine.py` is the real machine; the simulation has
another one. This folder knows
neither switchboards nor event loops.
"""
