"""The timetable of a shut-down: notice, no more sockets, one close after another, end of the grace, end.

It may not know how a connection is closed.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from posthouse.core.calls.outcomes import Outcomes
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.connections.delivery import Delivery
from posthouse.core.dispatch.dispatch import Dispatch
from posthouse.core.identity.arrivals import Arrivals
from posthouse.core.jsonrpc.messages import encode_notification
from posthouse.core.values.close_reasons import DRAIN_TIMEOUT, DRAINING
from posthouse.core.values.effects import BeginDrain, Drained, Emit, StopAccepting
from posthouse.core.values.lifecycle import AcceptingStopped, DrainStarted
from posthouse.core.values.peers import KINDS, PUSHABLE, ConnectionId
from posthouse.core.values.shared import Shared
from posthouse.core.values.timers import Timer

NOTICE_OVER: Final = "drain_notice"
FAREWELL: Final = "drain_spread"
GRACE_OVER: Final = "drain_grace"
DRAIN_OVER: Final = "drain_timeout"
"""The reasons of this table's deadlines, named like the settings that time them."""


class Drain:
    """One shut-down. `began`: when, or None. `accepting`: new sockets are accepted. `timed_out`: wait for nothing more.
    `over`: `Drained` was sent. `arrivals` are the peers that are not verified yet."""

    def __init__(
        self,
        shared: Shared,
        connections: Connections,
        delivery: Delivery,
        dispatch: Dispatch,
        outcomes: Outcomes,
        arrivals: Arrivals,
    ) -> None:
        self._shared = shared
        self._connections = connections
        self._delivery = delivery
        self._dispatch = dispatch
        self._outcomes = outcomes
        self.arrivals = arrivals
        self._timetable: list[Timer] = []
        self.began: float | None = None
        self.accepting = True
        self.timed_out = False
        self.over = False
        shared.timers.on(NOTICE_OVER, self._notice_over)
        shared.timers.on(FAREWELL, self._farewell)
        shared.timers.on(GRACE_OVER, self._grace_over)
        shared.timers.on(DRAIN_OVER, self._drain_over)

    def begin(self, now: float, grace: float | None) -> None:
        """Refuse new calls, tell peers and set the timetable. It ends after `drain_timeout` even if calls still run."""
        config, timers = self._shared.config, self._shared.timers
        self.began = now
        self._dispatch.draining = self.arrivals.draining = True
        self._shared.outbox += (BeginDrain(), Emit(DrainStarted(now)))
        grace = config.drain_grace if grace is None else grace
        timetable = (
            (now + config.drain_notice, NOTICE_OVER),
            (now + config.drain_notice + grace, GRACE_OVER),
            (now + config.drain_timeout, DRAIN_OVER),
        )
        self._timetable = [timers.arm(when, reason, 0) for when, reason in timetable]
        reconnect_after_ms = ceil((config.drain_notice + config.drain_spread) * 1000)
        payload = encode_notification("connection.draining", {"reconnect_after_ms": reconnect_after_ms})
        self._delivery.multicast(payload, now, kinds=None, users=None)

    def _notice_over(self, key: int, now: float) -> None:
        """Accept no more sockets. Arm a farewell for each peer, spread so that peers do not all reconnect at once."""
        self.accepting = False
        self._shared.outbox += (StopAccepting(), Emit(AcceptingStopped(now)))
        leaving = [record for kind in KINDS if PUSHABLE[kind] for record in self._connections.by_kind[kind].values()]
        for place, record in enumerate(leaving):
            when = now + self._shared.config.drain_spread * place / len(leaving)
            record.farewell = self._shared.timers.arm(when, FAREWELL, record.id)

    def _farewell(self, key: int, now: float) -> None:
        """Close this connection now, or when its last call has its outcome."""
        connection = self._connections.records[ConnectionId(key)]
        connection.farewell_due = True
        if not connection.calls:
            self._shared.breach(connection.id, DRAINING)

    def _grace_over(self, key: int, now: float) -> None:
        self._outcomes.drain(now)

    def _drain_over(self, key: int, now: float) -> None:
        """Close all remaining connections."""
        if self.accepting:
            self._notice_over(key, now)  # the notice is longer than `drain_timeout`
        self._disarm()
        self.timed_out = True
        for connection in self._connections.records:
            self._shared.breach(connection, DRAIN_TIMEOUT)

    def drop(self, connection: Connection, now: float) -> None:
        """The connection is closing: it needs no farewell."""
        self._shared.timers.disarm(connection.farewell)

    def finish(self) -> None:
        """The shut-down is over. A second call changes nothing."""
        if not self.over:
            self.over = True
            self._disarm()
            self._shared.outbox.append(Drained())

    def _disarm(self) -> None:
        for timer in self._timetable:
            self._shared.timers.disarm(timer)
