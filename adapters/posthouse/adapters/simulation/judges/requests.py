"""The HTTP requests of a client, read from its bytes by RFC 9110 and RFC 9112, as far as they can be read in one way.

From the first byte on that is not a plain request, the reader gives up: nobody knows how many requests follow.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE: Final = re.compile(rb"(%b) (/[\x21-\x7e]*) HTTP/1\.([01])" % TOKEN)
FIELD: Final = re.compile(rb"(%b):[ \t]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?[ \t]*" % TOKEN)
LENGTH: Final = re.compile(rb"[0-9]{1,15}")
CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(;[\t\x20-\x7e]*)?\r\n")
REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
END: Final = b"\r\n\r\n"

LISTS: Final = (b"connection", b"sec-websocket-protocol", b"sec-websocket-extensions", b"x-forwarded-for")
"""Fields that may be cut into several (RFC 9110 section 5.3)."""


class Request(Struct, frozen=True):
    """The head of one request. `length`: that of its body, None for chunks. `last`: the client cannot send another one
    behind it. `expects`: it waits for 100 (Continue). `request_id`: its X-Request-Id, if that is valid."""

    method: bytes
    target: bytes
    fields: dict[bytes, bytes]
    length: int | None
    last: bool
    expects: bool
    request_id: bytes | None

    @property
    def upgrades(self) -> bool:
        """May the answer be the end of HTTP on this connection?"""
        return b"upgrade" in self.fields


class Sent(Struct):
    """A request of which the head was sent. `end`: the offset behind its last byte, None until it is whole.
    `continued`: it got 100 (Continue)."""

    request: Request
    body: bytes = b""
    end: int | None = None
    continued: bool = False


class Requests:
    """The requests in the bytes of one client. `unknown`: the bytes from some point on are no plain requests. `begun`:
    a part of a request was sent. `size`: the number of bytes so far. `upgrading`: the last request may end HTTP, so
    that the bytes behind it wait."""

    def __init__(self) -> None:
        self.unknown = False
        self.upgrading = False
        self.size = 0
        self._buffer: Final = bytearray()
        self._current: Sent | None = None

    def go_on(self) -> list[Sent]:
        """The server has refused to end HTTP: read on."""
        self.upgrading = False
        return self.sent(b"")

    @property
    def begun(self) -> bool:
        return bool(self._buffer) or self._current is not None

    def rest(self) -> bytes:
        """The bytes behind the last request. They are taken."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def sent(self, data: bytes) -> list[Sent]:
        """Take bytes. Returns the requests whose heads they end. `Sent.end` is set when a request is whole."""
        self.size += len(data)
        if self.unknown:
            return []
        self._buffer.extend(data)
        heads = []
        while self._buffer and not self.unknown and not self.upgrading:
            if self._current is None:
                head = self._take_head()
                if head is None:
                    break
                self._current = Sent(head)
                heads.append(self._current)
            if not self._take_body(self._current):
                break
            self.upgrading = self._current.request.upgrades
            self._current = None
        return heads

    def _take_head(self) -> Request | None:
        buffer = self._buffer
        end = buffer.find(END)
        if end < 0:
            return None
        raw = bytes(buffer[:end])
        request = read_request(raw)
        if request is None:
            self.unknown = True
            return None
        del buffer[: end + len(END)]
        return request

    def _take_body(self, current: Sent) -> bool:
        """Take the body. Returns False if it is not whole."""
        buffer, length = self._buffer, current.request.length
        if length is None:
            return self._take_chunks(current)
        if len(buffer) < length:
            return False
        current.body = bytes(buffer[:length])
        del buffer[:length]
        current.end = self.size - len(buffer)
        return True

    def _take_chunks(self, current: Sent) -> bool:
        buffer, at = self._buffer, 0
        pieces: list[bytes] = []
        while (chunk := CHUNK.match(buffer, at)) is not None:
            size, begin = int(chunk[1], 16), chunk.end()
            if not size:
                if buffer[begin : begin + 2] != b"\r\n":
                    self.unknown = len(buffer) > begin + 1  # trailers
                    return False
                del buffer[: begin + 2]
                current.body = b"".join(pieces)
                current.end = self.size - len(buffer)
                return True
            if buffer[begin + size : begin + size + 2] != b"\r\n":
                self.unknown = len(buffer) > begin + size + 1
                return False
            pieces.append(bytes(buffer[begin : begin + size]))
            at = begin + size + 2
        self.unknown = b"\r\n" in buffer[at : at + 200] or len(buffer) > at + 200
        return False


def read_request(raw: bytes) -> Request | None:
    """The request with this head, None if it is not plain."""
    first, *lines = raw.split(b"\r\n")
    line = REQUEST_LINE.fullmatch(first)
    fields: dict[bytes, bytes] = {}
    for text in lines:
        field = FIELD.fullmatch(text)
        if field is None:
            return None
        name, value = field[1].lower(), field[2] or b""
        if name in fields and name not in LISTS:
            return None
        fields[name] = b"%b, %b" % (fields[name], value) if name in fields else value
    if line is None or (line[3] == b"1" and b"host" not in fields):
        return None
    coding, counted = fields.get(b"transfer-encoding"), fields.get(b"content-length", b"0")
    if LENGTH.fullmatch(counted) is None:
        return None
    if coding is not None and (coding.lower() != b"chunked" or b"content-length" in fields or line[3] == b"0"):
        return None
    options = [option.strip() for option in fields.get(b"connection", b"").lower().split(b",")]
    request_id = fields.get(b"x-request-id", b"")
    return Request(
        line[1],
        line[2],
        fields,
        int(counted) if coding is None else None,
        line[3] == b"0" or b"close" in options,
        line[3] == b"1" and fields.get(b"expect", b"").lower() == b"100-continue",
        request_id if REQUEST_ID.fullmatch(request_id) else None,
    )
