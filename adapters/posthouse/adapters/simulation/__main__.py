"""`python -m posthouse.adapters.simulation` or `make simulate`: many storms, on every core.

Exit codes: 0 if no storm failed, 1 if some failed, 2 for an invalid command line.
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

from posthouse.adapters.simulation.storms.failures import COMMAND, Failed, attempt
from posthouse.adapters.simulation.storms.narrowing import Part
from posthouse.adapters.simulation.storms.storm import StormReport

AHEAD = 4
"""The number of storms that each worker process gets in advance."""

MAX_FAILURES = 10
"""The command stops after this many failures."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parser()
    arguments = options.parse_args(argv)
    if arguments.traces and arguments.jobs != 1:
        options.error("--traces needs --jobs 1: traces are printed in the order of the seeds")
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
    part = Part(arguments.clients, arguments.quiet_server, arguments.trio)
    run = partial(attempt, seconds=arguments.seconds, folder=arguments.journals, part=part)
    for outcome in outcomes(seeds, run, arguments.jobs, arguments.minutes):
        bar.update()
        storms += 1
        if isinstance(outcome, Failed):
            failures.append(outcome)
            bar.write(str(outcome))
            if len(failures) == MAX_FAILURES:
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
    """The parser of the command line."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Test the gateway with random storms.")
    parser.add_argument("--seeds", type=positive, default=1000, help="number of storms (default %(default)s)")
    parser.add_argument("--first", type=int, help="first seed; the others follow it (default: random)")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="simulated length of each storm (default %(default)s)"
    )
    parser.add_argument("--minutes", type=float, help="start no more storms after this time (default: no limit)")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count(), help="processes (default: one per core)")
    parser.add_argument(
        "--journals",
        type=Path,
        default=Path("journals"),
        help="folder for journals of failures (default %(default)s)",
    )
    parser.add_argument(
        "--traces",
        action="store_true",
        help="print a hash of everything each server did, equal on every machine (needs --jobs 1)",
    )
    parser.add_argument("--clients", type=numbers, metavar="N,N", help="only these clients act (none: no client acts)")
    parser.add_argument("--quiet-server", action="store_true", help="no faults or pushes of the server")
    parser.add_argument("--trio", action="store_true", help="run the server on trio instead of asyncio")
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")
    return parser


def positive(text: str) -> int:
    """An integer of 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def numbers(text: str) -> tuple[int, ...]:
    """The integers of a list, or no integer for `none`."""
    return () if text == "none" else tuple(map(int, text.split(",")))


def outcomes(
    seeds: Iterator[int], run: Callable[[int], StormReport | Failed], jobs: int, minutes: float | None
) -> Iterator[StormReport | Failed]:
    """The outcome of each storm, in the order in which they end."""
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
