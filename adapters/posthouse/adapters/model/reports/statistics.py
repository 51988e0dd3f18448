"""The counters of a gateway, as they follow from what the model knows: `stats()` must show the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from posthouse.adapters.invariants import must
from posthouse.core.values.close_reasons import CLOSE_REASONS
from posthouse.core.values.effects import Effect, Emit
from posthouse.core.values.errors import ERRORS
from posthouse.core.values.lifecycle import (
    AuthExpired,
    AuthFailed,
    AuthRevoked,
    AuthSucceeded,
    CallEnded,
    CallFailed,
    ConnectionClosed,
    LimitBreached,
    SessionCreated,
    SessionDetached,
    SessionEnded,
    SessionResumed,
)
from posthouse.core.values.peers import Kind
from posthouse.core.values.stats import Health

KINDS: Final[tuple[Kind, ...]] = ("websocket", "http", "cli", "local")

PUSHED_TO: Final = ("websocket", "cli")
"""The kinds of connections whose close codes are counted."""

OUTCOMES: Final = {
    "error": "calls.errors",
    "cancelled": "calls.cancelled",
    "timed_out": "calls.timed_out",
    "disconnected": "calls.disconnected",
    "drained": "calls.drained",
}
"""The counter of each outcome of a call. Results are those that are left."""

AUTH: Final = ("auth.cached", "auth.expired", "auth.failed", "auth.revoked", "auth.succeeded")
"""Counters of credentials that were judged."""

SESSIONS: Final[dict[type, str]] = {
    SessionCreated: "session.created",
    SessionResumed: "session.resumed",
    SessionDetached: "session.detached",
    SessionEnded: "session.ended",
}
"""The counters of what is told about sessions."""

COUNTED: Final = ("calls.failed", "messages.bad", "responses.unmatched")
"""Counters of what happens, at any time."""

ALWAYS_TOLD: Final = ("limit.", "session.", "closes.")
"""The beginnings of counters that follow from events which every host is told."""

IN_ONE: Final = ("calls.refused", "calls.builtin")
"""Requests that did not become calls: refused, or answered by the gateway itself. The model tells only their sum."""


FIGURES: Final = {
    "calls": ("calls.running", "calls: health counts other handlers than run"),
    "waiting": ("calls.waiting", "calls: health counts other calls than wait"),
    "sockets": ("sockets.open", "calls: health counts other sockets than are open"),
    "connections": ("connections.open", "stats: health counts other connections than are open"),
    "memory": ("memory.bytes", "stats: health tells another size of memory"),
}
"""The figures of `health`, the counters that have the same numbers, and what is wrong if they have not."""


class Statistics:
    """Counts what happens. `ends_are_told`: every end of a request is an event."""

    def __init__(self, *, ends_are_told: bool) -> None:
        self._ends_are_told = ends_are_told
        self._counted: Counter[str] = Counter()
        self._uncertain: dict[str, None] = {}
        self._answered_at_once = 0

    def see(self, effects: Sequence[Effect]) -> None:
        """The next input had these effects."""
        for effect in effects:
            if type(effect) is not Emit:
                continue
            event = effect.event
            if type(event) is CallEnded:
                if event.code is not None:
                    self._counted[f"errors.{event.code if event.code in ERRORS else 'other'}"] += 1
                if event.call is None:
                    self._answered_at_once += 1
                elif event.outcome in OUTCOMES:
                    self._counted[OUTCOMES[event.outcome]] += 1
            elif type(event) is ConnectionClosed and event.kind in PUSHED_TO:
                self._counted[f"closes.{_told_code(event.code)}"] += 1
            elif type(event) is CallFailed:
                self._counted["calls.failed"] += 1
            elif type(event) is AuthSucceeded:
                self._counted["auth.succeeded"] += 1
            elif type(event) is AuthRevoked:
                self._counted["auth.revoked"] += 1
            elif type(event) is AuthExpired:
                self._counted["auth.expired"] += 1
            elif type(event) is AuthFailed:
                self._counted["auth.failed"] += 1
            elif type(event) in SESSIONS:
                self._counted[SESSIONS[type(event)]] += 1
            elif type(event) is LimitBreached:
                self._counted[f"limit.{event.limit}{'' if event.enforced else '.would_refuse'}"] += 1

    def count(self, name: str, *, certain: bool = True) -> None:
        """Add one to a counter. If that is not `certain`, the counter is not compared from now on."""
        self._counted[name] += 1
        if not certain:
            self._uncertain[name] = None

    def check(self, told: Mapping[str, int], sizes: Mapping[str, int], open_of: Mapping[Kind, int]) -> None:
        """The gateway tells the same numbers, these `sizes`, and how many connections of each kind are open. Raises
        Violation."""
        must(list(told) == sorted(told), "stats: the names are in order")
        expected = {**sizes, **{f"connections.open.{kind}": open_of.get(kind, 0) for kind in KINDS}}
        for change in ("opened", "closed"):
            of_kinds = {f"connections.{change}.{kind}": self._counted[f"connections.{change}.{kind}"] for kind in KINDS}
            expected |= of_kinds | {f"connections.{change}": sum(of_kinds.values())}
        for name in (*COUNTED, *(name for name in AUTH if name in told or self._counted[name])):
            if name not in self._uncertain:
                expected[name] = self._counted[name]
            elif name in told:
                expected[name] = told[name]
        if self._ends_are_told:
            expected |= {name: self._counted[name] for name in OUTCOMES.values()}
            at_once = sum(told[name] for name in IN_ONE)
            must(at_once == self._answered_at_once, "stats: requests that were answered at once are counted", at_once)
            ended = sum(self._counted[name] for name in OUTCOMES.values())
            expected |= {name: number for name, number in self._counted.items() if name.startswith("errors.")}
            expected["calls.results"] = sizes["calls.made"] - sizes["calls.unanswered"] - ended
        expected.pop("calls.unanswered", None)
        expected |= {name: number for name, number in self._counted.items() if name.startswith(ALWAYS_TOLD)}
        wrong = {name: (told.get(name), number) for name, number in expected.items() if told.get(name) != number}
        must(not wrong, "stats: a counter is wrong", wrong)
        others = (*OUTCOMES.values(), *IN_ONE, "calls.results")
        unknown = [name for name in told if name not in expected and name not in others]
        beginnings = ("dropped.",) if self._ends_are_told else ("dropped.", "errors.")
        must(not [name for name in unknown if not name.startswith(beginnings)], "stats: an unknown counter", unknown)


def _told_code(code: int | None) -> str:
    """A close code as it is counted: those that only the peer knows are one."""
    if code is None:
        return "none"
    known = 1000 <= code <= 1015 or any(reason.code == code for reason in CLOSE_REASONS.values())
    return str(code) if known else "other"


def check_health(health: Health, sizes: Mapping[str, int], status: str, timestamp: float) -> None:
    """The figures of `health` are these `sizes`. Raises Violation."""
    for name, (counter, wrong) in FIGURES.items():
        told = getattr(health, name)
        must(told == sizes[counter], wrong, told, sizes[counter])
    must(health.timestamp == round(timestamp, 3), "stats: health tells another time", health, timestamp)
    must(health.status == status, "stats: health is not right", health, status)
