"""Flow to slow peers: bytes held by their sockets, payloads queued behind them, and the limits on both.

A connection has a backlog from the first `hold` until all bytes are sent. While its socket takes all bytes, there is no
backlog and nothing is counted: that path must cost nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Final

from msgspec import Struct, field
from posthouse.core.values.close_reasons import (
    MAX_PUSH_AGE,
    MAX_QUEUED_PUSHES,
    MAX_QUEUED_PUSHES_BYTES,
    MAX_QUEUED_REPLIES_BYTES,
    WRITE_TIMEOUT,
)
from posthouse.core.values.effects import PauseReading, ResumeReading, Transmit
from posthouse.core.values.peers import ConnectionId
from posthouse.core.values.shared import Shared
from posthouse.core.values.timers import Timer

from .connections import Connection

WRITE_STALLED: Final = "write"
"""The reason of this table's deadlines."""


class Queued(Struct, frozen=True, gc=False):
    """One queued payload. `at` is when a push was queued, None for a reply."""

    data: bytes
    at: float | None


class Backlog(Struct):
    """The bytes that one peer has not taken: `held` by its socket, then `queue`. `progress_at`: when some were sent."""

    held: int
    progress_at: float
    queue: deque[Queued] = field(default_factory=deque)
    reply_bytes: int = 0
    push_bytes: int = 0
    push_times: deque[float] = field(default_factory=deque)
    timer: Timer | None = None


Refill = Callable[[ConnectionId, int], list[bytes]]
"""Called with a connection whose peer has taken everything, and a number of bytes. Returns the next payloads that wait
elsewhere, up to so many bytes, or one."""


