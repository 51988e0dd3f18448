"""From one JSON text to calls, responses and errors: what a message asks for, and whether its caller may.

It decides which method handles a request. It may not know how a connection ends (`closing/`).
"""
