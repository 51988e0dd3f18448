"""What is kept out of a journal: credentials in the heads of HTTP requests, and the query strings of their targets.

Each byte of them becomes an `x`, spaces and control bytes stay, so that a replay takes the same way: nothing that the
server decides depends on them. Bytes come as a socket gave them, cut anywhere, and one redactor follows one socket.

It looks at lines, not at messages: a line that begins as a secret header or as a request line does is taken for one
wherever it stands, in a body too, since no JSON text has such a line. So nothing gets past, whatever was made of the
bytes before. Of bodies it knows only where they end, since a request that follows begins in the middle of a line.
"""

from __future__ import annotations

import re
from typing import Final

SECRET_HEADERS: Final = ("authorization", "proxy-authorization", "cookie")
"""The headers whose values are secrets, in lower case."""

SECRET: Final = re.compile(rb"[ \t]*(?:%b)[ \t]*:" % b"|".join(map(str.encode, SECRET_HEADERS)), re.IGNORECASE)
LENGTH: Final = re.compile(rb"content-length[ \t]*:[ \t]*([0-9]{1,18})[ \t]*", re.IGNORECASE)

QUERY: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]+(?:[/A-Za-z][^ \t?]*)?\?([^ \t]*)")
"""A request line (RFC 9112 section 3) as far as its query goes."""

TARGET: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]+[/A-Za-z][^ \t?]*\Z")
"""A request line that has come as far as its target."""

PIECE: Final = re.compile(rb"[^\r\n]+|[\r\n]+")
"""Lines, and what is between them."""

LF: Final = 0x0A

HIDDEN: Final = bytes(ord("x") if byte > 0x20 and byte != 0x7F else byte for byte in range(256))
"""What becomes of each byte of a secret."""

IN_SECRET: Final = b"cookie:"
IN_QUERY: Final = b"GET /?"
IN_TARGET: Final = b"GET /"
HARMLESS: Final = b"\0"
"""The shortest lines of their kinds: what is remembered of one that goes on."""

REMEMBERED: Final = 256
"""So many bytes of a line are remembered, while it may be any kind. No name of a header is longer, nor a method."""


class Redactor:
    """One socket's bytes, in order."""

    def __init__(self) -> None:
        self._line = b""  # what of this line came before, or a line of its kind
        self._ends = 2  # line feeds since the last line
        self._folds = False  # was the last line a secret, which a fold would continue?
        self._length = 0  # of the body that this head announces
        self._body = 0  # what is to come of it

    def redact(self, data: bytes) -> bytes:
        """The same number of bytes, without what is secret."""
        hidden = bytearray(data)
        at = 0
        while at < len(data):
            piece = PIECE.match(data, at, at + self._body if self._body else len(data))
            assert piece is not None
            in_body = self._body
            begun, at = at, self._between(piece[0], at) if piece[0][0] in b"\r\n" else self._within(piece, hidden)
            if in_body:
                self._body -= at - begun
                if not self._body:
                    self._line = b""
                    self._folds = False
        return bytes(hidden)

    def _between(self, ends: bytes, at: int) -> int:
        """Line ends. Returns where they are over, or the head that they end."""
        if self._line:
            self._end_line()
        for byte in ends:
            at += 1
            self._ends += byte == LF
            if self._ends >= 2 and self._length:
                self._body, self._length = self._length, 0
                break
        return at

    def _end_line(self) -> None:
        length = None if self._body else LENGTH.fullmatch(self._line)
        if length is not None:
            self._length = int(length[1])
        self._folds = self._line == IN_SECRET
        self._line = b""
        self._ends = 0

    def _within(self, piece: re.Match[bytes], hidden: bytearray) -> int:
        """A line, or what of it has come. Returns where it is over."""
        line, begun = self._line + piece[0], len(self._line)
        if self._folds and line[0] in b" \t" and self._ends < 2:
            line, begun = IN_SECRET + piece[0], len(IN_SECRET)
        self._folds = False
        first = last = begun
        if (secret := SECRET.match(line)) is not None:
            first, last = max(secret.end(), begun), len(line)
            self._line = IN_SECRET
        elif (query := QUERY.match(line)) is not None:
            first, last = max(query.start(1), begun), query.end(1)
            self._line = IN_QUERY if last == len(line) else HARMLESS
        elif TARGET.match(line) is not None:
            self._line = IN_TARGET
        else:
            self._line = line if len(line) <= REMEMBERED else HARMLESS
        offset = piece.start() - begun
        hidden[first + offset : last + offset] = line[first:last].translate(HIDDEN)
        return piece.end()
