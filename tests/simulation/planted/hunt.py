"""Run storms from a first seed on until one fails or the time is over.

    python -m tests.simulation.planted.hunt FIRST SECONDS TREE

It runs in a process of its own and prints one line of JSON, `Hunted`. It verifies that every module of the product
comes from the copy in TREE: a hunt in the unchanged product would find nothing.
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
from posthouse.adapters.simulation.storms.failures import COMMAND, leave_journal

STORM: Final = 20.0
"""The simulated length of each storm: that of `make simulate`."""


class Hunted(Struct, frozen=True):
    """The outcome. `found` is the sentence of the failure, or None; it took `storms` and `took` CPU seconds.

    The journal has `entries` of `recorded` inputs after `shrinking` seconds. `replays`: it fails without the simulator.
    `repeat` is a command that runs the storm again. `false` has the commands of storms that fail without the bug, too.
    """

    storms: int
    took: float
    found: str | None = None
    seed: int | str = 0
    entries: int = 0
    recorded: int = 0
    replays: bool = False
    shrinking: float = 0.0
    repeat: str = ""
    false: list[str] = []


def hunt(first: int, seconds: float, tree: Path) -> Hunted:
    """Run storms from the seed `first` on, for these CPU seconds. The journal of a storm that fails is saved in
    `tree`."""
    began = process_time()
    for storms in count(1):
        outcome = attempt(first + storms - 1, STORM)
        took = process_time() - began
        if isinstance(outcome, Failed):
            left = leave_journal(outcome, tree)
            # The name of an exception says less than its text.
            found = outcome.error.sentence if ": " in outcome.error.sentence else outcome.error.text
            shrinking = process_time() - began - took
            journal = left.journal
            if journal is None:
                raise AssertionError(left.error.text)
            seed = outcome.run.seed
            repeat = f"{COMMAND} --first {seed} --seeds 1 --seconds {STORM:g}"
            sizes = (journal.entries, journal.recorded, journal.replays)
            return Hunted(storms, took, found, seed, *sizes, shrinking, repeat)
        if took > seconds:
            return Hunted(storms, took)
    raise AssertionError("seeds do not end")


def strays(tree: Path) -> list[str]:
    """The modules of the product that do not come from `tree`."""
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    ours = {name: file for name, file in files.items() if name.startswith("posthouse.") and file is not None}
    return sorted(name for name, file in ours.items() if not Path(file).is_relative_to(tree))


def main(argv: list[str]) -> int:
    """Hunt, and print the outcome."""
    first, seconds, tree = int(argv[0]), float(argv[1]), Path(argv[2]).resolve()
    hunted = hunt(first, seconds, tree)
    if found := strays(tree):
        sys.stderr.write(f"these modules do not come from {tree}: {', '.join(found)}\n")
        return 2
    sys.stdout.write(f"{encode(hunted).decode()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
