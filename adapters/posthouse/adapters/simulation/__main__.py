"""`python -m posthouse.adapters.simulation`, as `make simulate`: many storms, on every core.

Exits with 0 when none failed, 1 when some did, 2 for a command line that makes no sense.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import partial
from itertools import count, islice
from pathlib import Path
from time import monotonic

from posthouse.adapters.simulation.storms.failing import COMMAND, Failed, attempt
from posthouse.adapters.simulation.storms.storm import Part, StormReport

Run = Callable[[int], StormReport | Failed]

AHEAD = 4
"""So many storms are handed to each process before their outcomes are looked at."""

FAILURES = 10
"""After so many failures there is no more to learn before they are mended."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parser()
    arguments = options.parse_args(argv)
    if arguments.traces and arguments.jobs != 1:
        options.error("--traces are in the order of the seeds: say --jobs 1")
    try:
        from tqdm import tqdm
    except ImportError:
        sys.stderr.write(f"{COMMAND} needs tqdm: pip install 'posthouse[simulation]'\n")
        return 2
    first = secrets.randbelow(1 << 40) if arguments.first is None else arguments.first
    began = monotonic()
    failures: list[Failed] = []
    storms = steps = 0
    simulated = 0.0
    bar = tqdm(total=arguments.seeds, unit=" seeds", disable=arguments.quiet)
    seeds = islice(count(first), arguments.seeds)
    part = Part(arguments.clients, arguments.spared)
    run = partial(attempt, seconds=arguments.seconds, folder=arguments.journals, part=part)
    for outcome in outcomes(seeds, run, arguments.jobs, arguments.minutes):
        bar.update()
        storms += 1
        if isinstance(outcome, Failed):
            failures.append(outcome)
            bar.write(str(outcome))
            if len(failures) == FAILURES:
                break
        else:
            if arguments.traces:
                bar.write(f"{first + storms - 1} {outcome.trace}")
            steps += outcome.steps
            simulated += outcome.simulated
        bar.set_postfix_str(f"{simulated / 3600:.1f} h simulated, {len(failures)} failed")
    bar.close()
    took = max(monotonic() - began, 0.001)
    sys.stdout.write(
        f"{storms} seeds from {first} in {took:.1f} s ({storms / took:.1f} a second): {len(failures)} failed; "
        f"{simulated / 3600:.1f} hours simulated, {steps} steps, {steps / took:.0f} a second\n"
    )
    return 1 if failures else 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Storms over the gateway, each from its seed.")
    parser.add_argument("--seeds", type=positive, default=1000, help="how many storms (default %(default)s)")
    parser.add_argument("--first", type=int, help="the first seed; the others follow it (default: any)")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="how long each rages, simulated (default %(default)s)"
    )
    parser.add_argument("--minutes", type=float, help="begin no more storms after so many minutes (default: no end)")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count(), help="processes (default: one for each core)")
    parser.add_argument(
        "--journals", type=Path, default=Path("journals"), help="where to leave those of failures (default %(default)s)"
    )
    parser.add_argument(
        "--traces",
        action="store_true",
        help="print a hash of all that each server did (with --jobs 1): equal on every machine",
    )
    parser.add_argument("--clients", type=numbers, metavar="N,N", help="only these clients act (none: no client)")
    parser.add_argument("--spared", action="store_true", help="nothing befalls the server, and it says nothing unasked")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def positive(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def numbers(text: str) -> tuple[int, ...]:
    """Some whole numbers, or none."""
    return () if text == "none" else tuple(map(int, text.split(",")))


def outcomes(seeds: Iterator[int], run: Run, jobs: int, minutes: float | None) -> Iterator[StormReport | Failed]:
    """What became of each storm, in the order in which they end."""
    until = None if minutes is None else monotonic() + minutes * 60
    if jobs == 1:
        for seed in seeds:
            if until is not None and monotonic() > until:
                return
            yield run(seed)
        return
    with ProcessPoolExecutor(jobs) as pool:
        running: set[Future[StormReport | Failed]] = set()
        try:
            while True:
                over = until is not None and monotonic() > until
                wanted = 0 if over else jobs * AHEAD - len(running)
                running |= {pool.submit(run, seed) for seed in islice(seeds, wanted)}
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for future in running:
                future.cancel()


if __name__ == "__main__":
    sys.exit(main())
