"""The clients' codecs as one kind of thing: texts in and out, whatever carries them.

`WebSocketClient` and the two codecs of pipes speak in texts already; over HTTP each text is a request of its own, sent
when the one before has its response.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

from msgspec import Struct
from posthouse.core.values.config import Config

Transport = Literal["websocket", "http", "lines", "headers"]

HUGE: Final = 1 << 30

CLIENT_CONFIG: Final = Config(
    min_compress_bytes=0, max_message_bytes=HUGE, max_response_bytes=HUGE, max_inflate_ratio=HUGE
)
"""A client takes whatever it is answered; where compression was agreed it compresses everything."""


class Message(Struct, frozen=True, gc=False):
    """One text came."""

    text: bytes


class Pong(Struct, frozen=True, gc=False):
    """A ping was answered."""

    payload: bytes


class Replied(Struct, frozen=True, gc=False):
    """Over HTTP: this text has its response, of this status, and no other answer to it will come. `body` is None where
    it is no JSON."""

    to: bytes
    status: int
    body: bytes | None


class Gone(Struct, frozen=True, gc=False):
    """The conversation is over, with its close code or None."""

    code: int | None


Event = bytes | Message | Pong | Replied | Gone
"""Bytes are to be sent."""


class ClientProtocol(Protocol):
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
