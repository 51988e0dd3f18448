"""The HTTP protocols of a simulated client: each text is a request of its own and gets one response.

Most clients wait for a response before the next request; some send several requests at once (pipelining).
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

from posthouse.transports.client.http import Http1Client
from posthouse.transports.client.responses import Failed, Response
from posthouse.transports.codec import Send, Shut

from .pages import Page
from .protocol import CLIENT_CONFIG, Closed, Event, HttpReply

MAX_PIPELINED: Final = 5
"""The most requests that a pipelining client sends before it gets a response."""

CONTINUE: Final = b"HTTP/1.1 100 "
CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)


class HttpProtocol:
    """One HTTP connection with one request after another, until the server closes it."""

    server_ends: Final = False  # nothing follows the last response

    def __init__(self, page: Page) -> None:
        self._page: Final = page
        self._codec: Final = Http1Client(CLIENT_CONFIG, page.host)
        self._waiting: Final[deque[bytes]] = deque()
        self._current = b""
        self._sent = 0
        self._asking = page
        self.cookies: Final = page.sent.own  # None: this client is no browser
        self.closed = False

    @property
    def ready(self) -> bool:
        """True from the beginning: texts that cannot be sent yet wait here."""
        return not self.closed

    def send(self, text: bytes) -> None:
        """Send one request, after the response to the request before."""
        self._waiting.append(text)
        self._send_next()

    def _send_next(self) -> None:
        if self._waiting and self._codec.reusable:
            self._current = self._waiting.popleft()
            _ask(self._codec, self._next_page(), self._current)

    def _next_page(self) -> Page:
        self._sent += 1
        self._asking = self._page.of(self._sent)
        return self._asking

    def receive(self, data: bytes, now: float) -> None:
        """Bytes were received."""
        self._codec.receive_data(data)

    def receive_eof(self, now: float) -> None:
        """The server has half-closed."""
        self._codec.receive_eof()

    def close(self, code: int, now: float) -> None:
        """Close at once."""
        self.closed = True

    def next_timeout(self) -> float | None:
        """None: the client has no deadlines of its own."""
        return None

    def handle_timeout(self, now: float) -> None:
        """Do nothing: there are no deadlines."""

    def events(self) -> list[Event]:
        """The events since the last call."""
        events = _events(self._codec, self._current, self._asking)
        self.closed = self.closed or any(isinstance(item, Shut) for item in self._codec.output)
        self._codec.output.clear()
        if not self.closed and self._waiting and self._codec.reusable:
            self._send_next()
            events += self.events()
        return events


class PipeliningHttpProtocol(HttpProtocol):
    """One HTTP connection with up to `MAX_PIPELINED` requests at once. Responses come in the order of the requests
    (RFC 9112 section 9.3.2). Each request has a codec of its own, which gets exactly the bytes of its response."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._buffer = bytearray()
        self._codecs: Final[deque[tuple[Http1Client, bytes, Page]]] = deque()
        self._events: list[Event] = []

    @property
    def ready(self) -> bool:
        """True while fewer than `MAX_PIPELINED` requests wait for a response."""
        return not self.closed and len(self._codecs) < MAX_PIPELINED

    def send(self, text: bytes) -> None:
        """Send one request now."""
        codec, page = Http1Client(CLIENT_CONFIG, self._page.host), self._next_page()
        _ask(codec, page, text)
        self._codecs.append((codec, text, page))
        self._collect(codec, text, page)

    def receive(self, data: bytes, now: float) -> None:
        """Bytes were received."""
        self._buffer += data
        while not self.closed and (size := _response_size(self._buffer)) is not None:
            if not self._codecs:
                self._events.append(Closed(None))
                self.closed = True
                return
            codec, text, page = self._codecs.popleft()
            codec.receive_data(bytes(self._buffer[:size]))
            del self._buffer[:size]
            self._collect(codec, text, page)

    def receive_eof(self, now: float) -> None:
        """The server has half-closed."""
        self.closed = True

    def events(self) -> list[Event]:
        """The events since the last call."""
        events, self._events = self._events, []
        return events

    def _collect(self, codec: Http1Client, text: bytes, page: Page) -> None:
        self._events += _events(codec, text, page)
        self.closed = self.closed or any(isinstance(item, Shut) for item in codec.output)
        codec.output.clear()


def _ask(codec: Http1Client, page: Page, text: bytes) -> None:
    """Send a request of this page. An empty text: it asks for the counters of the server."""
    if text:
        codec.request(b"POST", b"/rpc", page.headers, text)
    else:
        codec.request(b"GET", b"/stats", page.headers, b"")


def _events(codec: Http1Client, request: bytes, page: Page) -> list[Event]:
    """The events in the output of the codec of this request."""
    events: list[Event] = []
    for item in codec.output:
        if isinstance(item, Send):
            events.append(page.write(item.data) if request else item.data)
        elif isinstance(item, Response):
            in_json = item.header(b"content-type") == b"application/json"
            named = item.header(b"x-request-id") == page.request_id
            page.sent.keep(item.header(b"set-cookie") or b"")
            events.append(HttpReply(request, item.status, item.body if in_json else None, page, named))
        elif isinstance(item, Failed):
            events.append(Closed(None))
    return events


def _response_size(data: bytearray) -> int | None:
    """The size of the first response, including its body and 100 (Continue). None if it is not complete."""
    begin = data.find(b"\r\n\r\n") + 4 if data.startswith(CONTINUE) else 0
    end = data.find(b"\r\n\r\n", begin)
    if end < 0:
        return None
    length = CONTENT_LENGTH.search(data, begin, end + 2)
    size = end + 4 + (0 if length is None else int(length[1]))
    return size if len(data) >= size else None
