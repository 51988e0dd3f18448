"""Values that everything else is made of: config, errors, ids and peers, effects, events, timers, rates.

The lowest folder: it may not import any other, except the type of a method in `effects.py` for type checkers.
"""
