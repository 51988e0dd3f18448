"""Requests that the gateway sends to peers: their ids, their deadlines, and exactly one outcome each.

An outcome is a `Resolve` with the result as JSON text or with an error: the peer's, or our own if there is no answer.
It may not know which handler waits for an outcome.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.core.connections.connections import NOTHING, Connection
from posthouse.core.connections.delivery import Delivery
from posthouse.core.connections.state import OPEN
from posthouse.core.jsonrpc.messages import encode_notification, encode_request
from posthouse.core.values.effects import Resolve
from posthouse.core.values.errors import (
    DEADLINE_EXCEEDED,
    REQUEST_CANCELLED,
    SERVER_BUSY,
    ErrorObject,
    UsageError,
    refusal,
)
from posthouse.core.values.peers import OutgoingId, WireId
from posthouse.core.values.shared import Shared
from posthouse.core.values.timers import Timer

REQUEST_EXPIRES: Final = "request"
"""The reason of this table's deadlines."""

CANCEL_REQUEST: Final = "$/cancelRequest"
"""The notification that cancels a request, in both directions (from the Language Server Protocol)."""


class Sent(Struct, eq=False):
    """One request without an outcome."""

    connection: Connection
    timer: Timer


class OutgoingRequests:
    """The table of requests in flight to peers."""

    def __init__(self, shared: Shared, delivery: Delivery) -> None:
        self._config = shared.config
        self._outbox = shared.outbox
        self._timers = shared.timers
        self._delivery = delivery
        self._last = OutgoingId(0)
        self._records: dict[OutgoingId, Sent] = {}
        self._timers.on(REQUEST_EXPIRES, self._expire)

    def __len__(self) -> int:
        """How many requests are in flight."""
        return len(self._records)

    @property
    def upcoming(self) -> OutgoingId:
        """The id of the next request."""
        return OutgoingId(self._last + 1)

    def reserve(self) -> OutgoingId:
        """An id for something else that gets one outcome as a `Resolve`."""
        self._last = self.upcoming
        return self._last

    def send(
        self, connection: Connection | None, method: str, params: object, deadline: float, now: float
    ) -> OutgoingId:
        """Send a request, or resolve it at once if this connection cannot get one. Raises UsageError, before any
        change, for params that cannot be encoded."""
        request = self.upcoming
        obstacle = self._obstacle(connection)
        if obstacle is not None:
            self._last = request
            self._outbox.append(Resolve(request, obstacle))
            return request
        assert connection is not None
        payload = encode_request(request, method, params)
        self._last = request
        self._records[request] = Sent(connection, self._timers.arm(deadline, REQUEST_EXPIRES, request))
        if connection.requests:
            connection.requests[request] = None
        else:
            connection.requests = {request: None}
        self._delivery.push(connection, payload, now)
        return request

    def _obstacle(self, connection: Connection | None) -> ErrorObject | None:
        """Why a request cannot be sent to this connection, or None. The limits on a peer's calls apply to it, too."""
        if connection is not None and not connection.pushable:
            return refusal(REQUEST_CANCELLED, reason="over HTTP the server cannot call its client")
        if connection is None or connection.state is not OPEN:
            return refusal(REQUEST_CANCELLED, reason="disconnected")
        if len(connection.requests) >= self._config.max_calls_per_connection + self._config.max_waiting_calls:
            return refusal(SERVER_BUSY, limit="max_calls_per_connection")
        return None

    def answered(self, id: WireId, connection: Connection, outcome: bytes | ErrorObject) -> bool:
        """A response was received. False: this connection has no request of this id."""
        if not id.isdigit() or len(id) > 18:
            return False
        request = OutgoingId(int(id))
        if request not in connection.requests:
            return False
        self._resolve(request, outcome)
        return True

    def abandon(self, request: OutgoingId, now: float) -> None:
        """Forget a request and tell the peer. Raises UsageError if it never existed."""
        if request in self._records:
            self._withdraw(request, self._forget(request), now)
        elif not 0 < request <= self._last:
            raise UsageError(f"request {request} never existed")

    def _expire(self, key: int, now: float) -> None:
        """The deadline has passed: resolve the request and tell the peer."""
        request = OutgoingId(key)
        self._withdraw(request, self._resolve(request, ErrorObject.of(DEADLINE_EXCEEDED)), now)

    def drop(self, connection: Connection, now: float) -> None:
        """The connection is closing: resolve its requests with an error."""
        for request in list(connection.requests):
            self._resolve(request, refusal(REQUEST_CANCELLED, reason="disconnected"))

    def _resolve(self, request: OutgoingId, outcome: bytes | ErrorObject) -> Connection:
        connection = self._forget(request)
        self._outbox.append(Resolve(request, outcome))
        return connection

    def _forget(self, request: OutgoingId) -> Connection:
        sent = self._records.pop(request)
        self._timers.disarm(sent.timer)
        connection = sent.connection
        if len(connection.requests) > 1:
            del connection.requests[request]
        else:
            connection.requests = NOTHING
        return connection

    def _withdraw(self, request: OutgoingId, connection: Connection, now: float) -> None:
        self._delivery.push(connection, encode_notification(CANCEL_REQUEST, {"id": request}), now)
