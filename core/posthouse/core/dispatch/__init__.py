"""From one JSON text to calls, responses and errors: what a message asks for, and whether it may.

It decides who handles a text. It may not know how a connection ends or why (`closing/`).
"""
