"""What happened, as values, in order: for hooks and logs. An event changes nothing and cannot be vetoed.

`EVENTS` names each one as hooks spell it.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from .peers import Address, CallId, ConnectionId, Kind


class ConnectionOpened(Struct, frozen=True):
    """A connection was admitted. `public_id` is the id that peers see; `now` is monotonic seconds."""

    connection: ConnectionId
    public_id: str
    kind: Kind
    address: Address
    user: str | None
    now: float


class ConnectionClosed(Struct, frozen=True):
    """A connection ended. `code` is the close code, None where the peer just went; `calls` is how many it made.
    `reason` says which rule the peer broke, None if it broke none."""

    connection: ConnectionId
    public_id: str
    kind: Kind
    address: Address
    user: str | None
    code: int | None
    duration: float
    calls: int
    now: float
    reason: str | None = None


class CallCancelled(Struct, frozen=True):
    """A call ended before its handler did. `reason`: "client", "disconnected" or "draining"."""

    call: CallId
    connection: ConnectionId
    method: str
    reason: str
    now: float


class CallTimedOut(Struct, frozen=True):
    """A call met its deadline (-32030)."""

    call: CallId
    connection: ConnectionId
    method: str
    now: float


class CallFailed(Struct, frozen=True):
    """A handler's result could not be sent, or the handler raised what is no RpcError (-32603)."""

    call: CallId
    connection: ConnectionId
    method: str
    incident: str
    reason: str
    now: float


class LimitBreached(Struct, frozen=True):
    """A limit was met. `enforced`: False where `Config.observe` names it. `connection`: None before there is one."""

    limit: str
    connection: ConnectionId | None
    address: Address
    enforced: bool
    now: float


class RequestRefused(Struct, frozen=True):
    """An HTTP request was refused by its head, its body or its slowness, before it was a call; a gateway by itself has
    none. `reason` is what its sender was told. `said` is the Host (421) or the Origin (403) that is not allowed, as it
    came and as long; None for any other status."""

    status: int
    reason: str
    rejected_value: str | None
    address: Address
    now: float


class DrainStarted(Struct, frozen=True):
    """`shut_down` was called: new calls get -32050."""

    now: float


class AcceptingStopped(Struct, frozen=True):
    """`drain_notice` has passed: no more sockets are accepted."""

    now: float


Event = (
    ConnectionOpened
    | ConnectionClosed
    | CallCancelled
    | CallTimedOut
    | CallFailed
    | LimitBreached
    | RequestRefused
    | DrainStarted
    | AcceptingStopped
)

EventName = Literal[
    "connection.opened",
    "connection.closed",
    "call.cancelled",
    "call.timed_out",
    "call.failed",
    "limit.breached",
    "request.refused",
    "gateway.draining",
    "gateway.accepting_stopped",
]
"""An event as hooks spell it, so that a type checker knows the names."""

EVENTS: Final[dict[EventName, type[Event]]] = {
    "connection.opened": ConnectionOpened,
    "connection.closed": ConnectionClosed,
    "call.cancelled": CallCancelled,
    "call.timed_out": CallTimedOut,
    "call.failed": CallFailed,
    "limit.breached": LimitBreached,
    "request.refused": RequestRefused,
    "gateway.draining": DrainStarted,
    "gateway.accepting_stopped": AcceptingStopped,
}
