"""Counters, and the snapshot for health checks. No decision depends on them."""

from __future__ import annotations

from typing import Literal

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


class Stats:
    """Counters by name. They only grow."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}

    def count(self, name: str) -> None:
        """Add one to a counter."""
        counters = self.counters
        counters[name] = counters.get(name, 0) + 1

    def snapshot(self) -> dict[str, int]:
        """The counters, sorted by name."""
        return dict(sorted(self.counters.items()))
