"""Plant each bug in a copy of the product, and measure how soon the simulator finds it.

    python -m tests.simulation.planted [NAME ...] [--seconds 60] [--first SEED] [--write]

Each hunt is a process of its own that runs storms from a random seed on. A storm that fails counts only if the product
without the bug is calm in it; else it is reported as a false alarm, with its command. `--write` (without a name)
updates the table in `docs/internals/simulation.md`. Exit code: 1 if a bug was not found, 2 if a patch does not apply.

To add a bug: change the product, `git diff core transports adapters > tests/simulation/planted/NAME.patch`, write `# `
and a sentence that describes the bug into a line above it, and undo the change. NAME describes the bug, too. A bug that
is not found in time is the most useful one: the workload does not reach it, or the checks do not see it.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec.json import decode
from msgspec.structs import replace

from tests import sections

from .hunt import Hunted
from .patches import RINGS, ROOT, DoesNotApply, Patch, apply, copy, patches

DOCUMENT: Final = ROOT / "docs" / "internals" / "simulation.md"
SECTION: Final = "planted"

PATIENCE: Final = 900.0
"""Seconds after which a hunt is stopped, even on a busy machine."""


def plant(patch: Patch, first: int, seconds: float) -> Hunted:
    """Hunt this bug, each time in a process of its own. A storm counts if the product without the bug is calm in it.
    Raises DoesNotApply, and RuntimeError if a process fails."""
    with TemporaryDirectory() as folder:
        tree, clean = Path(folder).resolve() / "bug", Path(folder).resolve() / "clean"
        copy(tree)
        apply(patch, tree)
        copy(clean)
        false: list[str] = []
        storms, took = 0, 0.0
        while True:
            hunted = _hunted(patch.name, tree, first + storms, seconds - took)
            storms, took = storms + hunted.storms, took + hunted.took
            if hunted.found is None or _hunted(patch.name, clean, int(hunted.seed), 0.0).found is None:
                return replace(hunted, storms=storms, took=took, false=false)
            false.append(hunted.repeat)


def _hunted(name: str, tree: Path, first: int, seconds: float) -> Hunted:
    """Hunt in this copy of the product."""
    paths = os.pathsep.join(str(tree / ring) for ring in RINGS)
    command = [sys.executable, "-m", f"{__package__}.hunt", str(first), str(seconds), str(tree)]
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{name}: the hunt from seed {first} on did not end") from None
    if done.returncode != 0:
        raise RuntimeError(f"{name}: the hunt from seed {first} on broke\n{done.stderr}")
    return decode(done.stdout, type=Hunted)


def row(patch: Patch, hunted: Hunted) -> str:
    """The line of the table for a hunt."""
    if hunted.found is None:
        found, journal = "**not found**", ""
    else:
        found = hunted.found.replace("|", "\\|").partition("\n")[0][:120]
        journal = f"{hunted.entries} of {hunted.recorded:,}{'' if hunted.replays else ', in the world only'}"
    cells = (patch.name.replace("_", " "), patch.wrong, found, hunted.storms, f"{hunted.took:.1f}", journal)
    return f"| {' | '.join(map(str, cells))} |"


HEADINGS: Final = (
    "| bug | what is wrong | found as | storms | seconds | inputs left of its journal |",
    "|---|---|---|---:|---:|---:|",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    known = patches()
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.planted", description="Planted bugs, hunted.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(known)} (default: all)")
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU seconds for each bug (default %(default)s)")
    parser.add_argument("--first", type=int, help="first seed of each hunt (default: random)")
    parser.add_argument("--write", action="store_true", help=f"update the table in {DOCUMENT.name}")
    arguments = parser.parse_args(argv)
    for name in arguments.names:
        if name not in known:
            parser.error(f"there is no bug {name!r}; there are: {', '.join(known)}")
    if arguments.write and arguments.names:
        parser.error("--write is for the whole table: name no bug with it")
    lines = list(HEADINGS)
    missed = 0
    sys.stdout.write("\n".join(HEADINGS) + "\n")
    for patch in [known[name] for name in arguments.names] or list(known.values()):
        first = secrets.randbelow(1 << 40) if arguments.first is None else arguments.first
        try:
            hunted = plant(patch, first, arguments.seconds)
        except DoesNotApply as error:
            sys.stderr.write(f"{error}\n")
            return 2
        for command in hunted.false:
            sys.stderr.write(f"false alarm, also without {patch.name}: {command}\n")
        missed += hunted.found is None
        lines.append(row(patch, hunted))
        sys.stdout.write(f"{lines[-1]}\n")
        sys.stdout.flush()
    if arguments.write:
        sections.write(DOCUMENT, SECTION, "\n".join(lines))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
