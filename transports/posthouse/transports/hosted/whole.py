"""The part of the codec's protocol that is alike for all hosted connections: they take no bytes of a socket."""

from __future__ import annotations

from posthouse.core.values.errors import UsageError
from posthouse.transports.codec import Codec


class Whole(Codec):
    """A codec whose host gives it heads, bodies and messages."""

    __slots__ = ()

    def receive_data(self, data: bytes, now: float) -> None:
        """Misuse: raises UsageError."""
        raise UsageError("a hosted connection takes requests, bodies and messages, not the bytes of a socket")

    def receive_eof(self, now: float) -> None:
        """Misuse: raises UsageError."""
        raise UsageError("a hosted connection has no end of input: report that it has closed")
