"""`Content-Length` framing, as the Language Server Protocol has it (its base protocol, "Header Part").

    Content-Length: 12\\r\\n
    \\r\\n
    {"jsonrpc"…

Names of header fields are compared without case and come in any order. Fields other than Content-Length and
Content-Type are ignored. If a head cannot be read, the next one cannot be found: it is answered with an error and the
connection ends. A line that ends with LF alone is answered at once: such a peer never sends the end of a head.
"""

from __future__ import annotations

import re
from typing import Final

from posthouse.core.values.config import MIB, Config
from posthouse.transports.codec import Text
from posthouse.transports.fields import BARE_LF, TOKEN, VALUE

from .pipe import Pipe

MAX_HEAD_BYTES: Final = 8 * 1024
"""The longest head, its blank line included."""

MAX_SKIPPED_BYTES: Final = 64 * MIB
"""A longer message is not waited for: the connection ends."""

HEAD_END: Final = b"\r\n\r\n"
FIELD: Final = re.compile(rb"(%b):(%b)" % (TOKEN, VALUE))
LENGTH: Final = re.compile(rb"[0-9]{1,19}")
CHARSET: Final = re.compile(rb';[ \t]*charset[ \t]*=[ \t]*"?([^";\s]*)"?', re.IGNORECASE)

PROTOCOL_ERROR: Final = 1002
TOO_BIG: Final = 1009


class ContentLengthFraming(Pipe):
    """The codec of a pipe that carries framed messages. A message above the limit is answered with an error
    and skipped; above 64 MiB the connection ends as well.

    `_expected` is how many bytes of a message are still to come, None in a head. `_skipping`: they are not kept.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._expected: int | None = None
        self._skipping = False

    @property
    def framing(self) -> str:
        """Equal for all pipes with heads."""
        return "headers"

    def frame(self, payload: bytes) -> bytes:
        """The head that announces the payload, and the payload."""
        return b"Content-Length: %d\r\n\r\n%b" % (len(payload), payload)

    def _take(self, data: bytes, at: int) -> int:
        if self._expected is None:
            at = self._take_head(data, at)
        if self._expected is None:
            return at
        end = min(at + self._expected, len(data))
        self._expected -= end - at
        if not self._skipping:
            self._take_content(data[at:end])
        if not self._expected:
            self._expected = None
            self._skipping = False
        return end

    def _take_last(self) -> None:
        if (self._partial or self._expected is not None) and not self._skipping:
            self._answer_unreadable("the input ended within a message")

    def _take_content(self, piece: bytes) -> None:
        if self._expected:
            self._partial += piece
            return
        if self._partial:
            piece = bytes(self._partial) + piece
            self._partial.clear()
        self.output.append(Text(piece))

    # The head

    def _take_head(self, data: bytes, at: int) -> int:
        """Take the bytes of the head. Returns where the content begins, if the head is whole."""
        kept = len(self._partial)
        self._partial += data[at : at + MAX_HEAD_BYTES - kept]
        end = self._partial.find(HEAD_END, max(0, kept - len(HEAD_END) + 1))
        if BARE_LF.search(self._partial, kept, len(self._partial) if end < 0 else end):
            self._refuse("the lines of a head end with CR LF, not LF alone")
            return len(data)
        if end >= 0:
            head = bytes(self._partial[:end])
            self._partial.clear()
            self._read_head(head)
            return at + end + len(HEAD_END) - kept
        if len(self._partial) == MAX_HEAD_BYTES:
            self._refuse(f"a head has at most {MAX_HEAD_BYTES} bytes")
        return len(data)

    def _read_head(self, head: bytes) -> None:
        lengths: list[bytes] = []
        types: list[bytes] = []
        for line in head.split(b"\r\n"):
            field = FIELD.fullmatch(line)
            if field is None:
                self._refuse("a line of the head is not a header field")
                return
            name, value = field[1].lower(), field[2].strip(b" \t")
            if name == b"content-length":
                lengths.append(value)
            elif name == b"content-type":
                types.append(value)
        if len(lengths) != 1 or LENGTH.fullmatch(lengths[0]) is None:
            self._refuse("a head has one Content-Length, in digits")
        elif len(types) > 1 or not all(map(is_utf8, types)):
            self._refuse("a head has at most one Content-Type, of charset utf-8")
        else:
            self._begin_content(int(lengths[0]))

    def _begin_content(self, length: int) -> None:
        if length > self._most:
            self._answer_too_large()
            if length > MAX_SKIPPED_BYTES:
                self._end(TOO_BIG, f"a message of more than {MAX_SKIPPED_BYTES} bytes was announced")
                return
            self._skipping = True
        self._expected = length

    def _refuse(self, reason: str) -> None:
        self._answer_unreadable(reason)
        self._end(PROTOCOL_ERROR, reason)


def is_utf8(content_type: bytes) -> bool:
    """Does this Content-Type name no charset, or UTF-8? Early clients of LSP write `utf8`."""
    return all(charset.lower() in (b"utf-8", b"utf8") for charset in CHARSET.findall(content_type))
