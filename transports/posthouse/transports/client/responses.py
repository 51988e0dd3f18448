"""Responses: bytes in, one whole response out, and the first byte behind it.

`Counted` knows the length of its body and needs no parser. `Parsed` gives everything else to h11, heads too: chunks,
bodies up to the end of input, responses that close the connection, and informational ones. This module may know only
those facts of a request that decide how its response is framed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import h11
from msgspec import Struct
from posthouse.core.values.config import KIB, Config
from posthouse.transports.fields import Fields
from posthouse.transports.http.bodies import NO_LIMIT

from .recogniser import NO_CONTENT, NOT_MODIFIED, ResponseHead

PIECE: Final = 4 * KIB
"""h11 gets so many bytes at once. After each piece, the bytes that it has put into no event are checked."""

NO_HTTP: Final = "the server does not speak HTTP/1.1"
MALFORMED_CHUNKS: Final = "the chunks of the server's response are malformed"
TOO_LARGE: Final = "the server's response is too large"
WASTEFUL: Final = "the server's response has too much between its chunks"
TWO_LENGTHS: Final = "the server's response says in two ways where it ends"
SWITCHED: Final = "the server goes on in another protocol"
CUT_OFF: Final = "the server closed the connection before its response was whole"


class Response(Struct, frozen=True, gc=False):
    """A whole response. Names of headers are lower-case."""

    status: int
    headers: Fields
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The value of the first header of this lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


class Failed(Struct, frozen=True, gc=False):
    """There will be no response and no other request on this connection. `reason` says why, for people."""

    reason: str


class Counted:
    """A response whose head says how long its body is.

    `feed` takes the next bytes of a response. It returns those behind a whole one; a failure; or None: more bytes are
    needed. `end`: the server sends no more; None if that makes the response whole. `begun`: the head was read, and the
    body follows. `last`: nothing can follow on this connection. `buffered` bytes are held.
    """

    __slots__ = ("_body", "_head", "_left", "_max")

    begun = True
    last = False

    def __init__(self, config: Config, head: ResponseHead) -> None:
        self._head: Final = head
        self._left = head.length
        self._max: Final = config.max_response_bytes
        self._body = bytearray()

    def feed(self, data: bytes) -> bytes | Failed | None:
        if self._head.length > self._max:
            return Failed(TOO_LARGE)
        taken = data[: self._left]
        self._body += taken
        self._left -= len(taken)
        return None if self._left else data[len(taken) :]

    def end(self) -> Failed:
        return Failed(CUT_OFF)

    def response(self) -> Response:
        return Response(self._head.status, self._head.headers, bytes(self._body))

    @property
    def buffered(self) -> int:
        return len(self._body)


class Parsed:
    """A response that h11 reads. `method` and `headers` are the request's, without the fields that frame its body. The
    caller feeds each head whole and alone, and limits its size."""

    __slots__ = ("_asked_body", "_body", "_config", "_head", "_parser", "_placed", "_received")

    def __init__(self, config: Config, method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._config: Final = config
        self._parser: Final = h11.Connection(h11.CLIENT, max_incomplete_event_size=NO_LIMIT)
        self._parser.send(h11.Request(method=method, target=target, headers=list(headers)))
        self._parser.send(h11.EndOfMessage())
        self._asked_body: Final = method != b"HEAD"
        self._head: h11.Response | None = None
        self._body = bytearray()
        self._received = 0  # bytes behind the head; of these, the bytes up to the end of the last data
        self._placed = 0

    @property
    def begun(self) -> bool:
        """Was a final head read, not an informational one?"""
        return self._head is not None

    def feed(self, data: bytes) -> bytes | Failed | None:
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            self._parser.receive_data(piece)
            if self._head is not None:
                self._received += len(piece)
            rest = self._read()
            if isinstance(rest, bytes):
                return rest + data[at + PIECE :]
            if rest is not None:
                return rest
        return None

    def end(self) -> Failed | None:
        """The server sends no more. That ends a body without a length and cuts off any other."""
        self._parser.receive_data(b"")
        return Failed(CUT_OFF) if isinstance(self._read(), Failed) else None

    def _read(self) -> bytes | Failed | None:
        while True:
            try:
                event = self._parser.next_event()
            except h11.RemoteProtocolError:
                # h11's message depends on how the bytes were cut.
                if self._head is None:
                    return Failed(NO_HTTP)
                return Failed(WASTEFUL if self._is_wasteful(None) else MALFORMED_CHUNKS)
            if isinstance(event, h11.Response):
                self._head = event
                failed = self._judge(event)
                if failed is not None:
                    return failed
            elif isinstance(event, h11.InformationalResponse):
                continue
            elif self._is_wasteful(event):
                return Failed(WASTEFUL)
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > self._config.max_response_bytes:
                    return Failed(TOO_LARGE)
            elif isinstance(event, h11.EndOfMessage):
                rest, _ = self._parser.trailing_data
                return rest
            else:
                return Failed(SWITCHED) if event is h11.PAUSED else None

    def _judge(self, head: h11.Response) -> Failed | None:
        """Why the length that this head gives is refused, or None."""
        fields = dict(head.headers)
        if b"content-length" not in fields:
            return None
        if b"transfer-encoding" in fields:
            # RFC 9112 section 6.3: "ought to be handled as an error".
            return Failed(TWO_LENGTHS)
        follows = self._asked_body and head.status_code not in (NO_CONTENT, NOT_MODIFIED)
        too_large = follows and int(fields[b"content-length"]) > self._config.max_response_bytes
        return Failed(TOO_LARGE) if too_large else None

    def _is_wasteful(self, event: object) -> bool:
        """Are there more bytes in heads of chunks or trailers before this event than a head may have? None: before the
        bytes that h11 refuses. The positions of the bytes decide, because h11's own limit depends on how they were
        cut."""
        at = self._received
        if event is not h11.NEED_DATA:
            rest, _ = self._parser.trailing_data
            at -= len(rest)
        placed = self._placed
        if isinstance(event, h11.Data):
            self._placed = at
            at -= len(event.data)
        return at - placed > self._config.max_head_bytes

    def response(self) -> Response:
        head = self._head
        assert head is not None
        return Response(head.status_code, tuple(head.headers), bytes(self._body))

    @property
    def last(self) -> bool:
        return self._parser.our_state is not h11.DONE or self._parser.their_state is not h11.DONE

    @property
    def buffered(self) -> int:
        """Bytes of its body, and bytes behind its head that are not in any data yet."""
        return len(self._body) + self._received - self._placed


Reading = Counted | Parsed
