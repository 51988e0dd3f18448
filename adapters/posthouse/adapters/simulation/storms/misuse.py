"""Misuse by the host: unknown ids, invalid values, declarations that cannot work.

Each must raise UsageError before anything has changed. A storm does some of them and goes on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from math import nan
from typing import Any, Final

from msgspec import Struct
from posthouse.adapters.invariants import Violation
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import RpcError, UsageError
from posthouse.core.values.peers import CallId, ConnectionId, OutgoingId, Peer, SocketId
from posthouse.transports.switchboard.switchboard import Switchboard

UNKNOWN: Final = 1 << 40
"""An id that no counter has reached."""

Misuse = Callable[[Switchboard, float], object]


class Opaque:
    """A type that cannot be converted to JSON."""

    def method(self) -> None:
        """A method of a class."""


def generator() -> Any:
    """A generator function."""
    yield 1


def two(first: Context, second: Context) -> None:
    """It has two contexts."""


def variadic(*contexts: Context) -> None:
    """Its context is variadic."""


def both(first: int, /, *, second: int) -> None:
    """No request can give both parameters."""


def opaque(value: Opaque) -> None:
    """Its parameter has a type that cannot be read from JSON."""


def defaulted(context: Context = None) -> None:  # type: ignore[assignment]
    """Its context has a default."""


class Changeable(Struct):
    """A type without a hash."""


def set_of_lists(values: set[tuple[int, list[int]]]) -> None:
    """A set cannot contain lists."""


def set_of_changeable(values: set[Changeable]) -> None:
    """A set cannot contain mutable values."""


def fine() -> None:
    """A valid method."""


async def waiting() -> None:
    """A valid method that awaits."""


def declare(function: Any, name: str = "name", **rules: Any) -> Misuse:
    """Declare an invalid method."""
    return lambda board, now: Service("misused").method(name, **rules)(function)


def frozen(board: Switchboard, now: float) -> None:
    """Declare a method of a service that is frozen."""
    service = Service("frozen")
    service.freeze("served")
    service.method(fine)


def twice(board: Switchboard, now: float) -> None:
    """Declare two methods of one name."""
    service = Service("twice")
    service.method(fine)
    service.method(fine)


def itself(board: Switchboard, now: float) -> None:
    """Include a service in itself."""
    service = Service("itself")
    service.include(service)


def too_much_sent(board: Switchboard, now: float) -> None:
    """Report more bytes as sent than were held."""
    for socket in board._sockets.records:
        board.sent(socket, UNKNOWN, now)
    raise UsageError("there is no socket to which bytes could have been sent")


def released_socket(board: Switchboard, now: float) -> None:
    """Connect a peer through a socket that was released."""
    board.gateway.connect(Peer("websocket", socket=SocketId(UNKNOWN)), now)


def after_another_connection(board: Switchboard, now: float) -> None:
    """Notify a connection behind the reply of a call of another one, or of no call."""
    for call in board.gateway._calls.records.values():
        for connection in board.gateway._connections.records:
            if connection != call.connection:
                board.notify(connection, "news", None, now, after=call.number)
    board.notify(ConnectionId(board.gateway._connections._last_connection), "news", None, now, after=CallId(UNKNOWN))


MISUSES: Final[tuple[Misuse, ...]] = (
    lambda board, now: board.received(SocketId(UNKNOWN), b"x", now),
    lambda board, now: board.closed(SocketId(0), now),
    lambda board, now: board.complete(CallId(UNKNOWN), None, now),
    lambda board, now: board.fail(CallId(UNKNOWN), RpcError(1, "no"), now),
    lambda board, now: board.progress(CallId(UNKNOWN), {}, now),
    lambda board, now: board.notify(ConnectionId(UNKNOWN), "news", None, now),
    lambda board, now: board.notify(ConnectionId(UNKNOWN), "", None, now),
    after_another_connection,
    lambda board, now: board.broadcast("news", 7, now),
    lambda board, now: board.broadcast("news", [Opaque()], now),
    lambda board, now: board.broadcast("news", None, now, kinds=["pigeon"]),  # type: ignore[list-item]
    lambda board, now: board.broadcast("news", None, now, users="ada"),
    lambda board, now: board.broadcast("news", None, now, users=[7]),  # type: ignore[list-item]
    lambda board, now: board.request(ConnectionId(UNKNOWN), "ask", None, now, timeout=1.0),
    lambda board, now: board.request(ConnectionId(UNKNOWN), "ask", None, now, timeout=0.0),
    lambda board, now: board.abandon(OutgoingId(UNKNOWN), now),
    lambda board, now: board.shut_down(now, grace=-1.0),
    too_much_sent,
    released_socket,
    lambda board, now: board.opened(("192.0.2.1", 5), now),  # type: ignore[arg-type]
    lambda board, now: board.handle_timeout(nan),
    lambda board, now: board.held(SocketId(0), -1, now),
    lambda board, now: board.gateway.connect("websocket", now),  # type: ignore[arg-type]
    lambda board, now: board.gateway.connect(Peer("tcp"), now),  # type: ignore[arg-type]
    lambda board, now: board.gateway.connect(Peer("cli", headers={b"host": b"a"}), now),  # type: ignore[arg-type]
    lambda board, now: RpcError(-32001),
    lambda board, now: RpcError("no"),  # type: ignore[arg-type]
    lambda board, now: RpcError(1, 7),  # type: ignore[arg-type]
    lambda board, now: Config(max_depth=0),
    lambda board, now: Config(max_depth=1 << 20),
    lambda board, now: Config(max_depth=True),
    lambda board, now: Config(observe=("max_depth",)),
    lambda board, now: Config.from_mapping({"max_dept": 1}),
    lambda board, now: Config.from_mapping({"max_depth": "deep"}),
    declare(7),
    declare(Opaque),
    declare(Opaque.method),
    declare(generator),
    declare(two),
    declare(variadic),
    declare(both),
    declare(opaque),
    declare(defaulted),
    declare(set_of_lists),
    declare(set_of_changeable),
    declare(lambda: None, ""),
    declare(fine, "\ud800"),
    declare(fine, "m" * 200),
    declare(fine, "rpc.mine"),
    declare(fine, "connection.ping"),
    declare(fine, sequential=True),
    declare(fine, on_disconnect="shrug"),
    declare(fine, timeout=0.0),
    declare(fine, scopes="admin"),
    declare(fine, scopes=[""]),
    declare(waiting, blocking=True),
    declare(functools.partial(functools.partial(both, 1), unknown=1)),
    lambda board, now: Service("misused").method(lambda: None),
    lambda board, now: Service("misused").on("connection.open"),  # type: ignore[arg-type]
    lambda board, now: Service("misused").on("connection.opened")(fine),  # type: ignore[type-var]
    lambda board, now: Service("misused").on_call(fine),  # type: ignore[type-var]
    lambda board, now: Service("misused", builtin_scopes={"rpc.cancel": {"admin"}}),
    lambda board, now: Service("misused", builtin_scopes={"rpc.discove": {"admin"}}),
    frozen,
    twice,
    itself,
)
"""Every misuse, each to be done by itself."""


def misuse(board: Switchboard, now: float, which: int) -> None:
    """Do one misuse. Raises Violation if it is not refused, or if it has changed anything."""
    before = board.stats(), board.health(now), board.next_timeout(), len(board.outbox)
    try:
        MISUSES[which](board, now)
    except UsageError:
        after = board.stats(), board.health(now), board.next_timeout(), len(board.outbox)
        if after != before:
            raise Violation("totality: a refused misuse changed something", which, before, after) from None
    else:
        raise Violation("totality: a misuse was not refused", which)
