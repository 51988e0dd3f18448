"""The tables of the document, each drawn from the figures that it needs; without them it is empty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.figures import Figures
from benchmarks.servers.catalogue import OURS, SERVERS

from .tables import microseconds, milliseconds, percent, table, times

WS: Final = "websocket 64×1×80"
HTTP: Final = "http 64×1×80"
NEW_HEADS: Final = f"{HTTP} new heads"
SHAPES: Final = (
    ("64×1×80", "64 × 1, 80 B"),
    ("64×1×80 new heads", "new heads"),
    ("64×1×4096", "4 KiB"),
    ("64×1×65536", "64 KiB"),
    ("8×8×80", "8 × 8"),
    ("1×1×80", "1 × 1"),
)


def ranked(figures: Figures, question: str, quantity: str = "cpu", *, rising: bool = True) -> list[str]:
    """Return the contestants of a question, the best first."""
    found = {name: figures.value(question, name, quantity) for name in figures.questions.get(question, {})}
    return sorted(found, key=lambda name: found[name] or 0.0, reverse=not rising)


def label(name: str) -> str:
    """Return the name of a contestant for reading."""
    return SERVERS[name].label if name in SERVERS else name


def short(name: str) -> str:
    """Return the name of a library for reading."""
    return label(name).partition(",")[0].partition(" on ")[0]


def summary(figures: Figures) -> str:
    """Return the sentences for the reader in a hurry."""
    lines = []
    for question, transport, peers in (
        (WS, "a WebSocket", ("picows", "ws", "websockets", "starlette", "fastapi_websocket_rpc")),
        (HTTP, "HTTP", ("node-http", "aiohttp", "starlette", "fastapi", "jsonrpcserver")),
    ):
        ours = [(name, figures.ratio(question, name, "floor")) for name in OURS]
        if any(ratio is None for _, ratio in ours):
            continue
        loops = ", ".join(f"{times(ratio)} on {SERVERS[name].label.split(', ')[1]}" for name, ratio in ours)
        others = ", ".join(
            f"{short(name)} {times(figures.ratio(question, name, 'floor'))}"
            for name in peers
            if name in figures.questions[question]
        )
        lines.append(f"- A call over **{transport}** costs {loops}. Others: {others}.")
    if not lines:
        return ""
    return "CPU time of the server for one small call, in relation to hand-made framing (1.00):\n\n" + "\n".join(lines)


def calls(figures: Figures, question: str) -> str:
    """Return the table of all servers at one point."""
    rows = []
    for name in ranked(figures, question):
        p50, p99 = (figures.value(question, name, quantity) for quantity in ("p50", "p99"))
        cost, ratio = figures.value(question, name), figures.ratio(question, name, "floor")
        cells = (microseconds(cost), times(ratio), milliseconds(p50), milliseconds(p99))
        rows.append((label(name), *cells))
    return table(("server", "CPU a call", "× floor", "p50", "p99"), rows)


def shapes(figures: Figures, transport: str) -> str:
    """Return the ratios to the floor at all shapes, for the servers that were measured at more than one."""
    present = [(f"{transport} {key}", head) for key, head in SHAPES if f"{transport} {key}" in figures.questions]
    if len(present) < 2:
        return ""
    rows: list[Sequence[str]] = []
    for name in figures.questions[present[-1][0]]:
        cost: list[str] = []
        for question, _ in present:
            measured = figures.value(question, name)
            ratio = times(figures.ratio(question, name, "floor"))
            cost.append(microseconds(measured) if name == "floor" else ratio)
        rows.append((label(name), *cost))
    return table(("server", *(head for _, head in present)), rows)


HOSTED: Final = (("HTTP", f"asgi {HTTP}"), ("HTTP, new heads", f"asgi {NEW_HEADS}"), ("WebSocket", f"asgi {WS}"))


def hosted(figures: Figures) -> str:
    """Return what a call costs an ASGI server, with our application and with others."""
    rows = [
        (
            transport,
            label(name),
            microseconds(figures.value(question, name)),
            times(figures.ratio(question, name, "starlette")),
            times(figures.ratio(question, name, "fastapi")),
        )
        for transport, question in HOSTED
        for name in ranked(figures, question)
    ]
    return table(("all under uvicorn", "application", "CPU a call", "× Starlette", "× FastAPI"), rows)


def broadcast(figures: Figures) -> str:
    """Return what a broadcast to a thousand costs."""
    question = "broadcast to 1000"
    rows = [
        (
            "raw writes (the floor)" if name == "floor" else label(name),
            milliseconds(figures.value(question, name)),
            times(figures.ratio(question, name, "floor")),
            milliseconds(figures.value(question, name, "seconds")),
        )
        for name in ranked(figures, question)
    ]
    return table(("broadcast to 1,000", "CPU", "× raw writes", "until all have it"), rows)


def opening(figures: Figures) -> str:
    """Return what connections cost."""
    names = [*figures.questions.get("handshakes", {}), *figures.questions.get("memory", {})]
    rows = []
    for name in dict.fromkeys(names):
        cost, size = figures.value("handshakes", name), figures.value("memory", name, "bytes")
        rate = "" if cost is None else f"{1 / cost:,.0f}"
        gone = microseconds(figures.value("disconnects 0", name))
        kept = microseconds(figures.value("disconnects 10000", name))
        rows.append((label(name), rate, "" if size is None else f"{size / 1024:.1f} KiB", gone, kept))
    heads = ("server", "accepts and handshakes in a CPU second", "memory of an idle one")
    return table((*heads, "a disconnect", "among 10,000 held"), rows)


def latency(figures: Figures) -> str:
    """Return how long clients wait."""
    rows = []
    for question, what in (
        ("half load", "half load, 512 connections"),
        ("good client alone", "a call every 5 ms: alone"),
        ("good client beside batches", "the same beside batches of 100 without a pause"),
        ("good client beside broadcasts", "the same beside broadcasts of 10 KB to 1,000, four a second"),
    ):
        for name in figures.questions.get(question, {}):
            p50, p99 = (figures.value(question, name, quantity) for quantity in ("p50", "p99"))
            rows.append((what, label(name), milliseconds(p50), milliseconds(p99)))
    return table(("load", "server", "p50", "p99"), rows)


def core(figures: Figures) -> str:
    """Return what the core and each codec cost alone."""
    rows = []
    for question, what in (("core", "an `echo`, text to text"), ("core, batch of 100", "a batch of 100 of them")):
        for name in figures.questions.get(question, {}):
            named = {"bare": "bare msgspec", "posthouse": "**Posthouse**, the core alone"}.get(name, name)
            cost, ratio = figures.value(question, name), figures.ratio(question, name, "bare")
            rows.append((what, named, microseconds(cost), times(ratio)))
    for name in figures.questions.get("codecs", {}):
        what = f"the codec of {name} alone: a request's bytes in, a reply's out"
        rows.append((what, "**Posthouse**", microseconds(figures.value("codecs", name)), ""))
    return table(("without sockets", "", "CPU", "× bare msgspec"), rows)


def simulation(figures: Figures) -> str:
    """Return how fast the simulator is."""
    rows = [
        (
            f"with {name}",
            f"{figures.value('simulation', name, 'steps'):,.0f}",
            f"{figures.value('simulation', name, 'seconds'):,.0f}",
        )
        for name in figures.questions.get("simulation", {})
    ]
    return table(("a simulated world of 20 clients", "steps in a CPU second", "simulated seconds in one"), rows)


def stores(figures: Figures) -> str:
    """Return how fast sessions are kept in a file, and how much faster than by others."""
    named = {"posthouse": "**Posthouse**, `SqliteStore`", "threads": "`sqlite3` in worker threads"}
    rows = []
    for name in figures.questions.get("stores", {}):
        rate, slowest = (figures.value("stores", name, quantity) for quantity in ("rate", "p99"))
        ratio = figures.ratio("stores", name, "posthouse", "rate")
        rows.append(
            (named.get(name, name), "" if rate is None else f"{rate:,.0f}", times(ratio), milliseconds(slowest))
        )
    return table(("100 tasks, each change on the disk", "updates a second", "× Posthouse", "p99"), rows)


def shares(figures: Figures) -> str:
    """Return which folders take the CPU of the server."""
    questions = [question for question in figures.questions if question.startswith("shares ")]
    folders = dict.fromkeys(folder for question in questions for folder in figures.questions[question])
    rows = [
        (
            f"`{folder}`" if "/" in folder else folder,
            *(percent(figures.value(name, folder, "share")) for name in questions),
        )
        for folder in sorted(folders)
    ]
    return table(("folder", *(question.removeprefix("shares ") for question in questions)), rows)


def versions(figures: Figures) -> str:
    """Return the machine and the versions."""
    named = ", ".join(f"{name} {version}" for name, version in figures.versions.items())
    notes = "".join(f"; {note}" for note in figures.notes)
    return f"Medians of {figures.rounds} interleaved rounds on {figures.machine}{notes}. {named}."
