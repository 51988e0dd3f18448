"""Conversations over WebSockets and pipes, and what begins one over each transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.adapters.simulation.chance import Stream
from posthouse.transports.client.websocket import WebSocketClient
from posthouse.transports.codec import Ended, Finish, Send, Shut, Text
from posthouse.transports.pipes.content_length import ContentLengthFraming
from posthouse.transports.pipes.newline import NewlineFraming
from posthouse.transports.websocket.receive import Event as Came
from wsproto import events as wsproto

from .http_speech import HttpSpeech, PipeliningSpeech
from .speech import CLIENT_CONFIG, ClientProtocol, Event, Gone, Message, Pong, Transport


class AttentiveClient(WebSocketClient):
    """A client's codec that keeps what pongs say in `pongs`: who only calls has no use for it."""

    def __init__(self, host: bytes, *, deflate: bool, entropy: Callable[[int], bytes], now: float) -> None:
        super().__init__(CLIENT_CONFIG, host=host, deflate=deflate, entropy=entropy, now=now)
        self.pongs: Final[list[bytes]] = []

    def _on_event(self, event: Came, now: float) -> None:
        if isinstance(event, wsproto.Pong):
            self.pongs.append(bytes(event.payload))
        super()._on_event(event, now)


class WebSocketSpeech:
    """Over a WebSocket."""

    def __init__(self, host: bytes, stream: Stream, now: float, *, deflate: bool = False) -> None:
        self._codec: Final = AttentiveClient(host, deflate=deflate, entropy=stream.entropy, now=now)
        self.over = False

    @property
    def ready(self) -> bool:
        """After the handshake, and until one side closes."""
        return self._codec.ready

    @property
    def waits(self) -> bool:
        """RFC 6455 section 7.1.1: the server closes TCP first."""
        return False

    def say(self, text: bytes) -> None:
        """One text message."""
        self._codec.send(text)

    def ping(self, payload: bytes) -> None:
        """One ping."""
        self._codec.ping(payload)

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
        found: list[Event] = [Pong(payload) for payload in self._codec.pongs]
        self._codec.pongs.clear()
        for said in output:
            if type(said) is Text:
                found.append(Message(said.data))
            elif type(said) is Send:
                found.append(said.data)
            elif isinstance(said, Ended):
                found.append(Gone(said.code))
            elif isinstance(said, Shut):
                self.over = True
        output.clear()
        return found


class PipeSpeech:
    """Over a pipe, in lines or in framed messages."""

    def __init__(self, codec: NewlineFraming | ContentLengthFraming) -> None:
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


def _http(host: bytes, stream: Stream, now: float) -> ClientProtocol:
    return PipeliningSpeech(host) if stream.happens(500) else HttpSpeech(host)


SPEECHES: Final[dict[Transport, Callable[[bytes, Stream, float], ClientProtocol]]] = {
    "websocket": lambda host, stream, now: WebSocketSpeech(host, stream, now, deflate=stream.happens(250)),
    "http": _http,
    "lines": lambda host, stream, now: PipeSpeech(NewlineFraming(CLIENT_CONFIG)),
    "headers": lambda host, stream, now: PipeSpeech(ContentLengthFraming(CLIENT_CONFIG)),
}
"""What begins a conversation over each transport, with a server of this name, at this time."""
