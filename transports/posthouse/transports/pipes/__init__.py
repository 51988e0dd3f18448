"""JSON texts over two pipes: newline-delimited, or with `Content-Length` framing as LSP has it.

It may not know HTTP, WebSocket or the switchboard.
"""
