"""What is counted, the wall clock that reports are stamped with, and the snapshot that a health check reads.

None of it decides anything.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Health(Struct, frozen=True):
    """How the gateway is. `timestamp` is Unix seconds; `memory` is the bytes that gateway and codecs hold.

    `degraded`: a limit on connections, calls or memory is reached and something is being refused.
    """

    status: Literal["healthy", "draining", "degraded"]
    timestamp: float
    connections: int
    sockets: int
    calls: int
    waiting: int
    memory: int


class Stats:
    """Counters by name, which only grow."""

    __slots__ = ("counters",)

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}

    def count(self, name: str) -> None:
        """Add one to a counter, which begins at 0."""
        counters = self.counters
        counters[name] = counters.get(name, 0) + 1

    def snapshot(self) -> dict[str, int]:
        """The counters, sorted by name."""
        return dict(sorted(self.counters.items()))


class Wall:
    """Unix time, as told: `at_zero` is Unix seconds at monotonic 0."""

    __slots__ = ("at_zero",)

    def __init__(self, at_zero: float) -> None:
        self.at_zero = at_zero

    def timestamp(self, now: float) -> float:
        """Unix seconds with milliseconds."""
        return round(self.at_zero + now, 3)
