"""Followers: notifications that leave behind the reply of their call, and not at all if the call gets no result.

A call keeps its followers until it has its outcome. If its reply waits for the rest of its batch, the batch keeps them.
`Connection.following` counts them. They have the limits of other pushes that wait. This module may not decide outcomes.
"""

from __future__ import annotations

from collections.abc import Callable

from posthouse.core.connections.connections import Connection
from posthouse.core.connections.delivery import Delivery
from posthouse.core.connections.state import OPEN
from posthouse.core.values.close_reasons import MAX_QUEUED_PUSHES, MAX_QUEUED_PUSHES_BYTES
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import CallId, ConnectionId
from posthouse.core.values.shared import Shared

from .calls import RUNNING, Call, Calls
from .replies import Batch

Answered = Callable[[Connection, Batch, float], None]
"""Called with a connection, a batch of it that was answered, and the time."""


class Followers:
    """Keeps followers, and sends or drops them. `answered` is told when a batch was answered that somebody follows."""

    answered: Answered

    def __init__(self, shared: Shared, calls: Calls, delivery: Delivery) -> None:
        self._shared = shared
        self._config = shared.config
        self._calls = calls
        self._delivery = delivery

    def check(self, number: CallId, connection: ConnectionId) -> None:
        """Raise UsageError if this call never existed, or is known to be another connection's."""
        call = self._calls.find(number)
        if call is not None and call.connection != connection:
            raise UsageError(f"call {number} is not a call of connection {connection}: it has no reply to follow there")

    def follow(self, connection: Connection, number: CallId, payload: bytes, now: float) -> bool:
        """Send a notification behind the reply of this call: at once, if the call is forgotten and its reply was sent.
        False: the call has ended without a result, or the connection cannot be pushed to."""
        if not connection.pushable or connection.state is not OPEN:
            return False
        call = self._calls.records.get(number)
        keeper = call or self._batch_of(connection, number)
        if keeper is None:
            return self._delivery.push(connection, payload, now)
        if call is not None and call.phase is not RUNNING:
            return False
        if keeper.followers is None:
            keeper.followers = []
        keeper.followers.append(payload)
        self._count(connection, 1, len(payload))
        if connection.following_bytes > self._config.max_queued_pushes_bytes:
            self._shared.breach(connection.id, MAX_QUEUED_PUSHES_BYTES)
        elif connection.following > self._config.max_queued_pushes:
            self._shared.breach(connection.id, MAX_QUEUED_PUSHES)
        return True

    def _batch_of(self, connection: Connection, number: CallId) -> Batch | None:
        """The batch of a forgotten call, if the batch has not been answered: another of its calls has no outcome."""
        for other in connection.calls.values():
            batch = self._calls.records[other].batch
            if batch is not None and batch.first <= number <= batch.last:
                return batch
        return None

    def replied(self, connection: Connection, call: Call, now: float, *, result: bool) -> None:
        """The call has its reply, a `result` or an error: send what may leave now, or drop it."""
        followers, call.followers = call.followers or [], None
        if not result:
            self._forget(connection, followers)
            followers = []
        batch = call.batch
        if batch is None:
            self._send(connection, followers, now)
            return
        batch.followers = [*(batch.followers or ()), *followers]
        if not batch.left:
            self.send(connection, batch, now)

    def send(self, connection: Connection, batch: Batch, now: float) -> None:
        """A batch was answered: send what follows its reply."""
        followers, batch.followers = batch.followers or [], None
        self._send(connection, followers, now)
        self.answered(connection, batch, now)

    def _send(self, connection: Connection, followers: list[bytes], now: float) -> None:
        self._forget(connection, followers)
        for payload in followers:
            self._delivery.push(connection, payload, now)

    def drop(self, connection: Connection) -> None:
        """The connection is closing: none of its followers is sent."""
        for number in connection.calls.values():
            call = self._calls.records[number]
            call.followers = None
            if call.batch is not None:
                call.batch.followers = None
        self._count(connection, -connection.following, -connection.following_bytes)

    def _forget(self, connection: Connection, followers: list[bytes]) -> None:
        self._count(connection, -len(followers), -sum(map(len, followers)))

    def _count(self, connection: Connection, number: int, size: int) -> None:
        connection.following += number
        connection.following_bytes += size
        self._shared.hold(size)
