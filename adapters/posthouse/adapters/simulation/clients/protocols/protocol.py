"""The interface that hides the transport from a client: texts in, bytes and events out."""

from __future__ import annotations

from typing import Final, Literal, Protocol

from msgspec import Struct
from posthouse.core.values.config import Config

from .pages import Page

Transport = Literal["websocket", "http", "lines", "headers"]

NO_LIMIT: Final = 1 << 30

CLIENT_CONFIG: Final = Config(
    min_compress_bytes=0, max_message_bytes=NO_LIMIT, max_response_bytes=NO_LIMIT, max_inflate_ratio=NO_LIMIT
)
"""Clients accept replies of any size. If compression was negotiated, they compress every message."""


class Message(Struct, frozen=True, gc=False):
    """A text was received."""

    text: bytes


class Pong(Struct, frozen=True, gc=False):
    """A pong was received."""

    payload: bytes


class HttpReply(Struct, frozen=True, gc=False):
    """The HTTP response to the text `request` was received. There is no other. `body` is None if it is not JSON. `page`
    wrote the request. `named`: the response has the X-Request-Id of the request."""

    request: bytes
    status: int
    body: bytes | None
    page: Page = Page(b"localhost")
    named: bool = True


class Closed(Struct, frozen=True, gc=False):
    """The connection has ended, with its close code or None."""

    code: int | None


Event = bytes | Message | Pong | HttpReply | Closed
"""Bytes are to be sent; everything else was received."""


class ClientProtocol(Protocol):
    """One connection. `ready`: texts can be sent now. `closed`: the client sends nothing more.

    `server_ends`: after `closed` the client keeps reading until the server ends the connection.
    """

    @property
    def ready(self) -> bool: ...

    @property
    def closed(self) -> bool: ...

    @property
    def server_ends(self) -> bool: ...

    def send(self, text: bytes) -> None: ...

    def receive(self, data: bytes, now: float) -> None: ...

    def receive_eof(self, now: float) -> None: ...

    def close(self, code: int, now: float) -> None: ...

    def next_timeout(self) -> float | None: ...

    def handle_timeout(self, now: float) -> None: ...

    def events(self) -> list[Event]:
        """The events since the last call."""
        ...
