"""The methods that every gateway answers by itself, at once, without a handler.

Each is a typed method like a service's own, declared by the same machinery, so that parameters are checked and
`rpc.discover` describes it. They read the tables, push through `delivery.py` and cancel with what they are given for
it; they start nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace
from posthouse.core.calls.calls import Calls
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.connections.delivery import Delivery
from posthouse.core.jsonrpc.messages import encode_notification
from posthouse.core.service.method import Method
from posthouse.core.service.openrpc import document
from posthouse.core.service.service import BUILTINS, Service
from posthouse.core.values.peers import Kind
from posthouse.core.values.stats import Wall

RECEIVED: Final = "message.received"
"""The notification that carries what `message.send` and `message.broadcast` were given."""


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


class Target(Struct, frozen=True, forbid_unknown_fields=True):
    """To whom: one connection by its id, or every connection of a user. Exactly one of the two."""

    connection: str | UnsetType = UNSET
    user: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.connection is UNSET) == (self.user is UNSET):
            raise ValueError("expected exactly one of `connection` and `user`")


class Delivered(Struct, frozen=True):
    """To how many connections it was handed."""

    delivered: int


class Cancelled(Struct, frozen=True):
    """Whether there was such a call to cancel."""

    cancelled: bool


class Builtins:
    """The built-in methods of one gateway, as `methods` by name."""

    def __init__(
        self,
        service: Service,
        connections: Connections,
        calls: Calls,
        delivery: Delivery,
        wall: Wall,
        cancel: Callable[[Connection, bytes, float], bool],
    ) -> None:
        self._service = service
        self._connections = connections
        self._calls = calls
        self._delivery = delivery
        self._wall = wall
        self._cancel = cancel
        self._caller: Connection
        self._now = 0.0
        self.methods: dict[str, Method] = {}
        for name, declared in _declared().items():
            public, scopes = BUILTINS[name]
            if name in service.builtin_scopes:
                public, scopes = False, service.builtin_scopes[name]
            function = getattr(self, declared.function.__name__)
            self.methods[name] = replace(declared, function=function, public=public, scopes=scopes)
        service.freeze("served by a gateway")
        if service.document is None:
            service.document = document(service, self.methods.values())
        self._document = service.document

    def run(self, method: Method, params: Raw | None, caller: Connection, now: float) -> object:
        """The result of a built-in method. Raises RpcError."""
        args, kwargs = method.bind(params)
        self._caller = caller
        self._now = now
        return method.function(*args, **kwargs)

    def ping(self) -> Pong:
        """Answer with the time: is the server there, and who am I to it?"""
        return Pong(True, self._wall.timestamp(self._now), self._caller.public_id)

    def info(self) -> ConnectionInfo:
        """What the server knows of this connection."""
        caller = self._caller
        identity = caller.identity
        opened_at = self._wall.timestamp(caller.opened_at)
        return ConnectionInfo(caller.public_id, caller.peer.kind, identity.user, identity.scopes, opened_at)

    def stats(self) -> ConnectionStats:
        """How many connections there are, in all and by kind."""
        by_kind = self._connections.by_kind
        return ConnectionStats(
            total=sum(len(of_kind) for of_kind in by_kind.values()),
            websocket=len(by_kind["websocket"]),
            http=len(by_kind["http"]),
            cli=len(by_kind["cli"]),
            users=len(self._connections.by_user),
            calls=self._calls.handlers,
            waiting=self._calls.waiting,
        )

    def send(self, to: Target, data: Any) -> Delivered:
        """Send any JSON value to one connection, or to every connection of a user: `message.received`."""
        payload = encode_notification(RECEIVED, self._message(data))
        if to.connection is not UNSET:
            found = self._connections.by_public_id.get(to.connection)
            targets = [] if found is None else [found]
        else:
            assert to.user is not UNSET
            targets = list(self._connections.by_user.get(to.user, {}).values())
        return Delivered(sum(self._delivery.push(target, payload, self._now) for target in targets))

    def broadcast(self, data: Any, kinds: list[Kind] | None = None, users: list[str] | None = None) -> Delivered:
        """Send any JSON value to everybody, or to those of some kinds and users, the caller included if it is one of
        them: `message.received`."""
        payload = encode_notification(RECEIVED, self._message(data))
        return Delivered(self._delivery.multicast(payload, self._now, kinds=kinds, users=users))

    def _message(self, data: object) -> dict[str, object]:
        sender = {"connection": self._caller.public_id, "user": self._caller.identity.user}
        return {"from": sender, "data": data}

    def cancel(self, id: Raw) -> Cancelled:
        """Cancel a call of this connection by its id. The call is answered with -32800."""
        return Cancelled(self._cancel(self._caller, bytes(id), self._now))

    def discover(self) -> dict[str, Any]:
        """This service as an OpenRPC document."""
        return self._document


@cache
def _declared() -> dict[str, Method]:
    """The built-in methods, compiled once for all gateways: each puts its own functions in their place."""
    nobody = Builtins.__new__(Builtins)
    functions: dict[str, Callable[..., Any]] = {
        "connection.ping": nobody.ping,
        "connection.info": nobody.info,
        "connection.stats": nobody.stats,
        "message.send": nobody.send,
        "message.broadcast": nobody.broadcast,
        "rpc.cancel": nobody.cancel,
        "rpc.discover": nobody.discover,
    }
    return {name: Method.of(function, name=name, public=True, reserved=True) for name, function in functions.items()}
