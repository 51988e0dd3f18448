"""The machine under a server: clock, entropy, sockets, descriptors, threads and signals.

`system.py` says what a server needs of it. `machine.py` is the real one; the simulation has another. This folder knows
neither switchboards nor event loops.
"""
