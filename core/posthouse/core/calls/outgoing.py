"""Requests that we sent to peers: their ids, their deadlines, and exactly one outcome each.

The other direction of `calls.py`. The outcome leaves as `Resolve`: the result as JSON text, or an error that says
what the peer answered or why it did not.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.core.connections.connections import OPEN, Connection
from posthouse.core.connections.delivery import Delivery
from posthouse.core.jsonrpc.messages import encode_notification
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Effect, Resolve
from posthouse.core.values.errors import (
    DEADLINE_EXCEEDED,
    REQUEST_CANCELLED,
    SERVER_BUSY,
    RpcError,
    UsageError,
    refusal,
)
from posthouse.core.values.peers import OutgoingId
from posthouse.core.values.timers import Timer, Timers

REQUEST_EXPIRES: Final = "request"
"""The reason of this module's deadlines."""

CANCEL_REQUEST: Final = "$/cancelRequest"
"""The notification that says, either way, that nobody waits for an answer any more (as in LSP)."""


class Sent(Struct, eq=False):
    """One request without an outcome."""

    connection: Connection
    timer: Timer


class OutgoingRequests:
    """The table of requests in flight to peers."""

    __slots__ = ("_config", "_delivery", "_last", "_outbox", "_records", "_timers")

    def __init__(self, config: Config, outbox: list[Effect], timers: Timers, delivery: Delivery) -> None:
        self._config = config
        self._outbox = outbox
        self._timers = timers
        self._delivery = delivery
        self._last = 0
        self._records: dict[OutgoingId, Sent] = {}

    def __len__(self) -> int:
        """How many are in flight."""
        return len(self._records)

    @property
    def upcoming(self) -> OutgoingId:
        """The id that the next request will have."""
        return OutgoingId(self._last + 1)

    def obstacle(self, connection: Connection | None) -> RpcError | None:
        """Why this connection cannot be asked, or None. As many may be in flight to a peer as from it."""
        if connection is not None and not connection.pushable:
            return RpcError(REQUEST_CANCELLED, data={"reason": "over HTTP the server cannot call its client"})
        if connection is None or connection.state is not OPEN:
            return RpcError(REQUEST_CANCELLED, data={"reason": "disconnected"})
        if len(connection.requests) >= self._config.max_calls_per_connection + self._config.max_waiting_calls:
            return refusal(SERVER_BUSY, limit="max_calls_per_connection")
        return None

    def refuse(self, error: RpcError) -> OutgoingId:
        """A request that does not leave: it has its outcome at once."""
        request = self.upcoming
        self._last = request
        self._outbox.append(Resolve(request, error))
        return request

    def send(self, connection: Connection, payload: bytes, deadline: float, now: float) -> OutgoingId:
        """The upcoming request leaves now, as `payload`."""
        request = self.upcoming
        self._last = request
        self._records[request] = Sent(connection, self._timers.arm(deadline, REQUEST_EXPIRES, request))
        connection.requests[request] = None
        self._delivery.push(connection, payload, now)
        return request

    def answered(self, id: bytes, connection: Connection, outcome: bytes | RpcError) -> bool:
        """A response came. False: it answers nothing that was asked of this connection."""
        if not id.isdigit() or len(id) > 18:
            return False
        request = OutgoingId(int(id))
        if request not in connection.requests:
            return False
        self._resolve(request, outcome)
        return True

    def abandon(self, request: OutgoingId, now: float) -> None:
        """Nobody waits for it any more: the peer is told. UsageError when there never was such a request."""
        if request in self._records:
            self._withdraw(request, self._forget(request), now)
        elif not 0 < request <= self._last:
            raise UsageError(f"there never was a request {request}")

    def expire(self, request: OutgoingId, now: float) -> None:
        """Its deadline has come: the peer is told."""
        self._withdraw(request, self._resolve(request, RpcError(DEADLINE_EXCEEDED)), now)

    def drop(self, connection: Connection) -> None:
        """The connection is gone: nothing will be answered."""
        for request in list(connection.requests):
            self._resolve(request, RpcError(REQUEST_CANCELLED, data={"reason": "disconnected"}))

    def _resolve(self, request: OutgoingId, outcome: bytes | RpcError) -> Connection:
        connection = self._forget(request)
        self._outbox.append(Resolve(request, outcome))
        return connection

    def _forget(self, request: OutgoingId) -> Connection:
        sent = self._records.pop(request)
        self._timers.disarm(sent.timer)
        del sent.connection.requests[request]
        return sent.connection

    def _withdraw(self, request: OutgoingId, connection: Connection, now: float) -> None:
        self._delivery.push(connection, encode_notification(CANCEL_REQUEST, {"id": request}), now)
