"""The interface that every kind of connection has, and the hints for the HTTP statuses that a server may answer."""

from __future__ import annotations

from typing import Final, Protocol

from msgspec import Struct

STATUS_HINTS: Final = {
    403: "the server does not allow this origin: start it with --allow-origin",
    404: "check the path: Posthouse has /rpc for HTTP and /ws for WebSocket",
    421: "the server does not accept this host name: start it with --allow-host",
    426: "this path is a WebSocket: use ws:// or wss://",
}


class Options(Struct, frozen=True):
    """How to connect: additional HTTP headers, a PEM file that replaces the system's authorities, or no checks of
    certificates."""

    headers: tuple[tuple[bytes, bytes], ...] = ()
    authority: str | None = None
    insecure: bool = False


class Connection(Protocol):
    """JSON texts to and from a server. `duplex`: the server may send at any time, and more than once."""

    duplex: bool

    def send(self, text: bytes) -> None:
        """Send one JSON text."""
        ...

    def receive(self) -> bytes:
        """The next JSON text; empty for an answer without a body. Raises Failure when no more will come."""
        ...

    def finish(self) -> None:
        """Do the closing handshake, if the protocol has one, so that the server has read everything."""
        ...

    def close(self) -> None:
        """Close the connection. Never raises."""
        ...
