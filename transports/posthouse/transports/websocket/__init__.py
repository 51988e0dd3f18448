"""WebSocket after RFC 6455 and RFC 7692: the handshake, frames, messages, and the server's codec.

It may not know HTTP's codec, pipes or the switchboard.
"""
