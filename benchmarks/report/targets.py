"""What the measurements must show, and whether they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from benchmarks.figures import Figures

from .tables import table

Value = Callable[[Figures], float | None]


class Target(Struct, frozen=True):
    """A value that should be at most `wanted`, and must be at most `limit`. `rising`: at least, instead."""

    what: str
    value: Value
    wanted: float
    limit: float | None = None
    unit: str = ""
    rising: bool = False

    def verdict(self, value: float) -> str:
        """Return whether the target is met; `held`: the limit is kept, but more was wanted."""
        if self._holds(value, self.wanted):
            return "met"
        return "held" if self.limit is not None and self._holds(value, self.limit) else "**missed**"

    def _holds(self, value: float, bound: float) -> bool:
        return value >= bound if self.rising else value <= bound

    def bound(self) -> str:
        """Return the target for reading."""
        sign = "≥" if self.rising else "≤"
        limit = "" if self.limit is None else f" ({self.limit:,.3g})"
        return f"{sign} {number(self.wanted)}{limit}{self.unit}"


def number(value: float) -> str:
    """Return a value for reading."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def to(question: str, contestant: str, base: str) -> Value:
    """The CPU time of one contestant in relation to another's."""
    return lambda figures: figures.ratio(question, contestant, base)


def value(question: str, contestant: str, quantity: str, scale: float = 1.0) -> Value:
    """A quantity itself."""

    def measured(figures: Figures) -> float | None:
        found = figures.value(question, contestant, quantity)
        return None if found is None else found * scale

    return measured


def spread(question: str, contestant: str) -> Value:
    """The p99 in relation to the p50."""

    def measured(figures: Figures) -> float | None:
        p50, p99 = (figures.value(question, contestant, quantity) for quantity in ("p50", "p99"))
        return None if p50 is None or p99 is None else p99 / p50

    return measured


def more(question: str, contestant: str, base: str, quantity: str) -> Value:
    """A quantity of one contestant in relation to another's."""
    return lambda figures: figures.ratio(question, contestant, base, quantity)


def flat(over: str, under: str, contestant: str) -> Value:
    """The CPU time of one question in relation to another's."""

    def measured(figures: Figures) -> float | None:
        above, below = figures.value(over, contestant), figures.value(under, contestant)
        return None if above is None or below is None else above / below

    return measured


WS: Final = "websocket 64×1×80"
HTTP: Final = "http 64×1×80"
LOOPS: Final = (("asyncio", "posthouse"), ("uvloop", "posthouse-uvloop"), ("trio", "posthouse-trio"))

TARGETS: Final = (
    *(Target(f"WebSocket, {loop}: × floor", to(WS, name, "floor"), 1.4, 1.7) for loop, name in LOOPS),
    Target("WebSocket: × picows", to(WS, "posthouse", "picows"), 1.0),
    Target("WebSocket: × node `ws`", to(WS, "posthouse", "ws"), 1.0),
    Target("WebSocket, 4 KiB: × floor", to("websocket 64×1×4096", "posthouse", "floor"), 1.5),
    Target("WebSocket, 8 × 8: × floor", to("websocket 8×8×80", "posthouse", "floor"), 2.3),
    Target("WebSocket, 1 × 1: × floor", to("websocket 1×1×80", "posthouse", "floor"), 1.9),
    Target("WebSocket, 64 KiB: × node `ws`", to("websocket 64×1×65536", "posthouse", "ws"), 1.15),
    *(Target(f"HTTP, {loop}: × floor", to(HTTP, name, "floor"), 1.6, 2.0) for loop, name in LOOPS),
    Target("HTTP: × node http", to(HTTP, "posthouse", "node-http"), 0.6),
    Target("HTTP: × Starlette", to(HTTP, "posthouse", "starlette"), 0.333),
    Target("HTTP: × FastAPI", to(HTTP, "posthouse", "fastapi"), 0.167),
    Target("HTTP, new heads: × floor", to(f"{HTTP} new heads", "posthouse", "floor"), 3.5),
    Target("HTTP, 4 KiB: × floor", to("http 64×1×4096", "posthouse", "floor"), 1.7),
    Target("HTTP, 8 × 8 pipelined: × floor", to("http 8×8×80", "posthouse", "floor"), 2.8),
    Target("HTTP, 1 × 1: × floor", to("http 1×1×80", "posthouse", "floor"), 2.6),
    Target("HTTP, 64 KiB: × node http", to("http 64×1×65536", "posthouse", "node-http"), 1.0),
    Target("ASGI, HTTP: × Starlette", to(f"asgi {HTTP}", "posthouse-asgi", "starlette"), 1.3),
    Target("ASGI, HTTP: × FastAPI", to(f"asgi {HTTP}", "posthouse-asgi", "fastapi"), 0.6),
    Target("ASGI, mounted in FastAPI, HTTP: × FastAPI", to(f"asgi {HTTP}", "posthouse-fastapi", "fastapi"), 1.0),
    Target("ASGI, WebSocket: × Starlette", to(f"asgi {WS}", "posthouse-asgi", "starlette"), 1.2),
    Target("the core alone: × bare msgspec", to("core", "posthouse", "bare"), 3.6),
    Target("the core alone, batch of 100: × bare msgspec", to("core, batch of 100", "posthouse", "bare"), 4.2),
    Target("broadcast to 1,000: × raw writes", to("broadcast to 1000", "posthouse", "floor"), 1.2),
    Target("broadcast to 1,000: × picows", to("broadcast to 1000", "posthouse", "picows"), 1.0),
    Target("broadcast to 1,000: × `websockets.broadcast`", to("broadcast to 1000", "posthouse", "websockets"), 1.0),
    Target("memory of an idle WebSocket", value("memory", "posthouse", "bytes", 1 / 1024), 3.0, unit=" KiB"),
    Target("share of a core that 20,000 idle ones take", value("idle", "posthouse", "share", 100), 3.0, unit=" %"),
    Target("accept and handshake: × node `ws`", to("handshakes", "posthouse", "ws"), 1.0),
    Target("half load, 512 connections: p99 / p50", spread("half load", "posthouse"), 3.0),
    Target(
        "p99 beside broadcasts of 10 MB",
        value("good client beside broadcasts", "posthouse", "p99", 1e3),
        20,
        unit=" ms",
    ),
    Target("p99 beside batches of 100", value("good client beside batches", "posthouse", "p99", 1e3), 20, unit=" ms"),
    Target("a call among 10,000 held: × among 64", flat("connections 10000", "connections 64", "posthouse"), 1.2),
    Target("a disconnect among 10,000: × alone", flat("disconnects 10000", "disconnects 0", "posthouse"), 1.2),
    Target(
        "updates of sessions: × `sqlite3` in threads", more("stores", "posthouse", "threads", "rate"), 10, rising=True
    ),
    Target("updates of sessions: × aiosqlite", more("stores", "posthouse", "aiosqlite", "rate"), 10, rising=True),
    Target("updates of sessions, 100 tasks: p99", value("stores", "posthouse", "p99", 1e3), 10, unit=" ms"),
    Target("simulator, steps a CPU second", value("simulation", "invariants", "steps"), 12_000, rising=True),
    Target("simulator, simulated seconds in one", value("simulation", "invariants", "seconds"), 300, rising=True),
)


def targets(figures: Figures) -> str:
    """Return the table of all targets that were measured."""
    rows = []
    for target in TARGETS:
        measured = target.value(figures)
        if measured is not None:
            rows.append((target.what, number(measured) + target.unit, target.bound(), target.verdict(measured)))
    return table(("what", "measured", "target (must be held)", ""), rows)
