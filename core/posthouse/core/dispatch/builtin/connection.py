"""`connection.*`: is the server alive, and what does it know about its connections? Nothing here changes a table."""

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
    """The caller's connection as the server sees it. `opened_at` is Unix seconds."""

    connection_id: str
    kind: Kind
    user: str | None
    scopes: tuple[str, ...]
    opened_at: float


class ConnectionStats(Struct, frozen=True):
    """The number of connections, in total and by kind, of users, and of calls that run and wait."""

    total: int
    websocket: int
    http: int
    cli: int
    local: int
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
        """Answer with the server's time and the id of this connection."""
        return Pong(True, self.tables.shared.timestamp(self.now), self.caller.public_id)

    def info(self) -> ConnectionInfo:
        """Describe this connection as the server sees it."""
        caller = self.caller
        identity = caller.identity
        opened_at = self.tables.shared.timestamp(caller.opened_at)
        return ConnectionInfo(caller.public_id, caller.peer.kind, identity.user, identity.scopes, opened_at)

    def stats(self) -> ConnectionStats:
        """Count connections, users and calls."""
        by_kind, calls = self.tables.connections.by_kind, self.tables.calls
        return ConnectionStats(
            total=sum(len(of_kind) for of_kind in by_kind.values()),
            websocket=len(by_kind["websocket"]),
            http=len(by_kind["http"]),
            cli=len(by_kind["cli"]),
            local=len(by_kind["local"]),
            users=len(self.tables.connections.by_user),
            calls=calls.handlers,
            waiting=calls.waiting,
        )