class Flow:
    """The backlogs of all connections. `refill`: payloads may wait elsewhere for slow peers."""

    refill: Refill | None = None

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._config = shared.config
        self._outbox = shared.outbox
        self._timers = shared.timers
        self._timers.on(WRITE_STALLED, self._stalled)
        self.backlogs: dict[ConnectionId, Backlog] = {}

    def send(self, connection: ConnectionId, data: bytes) -> None:
        """Send a reply, or queue it behind the bytes that are held."""
        backlog = self.backlogs.get(connection)
        if backlog is None:
            self._outbox.append(Transmit(connection, data))
            return
        backlog.reply_bytes += len(data)
        self._shared.hold(len(data))
        backlog.queue.append(Queued(data, None))
        self._shared.stats.level("max_queued_replies_bytes", backlog.reply_bytes)
        if backlog.reply_bytes > self._config.max_queued_replies_bytes:
            self._shared.breach(connection, MAX_QUEUED_REPLIES_BYTES)

    def push(self, connection: ConnectionId, data: bytes, now: float) -> None:
        """Send a push, or queue it behind the bytes that are held."""
        backlog = self.backlogs.get(connection)
        if backlog is None:
            self._outbox.append(Transmit(connection, data))
        else:
            self.queue_push(connection, backlog, data, now)

    def queue_push(self, connection: ConnectionId, backlog: Backlog, data: bytes, now: float) -> None:
        """Queue a push behind the bytes that are held."""
        backlog.push_bytes += len(data)
        backlog.push_times.append(now)
        self._shared.hold(len(data))
        backlog.queue.append(Queued(data, now))
        stats = self._shared.stats
        stats.level("max_queued_pushes_bytes", backlog.push_bytes)
        stats.level("max_queued_pushes", len(backlog.push_times))
        if backlog.push_bytes > self._config.max_queued_pushes_bytes:
            self._shared.breach(connection, MAX_QUEUED_PUSHES_BYTES)
        elif len(backlog.push_times) > self._config.max_queued_pushes:
            self._shared.breach(connection, MAX_QUEUED_PUSHES)
        else:
            self._check_age(connection, backlog, now)

    def _check_age(self, connection: ConnectionId, backlog: Backlog, now: float) -> None:
        age = self._config.max_push_age
        if age is not None and backlog.push_times and now - backlog.push_times[0] > age:
            self._shared.breach(connection, MAX_PUSH_AGE)

    def slow_among(self, connections: Collection[ConnectionId]) -> list[ConnectionId]:
        """Those of these connections whose peers are slow. The shorter table is searched: mostly that of slow peers."""
        if len(connections) < len(self.backlogs):
            return [id for id in connections if id in self.backlogs]
        return [id for id in self.backlogs if id in connections]

    def hold(self, connection: ConnectionId, size: int, now: float) -> None:
        """The socket did not take `size` bytes: from now on payloads are queued here, and reading stops."""
        self._shared.hold(size)
        backlog = self.backlogs.get(connection)
        if backlog is not None:
            backlog.held += size
            return
        backlog = self.backlogs[connection] = Backlog(size, now)
        backlog.timer = self._timers.arm(now + self._config.write_timeout, WRITE_STALLED, connection)
        self._outbox.append(PauseReading(connection))

    def held(self, connection: ConnectionId) -> int:
        """How many bytes the connection's socket holds."""
        backlog = self.backlogs.get(connection)
        return 0 if backlog is None else backlog.held

    def sent(self, connection: ConnectionId, size: int, now: float) -> None:
        """`size` of the held bytes were sent. After the last of them, send the next payloads or resume reading."""
        backlog = self.backlogs[connection]
        backlog.held -= size
        self._shared.hold(-size)
        backlog.progress_at = now
        if not backlog.held and not backlog.queue and not self._refilled(connection, backlog):
            self._timers.disarm(backlog.timer)
            del self.backlogs[connection]
            self._outbox.append(ResumeReading(connection))
            return
        self._check_age(connection, backlog, now)
        if not backlog.held:
            self._hand_out(connection, backlog)

    def _refilled(self, connection: ConnectionId, backlog: Backlog) -> bool:
        """Send what waits elsewhere. False: nothing does."""
        if self.refill is None:
            return False
        payloads = self.refill(connection, self._config.write_ahead)
        for data in payloads:
            backlog.held += len(data)
            self._shared.hold(len(data))
            self._outbox.append(Transmit(connection, data, report=True))
        return bool(payloads)

    def _hand_out(self, connection: ConnectionId, backlog: Backlog) -> None:
        """Send at most `write_ahead` bytes, and at least one payload. They count as held until they are reported."""
        while backlog.queue and (
            not backlog.held or backlog.held + len(backlog.queue[0].data) <= self._config.write_ahead
        ):
            queued = backlog.queue.popleft()
            size = len(queued.data)
            if queued.at is None:
                backlog.reply_bytes -= size
            else:
                backlog.push_bytes -= size
                backlog.push_times.popleft()
            backlog.held += size
            self._outbox.append(Transmit(connection, queued.data, report=True))

    def _stalled(self, key: int, now: float) -> None:
        """Close a peer that took no byte for `write_timeout`; otherwise arm the deadline again."""
        connection = ConnectionId(key)
        backlog = self.backlogs[connection]
        deadline = backlog.progress_at + self._config.write_timeout
        if deadline <= now:
            self._shared.breach(connection, WRITE_TIMEOUT)
        else:
            backlog.timer = self._timers.arm(deadline, WRITE_STALLED, connection)

    def drop(self, connection: Connection, now: float) -> None:
        """The connection is closing. If it has `flush`, queued payloads are sent first; else they are dropped."""
        backlog = self.backlogs.pop(connection.id, None)
        if backlog is None:
            return
        self._timers.disarm(backlog.timer)
        self._shared.hold(-(backlog.held + backlog.reply_bytes + backlog.push_bytes))
        if connection.flush:
            self._outbox.extend(Transmit(connection.id, queued.data) for queued in backlog.queue)
        elif backlog.queue:
            stats, pushes = self._shared.stats, len(backlog.push_times)
            stats.add("dropped.replies", len(backlog.queue) - pushes)
            stats.add("dropped.pushes", pushes)
