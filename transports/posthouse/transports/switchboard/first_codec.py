"""The codec that reads a new socket's first bytes.

A stream speaks HTTP, and a WebSocket begins as HTTP. The first bytes of a pipe tell which framing it speaks.
"""

from __future__ import annotations

from collections.abc import Callable

from posthouse.core.values.config import Config
from posthouse.core.values.peers import Address
from posthouse.transports.codec import Codec
from posthouse.transports.http.known_heads import NO_HEADS, KnownHeads
from posthouse.transports.http.server import Http1
from posthouse.transports.pipes.detect import PipeDetector
from posthouse.transports.policy import Policy


def first_codecs(config: Config, policy: Policy, *, direct: bool) -> Callable[[Address, float], Codec]:
    """A function that makes the codec for the first bytes of a new socket. With `direct`, all HTTP codecs share the
    heads that they know."""
    known = KnownHeads() if direct else NO_HEADS

    def first_codec(address: Address, now: float) -> Codec:
        return Http1(config, policy, now, known) if address.transport == "stream" else PipeDetector(config)

    return first_codec
