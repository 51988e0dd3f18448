"""What a host may do wrong: name what never was, give values that make no sense, declare what cannot be kept.

Each is refused with UsageError, before anything has changed: a storm does them in passing, and goes on.
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

NEVER: Final = 1 << 40
"""No counter has come so far."""

Misuse = Callable[[Switchboard, float], object]


class Opaque:
    """Nothing that JSON can carry."""

    def method(self) -> None:
        """A method that belongs to a class."""


def generator() -> Any:
    """A function that gives many values."""
    yield 1


def two(first: Context, second: Context) -> None:
    """One Context is enough."""


def rest(*contexts: Context) -> None:
    """A Context needs a parameter of its own."""


def given(context: Context | None = None, /, *, named: int) -> None:
    """Fine by itself."""


def both(first: int, /, *, second: int) -> None:
    """No request can give both."""


def opaque(value: Opaque) -> None:
    """A type that cannot be read."""


def defaulted(context: Context = None) -> None:  # type: ignore[assignment]
    """A Context has no default."""


class Changeable(Struct):
    """Has no hash."""


def set_of_lists(values: set[tuple[int, list[int]]]) -> None:
    """A list has no hash."""


def set_of_changeable(values: set[Changeable]) -> None:
    """Nor has what may change."""


def fine() -> None:
    """Nothing is wrong with it."""


async def waiting() -> None:
    """It awaits."""


def declare(function: Any, name: str = "name", **rules: Any) -> Misuse:
    """A method that cannot be declared."""
    return lambda board, now: Service("misused").method(name, **rules)(function)


def frozen(board: Switchboard, now: float) -> None:
    """A service that is served takes no more declarations."""
    service = Service("frozen")
    service.freeze("served")
    service.method(fine)


def twice(board: Switchboard, now: float) -> None:
    """A name is given once."""
    service = Service("twice")
    service.method(fine)
    service.method(fine)


def itself(board: Switchboard, now: float) -> None:
    """No service includes itself."""
    service = Service("itself")
    service.include(service)


def too_much_sent(board: Switchboard, now: float) -> None:
    """More went than was held."""
    for socket in board._sockets.lines:
        board.sent(socket, NEVER, now)
    raise UsageError("nobody is there to whom it could have been sent")


def released_socket(board: Switchboard, now: float) -> None:
    """Nobody connects through a socket that was released."""
    board.gateway.connect(Peer("websocket", socket=SocketId(NEVER)), now)


MISUSES: Final[tuple[Misuse, ...]] = (
    lambda board, now: board.received(SocketId(NEVER), b"x", now),
    lambda board, now: board.closed(SocketId(0), now),
    lambda board, now: board.complete(CallId(NEVER), None, now),
    lambda board, now: board.fail(CallId(NEVER), RpcError(1, "no"), now),
    lambda board, now: board.progress(CallId(NEVER), {}, now),
    lambda board, now: board.notify(ConnectionId(NEVER), "news", None, now),
    lambda board, now: board.notify(ConnectionId(NEVER), "", None, now),
    lambda board, now: board.broadcast("news", 7, now),
    lambda board, now: board.broadcast("news", [Opaque()], now),
    lambda board, now: board.broadcast("news", None, now, kinds=["pigeon"]),  # type: ignore[list-item]
    lambda board, now: board.broadcast("news", None, now, users="ada"),
    lambda board, now: board.broadcast("news", None, now, users=[7]),  # type: ignore[list-item]
    lambda board, now: board.request(ConnectionId(NEVER), "ask", None, now, timeout=1.0),
    lambda board, now: board.request(ConnectionId(NEVER), "ask", None, now, timeout=0.0),
    lambda board, now: board.abandon(OutgoingId(NEVER), now),
    lambda board, now: board.shut_down(now, grace=-1.0),
    too_much_sent,
    released_socket,
    lambda board, now: board.opened(("192.0.2.1", 5), now),  # type: ignore[arg-type]
    lambda board, now: board.handle_timeout(nan),
    lambda board, now: board.held(SocketId(0), -1, now),
    lambda board, now: board.gateway.connect("websocket", now),  # type: ignore[arg-type]
    lambda board, now: board.gateway.connect(Peer("tcp"), now),  # type: ignore[arg-type]
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
    declare(rest),
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
"""Each by itself."""


def misuse(board: Switchboard, now: float, which: int) -> None:
    """Do this wrong. Raises Violation where it is not refused, or where it has left something behind."""
    before = board.stats(), board.health(now), board.next_timeout(), len(board.outbox)
    try:
        MISUSES[which](board, now)
    except UsageError:
        after = board.stats(), board.health(now), board.next_timeout(), len(board.outbox)
        if after != before:
            raise Violation("totality: what is refused changes nothing", which, before, after) from None
    else:
        raise Violation("totality: misuse is refused", which)
