"""Measure, print, and bring docs/performance.md up to date.

    python -m benchmarks [websocket | http | growth | ... ] [--runs 5] [--merge]

Without names everything is measured. Only then, and with at least five rounds, is the document written; with `--merge`,
what was measured is put among the figures that were saved. What cannot be measured is named; the exit code is 1 then,
and the rest is written all the same.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from time import perf_counter
from typing import Final

from . import environment, machine
from .figures import Figures, Question, Questions, read, save
from .servers.catalogue import missing

MEASUREMENTS: Final = {
    "core": "core_alone.alone",
    "codecs": "codecs.alone",
    "simulation": "simulated.worlds",
    "websocket": "calls.over_websocket",
    "http": "calls.over_http",
    "asgi": "hosted.beside_frameworks",
    "size": "growth.with_size",
    "depth": "growth.with_depth",
    "connections": "growth.with_connections",
    "broadcast": "broadcast.to_a_thousand",
    "handshakes": "opening.handshakes",
    "memory": "opening.memory",
    "idle": "opening.heartbeats",
    "latency": "latency.at_half_load",
    "fairness": "latency.beside_others",
    "stores": "stores.session_updates",
    "shares": "shares.by_folder",
}
"""Each measurement, and where its function is."""

ENOUGH: Final = 5
"""Rounds of a run that is written down."""


def measure(name: str, runs: int, questions: Questions) -> None:
    """Make one measurement, and add its figures. If it fails, those of the others stay."""
    module, _, function = MEASUREMENTS[name].partition(".")
    measurement: Callable[[int], dict[str, Question]] = getattr(
        import_module(f"benchmarks.measurements.{module}"), function
    )
    try:
        measured = measurement(runs)
    except Exception as error:
        traceback.print_exc()
        questions.lost.append(f"{name} was not measured: {error or type(error).__name__}")
        return
    questions.update(measured)
    if isinstance(measured, Questions):
        questions.lost += measured.lost


def main() -> None:
    """Measure what the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, print, write the figures down.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASUREMENTS)}; default: all")
    parser.add_argument("--runs", type=int, default=ENOUGH, help="rounds that the medians are of (default: 5)")
    parser.add_argument("--merge", action="store_true", help="put these figures among those that were saved")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in MEASUREMENTS:
            parser.error(f"there is no measurement {name!r}: choose from {', '.join(MEASUREMENTS)}")
    environment.enter(sys.argv[1:])
    notes = [machine.pin_load(), *filter(None, [missing()])]
    for note in notes:
        print(note, file=sys.stderr)
    questions = Questions()
    for name in arguments.names or MEASUREMENTS:
        began = perf_counter()
        measure(name, arguments.runs, questions)
        print(f"{name}: {perf_counter() - began:.0f} s", file=sys.stderr)
    for lost in questions.lost:
        print(lost, file=sys.stderr)
    notes += questions.lost
    figures = Figures(environment.describe(), environment.versions(), notes, arguments.runs, questions)
    from .report.document import text, write

    print(text(figures))
    if arguments.merge:
        figures = read()
        figures.questions.update(questions)
    if (arguments.merge or not arguments.names) and arguments.runs >= ENOUGH:
        save(figures)
        write(figures)
    if questions.lost:
        sys.exit(1)


if __name__ == "__main__":
    main()
