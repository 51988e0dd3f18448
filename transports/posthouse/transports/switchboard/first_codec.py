"""The first bytes of a socket: which codec they are for.

A stream speaks HTTP, and a WebSocket begins as HTTP. What a pipe speaks its first bytes tell.
"""

from __future__ import annotations

from typing import Final

from posthouse.core.values.config import Config
from posthouse.core.values.peers import Address
from posthouse.transports.codec import Codec, Output, Selected, Shut
from posthouse.transports.http.server import Http1
from posthouse.transports.pipes.content_length import ContentLengthFraming
from posthouse.transports.pipes.newline import NewlineFraming
from posthouse.transports.policy import Policy, authorize_open

__all__ = ["Opening", "Policy", "authorize_open", "first_codec"]

HEADER_START: Final = b"content-"
"""Both header fields of framed messages begin so, in whatever case; no JSON text does."""

WHITE_SPACE: Final = b" \t\r\n"


def first_codec(address: Address, config: Config, policy: Policy, now: float) -> Codec:
    """The codec that reads a new socket's first bytes."""
    return Http1(config, policy, now) if address.transport == "stream" else Opening(config)


class Opening:
    """The codec of a pipe until its first bytes are known. It skips white space. A header field selects
    `ContentLengthFraming`, anything else `NewlineFraming`, which also answers text that is not JSON. It sets no
    deadline: a person may be typing."""

    __slots__ = ("_config", "_held", "_over", "output")

    def __init__(self, config: Config) -> None:
        self.output: list[Output] = []
        self._config: Final = config
        self._held = b""
        self._over = False

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes until they tell."""
        if self._over:
            return
        held = self._held = (self._held + data).lstrip(WHITE_SPACE)
        start = held[: len(HEADER_START)].lower()
        if start == HEADER_START:
            self._select(ContentLengthFraming(self._config))
        elif not HEADER_START.startswith(start):
            self._select(NewlineFraming(self._config))

    def receive_eof(self, now: float) -> None:
        """Where nothing was asked nothing is answered. The beginning of a name is no header field: it is a line."""
        if self._held:
            lines = NewlineFraming(self._config)
            lines.receive_data(self._held, now)
            lines.receive_eof(now)
            self._held = b""
            self._select(lines)
        self._shut()

    def _select(self, codec: Codec) -> None:
        self._over = True
        self.output.append(Selected(codec, self._held))
        self._held = b""

    def _shut(self) -> None:
        if not self._over:
            self._over = True
            self._held = b""
            self.output.append(Shut())

    @property
    def framing(self) -> str:
        """There is none yet, and no connection that could be written to."""
        return "opening"

    def frame(self, payload: bytes) -> bytes:
        """The payload itself."""
        return payload

    def heartbeat(self, now: float) -> None:
        """There is nobody to ask."""

    def close(self, code: int, now: float) -> None:
        """Close before anything was said."""
        self._shut()

    def next_timeout(self) -> float | None:
        """Never."""
        return None

    def handle_timeout(self, now: float) -> None:
        """Time changes nothing."""

    @property
    def buffered(self) -> int:
        """The beginning of what may become the name of a header field."""
        return len(self._held)
