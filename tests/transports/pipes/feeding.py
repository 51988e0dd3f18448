"""How the codecs of pipes are fed in tests."""

from __future__ import annotations

from posthouse.transports.codec import Output
from posthouse.transports.pipes.content_length import ContentLengthFraming
from posthouse.transports.pipes.newline import NewlineFraming


def outputs_of(codec: ContentLengthFraming | NewlineFraming, *pieces: bytes, eof: bool = False) -> list[Output]:
    """All outputs for these pieces. It does what the switchboard does: calls timeouts at once, and takes the output."""
    outputs: list[Output] = []
    for piece in pieces:
        if piece:
            codec.receive_data(piece, 0.0)
        while codec.next_timeout() is not None or codec.output:
            outputs += codec.output
            codec.output.clear()
            codec.handle_timeout(0.0)
    if eof:
        codec.receive_eof(0.0)
        outputs += codec.output
        codec.output.clear()
    return outputs
