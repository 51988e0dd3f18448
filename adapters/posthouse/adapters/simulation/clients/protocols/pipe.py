"""The protocols of a simulated client on a pipe: lines, or messages with a `Content-Length` header."""

from __future__ import annotations

from typing import Final

from posthouse.transports.pipes.content_length import ContentLengthFraming
from posthouse.transports.pipes.newline import NewlineFraming

from .codec import CodecProtocol


class PipeProtocol(CodecProtocol[NewlineFraming | ContentLengthFraming]):
    """One pipe. When the client has ended its output, it reads until the server ends its own."""

    server_ends: Final = True

    @property
    def ready(self) -> bool:
        """True from the beginning."""
        return not self.closed

    def send(self, text: bytes) -> None:
        """Send one text."""
        self._events.append(self._codec.frame(text))

    def close(self, code: int, now: float) -> None:
        """End the output."""
        self.closed = True
