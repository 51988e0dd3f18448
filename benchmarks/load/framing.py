"""The bytes around texts: frames of a WebSocket client, and requests and replies of HTTP."""

from __future__ import annotations

from itertools import count, cycle
from typing import Final

MASK: Final = b"\x37\xfa\x21\x3d"

CLOSED: Final = 8
PING: Final = 9


class Malformed(Exception):
    """A reply that no server should send."""


def masked(text: bytes, opcode: int = 1) -> bytes:
    """Return one masked frame."""
    size = len(text)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    key = int.from_bytes((MASK * (size // 4 + 1))[:size], "big")
    return head + MASK + (int.from_bytes(text, "big") ^ key).to_bytes(size, "big")


class Frames:
    """Splits what a WebSocket server sends. Pings and pongs are passed over."""

    def split(self, data: bytes | bytearray, at: int) -> tuple[bytes | None, int] | None:
        """Return the text that begins at `at` (None: a control frame) and its end, or None while it is not whole."""
        if len(data) < at + 2:
            return None
        first, size, start = data[at], data[at + 1], at + 2
        if size == 126:
            size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif size == 127:
            size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        if len(data) < start + size:
            return None
        if first != 0x81:
            if first & 0x0F == CLOSED or first & 0x70 or not first & 0x80:
                raise Malformed(f"a frame that begins with {bytes(data[at : at + 12])!r}")
            return None if first & 0x0F < CLOSED else (None, start + size)
        return bytes(data[start : start + size]), start + size


class Replies:
    """Splits the replies of an HTTP server: with Content-Length, or chunked."""

    def __init__(self) -> None:
        self._lengths: dict[bytes, int] = {}

    def split(self, data: bytes | bytearray, at: int) -> tuple[bytes | None, int] | None:
        """Return the body of the reply that begins at `at`, and its end, or None while it is not whole."""
        blank = data.find(b"\r\n\r\n", at)
        if blank < 0:
            return None
        head = bytes(data[at:blank])
        length = self._lengths.get(head)
        if length is None:
            self._lengths[head] = length = body_length(head)
        start = blank + 4
        if length < 0:
            return unchunked(data, start)
        if len(data) < start + length:
            return None
        return bytes(data[start : start + length]), start + length


def body_length(head: bytes) -> int:
    """Return the length that a head declares; -1: the body is chunked."""
    status, *lines = head.split(b"\r\n")
    if not status.startswith(b"HTTP/1.1 200"):
        raise Malformed(f"a reply that begins with {head[:200]!r}")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        return -1
    return int(fields[b"content-length"])


def unchunked(data: bytes | bytearray, at: int) -> tuple[bytes, int] | None:
    """Return the chunked body that begins at `at`, and its end, or None while it is not whole."""
    body = bytearray()
    while (line := data.find(b"\r\n", at)) >= 0:
        size = int(bytes(data[at:line]).partition(b";")[0], 16)
        end = line + 2 + size
        if len(data) < end + 2:
            return None
        if data[end : end + 2] != b"\r\n":
            raise Malformed("a chunk that does not end where it says, or a trailer")
        body += data[line + 2 : end]
        at = end + 2
        if size == 0:
            return bytes(body), at
    return None


class Posts:
    """Makes the requests of HTTP clients. `new`: every head differs, as behind a proxy that traces requests."""

    def __init__(self, new: bool) -> None:
        self._new: Final = new
        self._numbers: Final = count(1)
        self._octets: Final = cycle(range(1, 255))

    def __call__(self, text: bytes) -> bytes:
        return b"".join((self._head(len(text)), text))

    def _head(self, length: int) -> bytes:
        if not self._new:
            return (
                b"POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % length
            )
        number, octet = next(self._numbers), next(self._octets)
        return (
            b"POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"X-Request-Id: 7f3c2a90-%012x\r\ntraceparent: 00-4bf92f3577b34da6%016x-%016x-01\r\n"
            b"X-Forwarded-For: 203.0.113.%d\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: %d\r\n"
            b"Content-Length: %d\r\n\r\n" % (number, number, number * 7919, octet, 40000 + number % 20000, length)
        )
