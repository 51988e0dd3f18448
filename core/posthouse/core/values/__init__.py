"""The values that everything else is made of: config, errors, close reasons, ids and peers, effects, events, timers.

`shared.py` holds what every table of a gateway shares. This is the lowest folder: it imports no other, except the type
of a method in `effects.py` for type checkers.
"""
