"""What waits for slow peers: bytes held by their sockets, payloads queued behind them, and what becomes of a peer
that does not read.

While a socket takes what it is given there is no entry here and nothing is counted: that path must cost nothing. The
table begins with the first `hold` and ends when all has gone. It may not know calls or methods: only payloads, and
whether one is a reply (owed) or a push (offered).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from msgspec import Struct, field
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Effect, PauseReading, ResumeReading, Transmit
from posthouse.core.values.peers import ConnectionId
from posthouse.core.values.timers import Timer, Timers

WRITE_STALLED: Final = "write"
"""The reason of this module's deadlines."""


class Queued(Struct, frozen=True, gc=False):
    """One payload that waits its turn. `at` is when a push was queued, None for a reply."""

    data: bytes
    at: float | None


class Backlog(Struct):
    """What one peer has not taken. `held` bytes are with its socket; `queue` waits here; `progress_at` is when bytes
    last went."""

    held: int
    progress_at: float
    queue: deque[Queued] = field(default_factory=deque)
    reply_bytes: int = 0
    push_bytes: int = 0
    push_times: deque[float] = field(default_factory=deque)
    timer: Timer | None = None


class Flow:
    """Every connection's backlog. Methods that can find a limit breached return its name in Config, else None."""

    __slots__ = ("_config", "_outbox", "_timers", "backlogs", "total")

    def __init__(self, config: Config, outbox: list[Effect], timers: Timers) -> None:
        self._config = config
        self._outbox = outbox
        self._timers = timers
        self.backlogs: dict[ConnectionId, Backlog] = {}
        self.total = 0

    def send(self, connection: ConnectionId, data: bytes) -> str | None:
        """A reply: hand it out, or queue it behind what is held."""
        backlog = self.backlogs.get(connection)
        if backlog is None:
            self._outbox.append(Transmit(connection, data))
            return None
        backlog.reply_bytes += len(data)
        self.total += len(data)
        backlog.queue.append(Queued(data, None))
        return "max_queued_replies_bytes" if backlog.reply_bytes > self._config.max_queued_replies_bytes else None

    def push(self, connection: ConnectionId, data: bytes, now: float) -> str | None:
        """A push: hand it out, or queue it behind what is held."""
        backlog = self.backlogs.get(connection)
        if backlog is None:
            self._outbox.append(Transmit(connection, data))
            return None
        return self.queue_push(backlog, data, now)

    def queue_push(self, backlog: Backlog, data: bytes, now: float) -> str | None:
        """Queue a push behind what is held."""
        backlog.push_bytes += len(data)
        backlog.push_times.append(now)
        self.total += len(data)
        backlog.queue.append(Queued(data, now))
        if backlog.push_bytes > self._config.max_queued_pushes_bytes:
            return "max_queued_pushes_bytes"
        if len(backlog.push_times) > self._config.max_queued_pushes:
            return "max_queued_pushes"
        return self._stale(backlog, now)

    def _stale(self, backlog: Backlog, now: float) -> str | None:
        age = self._config.max_push_age
        if age is not None and backlog.push_times and now - backlog.push_times[0] > age:
            return "max_push_age"
        return None

    def hold(self, connection: ConnectionId, size: int, now: float) -> None:
        """The socket did not take `size` bytes: from now on payloads queue here, and reading stops."""
        self.total += size
        backlog = self.backlogs.get(connection)
        if backlog is not None:
            backlog.held += size
            return
        backlog = self.backlogs[connection] = Backlog(size, now)
        backlog.timer = self._timers.arm(now + self._config.write_timeout, WRITE_STALLED, connection)
        self._outbox.append(PauseReading(connection))

    def held(self, connection: ConnectionId) -> int:
        """How many bytes wait with its socket."""
        backlog = self.backlogs.get(connection)
        return 0 if backlog is None else backlog.held

    def sent(self, connection: ConnectionId, size: int, now: float) -> str | None:
        """`size` of the held bytes went. When none are left the next portion leaves, or reading begins again."""
        backlog = self.backlogs[connection]
        backlog.held -= size
        self.total -= size
        backlog.progress_at = now
        if backlog.held:
            return self._stale(backlog, now)
        if backlog.queue:
            breached = self._stale(backlog, now)
            self._hand_out(connection, backlog)
            return breached
        self._timers.disarm(backlog.timer)
        del self.backlogs[connection]
        self._outbox.append(ResumeReading(connection))
        return None

    def _hand_out(self, connection: ConnectionId, backlog: Backlog) -> None:
        """At most `write_ahead` bytes, and at least one payload. They count as held until they are reported."""
        while backlog.queue and (
            not backlog.held or backlog.held + len(backlog.queue[0].data) <= self._config.write_ahead
        ):
            data = self._take(backlog)
            backlog.held += len(data)
            self._outbox.append(Transmit(connection, data, report=True))

    @staticmethod
    def _take(backlog: Backlog) -> bytes:
        queued = backlog.queue.popleft()
        size = len(queued.data)
        if queued.at is None:
            backlog.reply_bytes -= size
        else:
            backlog.push_bytes -= size
            backlog.push_times.popleft()
        return queued.data

    def stalled(self, connection: ConnectionId, now: float) -> str | None:
        """A deadline of this connection fired: the breached limit, or None when it was early and is armed again."""
        backlog = self.backlogs[connection]
        deadline = backlog.progress_at + self._config.write_timeout
        if deadline <= now:
            return "write_timeout"
        backlog.timer = self._timers.arm(deadline, WRITE_STALLED, connection)
        return None

    def drop(self, connection: ConnectionId, *, flush: bool) -> None:
        """The connection is closing: with `flush` what is queued leaves first, else it is forgotten."""
        backlog = self.backlogs.pop(connection, None)
        if backlog is None:
            return
        self._timers.disarm(backlog.timer)
        self.total -= backlog.held + backlog.reply_bytes + backlog.push_bytes
        if flush:
            self._outbox.extend(Transmit(connection, queued.data) for queued in backlog.queue)
