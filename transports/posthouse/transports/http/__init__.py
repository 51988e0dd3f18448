"""HTTP/1.1 on the server's side: heads, bodies, routes and answers, one exchange after the other.

It may not know the switchboard. Of WebSocket it knows the handshake, and the codec to which it hands over.
"""
