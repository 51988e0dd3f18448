"""Counters, durations and levels, and the snapshot for health checks. No decision depends on them.

Names are of this project, of methods or of limits: never of a client, so that their number is bounded.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final, Literal

from msgspec import Struct


class Health(Struct, frozen=True):
    """The health of the gateway. `timestamp` is Unix seconds. `memory` is the bytes held by the gateway and its codecs.
    `degraded`: a limit on connections, calls or memory is reached."""

    status: Literal["healthy", "draining", "degraded"]
    timestamp: float
    connections: int
    sockets: int
    calls: int
    waiting: int
    memory: int


# Not a Struct: slots are faster to write.
@dataclass(slots=True)
class Durations:
    """Durations of one kind: how many were above the bound before and at most each bound, then how many were above all
    bounds; and their sum in seconds."""

    counts: list[int]
    seconds: float = 0.0


class Measurements(Struct, frozen=True):
    """What a server has counted and measured, as values. `counters` has counters and sizes by name, `calls` durations
    by method and outcome, `operations` by kind and outcome. `levels` has the highest level that each limit has seen,
    `limits` the limits themselves. `bounds` are those of the durations."""

    counters: dict[str, int]
    bounds: tuple[float, ...]
    calls: list[tuple[str, str, Durations]]
    operations: list[tuple[str, str, Durations]]
    levels: dict[str, int]
    limits: dict[str, int]


def told(measured: Measurements) -> dict[str, object]:
    """These measurements for people and programs, as JSON has them: the counters, and behind them what has a name and
    more than one number."""
    return {
        **measured.counters,
        "durations.calls": _rows(("method", "outcome"), measured.calls),
        "durations.operations": _rows(("kind", "outcome"), measured.operations),
        "durations.bounds": measured.bounds,
        "limits.highest": measured.levels,
        "limits": measured.limits,
    }


def _rows(names: tuple[str, str], rows: list[tuple[str, str, Durations]]) -> list[dict[str, object]]:
    return [
        {names[0]: one, names[1]: other, "count": sum(each.counts), "seconds": each.seconds, "counts": each.counts}
        for one, other, each in rows
    ]


class Stats:
    """Counters by name, which only grow. `calls` has the durations of calls by method and outcome, `operations` those
    of external operations by kind and outcome, `levels` the highest level that each limit has seen."""

    def __init__(self, bounds: tuple[float, ...] = ()) -> None:
        self.bounds: Final = bounds
        self.counters: dict[str, int] = {}
        self.calls: dict[tuple[str, str], Durations] = {}
        self.operations: dict[tuple[str, str], Durations] = {}
        self.levels: dict[str, int] = {}

    def count(self, name: str) -> None:
        """Add one to a counter."""
        counters = self.counters
        counters[name] = counters.get(name, 0) + 1

    def add(self, name: str, number: int) -> None:
        """Add a number to a counter."""
        self.counters[name] = self.counters.get(name, 0) + number

    def level(self, limit: str, value: int) -> None:
        """What a limit counts is at this value now."""
        if value > self.levels.get(limit, 0):
            self.levels[limit] = value

    def took(self, kind: str, outcome: str, seconds: float) -> None:
        """An external operation took so long."""
        durations = self.operations.get((kind, outcome))
        if durations is None:
            durations = self.operations[kind, outcome] = self.no_durations()
        durations.counts[bisect_left(self.bounds, seconds)] += 1
        durations.seconds += seconds

    def no_durations(self) -> Durations:
        """Durations of a kind that has none yet."""
        return Durations([0] * (len(self.bounds) + 1))

    def snapshot(self) -> dict[str, int]:
        """The counters, sorted by name."""
        return dict(sorted(self.counters.items()))
