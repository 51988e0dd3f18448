"""Liveness: heartbeats and idle deadlines. A deadline is checked when it is due; messages never move it.

Any received bytes are a sign of life; only texts are activity.
"""

from __future__ import annotations

from typing import Final

from posthouse.core.values.close_reasons import HEARTBEAT_TIMEOUT, IDLE_TIMEOUT
from posthouse.core.values.effects import Heartbeat
from posthouse.core.values.peers import BEATING, ConnectionId
from posthouse.core.values.shared import Shared

from .connections import NOTHING, Connection, Connections
from .flow import Flow

HEARTBEAT_DUE: Final = "heartbeat"
IDLE_DUE: Final = "idle"
"""The reasons of this table's deadlines."""


class Liveness:
    """Arms and checks the two deadlines of each connection. A failed check closes the connection."""

    def __init__(self, shared: Shared, connections: Connections, flow: Flow) -> None:
        self._shared = shared
        self._config = shared.config
        self._timers = shared.timers
        self._connections = connections
        self._flow = flow
        self._timers.on(HEARTBEAT_DUE, self._heartbeat_due)
        self._timers.on(IDLE_DUE, self._idle_due)

    def begin(self, connection: Connection, now: float) -> None:
        """The connection was admitted. Its interval varies by up to 20 %, drawn once, so that clients that connected
        together do not get their heartbeats together."""
        config = self._config
        if config.heartbeat_interval is not None and BEATING[connection.peer.kind]:
            chance = int.from_bytes(self._shared.entropy(2), "big") / 0xFFFF
            connection.interval = config.heartbeat_interval * (0.8 + 0.4 * chance)
            self._arm_heartbeat(connection, now + connection.interval)
        if config.idle_timeout is not None and connection.pushable:
            connection.idle = self._timers.arm(now + config.idle_timeout, IDLE_DUE, connection.id)

    def drop(self, connection: Connection, now: float) -> None:
        """The connection is closing or gone."""
        self._timers.disarm(connection.heartbeat)
        self._timers.disarm(connection.idle)

    def _arm_heartbeat(self, connection: Connection, when: float) -> None:
        connection.heartbeat = self._timers.arm(when, HEARTBEAT_DUE, connection.id)

    def _heartbeat_due(self, key: int, now: float) -> None:
        """Send a heartbeat, or close the connection if it did not answer the last one.

        The close waits if the answer may be unread: a paused connection is not read, and a process that was suspended
        reads only now.
        """
        connection = self._connections.records[ConnectionId(key)]
        if connection.asked_at is not None and connection.heard_at >= connection.asked_at:
            connection.asked_at = None
        if connection.asked_at is None:
            due = connection.heard_at + connection.interval
            if due > now:
                self._arm_heartbeat(connection, due)
                return
            connection.asked_at = now
            if not connection.calls:
                connection.calls = NOTHING  # it is silent: give the room back that its calls took
            self._shared.outbox.append(Heartbeat(connection.id))
        elif not self._timers.suspended and key not in self._flow.backlogs:
            self._shared.breach(connection.id, HEARTBEAT_TIMEOUT)
            return
        self._arm_heartbeat(connection, now + self._config.heartbeat_timeout)

    def resumed(self, connection: Connection, now: float) -> None:
        """Reading resumes: give the peer the full time again to answer an earlier heartbeat."""
        if connection.asked_at is not None:
            self._timers.disarm(connection.heartbeat)
            self._arm_heartbeat(connection, now + self._config.heartbeat_timeout)

    def _idle_due(self, key: int, now: float) -> None:
        """Close a connection that sent no text for too long. A connection that waits for an answer is not idle."""
        connection = self._connections.records[ConnectionId(key)]
        assert self._config.idle_timeout is not None
        since = now if self._timers.suspended or connection.calls else connection.active_at
        due = since + self._config.idle_timeout
        if due <= now:
            self._shared.breach(connection.id, IDLE_TIMEOUT)
        else:
            connection.idle = self._timers.arm(due, IDLE_DUE, connection.id)
