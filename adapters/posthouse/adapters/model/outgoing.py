"""What the host sends to peers: notifications, and requests, each of which gets one outcome."""

from __future__ import annotations

from collections.abc import Container

from posthouse.adapters.invariants import must
from posthouse.core.values.config import Config
from posthouse.core.values.errors import DEADLINE_EXCEEDED, REQUEST_CANCELLED, SERVER_BUSY

from .calls import Calls
from .expected import Expected
from .messages import Response
from .records import Connection

CANCEL_REQUEST = "$/cancelRequest"


class OutgoingRequests:
    """The requests without an outcome, by number, each with its connection and its deadline. `made` counts them all."""

    def __init__(self, config: Config, expected: Expected) -> None:
        self.made = 0
        self.pending: dict[int, tuple[Connection, float]] = {}
        self._expected = expected
        # A peer gets at most as many requests at once as it may send.
        self._max_pending = config.max_calls_per_connection + config.max_waiting_calls

    def send(self, number: int, connection: Connection | None, method: str, deadline: float) -> None:
        """A request is sent, or gets its outcome at once if it cannot be."""
        self.made += 1
        if connection is None or not connection.reachable:
            self._expected.resolve(number, (REQUEST_CANCELLED,))
        elif len(connection.requests) >= self._max_pending:
            self._expected.resolve(number, (SERVER_BUSY,))
        else:
            self.pending[number] = (connection, deadline)
            connection.requests[number] = None
            self._expected.push(connection, method)

    def answered(self, connection: Connection, response: Response) -> bool:
        """A response was received. It counts if this connection was asked and the request is pending. Returns whether
        it counts."""
        number = int(response.id) if response.id.isdigit() and len(response.id) < 19 else 0
        if number not in connection.requests:
            return False
        self._remove(number)
        self._expected.resolve(number, (response.code,))
        return True

    def abandon(self, number: int) -> None:
        """The outcome is not wanted any more: the peer is told to cancel."""
        if number in self.pending:
            self._expected.push(self._remove(number), CANCEL_REQUEST)

    def expire(self, now: float) -> None:
        """End the requests whose deadlines have passed."""
        for number, (_, deadline) in list(self.pending.items()):
            if deadline <= now:
                self.abandon(number)
                self._expected.resolve(number, (DEADLINE_EXCEEDED, REQUEST_CANCELLED))

    def drop(self, connection: Connection) -> None:
        """The peer has left: its requests end."""
        for number in list(connection.requests):
            self._remove(number)
            self._expected.resolve(number, (REQUEST_CANCELLED, DEADLINE_EXCEEDED))

    def _remove(self, number: int) -> Connection:
        connection, _ = self.pending.pop(number)
        del connection.requests[number]
        return connection


class Pushes:
    """The inputs with which the host sends something."""

    def __init__(self, expected: Expected, calls: Calls, outgoing: OutgoingRequests) -> None:
        self._expected = expected
        self._calls = calls
        self._outgoing = outgoing

    def progress(self, number: int, sent: bool) -> None:
        """A handler sent progress."""
        call = self._calls.records.get(number)
        if call is None or not (call.open and call.slot.connection.reachable) or call.waiting or call.token is None:
            must(not sent, "calls: progress was accepted for a call that cannot have any", number)
            return
        must(sent, "calls: progress was refused", number)
        self._expected.push(call.slot.connection, "$/progress")

    def notify(self, to: int, method: str, sent: bool, after: int | None) -> None:
        """The host notified one connection: at once, or behind the reply of a call."""
        connection = self._expected.connections.get(to)
        if after is not None and connection is not None:
            self._calls.follow(after, connection, method, sent)
            return
        reachable = connection is not None and connection.reachable
        must(sent is reachable, "answering: notify returned the wrong value", to)
        if connection is not None:
            self._expected.push(connection, method)

    def broadcast(
        self,
        method: str,
        kinds: Container[str] | None,
        users: Container[str | None] | None,
        namespace: str,
        reached: int,
    ) -> None:
        """The host notified all connections of these kinds and users."""
        connections = [
            connection
            for connection in self._expected.connections.values()
            if connection.reachable
            and (kinds is None or connection.peer.kind in kinds)
            and (users is None or (connection.identity.user in users and connection.identity.namespace == namespace))
        ]
        must(reached == len(connections), "answering: broadcast returned the wrong number", reached)
        for connection in connections:
            self._expected.push(connection, method)

    def request(self, to: int, method: str, timeout: float, number: int) -> None:
        """The host sent a request to a peer."""
        outgoing = self._outgoing
        must(number == outgoing.made + 1, "order: requests are not numbered consecutively", number)
        outgoing.send(number, self._expected.connections.get(to), method, self._expected.now + timeout)

    def abandon(self, request: int) -> None:
        """The host does not wait for a request any more."""
        self._outgoing.abandon(request)
