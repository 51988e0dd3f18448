"""Measure, print, and bring the figures of docs/performance.md up to date.

    python -m benchmarks [core | http | websocket | memory | codecs | simulation ...] [--runs 5]

Without names everything is measured. Only then, and with at least five runs, is the document written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Final

from . import environment
from .report import Row, interleaved, microseconds, ratio, rewrite, table

CORE_CALLS: Final = 50_000
LIBRARY_CALLS: Final = 1_000
SERVED_CALLS: Final = 4_000
IDLE_SOCKETS: Final = 2_000
CODEC_REQUESTS: Final = 10_000
SIMULATED_SECONDS: Final = 200.0
"""How many of each are made in one run."""


def core(runs: int) -> list[Row]:
    """The core alone, against the least that could do it and against a library."""
    from . import core_alone

    measured = interleaved(
        {
            "posthouse": lambda: core_alone.posthouse(CORE_CALLS) / CORE_CALLS,
            "bare": lambda: core_alone.bare(CORE_CALLS) / CORE_CALLS,
            "jsonrpcserver": lambda: core_alone.jsonrpcserver(LIBRARY_CALLS) / LIBRARY_CALLS,
        },
        runs,
    )
    ours, bare, library = measured["posthouse"], measured["bare"], measured["jsonrpcserver"]
    return [
        Row(
            "the core alone: decode, dispatch, encode of an `echo`",
            microseconds(ours),
            f"bare msgspec {microseconds(bare)}",
            f"{ratio(ours, bare):.2f}",
            "≤ 5",
        ),
        Row(
            "the core alone, calls per second",
            f"{1 / sorted(ours)[runs // 2]:,.0f}",
            f"jsonrpcserver {1 / sorted(library)[runs // 2]:,.0f}",
            f"{ratio(library, ours):.0f}",
            "≥ 20",
        ),
    ]


def served(
    what: str, rival: str, named: str, target: str, measure: Callable[[str, int], float], runs: int
) -> list[Row]:
    """An `echo` through a server, as CPU of its process."""
    measured = interleaved({name: partial(measure, name, SERVED_CALLS) for name in ("posthouse", rival)}, runs)
    return [
        Row(
            what,
            microseconds(measured["posthouse"]),
            f"{named} {microseconds(measured[rival])}",
            f"{ratio(measured['posthouse'], measured[rival]):.2f}",
            target,
        )
    ]


def http(runs: int) -> list[Row]:
    """A call over HTTP."""
    from .served import http as measure

    return served(
        "server CPU for a call over HTTP, kept alive", "fastapi", "FastAPI on uvicorn, h11", "< 1", measure, runs
    )


def websocket(runs: int) -> list[Row]:
    """A call over a WebSocket."""
    from .served import websocket as measure

    return served(
        "server CPU for a call over a WebSocket", "starlette", "Starlette on uvicorn, wsproto", "≤ 1.25", measure, runs
    )


def memory(runs: int) -> list[Row]:
    """A WebSocket on which nothing happens."""
    from .served import idle_bytes

    names = ("posthouse", "starlette")
    measured = interleaved({name: partial(idle_bytes, name, IDLE_SOCKETS) for name in names}, runs)
    ours, theirs = (sorted(measured[name])[runs // 2] / 1024 for name in names)
    return [
        Row(
            "resident memory of an idle WebSocket",
            f"{ours:.1f} KiB",
            f"Starlette on uvicorn, wsproto {theirs:.1f} KiB",
            f"{ours / theirs:.2f}",
            "≤ 16 KiB",
        )
    ]


def codecs(runs: int) -> list[Row]:
    """Each codec alone."""
    from .codecs import CODECS

    def measure(codec: Callable[[int], float]) -> float:
        return codec(CODEC_REQUESTS) / CODEC_REQUESTS

    measured = interleaved({name: partial(measure, codec) for name, codec in CODECS.items()}, runs)
    return [
        Row(f"{name} alone: a request's bytes in, a reply's out", microseconds(seconds))
        for name, seconds in measured.items()
    ]


def simulation(runs: int) -> list[Row]:
    """A world of 20 clients, with and without the reference model."""
    from .simulated import simulated

    measured = [[simulated(SIMULATED_SECONDS, model=model) for model in (False, True)] for _ in range(runs)]
    rows = []
    for place, what in enumerate(("all invariants checked", "and the reference model beside it")):
        steps = median(1 / run[place][0] for run in measured)
        seconds = median(run[place][1] for run in measured)
        rows.append(Row(f"steps of a simulation in a CPU second, {what}", f"{steps:,.0f}", target="≥ 20,000"))
        rows.append(Row(f"simulated seconds in one, 20 clients, {what}", f"{seconds:,.0f}", target="≥ 500"))
    return rows


MEASUREMENTS: Final[dict[str, Callable[[int], list[Row]]]] = {
    "core": core,
    "http": http,
    "websocket": websocket,
    "memory": memory,
    "codecs": codecs,
    "simulation": simulation,
}


def main() -> None:
    """What to measure is said by the arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, print, write the figures down.")
    parser.add_argument("which", nargs="*", metavar="WHICH", help=f"of {', '.join(MEASUREMENTS)}; default: all")
    parser.add_argument("--runs", type=int, default=5, help="how many runs the medians are of (default: 5)")
    arguments = parser.parse_args()
    for name in arguments.which:
        if name not in MEASUREMENTS:
            parser.error(f"there is no measurement {name!r}: choose from {', '.join(MEASUREMENTS)}")
    environment.enter(sys.argv[1:])
    rows = [row for name in arguments.which or MEASUREMENTS for row in MEASUREMENTS[name](arguments.runs)]
    figures = f"{table(rows)}\n\nMedians of {arguments.runs} interleaved runs on {environment.describe()}."
    print(figures)
    if not arguments.which and arguments.runs >= 5:
        rewrite(figures)


if __name__ == "__main__":
    main()
