"""Values of which everything else is made: config, errors, close reasons, ids and peers, effects, events, timers.

And `shared.py`, which holds the ones that every table of a gateway shares. The lowest folder: it may not import any
other, except the type of a method in `effects.py` for type checkers.
"""
