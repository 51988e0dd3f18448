"""From one JSON text to calls, responses and errors: which method handles a request, and may the caller call it?

It may not know how a connection ends (`closing/`).
"""
