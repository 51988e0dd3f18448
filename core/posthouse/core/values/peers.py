"""Who is at the other end: ids, addresses, identities, and the description of a connection as it opens.

Values only. After a peer has connected, its facts are in the record of `connections/connections.py`.
"""

from __future__ import annotations

from typing import Final, Literal, NewType

from msgspec import Struct
from msgspec.structs import astuple

SocketId = NewType("SocketId", int)
ConnectionId = NewType("ConnectionId", int)
CallId = NewType("CallId", int)
OutgoingId = NewType("OutgoingId", int)

WireId = NewType("WireId", bytes)
"""The id of a request as its sender wrote it: JSON text, echoed byte for byte."""

Kind = Literal["websocket", "http", "cli"]
KINDS: Final[tuple[Kind, ...]] = ("websocket", "http", "cli")
"""How a connection came; `cli` is a process on the other end of two pipes."""

PUSHABLE: Final[dict[Kind, bool]] = {"websocket": True, "http": False, "cli": True}
"""May the server speak first? An HTTP exchange carries one answer and nothing else."""

BEATING: Final[dict[Kind, bool]] = {"websocket": True, "http": False, "cli": False}
"""Can the transport ask for a sign of life? A pipe that is open is alive."""

ALL_SCOPES: Final = "*"


class Address(Struct, frozen=True):
    """The other end of a socket. `host` is an IP address as text, or empty where there is none (a unix socket, a
    pipe): limits per address do not apply to it. `transport` says which first bytes to expect."""

    host: str = ""
    port: int = 0
    transport: Literal["stream", "pipe"] = "stream"
    secure: bool = False


class Identity(Struct, frozen=True):
    """Who a caller is. `user` None is nobody in particular; `scopes` is sorted; `*` stands for every scope.

    `expires_at` is Unix seconds, or None for never.
    """

    user: str | None = None
    scopes: tuple[str, ...] = ()
    expires_at: float | None = None

    @property
    def authenticated(self) -> bool:
        """Somebody in particular, or somebody who was given every scope."""
        return self.user is not None or ALL_SCOPES in self.scopes

    def missing(self, required: tuple[str, ...]) -> tuple[str, ...]:
        """The scopes of `required` that this identity does not have, in their order."""
        if ALL_SCOPES in self.scopes:
            return ()
        return tuple(scope for scope in required if scope not in self.scopes)


ANONYMOUS: Final = Identity()


class Meta(Struct, frozen=True):
    """What accompanies a request without being a parameter (the member `meta`, or headers over HTTP)."""

    idempotency_key: str | None = None
    timeout_ms: int | None = None
    traceparent: str | None = None
    progress_token: str | int | None = None

    def or_else(self, given: Meta) -> Meta:
        """What this says, and for the rest what `given` says."""
        if given == NO_META:
            return self
        pairs = zip(astuple(self), astuple(given), strict=True)
        return Meta(*(other if value is None else value for value, other in pairs))


NO_META: Final = Meta()


class Peer(Struct, frozen=True):
    """A connection as it opens. `socket` is None where a host owns the sockets. `meta` is the default for its calls."""

    kind: Kind
    address: Address = Address()
    socket: SocketId | None = None
    identity: Identity = ANONYMOUS
    meta: Meta = NO_META


class Caller(Struct, frozen=True):
    """A connection as its handlers see it. `public_id` is the id that peers see."""

    connection: ConnectionId
    public_id: str
    kind: Kind
    identity: Identity
