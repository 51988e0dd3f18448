"""One hunt, in a process of its own: storms from a first seed on, until one fails or the time is over.

    python -m tests.simulation.planted.hunt FIRST SECONDS TREE

Prints one line of JSON, `Hunted`. It makes sure that what it runs is the copy in TREE and nothing else: a hunt through
the product as it is would find nothing and say so of the patch.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path
from time import process_time
from typing import Final

from msgspec import Struct
from msgspec.json import encode
from posthouse.adapters.simulation import Failed, attempt
from posthouse.adapters.simulation.storms.failing import leave_journal

STORM: Final = 20.0
"""Seconds that each storm rages, simulated: those of `make simulate`."""


class Hunted(Struct, frozen=True):
    """What came of it. `found` is what was seen, or None; `storms` were needed for it, and `took` seconds of a core.

    Of the `recorded` inputs of its journal `entries` are left after `shrinking` seconds; `replays`: they fail alone."""

    storms: int
    took: float
    found: str | None = None
    seed: int | str = 0
    entries: int = 0
    recorded: int = 0
    replays: bool = False
    shrinking: float = 0.0


def hunt(first: int, seconds: float, tree: Path) -> Hunted:
    """Storms of the seeds from `first` on, for so many seconds of a core. What is left of the journal of one that fails
    is put into `tree`."""
    began = process_time()
    for storms in count(1):
        outcome = attempt(first + storms - 1, STORM)
        took = process_time() - began
        if isinstance(outcome, Failed):
            left = leave_journal(outcome, tree)
            # An exception says less by its name than by its words.
            found = outcome.sentence if ": " in outcome.sentence else outcome.why
            shrinking = process_time() - began - took
            return Hunted(storms, took, found, outcome.seed, left.entries, left.recorded, left.replays, shrinking)
        if took > seconds:
            return Hunted(storms, took)
    raise AssertionError("seeds do not end")


def strays(tree: Path) -> list[str]:
    """The modules of the product that do not come from `tree`."""
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    ours = {name: file for name, file in files.items() if name.startswith("posthouse.") and file is not None}
    return sorted(name for name, file in ours.items() if not Path(file).is_relative_to(tree))


def main(argv: list[str]) -> int:
    """Hunt, and print what came of it."""
    first, seconds, tree = int(argv[0]), float(argv[1]), Path(argv[2]).resolve()
    hunted = hunt(first, seconds, tree)
    if found := strays(tree):
        sys.stderr.write(f"these modules do not come from {tree}: {', '.join(found)}\n")
        return 2
    sys.stdout.write(f"{encode(hunted).decode()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
