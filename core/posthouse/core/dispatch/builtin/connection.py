"""`connection.*`: is the server there, and what does it know of its connections?

It may not change anything.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct
from posthouse.core.values.peers import Kind

from .part import Declared, Part


class Pong(Struct, frozen=True):
    """The answer to `connection.ping`. `timestamp` is Unix seconds."""

    pong: bool
    timestamp: float
    connection_id: str


class ConnectionInfo(Struct, frozen=True):
    """What the server knows of the caller. `opened_at` is Unix seconds."""

    connection_id: str
    kind: Kind
    user: str | None
    scopes: tuple[str, ...]
    opened_at: float


class ConnectionStats(Struct, frozen=True):
    """How many connections there are, in all and by kind, and how many calls and users."""

    total: int
    websocket: int
    http: int
    cli: int
    users: int
    calls: int
    waiting: int


class ConnectionMethods(Part):
    """The methods of `connection.*`."""

    prefix = "connection."
    declared: ClassVar[dict[str, Declared]] = {
        "ping": Declared(public=True),
        "info": Declared(public=True),
        "stats": Declared(public=False, scopes=("admin",)),
    }

    def ping(self) -> Pong:
        """Answer with the time: is the server there, and who am I to it?"""
        return Pong(True, self.tables.wall.timestamp(self.now), self.caller.public_id)

    def info(self) -> ConnectionInfo:
        """What the server knows of this connection."""
        caller = self.caller
        identity = caller.identity
        opened_at = self.tables.wall.timestamp(caller.opened_at)
        return ConnectionInfo(caller.public_id, caller.peer.kind, identity.user, identity.scopes, opened_at)

    def stats(self) -> ConnectionStats:
        """How many connections there are, in all and by kind."""
        by_kind, calls = self.tables.connections.by_kind, self.tables.calls
        return ConnectionStats(
            total=sum(len(of_kind) for of_kind in by_kind.values()),
            websocket=len(by_kind["websocket"]),
            http=len(by_kind["http"]),
            cli=len(by_kind["cli"]),
            users=len(self.tables.connections.by_user),
            calls=calls.handlers,
            waiting=calls.waiting,
        )
