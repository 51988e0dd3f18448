"""The clients' codecs as one kind of thing: texts in and out, whatever carries them.

`WebSocketClient` and the two codecs of pipes speak in texts already; over HTTP each text is a request of its own, sent
when the one before has its response.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Literal, Protocol

from msgspec import Struct
from posthouse.core.config import Config
from posthouse.transports.codec import Ended, Finish, HeadRead, Send, Shut, Text
from posthouse.transports.headers import Headers
from posthouse.transports.http1_client import Failed, Http1Client, Response
from posthouse.transports.lines import Lines
from posthouse.transports.websocket_client import WebSocketClient

from .chance import Stream

Transport = Literal["websocket", "http", "lines", "headers"]

CLIENT_CONFIG: Final = Config(min_compress_bytes=0)
"""A client's limits are its own, whatever the server's are; where compression was agreed it compresses everything."""


class Opened(Struct, frozen=True, gc=False):
    """The server lets it speak."""


class Message(Struct, frozen=True, gc=False):
    """One text came."""

    text: bytes


class Heard(Struct, frozen=True, gc=False):
    """A sign of life."""


class Replied(Struct, frozen=True, gc=False):
    """Over HTTP: this text has its response, of this status, and no other answer to it will come. Its body, where it is
    a JSON text, came before as a `Message`."""

    to: bytes
    status: int


class Gone(Struct, frozen=True, gc=False):
    """The conversation is over, with its close code or None."""

    code: int | None


Event = bytes | Opened | Message | Heard | Replied | Gone
"""Bytes are to be sent."""


class Speech(Protocol):
    """One conversation. `ready`: texts may be said; `over`: nothing more will be; `waits`: but the link is the server's
    to close."""

    @property
    def ready(self) -> bool: ...

    @property
    def over(self) -> bool: ...

    @property
    def waits(self) -> bool: ...

    def say(self, text: bytes) -> None: ...

    def hear(self, data: bytes, now: float) -> None: ...

    def hear_end(self, now: float) -> None: ...

    def close(self, code: int, now: float) -> None: ...

    def next_timeout(self) -> float | None: ...

    def handle_timeout(self, now: float) -> None: ...

    def events(self) -> list[Event]:
        """What has happened since it was last asked."""
        ...


class WebSocketSpeech:
    """Over a WebSocket."""

    def __init__(self, stream: Stream, now: float, *, deflate: bool = False) -> None:
        self._codec: Final = WebSocketClient(
            CLIENT_CONFIG, host=b"localhost", deflate=deflate, entropy=stream.entropy, now=now
        )
        self.over = False

    @property
    def ready(self) -> bool:
        """After the handshake, and until one side closes."""
        return self._codec._state == "open"

    @property
    def waits(self) -> bool:
        """RFC 6455 section 7.1.1: the server closes TCP first."""
        return False

    def say(self, text: bytes) -> None:
        """One text message."""
        self._codec.send(text)

    def hear(self, data: bytes, now: float) -> None:
        """Bytes came."""
        self._codec.receive_data(data, now)

    def hear_end(self, now: float) -> None:
        """No more come."""
        self._codec.receive_eof(now)

    def close(self, code: int, now: float) -> None:
        """The closing handshake begins."""
        self._codec.close(code, now)

    def next_timeout(self) -> float | None:
        """The codec's."""
        return self._codec.next_timeout()

    def handle_timeout(self, now: float) -> None:
        """End what took too long."""
        self._codec.handle_timeout(now)

    def events(self) -> list[Event]:
        """What the codec says."""
        output = self._codec.output
        if not output:
            return []
        found: list[Event] = []
        for said in output:
            if type(said) is Text:
                found.append(Message(said.data))
            elif type(said) is Send:
                found.append(said.data)
            elif isinstance(said, HeadRead):
                found.append(Opened())
            elif isinstance(said, Ended):
                found.append(Gone(said.code))
            elif isinstance(said, Shut):
                self.over = True
            else:
                found.append(Heard())
        output.clear()
        return found


class PipeSpeech:
    """Over a pipe, in lines or in framed messages."""

    def __init__(self, codec: Lines | Headers) -> None:
        self._codec: Final = codec
        self._said: list[Event] = []
        self.over = False

    @property
    def ready(self) -> bool:
        """From the beginning."""
        return not self.over

    @property
    def waits(self) -> bool:
        """It ends its own input, and reads on until the server has ended."""
        return True

    def say(self, text: bytes) -> None:
        """One text."""
        self._said.append(self._codec.frame(text))

    def hear(self, data: bytes, now: float) -> None:
        """Bytes came."""
        self._codec.receive_data(data, now)

    def hear_end(self, now: float) -> None:
        """No more come."""
        self._codec.receive_eof(now)

    def close(self, code: int, now: float) -> None:
        """End the input of the server."""
        self.over = True

    def next_timeout(self) -> float | None:
        """The codec's: it may have more to say than fits in a turn."""
        return self._codec.next_timeout()

    def handle_timeout(self, now: float) -> None:
        """Go on."""
        self._codec.handle_timeout(now)

    def events(self) -> list[Event]:
        """What was said, by either side."""
        found, self._said = self._said, []
        for said in self._codec.output:
            if isinstance(said, Text):
                found.append(Message(said.data))
            elif isinstance(said, Send):
                found.append(said.data)
            elif isinstance(said, Ended):
                found.append(Gone(said.code))
            elif isinstance(said, Shut | Finish):
                self.over = True
        self._codec.output.clear()
        return found


class HttpSpeech:
    """Over HTTP: one request after the other on one link, until the server closes it."""

    def __init__(self) -> None:
        self._codec: Final = Http1Client(CLIENT_CONFIG, b"localhost")
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
            kind = (b"Content-Type", b"application/json")
            self._asked = self._waiting.popleft()
            self._codec.request(b"POST", b"/rpc", (kind,), self._asked)

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
        found: list[Event] = []
        for said in self._codec.output:
            if isinstance(said, Send):
                found.append(said.data)
            elif isinstance(said, Response):
                if said.body and said.header(b"content-type") == b"application/json":
                    found.append(Message(said.body))
                found.append(Replied(self._asked, said.status))
            elif isinstance(said, Failed):
                found.append(Gone(None))
            else:
                self.over = True
        self._codec.output.clear()
        if not self.over and self._waiting and self._codec.reusable:
            self._next()
            found += self.events()
        return found


SPEECHES: Final[dict[Transport, Callable[[Stream, float], Speech]]] = {
    "websocket": lambda stream, now: WebSocketSpeech(stream, now, deflate=stream.happens(250)),
    "http": lambda stream, now: HttpSpeech(),
    "lines": lambda stream, now: PipeSpeech(Lines(CLIENT_CONFIG)),
    "headers": lambda stream, now: PipeSpeech(Headers(CLIENT_CONFIG)),
}
"""What begins a conversation over each transport, at this time."""
