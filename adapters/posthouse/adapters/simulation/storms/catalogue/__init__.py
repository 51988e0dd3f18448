"""The catalogue: a method for each way to declare a type, and calls whose replies are known to the byte.

`declarations.py` has the methods, `replies.json` the calls with their replies.
"""
