"""Demands: where authentication is required, an anonymous WebSocket must log in within `authentication_timeout`.

A browser cannot send an Authorization header with a handshake: so a WebSocket may open without credentials. Until it
has logged in, its messages are small, like those over a pipe. Where authentication is not required, nothing is armed
and nothing is sent.
"""

from __future__ import annotations

from typing import Final

from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.values.close_reasons import AUTHENTICATION_TIMEOUT
from posthouse.core.values.effects import LimitMessages
from posthouse.core.values.peers import ConnectionId
from posthouse.core.values.shared import Shared
from posthouse.core.values.timers import Timer

LOG_IN_DUE: Final = "authentication_timeout"
"""The reason of this table's deadlines."""


class Demands:
    """The WebSockets that must log in, with their deadlines."""

    def __init__(self, shared: Shared, connections: Connections) -> None:
        self._shared = shared
        self._config = shared.config
        self._timers = shared.timers
        self.records: dict[ConnectionId, Timer] = {}
        if self._config.require_authentication:
            connections.identified.append(self.begin)
        self._timers.on(LOG_IN_DUE, self._due)

    def begin(self, connection: Connection, now: float) -> None:
        """A connection that lasts was admitted, or its identity has changed."""
        self.drop(connection, now)
        self.limit(connection, authenticated=connection.identity.authenticated)
        if connection.peer.kind == "websocket" and not connection.identity.authenticated:
            deadline = now + self._config.authentication_timeout
            self.records[connection.id] = self._timers.arm(deadline, LOG_IN_DUE, connection.id)

    def limit(self, connection: Connection, *, authenticated: bool) -> None:
        """Limit the messages of a connection whose caller is authenticated, or not (any more)."""
        if self._config.require_authentication:
            self._shared.outbox.append(LimitMessages(connection.id, authenticated))

    def drop(self, connection: Connection, now: float) -> None:
        """The connection is closing or gone."""
        self._timers.disarm(self.records.pop(connection.id, None))

    def _due(self, key: int, now: float) -> None:
        self._shared.breach(ConnectionId(key), AUTHENTICATION_TIMEOUT)
