"""What falls due: every reason of a deadline, and what is done about it.

The heap knows times, the tables know what their deadlines mean; here the two meet. It decides nothing but whether
this process slept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.core.calls.calls import CALL_EXPIRES, Calls
from posthouse.core.calls.outgoing import REQUEST_EXPIRES, OutgoingRequests
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.connections.delivery import Breaches
from posthouse.core.connections.flow import WRITE_STALLED, Flow
from posthouse.core.connections.liveness import HEARTBEAT_DUE, IDLE_DUE, Liveness
from posthouse.core.dispatch.dispatch import Dispatch
from posthouse.core.values.peers import CallId, ConnectionId, OutgoingId
from posthouse.core.values.timers import Timers

from .closing import CLOSES, Closing
from .drain import DRAIN_OVER, FAREWELL, GRACE_OVER, NOTICE_OVER, SHUTDOWN, Drain

SUSPENDED: Final = 5.0
"""Seconds past an announced deadline after which this process must have been asleep, not merely late."""


class Deadlines:
    """Every deadline of one gateway. Limits that are met by time are left in `breaches`."""

    __slots__ = (
        "_breaches",
        "_calls",
        "_closing",
        "_connections",
        "_dispatch",
        "_drain",
        "_due",
        "_flow",
        "_liveness",
        "_requests",
        "_timers",
    )

    def __init__(
        self,
        timers: Timers,
        connections: Connections,
        calls: Calls,
        dispatch: Dispatch,
        requests: OutgoingRequests,
        flow: Flow,
        liveness: Liveness,
        drain: Drain,
        closing: Closing,
        breaches: Breaches,
    ) -> None:
        self._timers = timers
        self._connections = connections
        self._calls = calls
        self._dispatch = dispatch
        self._requests = requests
        self._flow = flow
        self._liveness = liveness
        self._drain = drain
        self._closing = closing
        self._breaches = breaches
        self._due: dict[str, Callable[[int, float, bool], None]] = {
            CALL_EXPIRES: self._call_expires,
            REQUEST_EXPIRES: self._request_expires,
            WRITE_STALLED: self._write_stalled,
            HEARTBEAT_DUE: self._heartbeat_due,
            IDLE_DUE: self._idle_due,
            NOTICE_OVER: self._notice_over,
            FAREWELL: self._farewell,
            GRACE_OVER: self._grace_over,
            DRAIN_OVER: self._drain_over,
        }

    def next(self) -> float | None:
        """When the earliest deadline is, or None."""
        self._calls.arm()
        return self._timers.next()

    def handle(self, now: float) -> None:
        """Do what is due at `now`."""
        announced = self.next()
        suspended = announced is not None and now - announced > SUSPENDED
        while (timer := self._timers.pop(now)) is not None:
            self._due[timer.reason](timer.key, now, suspended)

    def _connection(self, key: int) -> Connection:
        return self._connections.records[ConnectionId(key)]

    def _judge(self, key: int, breached: str | None) -> None:
        if breached is not None:
            self._breaches.append((self._connection(key), breached))

    def _call_expires(self, key: int, now: float, suspended: bool) -> None:
        self._dispatch.expire(CallId(key), now)

    def _request_expires(self, key: int, now: float, suspended: bool) -> None:
        self._requests.expire(OutgoingId(key), now)

    def _write_stalled(self, key: int, now: float, suspended: bool) -> None:
        self._judge(key, self._flow.stalled(ConnectionId(key), now))

    def _heartbeat_due(self, key: int, now: float, suspended: bool) -> None:
        paused = key in self._flow.backlogs
        self._judge(key, self._liveness.heartbeat_due(self._connection(key), now, paused=paused, suspended=suspended))

    def _idle_due(self, key: int, now: float, suspended: bool) -> None:
        self._judge(key, self._liveness.idle_due(self._connection(key), now, suspended=suspended))

    def _notice_over(self, key: int, now: float, suspended: bool) -> None:
        self._drain.stop_accepting(now)

    def _farewell(self, key: int, now: float, suspended: bool) -> None:
        connection = self._connection(key)
        connection.farewell_due = True
        if not connection.calls:
            self._breaches.append((connection, SHUTDOWN))

    def _grace_over(self, key: int, now: float, suspended: bool) -> None:
        self._dispatch.drain(now)

    def _drain_over(self, key: int, now: float, suspended: bool) -> None:
        if self._drain.accepting:
            # The notice was to be longer than all of it.
            self._drain.stop_accepting(now)
        for connection in list(self._connections.records.values()):
            self._closing.close(connection, CLOSES[SHUTDOWN][0], now, flush=False)
        self._drain.finish()
