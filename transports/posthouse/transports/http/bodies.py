"""Request bodies: bytes in, one whole body out, and the first byte behind it.

`CountedBody` knows its length (RFC 9112 section 6.2) and needs no parser. `ChunkedBody` (section 7.1) lets h11 parse
the chunks, and adds the limits that h11 lacks: on the number of chunks, and on the bytes between them.
"""

from __future__ import annotations

import re
from typing import Final

import h11
from posthouse.core.values.close_reasons import MEMORY_BUDGET
from posthouse.core.values.config import KIB, Config
from posthouse.core.values.errors import REQUEST_TOO_LARGE, SERVER_BUSY, ErrorObject, refusal
from posthouse.transports.assembly import Assembly
from posthouse.transports.refusal import Refusal

MAX_CHUNKS: Final = 4_096
MAX_CHUNK_OVERHEAD: Final = 4 * KIB
"""A chunked body may take twice its own bytes on the wire, and so many more."""

RATE_GRACE: Final = 2.0
"""`min_body_rate` does not count for so many seconds."""

NO_LIMIT: Final = 1 << 62
"""Turns h11's own limit off, because it depends on how the bytes are cut. Every byte is counted here instead."""

CHUNKED_HEAD: Final = b"POST / HTTP/1.1\r\nHost: posthouse\r\nTransfer-Encoding: chunked\r\n\r\n"

CLEAN_BETWEEN: Final = re.compile(rb"(?:[\t\x20-\x7e\x80-\xff]++|\r\n(?![ \t]))*+\r?")
"""The bytes allowed around chunks, where h11 accepts any: no control bytes, no bare CR or LF, no folded lines (RFC 9112
section 2.2). The last byte so far may be a CR."""

BODY_TIMED_OUT: Final = Refusal(408, "The request body took too long.")
NO_MEMORY: Final = Refusal(
    503,
    "The server has no memory left for the request body.",
    ((b"Retry-After", b"1"),),
    refusal(SERVER_BUSY, limit=MEMORY_BUDGET.name),
)
MALFORMED_CHUNKS: Final = Refusal(400, "The chunked body is malformed.")
WASTEFUL_CHUNKS: Final = Refusal(400, "The body has too many chunks, or too much between them.")


def too_large(config: Config) -> Refusal:
    """The refusal of a body above `max_body_bytes`."""
    data = {"limit": "max_body_bytes", "allowed": config.max_body_bytes}
    return Refusal(413, "The body is too large.", error=ErrorObject.of(REQUEST_TOO_LARGE, data))


def body_deadline(config: Config, since: float, received: int) -> float:
    """When a body must be whole, or faster, that began at `since` and has so many bytes."""
    due = since + config.body_timeout
    if config.min_body_rate:
        due = min(due, since + max(RATE_GRACE, received / config.min_body_rate))
    return due


class CountedBody:
    """A body of `length` bytes.

    `feed` takes the next bytes of a body. It returns those behind a whole one; a refusal; or None: more bytes are
    needed. `join` returns the whole body, once. `received` bytes came on the wire, `buffered` are held, and `missing`
    are still to come.
    """

    __slots__ = ("_pieces", "missing")

    def __init__(self, length: int) -> None:
        self.missing = length
        self._pieces = Assembly()

    @property
    def buffered(self) -> int:
        return self._pieces.size

    received = buffered

    def feed(self, data: bytes) -> bytes | Refusal | None:
        if len(data) < self.missing:
            self.missing -= len(data)
            self._pieces.add(data)
            return None
        self._pieces.add(data[: self.missing])
        rest = data[self.missing :]
        self.missing = 0
        return rest

    def join(self) -> bytes:
        return self._pieces.take()


class ChunkedBody:
    """A body in chunks. Chunk extensions and trailers are dropped (RFC 9112 section 7.1.1 and 7.1.2)."""

    __slots__ = ("_between", "_chunks", "_config", "_half", "_parser", "_pending", "_pieces", "received")

    def __init__(self, config: Config) -> None:
        self._config: Final = config
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=NO_LIMIT)
        self._parser.receive_data(CHUNKED_HEAD)
        self._parser.next_event()
        self._pieces = Assembly()
        self._chunks = 0
        self._between = True
        self._pending = 0
        self._half = b""
        self.received = 0

    @property
    def buffered(self) -> int:
        return self._pieces.size + self._pending

    def feed(self, data: bytes) -> bytes | Refusal | None:
        if data:  # h11 takes empty data for the end of input
            self._parser.receive_data(data)
        self.received += len(data)
        pieces, limit = self._pieces, self._config.max_body_bytes
        unread, _ = self._parser.trailing_data
        while True:
            try:
                event = self._parser.next_event()
            except h11.RemoteProtocolError:
                return MALFORMED_CHUNKS
            rest, _ = self._parser.trailing_data
            self._pending = len(rest)
            taken = len(event.data) if isinstance(event, h11.Data) else 0
            if not self._is_clean(unread[: len(unread) - len(rest) - taken]):
                return MALFORMED_CHUNKS
            unread = rest
            if event is h11.NEED_DATA:
                return WASTEFUL_CHUNKS if self._is_wasteful(self.received) else None
            if isinstance(event, h11.Data):
                # Checked where each chunk's data begins, so that the verdict does not depend on how the bytes were cut.
                # (h11 loses `chunk_start` if they were cut right there.)
                if self._between:
                    self._chunks += 1
                    begins = self.received - len(rest) - taken
                    if self._chunks > MAX_CHUNKS or self._is_wasteful(begins):
                        return WASTEFUL_CHUNKS
                if pieces.size + taken > limit:
                    return too_large(self._config)
                pieces.add(bytes(event.data))
                self._between = event.chunk_end
                continue
            assert isinstance(event, h11.EndOfMessage)
            return WASTEFUL_CHUNKS if self._is_wasteful(self.received - len(rest)) else rest

    def _is_clean(self, between: bytes) -> bool:
        """Are the bytes between chunks free of any that others could read as the end of a line?"""
        between = self._half + between
        self._half = b"\r" if between.endswith(b"\r") else b""
        return CLEAN_BETWEEN.fullmatch(between) is not None

    def _is_wasteful(self, wire: int) -> bool:
        return wire > 2 * self._pieces.size + MAX_CHUNK_OVERHEAD

    def join(self) -> bytes:
        return self._pieces.take()


Body = CountedBody | ChunkedBody
