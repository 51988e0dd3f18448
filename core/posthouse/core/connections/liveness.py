"""Is anybody there? Heartbeats and idle deadlines, re-checked when they fire and never moved per message.

Any inbound bytes are a sign of life; only texts are activity. It may not know why a connection matters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.core.values.config import Config
from posthouse.core.values.effects import Effect, Heartbeat
from posthouse.core.values.peers import BEATING
from posthouse.core.values.timers import Timers

from .connections import Connection

HEARTBEAT_DUE: Final = "heartbeat"
IDLE_DUE: Final = "idle"


class Liveness:
    """Arms and re-checks the two deadlines of each connection. A check that fails returns the limit's name."""

    __slots__ = ("_config", "_entropy", "_outbox", "_timers")

    def __init__(self, config: Config, outbox: list[Effect], timers: Timers, entropy: Callable[[int], bytes]) -> None:
        self._config = config
        self._outbox = outbox
        self._timers = timers
        self._entropy = entropy

    def begin(self, connection: Connection, now: float) -> None:
        """It was admitted. The interval is spread by 20 % either way, drawn once, so that clients that came
        together are not asked together."""
        config = self._config
        if config.heartbeat_interval is not None and BEATING[connection.peer.kind]:
            chance = int.from_bytes(self._entropy(2), "big") / 0xFFFF
            connection.interval = config.heartbeat_interval * (0.8 + 0.4 * chance)
            self._arm_heartbeat(connection, now + connection.interval)
        if config.idle_timeout is not None and connection.pushable:
            connection.idle = self._timers.arm(now + config.idle_timeout, IDLE_DUE, connection.id)

    def end(self, connection: Connection) -> None:
        """It is closing or gone."""
        self._timers.disarm(connection.heartbeat)
        self._timers.disarm(connection.idle)

    def _arm_heartbeat(self, connection: Connection, when: float) -> None:
        connection.heartbeat = self._timers.arm(when, HEARTBEAT_DUE, connection.id)

    def heartbeat_due(self, connection: Connection, now: float, *, paused: bool, suspended: bool) -> str | None:
        """The heartbeat's deadline fired. `paused`: nothing is read from it, so nothing can be heard; `suspended`:
        this process slept, so nothing could be."""
        if connection.asked_at is not None and connection.heard_at >= connection.asked_at:
            connection.asked_at = None
        if connection.asked_at is None:
            due = connection.heard_at + connection.interval
            if due > now:
                self._arm_heartbeat(connection, due)
                return None
            connection.asked_at = now
            self._outbox.append(Heartbeat(connection.id))
        elif not paused and not suspended:
            return "heartbeat_timeout"
        self._arm_heartbeat(connection, now + self._config.heartbeat_timeout)
        return None

    def resumed(self, connection: Connection, now: float) -> None:
        """It is read from again: the answer to a question asked before may still be on its way."""
        if connection.asked_at is not None:
            self._timers.disarm(connection.heartbeat)
            self._arm_heartbeat(connection, now + self._config.heartbeat_timeout)

    def idle_due(self, connection: Connection, now: float, *, suspended: bool) -> str | None:
        """The idle deadline fired. A connection that waits for an answer is not idle."""
        assert self._config.idle_timeout is not None
        since = now if suspended or connection.calls else connection.active_at
        due = since + self._config.idle_timeout
        if due <= now:
            return "idle_timeout"
        connection.idle = self._timers.arm(due, IDLE_DUE, connection.id)
        return None
