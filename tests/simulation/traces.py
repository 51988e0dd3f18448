"""Do equal seeds make equal storms, in several processes and several versions of Python?

    python -m tests.simulation.traces [PYTHON ...] [--first 1] [--seeds 20] [--seconds 5] [--trio]

It runs the same storms in two processes of this interpreter and in one of each other interpreter, each with another
PYTHONHASHSEED, and compares what the servers did. Each interpreter needs the packages of `pip install
'posthouse[simulation]'`; Posthouse itself comes from this folder. Exit code: 1 if storms differ.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PATHS: Final = os.pathsep.join(str(ROOT / ring) for ring in ("core", "transports", "adapters"))


def traces(
    python: str, hash_seed: int, first: int, seeds: int, seconds: float, *, trio: bool = False
) -> dict[int, str]:
    """The hash of each storm, by its seed, in a process of this interpreter. Raises RuntimeError if it fails."""
    command = [python, "-m", "posthouse.adapters.simulation", "--quiet", "--traces", "--jobs", "1"]
    command += ["--trio"] if trio else []
    given = ["--first", str(first), "--seeds", str(seeds), "--seconds", str(seconds)]
    paths = os.pathsep.join(filter(None, (PATHS, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": paths}
    done = subprocess.run([*command, *given], env=environment, capture_output=True, text=True)
    words = [line.split() for line in done.stdout.splitlines() + done.stderr.splitlines()]
    found = {int(line[0]): line[1] for line in words if len(line) == 2 and line[0].isdigit()}
    if done.returncode or len(found) != seeds:
        raise RuntimeError(f"{python} does not run the storms:\n{done.stdout}{done.stderr}")
    return found


def differences(pythons: Sequence[str], first: int, seeds: int, seconds: float, *, trio: bool = False) -> list[str]:
    """A line for each storm that is not the same in all of these interpreters."""
    runs = [
        (python, traces(python, hash_seed, first, seeds, seconds, trio=trio))
        for hash_seed, python in enumerate(pythons, start=first)
    ]
    return [
        f"seed {seed} differs: {', '.join(f'{found[seed]} ({python})' for python, found in runs)}"
        for seed in range(first, first + seeds)
        if len({found[seed] for _, found in runs}) > 1
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.traces", description="Compare equal storms.")
    parser.add_argument("pythons", nargs="*", metavar="PYTHON", help="other interpreters")
    parser.add_argument("--first", type=int, default=1, help="first seed (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=20, help="number of storms (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each storm (default %(default)s)")
    parser.add_argument("--trio", action="store_true", help="run the servers on trio")
    arguments = parser.parse_args(argv)
    pythons = [sys.executable, sys.executable, *arguments.pythons]
    different = differences(pythons, arguments.first, arguments.seeds, arguments.seconds, trio=arguments.trio)
    sys.stdout.write("\n".join([*different, f"{arguments.seeds} storms, {len(different)} differ"]) + "\n")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
