"""The counters of a gateway and its sizes now, by name, and what it has measured, as operators read them."""

from __future__ import annotations

from typing import Final

from posthouse.core.connections.connections import Connections
from posthouse.core.operations.operations import Operations
from posthouse.core.values.peers import KINDS
from posthouse.core.values.shared import Shared
from posthouse.core.values.stats import Measurements

from .calls import ENDED, Calls
from .endings import BUILTIN, COUNTERS, REFUSED
from .outgoing import OutgoingRequests

ALWAYS: Final = (
    *COUNTERS.values(),
    REFUSED,
    BUILTIN,
    "calls.failed",
    "messages.bad",
    "responses.unmatched",
    *(f"connections.{change}.{kind}" for change in ("opened", "closed") for kind in KINDS),
)
"""The counters that are there from the beginning. Those of limits appear when they are first breached."""


def totals(
    shared: Shared, connections: Connections, calls: Calls, requests: OutgoingRequests, operations: Operations
) -> dict[str, int]:
    """All counters and sizes, sorted by name. Changes nothing."""
    found = dict.fromkeys(ALWAYS, 0) | shared.stats.counters
    for change in ("opened", "closed"):
        found[f"connections.{change}"] = sum(found[f"connections.{change}.{kind}"] for kind in KINDS)
    for kind in KINDS:
        found[f"connections.open.{kind}"] = len(connections.by_kind[kind])
    unanswered = sum(call.phase is not ENDED for call in calls.records.values())
    found |= {
        "calls.made": calls.made,
        "calls.results": calls.made - unanswered - sum(found[name] for name in COUNTERS.values()),
        "calls.running": calls.handlers,
        "calls.waiting": calls.waiting,
        "connections.open": sum(len(of_kind) for of_kind in connections.by_kind.values()),
        "memory.bytes": shared.held,
        "operations.pending": len(operations.records),
        "requests.pending": len(requests),
        "sockets.open": len(connections.sockets),
    }
    return dict(sorted(found.items()))


def measurements(shared: Shared, connections: Connections, calls: Calls, counters: dict[str, int]) -> Measurements:
    """What this gateway has counted and measured. `counters` are its totals. Changes nothing."""
    stats, config = shared.stats, shared.config
    of_sockets = connections.most_sockets, stats.levels.get("max_connections", 0)
    levels = stats.levels | {
        "max_calls": calls.most_handlers,
        "max_connections": max(of_sockets),
        "max_connections_per_address": connections.most_of_address,
        "max_in_head": connections.most_in_head,
        "memory_budget": shared.most_held,
    }
    levels = {name: level for name, level in sorted(levels.items()) if level}
    limits = {name: getattr(config, name) for name in levels}
    return Measurements(
        counters,
        stats.bounds,
        [(*key, durations) for key, durations in stats.calls.items()],
        [(*key, durations) for key, durations in stats.operations.items()],
        levels,
        {name: limit for name, limit in limits.items() if limit is not None},
    )
