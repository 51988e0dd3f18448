"""Connections through one codec: pipes, and the part that WebSockets have in common with them."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from posthouse.transports.client.websocket import WebSocketClient
from posthouse.transports.codec import Ended, Finish, Send, Shut, Text
from posthouse.transports.pipes.content_length import ContentLengthFraming
from posthouse.transports.pipes.newline import NewlineFraming

from .protocol import Closed, Event, Message

Codec = TypeVar("Codec", bound=WebSocketClient | NewlineFraming | ContentLengthFraming)


class CodecProtocol(Generic[Codec]):
    """The events of one codec. `_events` are further ones, which come before those of the codec's output."""

    def __init__(self, codec: Codec) -> None:
        self.closed = False
        self._codec: Final = codec
        self._events: list[Event] = []

    def receive(self, data: bytes, now: float) -> None:
        """Bytes were received."""
        self._codec.receive_data(data, now)

    def receive_eof(self, now: float) -> None:
        """The server has ended its output."""
        self._codec.receive_eof(now)

    def next_timeout(self) -> float | None:
        """The next deadline of the codec. One is due at once if the codec has more texts than fit into a turn."""
        return self._codec.next_timeout()

    def handle_timeout(self, now: float) -> None:
        """Handle every deadline that has passed."""
        self._codec.handle_timeout(now)

    def events(self) -> list[Event]:
        """The events since the last call."""
        output = self._codec.output
        events, self._events = self._events, []
        for item in output:
            if type(item) is Text:
                events.append(Message(item.data))
            elif type(item) is Send:
                events.append(item.data)
            elif isinstance(item, Ended):
                events.append(Closed(item.code))
            elif isinstance(item, Shut | Finish):
                self.closed = True
        output.clear()
        return events


class PipeProtocol(CodecProtocol[NewlineFraming | ContentLengthFraming]):
    """One pipe. When the client has ended its output, it reads until the server ends its own."""

    server_ends: Final = True

    @property
    def ready(self) -> bool:
        """True from the beginning."""
        return not self.closed

    def send(self, text: bytes) -> None:
        """Send one text."""
        self._events.append(self._codec.frame(text))

    def close(self, code: int, now: float) -> None:
        """End the output."""
        self.closed = True
