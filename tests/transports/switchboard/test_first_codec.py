"""The codec of a new socket's first bytes: HTTP for a stream, the detector for a pipe."""

from __future__ import annotations

from posthouse.core.values.config import Config
from posthouse.core.values.peers import Address
from posthouse.transports.http.known_heads import NO_HEADS
from posthouse.transports.http.server import Http1
from posthouse.transports.pipes.detect import PipeDetector
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.first_codec import first_codec

CONFIG = Config()


def test_a_stream_is_http_and_a_pipe_is_undecided() -> None:
    codec = first_codec(Address("127.0.0.1"), CONFIG, Policy(), NO_HEADS, 3.0)
    assert isinstance(codec, Http1)
    assert codec.next_timeout() == 3.0 + CONFIG.head_timeout
    assert isinstance(first_codec(Address(transport="pipe"), CONFIG, Policy(), NO_HEADS, 3.0), PipeDetector)
