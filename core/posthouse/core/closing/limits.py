"""Limits: the only place where they are enforced after an input. It may not know how a connection is closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.core.calls.calls import Calls
from posthouse.core.connections.connections import Connections
from posthouse.core.operations.operations import Operations
from posthouse.core.values.close_reasons import MEMORY_BUDGET
from posthouse.core.values.shared import Shared
from posthouse.core.values.stats import Health

from .closing import Closing
from .drain import Drain

RELIEF: Final = 1.0
"""Seconds to wait for a closed connection to free memory before the next one is closed."""


class Limits:
    """Closes the connections that breached a limit, frees memory, and notices the end of a shut-down. `shed` forgets so
    many bytes of the history of topics."""

    shed: Callable[[int], None]

    def __init__(
        self,
        shared: Shared,
        connections: Connections,
        calls: Calls,
        operations: Operations,
        closing: Closing,
        drain: Drain,
    ) -> None:
        self._shared = shared
        self._connections = connections
        self._calls = calls
        self._operations = operations
        self._closing = closing
        self._drain = drain
        self._relieved_at = 0.0
        self._relieved_to = 0

    def enforce(self, now: float) -> None:
        """Act on memory over budget, on breached limits and on a shut-down with nothing left to wait for."""
        shared, drain = self._shared, self._drain
        budget = shared.config.memory_budget
        if shared.held > budget:
            self._relieve(now)
        if shared.breaches:
            self._closing.close_breached(now)
        if not drain.accepting:
            connections = self._connections
            outside = self._calls.handlers or self._operations.records
            is_empty = not (connections.records or connections.sockets or outside)
            if drain.timed_out or is_empty:
                drain.finish()
        shared.unsettled = shared.held > budget or drain.began is not None

    def _relieve(self, now: float) -> None:
        """Memory is over budget: forget history of topics, and end sessions of nobody, if they take most of it. If that
        is not enough, refuse the peers that have sent a text and are not verified, the newest first; then close the
        connection heard from least recently. Repeat after one second, or sooner if memory grew."""
        budget = self._shared.config.memory_budget
        self.shed(self._shared.held - budget)
        held = self._shared.held
        excess = self._drain.arrivals.shed(held - budget, budget, now)
        if excess <= 0:
            return
        for id, size in reversed(self._drain.arrivals.holding.items()):
            self._shared.breach(id, MEMORY_BUDGET)
            excess -= size
            if excess <= 0:
                return
        if held <= self._relieved_to and now < self._relieved_at + RELIEF:
            return
        idlest = self._connections.idlest()
        if idlest is not None:
            self._relieved_to, self._relieved_at = held, now
            self._shared.breach(idlest.id, MEMORY_BUDGET)

    def health(self, now: float) -> Health:
        """The state of the gateway. It is degraded while a limit on connections, calls or memory is reached."""
        shared, config = self._shared, self._shared.config
        connections = sum(len(of_kind) for of_kind in self._connections.by_kind.values())
        sockets, calls = len(self._connections.sockets), self._calls.handlers
        full = (
            connections >= config.max_connections
            or sockets >= config.max_connections
            or calls >= config.max_calls
            or shared.held > config.memory_budget
        )
        return Health(
            status="draining" if self._drain.began is not None else "degraded" if full else "healthy",
            timestamp=shared.timestamp(now),
            connections=connections,
            sockets=sockets,
            calls=calls,
            waiting=self._calls.waiting,
            memory=shared.held,
        )
