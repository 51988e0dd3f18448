"""The codec that reads a new socket's first bytes.

A stream speaks HTTP, and a WebSocket begins as HTTP. The first bytes of a pipe tell which framing it speaks.
"""

from __future__ import annotations

from posthouse.core.values.config import Config
from posthouse.core.values.peers import Address
from posthouse.transports.codec import Codec
from posthouse.transports.http.known_heads import KnownHeads
from posthouse.transports.http.server import Http1
from posthouse.transports.pipes.detect import PipeDetector
from posthouse.transports.policy import Policy


def first_codec(address: Address, config: Config, policy: Policy, known: KnownHeads, now: float) -> Codec:
    """The codec that reads a new socket's first bytes."""
    return Http1(config, policy, now, known) if address.transport == "stream" else PipeDetector(config)
