"""The client's side of HTTP/1.1 on one connection: one request after the other, each with one response.

h11 does the work, and is fed heads only when they are whole and within their limit. It may not know sockets, times or
what a body says; who waits for a response decides for how long.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import h11
from msgspec import Struct
from posthouse.core.config import Config
from posthouse.core.errors import UsageError

from .codec import Send, Shut
from .http_bodies import NO_LIMIT

Headers = Iterable[tuple[bytes, bytes]]


class Response(Struct, frozen=True, gc=False):
    """A whole response. Names of headers are lower-case."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The value of the first header of this lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


class Failed(Struct, frozen=True, gc=False):
    """There will be no response, and no other request on this connection: why, in words for people."""

    reason: str


ClientOutput = Send | Response | Failed | Shut


class Http1Client:
    """The codec of one outgoing connection to `host`, which is what the Host header says.

    A response's head is at most `max_head_bytes`, its body `max_response_bytes`. What follows is left in `output`, in
    order: for every `request` a `Send` and later one `Response` or `Failed`; `Shut` when the connection is of no use.
    """

    __slots__ = (
        "_body",
        "_config",
        "_head",
        "_host",
        "_open",
        "_parser",
        "_placed",
        "_received",
        "_response",
        "_waiting",
        "output",
    )

    def __init__(self, config: Config, host: bytes) -> None:
        self.output: list[ClientOutput] = []
        self._config: Final = config
        self._host: Final = host
        self._parser: Final = h11.Connection(h11.CLIENT, max_incomplete_event_size=NO_LIMIT)
        self._head = bytearray()
        self._response: h11.Response | None = None
        self._body = bytearray()
        self._received = 0  # bytes behind the response's head, and those up to the end of the last of its data
        self._placed = 0
        self._waiting = False
        self._open = True

    @property
    def reusable(self) -> bool:
        """May the next request be made?"""
        return self._open and not self._waiting

    def request(self, method: bytes, target: bytes, headers: Headers = (), body: bytes = b"") -> None:
        """Send a request. UsageError while another waits, after the end, or where it cannot be put in bytes."""
        if not self.reusable:
            raise UsageError("a request was made while another waits for its response, or on a connection that is over")
        fields = [(b"Host", self._host), *headers]
        if body or method == b"POST":
            fields.append((b"Content-Length", b"%d" % len(body)))
        try:
            request = h11.Request(method=method, target=target, headers=fields)
        except h11.LocalProtocolError as error:
            raise UsageError(str(error)) from None
        parts = [self._parser.send(request)]
        if body:
            parts.append(self._parser.send(h11.Data(data=body)))
        parts.append(self._parser.send(h11.EndOfMessage()))
        self._waiting = True
        self.output.append(Send(b"".join(part for part in parts if part)))

    def receive_data(self, data: bytes) -> None:
        """Take bytes as they came, cut anywhere."""
        while data and self._open:
            if not self._waiting:
                self._fail("the server sent what nobody asked for")
            elif self._response is None:
                data = self._take_head(data)
            else:
                self._parser.receive_data(data)
                self._received += len(data)
                data = self._take_events()

    def receive_eof(self) -> None:
        """The server sends no more."""
        if not self._open:
            return
        if self._response is not None:
            self._parser.receive_data(b"")
            self._take_events()
        elif self._waiting:
            self._fail("the server closed the connection before it answered")
        if self._open:
            self._shut()

    def _take_head(self, data: bytes) -> bytes:
        head = self._head
        begun = len(head)
        head += data
        end = head.find(b"\r\n\r\n", max(0, begun - 3), self._config.max_head_bytes)
        if end < 0:
            if len(head) >= self._config.max_head_bytes:
                self._fail("the head of the server's response is too large")
            return b""
        self._parser.receive_data(bytes(head[: end + 4]))
        head.clear()
        rest = data[end + 4 - begun :]
        self._take_events()
        return rest

    def _take_events(self) -> bytes:
        """Read on in what the parser has. Returns the bytes behind the response, if it is whole."""
        while self._open:
            try:
                event = self._parser.next_event()
            except h11.RemoteProtocolError as error:
                self._fail(f"the server does not speak HTTP/1.1: {error}")
                break
            if isinstance(event, h11.Response):
                self._response = event
            elif isinstance(event, h11.InformationalResponse):
                continue
            elif self._is_wasteful(event):
                self._fail("the server's response has too much between its chunks")
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > self._config.max_response_bytes:
                    self._fail("the server's response is too large")
            elif isinstance(event, h11.EndOfMessage):
                return self._deliver()
            else:
                break
        return b""

    def _is_wasteful(self, event: object) -> bool:
        """Stands more before this event than a head may have, in heads of chunks or trailers? It is told by where the
        bytes are: h11's own limit would be met by some cuts of the same bytes and not by others."""
        at = self._received
        if event is not h11.NEED_DATA:
            rest, _ = self._parser.trailing_data
            at -= len(rest)
        placed = self._placed
        if isinstance(event, h11.Data):
            self._placed = at
            at -= len(event.data)
        return at - placed > self._config.max_head_bytes

    def _deliver(self) -> bytes:
        response = self._response
        assert response is not None
        self.output.append(Response(response.status_code, tuple(response.headers), bytes(self._body)))
        self._response = None
        self._body.clear()
        self._received = self._placed = 0
        self._waiting = False
        rest, _ = self._parser.trailing_data
        if self._parser.our_state is h11.DONE and self._parser.their_state is h11.DONE:
            self._parser.start_next_cycle()
        else:
            self._shut()
        return rest

    def _fail(self, reason: str) -> None:
        if self._waiting:
            self._waiting = False
            self.output.append(Failed(reason))
        self._shut()

    def _shut(self) -> None:
        self._open = False
        self._head.clear()
        self._body.clear()
        self._received = self._placed = 0
        self.output.append(Shut())

    @property
    def buffered(self) -> int:
        """Bytes of a response that is not whole."""
        return len(self._head) + len(self._body) + self._received - self._placed
