"""The first bytes of a pipe: which framing its peer speaks.

It may not know what follows them.
"""

from __future__ import annotations

from typing import Final

from posthouse.core.values.config import Config
from posthouse.transports.codec import Codec, Output, Selected, Shut

from .content_length import ContentLengthFraming
from .newline import NewlineFraming

HEADER_START: Final = b"content-"
"""Both header fields of framed messages begin like this, in any case. No JSON text does."""

WHITE_SPACE: Final = b" \t\r\n"


class PipeDetector(Codec):
    """The codec of a pipe until its first bytes are known. It skips white space. A header field selects
    `ContentLengthFraming`; anything else selects `NewlineFraming`, which also answers text that is not JSON. It sets no
    deadline: a person may be typing."""

    def __init__(self, config: Config) -> None:
        self.output: list[Output] = []
        self._config: Final = config
        self._held = b""
        self._done = False

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes until they decide."""
        if self._done:
            return
        held = self._held = (self._held + data).lstrip(WHITE_SPACE)
        start = held[: len(HEADER_START)].lower()
        if start == HEADER_START:
            self._select(ContentLengthFraming(self._config))
        elif not HEADER_START.startswith(start):
            self._select(NewlineFraming(self._config))

    def receive_eof(self, now: float) -> None:
        """End. The beginning of a field name, without the rest, is a line."""
        if self._held:
            lines = NewlineFraming(self._config)
            lines.receive_data(self._held, now)
            lines.receive_eof(now)
            self._held = b""
            self._select(lines)
        self._shut()

    def _select(self, codec: Codec) -> None:
        self._done = True
        self.output.append(Selected(codec, self._held))
        self._held = b""

    def _shut(self) -> None:
        if not self._done:
            self._done = True
            self._held = b""
            self.output.append(Shut())

    def close_idle(self, now: float) -> None:
        self._shut()

    def close(self, code: int, now: float) -> None:
        self._shut()

    def next_timeout(self) -> float | None:
        return None

    def handle_timeout(self, now: float) -> None:
        """Time changes nothing."""

    @property
    def buffered(self) -> int:
        """The bytes that may become the name of a header field."""
        return len(self._held)
