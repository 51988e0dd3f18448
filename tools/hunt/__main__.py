"""Do storms find mutants? `python -m tools.hunt`, or `make hunt SAMPLE=200 SECONDS=20`.

Mutants are drawn at random from core, transports and the server, and each is hunted by storms alone. It is found if a
storm alarms that is calm without it. The same seed draws the same mutants. Outcomes are kept in `.setup/hunt`: a hunt
that was interrupted continues, until the product changes.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests import sections

from . import report, storms
from .drawing import Drawn, count_unreached, draw
from .hunting import Hunted, Kept, command, digest, hunt
from .storms import Storms, Subject

ROOT: Final = Path(__file__).resolve().parents[2]
PRODUCT: Final = ("core", "transports", "adapters")
DOCUMENT: Final = Path("docs/internals/simulation.md")
SECTION: Final = "hunted"

NICE: Final = 5
"""How much a hunt gives way to other processes, at least."""


def examine(sample: Sequence[Drawn], tree: Path, kept: Kept, jobs: int, budget: float, seed: int) -> None:
    """Hunt these mutants, each in a process of its own, `jobs` at a time."""
    waiting, running = list(sample), 0
    while waiting or running:
        while waiting and running < jobs:
            drawn = waiting.pop(0)
            if not os.fork():
                _work(drawn, tree, kept, budget, seed)
            running += 1
        _, status = os.wait()
        running -= 1
        if status:
            raise SystemExit("a hunt has failed")


def _work(drawn: Drawn, tree: Path, kept: Kept, budget: float, seed: int) -> None:
    status = 1
    try:
        hunted = hunt(drawn, tree, budget, seed)
        kept.add(hunted)
        print(f"{hunted.found or 'missed'} [{hunted.place}: {hunted.change}]", file=sys.stderr, flush=True)
        for command in hunted.false:
            print(f"false alarm: {command}", file=sys.stderr, flush=True)
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


def commit(root: Path) -> str:
    """The commit of this project, `?` outside of a repository."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True)
    return done.stdout.strip() or "?"


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.hunt", description="Mutants, hunted by storms alone.")
    parser.add_argument("--sample", type=int, default=200, help="mutants, a third of each ring (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="CPU seconds for each (default %(default)s)")
    parser.add_argument("--seed", type=int, help="draws the mutants and their storms (default: random)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="hunts at a time (default: one per core)")
    parser.add_argument("--again", action="store_true", help="only what the last hunt with this seed has missed")
    parser.add_argument("--so-far", action="store_true", help="hunt nothing more: tell the outcomes that are known")
    parser.add_argument("--write", action="store_true", help=f"update the tables in {DOCUMENT.name}")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout of this project")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parser()
    arguments = options.parse_args(argv)
    if arguments.again and arguments.seed is None:
        options.error("--again needs --seed: that of the hunt whose misses are hunted again")
    root: Path = arguments.root
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}, commit {commit(root)}", file=sys.stderr, flush=True)
    folder = root / ".setup" / "hunt"
    file = folder / f"{seed}-{arguments.seconds:g}-{digest(root, PRODUCT)}.jsonl"
    sample, passed = draw(root, arguments.sample, seed)
    if arguments.again:
        others = [each for each in folder.glob(f"{seed}-*.jsonl") if each != file]
        if not others:
            raise SystemExit(f"there is no earlier hunt with the seed {seed}")
        earlier = max(others, key=lambda each: each.stat().st_mtime)
        found = {key for key, hunted in Kept(earlier).all().items() if hunted.found is not None}
        sample = [each for each in sample if each.key not in found]
    os.nice(max(NICE - os.nice(0), 0))
    kept = Kept(file)
    known = kept.all()
    if arguments.so_far:
        sample = [each for each in sample if each.key in known]
    storms.prepare()
    with TemporaryDirectory() as temporary:
        tree = Path(temporary).resolve()
        for name in PRODUCT:
            shutil.copytree(root / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        left = [each for each in sample if each.key not in known]
        clean = storms.run(Subject(tree), seed, 0.0) if left else Storms()
        if clean.alarm is not None:
            raise SystemExit(f"the product alarms without a mutant: {clean.alarm} ({command(clean)})")
        examine(left, tree, kept, arguments.jobs, arguments.seconds, seed)
    outcomes: list[Hunted] = [kept.all()[each.key] for each in sample]
    print(
        "\n".join(
            [*report.scores(outcomes, passed), "", *report.kinds(outcomes), "", "missed:", *report.missed(outcomes)]
        )
    )
    if arguments.write:
        part = f", the first {len(sample)}" if arguments.so_far else ""
        about = (
            f"{date.today().isoformat()}, commit {commit(root)}: `python -m tools.hunt --seed {seed} "
            f"--sample {arguments.sample} --seconds {arguments.seconds:g}`{part}"
        )
        sections.write(root / DOCUMENT, SECTION, report.section(outcomes, passed, count_unreached(root), about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
