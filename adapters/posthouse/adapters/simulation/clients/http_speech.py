"""Conversations over HTTP: each text is a request of its own, with one response.

Most clients wait for it before they ask again; some do not.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

from posthouse.transports.client.http import Http1Client
from posthouse.transports.client.responses import Failed, Response
from posthouse.transports.codec import Send, Shut

from .speech import CLIENT_CONFIG, Event, Gone, Replied

JSON: Final = (b"Content-Type", b"application/json")
AHEAD: Final = 5
"""So many requests are on their way at once, where they are."""

CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)


class HttpSpeech:
    """Over HTTP: one request after the other on one link, until the server closes it."""

    def __init__(self, host: bytes) -> None:
        self._host: Final = host
        self._codec: Final = Http1Client(CLIENT_CONFIG, host)
        self._waiting: Final[deque[bytes]] = deque()
        self._asked = b""
        self.over = False

    @property
    def ready(self) -> bool:
        """From the beginning: what cannot be sent yet waits."""
        return not self.over

    @property
    def waits(self) -> bool:
        """Nothing follows the last answer."""
        return False

    def say(self, text: bytes) -> None:
        """One request, when its turn comes."""
        self._waiting.append(text)
        self._next()

    def _next(self) -> None:
        if self._waiting and self._codec.reusable:
            self._asked = self._waiting.popleft()
            self._codec.request(b"POST", b"/rpc", (JSON,), self._asked)

    def hear(self, data: bytes, now: float) -> None:
        """Bytes came."""
        self._codec.receive_data(data)

    def hear_end(self, now: float) -> None:
        """No more come."""
        self._codec.receive_eof()

    def close(self, code: int, now: float) -> None:
        """Nothing is waited for."""
        self.over = True

    def next_timeout(self) -> float | None:
        """None: who waits for an answer decides for how long."""
        return None

    def handle_timeout(self, now: float) -> None:
        """Nothing is due, ever."""

    def events(self) -> list[Event]:
        """What the codec says."""
        found = _heard(self._codec, self._asked)
        self.over = self.over or any(isinstance(said, Shut) for said in self._codec.output)
        self._codec.output.clear()
        if not self.over and self._waiting and self._codec.reusable:
            self._next()
            found += self.events()
        return found


class PipeliningSpeech(HttpSpeech):
    """Over HTTP, and without waiting: up to `AHEAD` requests are on their way, and are answered in their order
    (RFC 9112 section 9.3.2). Each has a codec of its own, which is given its response and nothing behind it."""

    def __init__(self, host: bytes) -> None:
        super().__init__(host)
        self._buffer = bytearray()
        self._codecs: Final[deque[tuple[Http1Client, bytes]]] = deque()
        self._found: list[Event] = []

    @property
    def ready(self) -> bool:
        """While there is room on the way."""
        return not self.over and len(self._codecs) < AHEAD

    def say(self, text: bytes) -> None:
        """One request, now."""
        codec = Http1Client(CLIENT_CONFIG, self._host)
        codec.request(b"POST", b"/rpc", (JSON,), text)
        self._codecs.append((codec, text))
        self._take(codec, text)

    def hear(self, data: bytes, now: float) -> None:
        """Bytes came."""
        self._buffer += data
        while not self.over and (size := _response_size(self._buffer)) is not None:
            if not self._codecs:
                self._found.append(Gone(None))
                self.over = True
                return
            codec, text = self._codecs.popleft()
            codec.receive_data(bytes(self._buffer[:size]))
            del self._buffer[:size]
            self._take(codec, text)

    def hear_end(self, now: float) -> None:
        """No more come."""
        self.over = True

    def events(self) -> list[Event]:
        """What the codecs said."""
        found, self._found = self._found, []
        return found

    def _take(self, codec: Http1Client, text: bytes) -> None:
        self._found += _heard(codec, text)
        self.over = self.over or any(isinstance(said, Shut) for said in codec.output)
        codec.output.clear()


def _heard(codec: Http1Client, asked: bytes) -> list[Event]:
    """What the codec of a request says to it."""
    found: list[Event] = []
    for said in codec.output:
        if isinstance(said, Send):
            found.append(said.data)
        elif isinstance(said, Response):
            in_json = said.header(b"content-type") == b"application/json"
            found.append(Replied(asked, said.status, said.body if in_json else None))
        elif isinstance(said, Failed):
            found.append(Gone(None))
    return found


def _response_size(data: bytearray) -> int | None:
    """How long the first response is, its body too. None: its head is not whole, or its body is not."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = CONTENT_LENGTH.search(data, 0, end + 2)
    size = end + 4 + (0 if length is None else int(length[1]))
    return size if len(data) >= size else None
