"""HTTP/1.1 on the server's side: heads, bodies, routes and answers, one exchange after the other.

It may not know the switchboard, and knows of WebSocket only the handshake that leaves HTTP.
"""
