"""Newline-delimited JSON: one text per line, in both directions.

A line ends with LF or CRLF. A line of white space is skipped. A last line without an end counts.
"""

from __future__ import annotations

from typing import Final

from posthouse.core.values.config import Config
from posthouse.transports.codec import Text

from .pipe import Pipe

ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")
"""RFC 8259 section 2: a line break in a JSON text is white space. Inside a string it is escaped."""


class NewlineFraming(Pipe):
    """The codec of a pipe that carries lines. A line above the limit of messages is refused and skipped."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._skipping = False

    @property
    def framing(self) -> str:
        """Equal for all pipes with lines."""
        return "lines"

    def frame(self, payload: bytes) -> bytes:
        """The payload as one line. Line breaks within the JSON text become spaces."""
        if b"\n" in payload or b"\r" in payload:
            payload = payload.translate(ONE_LINE)
        return payload + b"\n"

    def _take(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        if end < 0:
            self._keep(data[at:])
            return len(data)
        if self._skipping:
            self._skipping = False
        elif self._partial:
            self._keep(data[at:end])
            self._end_line()
        else:
            self._deliver(data[at:end])
        return end + 1

    def _take_last(self) -> None:
        self._end_line()

    def _keep(self, piece: bytes) -> None:
        """Keep a piece of an unfinished line."""
        if self._skipping:
            return
        self._partial += piece
        excess = len(self._partial) - self._most
        if excess > 1 or (excess == 1 and not self._partial.endswith(b"\r")):
            self._partial.clear()
            self._skipping = True
            self._answer_too_large()

    def _end_line(self) -> None:
        line = bytes(self._partial)
        self._partial.clear()
        if self._skipping:
            self._skipping = False
        else:
            self._deliver(line)

    def _deliver(self, line: bytes) -> None:
        line = line.removesuffix(b"\r")
        if len(line) > self._most:
            self._answer_too_large()
        elif line and not line.isspace():
            self.output.append(Text(line))
