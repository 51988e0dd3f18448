"""The counters of a gateway and its sizes now, by name, as `/stats` reports them."""

from __future__ import annotations

from typing import Final

from posthouse.core.connections.connections import Connections
from posthouse.core.operations.operations import Operations
from posthouse.core.values.peers import KINDS
from posthouse.core.values.shared import Shared

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
