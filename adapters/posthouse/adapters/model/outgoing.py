"""Requests of the gateway to its peers: each gets one outcome."""

from __future__ import annotations

from posthouse.core.values.config import Config
from posthouse.core.values.errors import DEADLINE_EXCEEDED, REQUEST_CANCELLED, SERVER_BUSY

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
