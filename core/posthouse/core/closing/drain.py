"""Leaving in good order: the timetable of a shut-down.

Notice, then no more sockets, then closes one by one, then the end of the grace, then the end. This module knows when;
the gateway does what falls due.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Drained, Effect, Emit
from posthouse.core.values.lifecycle import AcceptingStopped, DrainStarted
from posthouse.core.values.peers import KINDS, PUSHABLE
from posthouse.core.values.timers import Timer, Timers

NOTICE_OVER: Final = "drain_notice"
FAREWELL: Final = "drain_spread"
GRACE_OVER: Final = "drain_grace"
DRAIN_OVER: Final = "drain_timeout"
"""The reasons of this module's deadlines, named as what sets them."""

SHUTDOWN: Final = "draining"
"""Why a shut-down closes connections or lets none begin: it stands where else the name of a limit would."""


class Drain:
    """One shut-down. `began` is None until it begins; `accepting` says whether new sockets are taken."""

    __slots__ = ("_config", "_connections", "_outbox", "_timers", "_timetable", "accepting", "began", "over")

    def __init__(self, config: Config, outbox: list[Effect], timers: Timers, connections: Connections) -> None:
        self._config = config
        self._outbox = outbox
        self._timers = timers
        self._connections = connections
        self._timetable: list[Timer] = []
        self.began: float | None = None
        self.accepting = True
        self.over = False

    @property
    def reconnect_after_ms(self) -> int:
        """When a peer that was told should come back, at the earliest: milliseconds."""
        return ceil((self._config.drain_notice + self._config.drain_spread) * 1000)

    def begin(self, now: float, grace: float | None) -> None:
        """Set the timetable. The whole of it ends after `drain_timeout`, whatever is left."""
        config = self._config
        self.began = now
        self._outbox.append(Emit(DrainStarted(now)))
        grace = config.drain_grace if grace is None else grace
        timetable = (
            (now + config.drain_notice, NOTICE_OVER),
            (now + config.drain_notice + grace, GRACE_OVER),
            (now + config.drain_timeout, DRAIN_OVER),
        )
        self._timetable = [self._timers.arm(when, reason, 0) for when, reason in timetable]

    def stop_accepting(self, now: float) -> None:
        """The notice is over: no more sockets, and a farewell for each peer, spread so that they do not all come back
        at once."""
        self.accepting = False
        self._outbox.append(Emit(AcceptingStopped(now)))
        leaving = [record for kind in KINDS if PUSHABLE[kind] for record in self._connections.by_kind[kind].values()]
        for place, record in enumerate(leaving):
            when = now + self._config.drain_spread * place / len(leaving)
            record.farewell = self._timers.arm(when, FAREWELL, record.id)

    def forget(self, connection: Connection) -> None:
        """It leaves: there is no farewell to come."""
        self._timers.disarm(connection.farewell)

    def finish(self) -> None:
        """Nothing is left to wait for. Once."""
        if not self.over:
            self.over = True
            for timer in self._timetable:
                self._timers.disarm(timer)
            self._outbox.append(Drained())
