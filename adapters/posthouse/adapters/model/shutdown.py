"""A shutdown as the model sees it: its notice, its grace, its end, and which of them have passed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from posthouse.adapters.invariants import must
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Drained, Effect

from .records import Connection


class Shutdown:
    """One shutdown, which begins `now`. `grace` replaces that of the config.

    `accepting` until its notice has passed; `over` when its whole time has; `drained` when the gateway has said so.
    After the notice, connections without calls are closed within `drain_spread` seconds.
    """

    def __init__(self, now: float, grace: float | None, config: Config) -> None:
        self.accepting = True
        self.over = False
        self.drained = False
        self._notice_at = now + config.drain_notice
        self._grace_at = self._notice_at + (config.drain_grace if grace is None else grace)
        self._over_at = now + config.drain_timeout
        self._spread = config.drain_spread
        self._idle_closed_by: float | None = None
        self._idle_closed = False

    def grace_over(self, now: float) -> bool:
        """Must every call end now? The end of the shutdown cuts a longer grace."""
        return not self.drained and self._grace_at <= now and self._grace_at <= self._over_at

    def all_ended_at(self, now: float) -> float | None:
        """When every call has ended. None: calls may go on."""
        at = min(self._grace_at, self._over_at)
        return None if self.drained or at > now else at

    def advance(self, now: float) -> None:
        """Time has passed."""
        if self.drained:
            return
        if self._idle_closed_by is not None and self._idle_closed_by <= now:
            self._idle_closed = True
        if self.accepting and min(self._notice_at, self._over_at) <= now:
            self.accepting = False
            self._idle_closed_by = now + self._spread
        self.over = self._over_at <= now

    def deadlines(self) -> list[float]:
        """The times at which the gateway must act at the latest."""
        if self.drained:
            return []
        return [self._over_at, self._notice_at] if self.accepting else [self._over_at]

    def check_drained(self, effects: Sequence[Effect], connections: Iterable[Connection], *, busy: bool) -> None:
        """`Drained` comes once: after the input that leaves nothing, or when the time is over. Raises Violation.

        `busy`: there is a connection, a socket or a handler.
        """
        told = [type(effect) for effect in effects].count(Drained)
        nothing_left = not (self.accepting or busy)
        must(told <= (not self.drained), "shutdown: Drained came twice")
        self.drained = self.drained or bool(told)
        must(not told or nothing_left or self.over, "shutdown: Drained came while something was left")
        must(self.drained or not (nothing_left or self.over), "shutdown: Drained is missing")
        if told and self.over:
            still_open = [connection.number for connection in connections if connection.open]
            must(not still_open, "shutdown: Drained came while connections were open", *still_open)

    def check_idle_closed(self, connections: Iterable[Connection]) -> None:
        """Connections without calls are closed in time. Raises Violation."""
        if self._idle_closed:
            idle = [each.number for each in connections if each.reachable and not each.calls]
            must(not idle, "shutdown: an idle connection was not closed", *idle)
