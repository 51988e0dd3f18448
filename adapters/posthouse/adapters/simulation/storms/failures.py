"""Runs one storm, and reports one that fails: its scenario, a command that repeats it, and a journal.

A failed storm is run again with a journal. If the journal fails by itself, without the simulator, it is shrunk to the
few inputs that it needs. If only the simulator sees the failure, the storm is made smaller instead.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from logging import INFO
from pathlib import Path
from traceback import walk_tb
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from posthouse.adapters.invariants import Violation
from posthouse.adapters.invariants.logbook import Logbook
from posthouse.adapters.journal import Journal
from posthouse.adapters.simulation.journals import Journals, SavedJournal, save, shrunk
from posthouse.core.service.service import Service
from posthouse.core.values.peers import Identity

from .narrowing import Narrowing, Part
from .service import service as sample_service
from .storm import IDENTITIES, Storm, StormReport, Workload

COMMAND: Final = "python -m posthouse.adapters.simulation"
logger: Final = logging.getLogger("posthouse")

SAMPLE_SERVICE: Final = "posthouse.adapters.simulation.storms.service:service"

MakeStorm = Callable[..., Storm]
"""Makes a storm from a seed, a `part` and a `journal`."""


class Run(Struct, frozen=True):
    """What identifies a run of a storm. `sample`: its service is the sample service, and not one of the user's."""

    seed: int | str
    seconds: float
    part: Part = Part()
    sample: bool = True

    @property
    def repeat(self) -> str:
        """How to run it again: a command, or for a user's own service an expression in Python."""
        part = self.part
        if not self.sample:
            return f"attempt({self.seed!r}, {self.seconds:g}, service=…, workload=…, part={part!r})"
        words = [COMMAND, f"--first {self.seed} --seeds 1 --seconds {self.seconds:g}"]
        if part.clients is not None:
            words.append(f"--clients {','.join(map(str, part.clients)) or 'none'}")
        if part.quiet_server:
            words.append("--quiet-server")
        if part.trio:
            words.append("--trio")
        return " ".join(words)


class Error(Struct, frozen=True):
    """The exception that ended a storm, in the words of `text`. `sentence` is that of a Violation, else the name of the
    exception's type; then `place` is the line that raised it. `now` and `steps` say when it was raised."""

    sentence: str
    text: str
    now: float
    steps: int
    place: str = ""


class Failed(Struct, frozen=True):
    """A storm that failed. `journal` is None if none was asked for, or if the storm did not fail again."""

    run: Run
    error: Error
    scenario: str
    journal: SavedJournal | None = None

    def __str__(self) -> str:
        """Several lines for a person."""
        run, error = self.run, self.error
        lines = [
            f"seed {run.seed} failed at {error.now:.3f} s, step {error.steps}: {error.text}",
            f"  scenario: {self.scenario}",
            f"  repeat:  {run.repeat}",
        ]
        if self.journal is not None:
            lines += self.journal.lines(SAMPLE_SERVICE if run.sample else "MODULE:SERVICE")
        return "\n".join(lines)


def attempt(
    seed: int | str,
    seconds: float,
    folder: str | os.PathLike[str] | None = None,
    *,
    service: Service | None = None,
    workload: Workload | None = None,
    identities: Sequence[Identity | None] = IDENTITIES,
    part: Part = Part(),
) -> StormReport | Failed:
    """Run one storm, over the sample service or over your own with its `workload`.

    If it fails, a journal of its last process is saved in `folder`: shrunk if it fails by itself, else of a smaller
    storm that fails in the same way.
    """
    make = partial(Storm, service=service, workload=workload, identities=identities)
    outcome = _run(make, Run(seed, seconds, part, service is None))
    if not isinstance(outcome, Failed) or folder is None:
        return outcome
    return leave_journal(outcome, folder, make, sample_service if service is None else service)


def _run(make: MakeStorm, run: Run, journals: Journals | None = None) -> StormReport | Failed:
    with kept_log() as logbook:
        storm = make(run.seed, part=run.part, journal=None if journals is None else journals.add)
        try:
            report = storm.run(run.seconds)
            logbook.check()
            return report
        except Exception as error:
            kind, world = type(error).__name__, storm.world
            sentence, place = (error.sentence, "") if isinstance(error, Violation) else (kind, _place(error))
            return Failed(run, Error(sentence, f"{kind}: {error}", world.now, world.steps, place), str(storm.scenario))


@contextmanager
def kept_log() -> Iterator[Logbook]:
    """Give the lines of the log to a logbook, and to nobody else: there are thousands in a storm."""
    level, handlers, propagate = logger.level, logger.handlers, logger.propagate
    logbook = Logbook()
    logger.setLevel(INFO)
    logger.handlers, logger.propagate = [logbook], False
    try:
        yield logbook
    finally:
        logger.setLevel(level)
        logger.handlers, logger.propagate = handlers, propagate


def _place(error: Exception) -> str:
    """The file and line that raised this exception."""
    *_, innermost = walk_tb(error.__traceback__)
    frame, line = innermost
    return f"{Path(frame.f_code.co_filename).name}:{line}"


def leave_journal(
    failed: Failed, folder: str | os.PathLike[str], make: MakeStorm = Storm, service: Service = sample_service
) -> Failed:
    """Run a failed storm again and save the journal of its last process, as small as possible."""
    journal = _record(make, failed.run)
    if journal is None:
        text = f"{failed.error.text} (but it did not fail again: it depends on more than its seed)"
        return replace(failed, error=replace(failed.error, text=text))
    left = shrunk(journal, service)
    replays = left is not None
    if left is None:
        smaller = narrowed(make, failed)
        left = _record(make, smaller.run) or journal
        if len(left.entries) < len(journal.entries):
            failed = smaller
        else:
            left = journal  # the smaller storm has a longer last process
    name = f"seed-{failed.run.seed}"
    return replace(failed, journal=save(left, folder, name, recorded=len(journal.entries), replays=replays))


def _record(make: MakeStorm, run: Run) -> Journal | None:
    """Run a storm again and return the journal of its last process, or None if it does not fail again."""
    journals = Journals()
    return journals.last() if isinstance(_run(make, run, journals), Failed) else None


def narrowed(make: MakeStorm, failed: Failed) -> Failed:
    """The same failure in the smallest part of the storm that was found to have it."""
    smallest = failed

    def fails(seconds: float, part: Part) -> bool:
        nonlocal smallest
        outcome = _run(make, replace(failed.run, seconds=seconds, part=part))
        if not isinstance(outcome, Failed):
            return False
        if (outcome.error.sentence, outcome.error.place) != (failed.error.sentence, failed.error.place):
            return False
        smallest = outcome
        return True

    run = failed.run
    clients = run.part.clients
    if clients is None:
        clients = tuple(range(make(run.seed).scenario.clients.count))
    Narrowing(run.seconds, replace(run.part, clients=clients), fails).narrow()
    return smallest
