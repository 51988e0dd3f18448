"""A shutdown as the model sees it: its notice, its grace, its end, and which of them have passed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from posthouse.adapters.invariants import must
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Drained, Effect

from .records import Connection


class Shutdown(Struct, eq=False):
    """One shutdown. `accepting` until its notice has passed; `over` when its whole time has.

    After the notice, connections without calls are closed within `spread` seconds. `idle_closed`: all are.
    """

    notice_at: float
    grace_at: float
    over_at: float
    spread: float
    accepting: bool = True
    over: bool = False
    drained: bool = False
    idle_closed_by: float | None = None
    idle_closed: bool = False

    @classmethod
    def begin(cls, now: float, grace: float | None, config: Config) -> Shutdown:
        """A shutdown that begins now. `grace` replaces that of the config."""
        notice = now + config.drain_notice
        grace = config.drain_grace if grace is None else grace
        return cls(notice, notice + grace, now + config.drain_timeout, config.drain_spread)

    def grace_over(self, now: float) -> bool:
        """Must every call end now? The end of the shutdown cuts a longer grace."""
        return not self.drained and self.grace_at <= now and self.grace_at <= self.over_at

    def advance(self, now: float) -> None:
        """Time has passed."""
        if self.drained:
            return
        if self.idle_closed_by is not None and self.idle_closed_by <= now:
            self.idle_closed = True
        if self.accepting and min(self.notice_at, self.over_at) <= now:
            self.accepting = False
            self.idle_closed_by = now + self.spread
        self.over = self.over_at <= now

    def deadlines(self) -> list[float]:
        """The times at which the gateway must act at the latest."""
        if self.drained:
            return []
        return [self.over_at, self.notice_at] if self.accepting else [self.over_at]

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
        if self.idle_closed:
            idle = [each.number for each in connections if each.reachable and not each.calls]
            must(not idle, "shutdown: an idle connection was not closed", *idle)
