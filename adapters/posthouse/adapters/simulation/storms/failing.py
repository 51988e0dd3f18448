"""What is left of a storm that failed: what it was made of, one line that repeats it, and a journal that shows it.

The storm is run again with a journal. Where the journal fails by itself, without world and simulator, it is shrunk to
the few inputs without which it would not. Where only the world sees what is wrong, the storm is made smaller instead.
Of a world that is no storm the journal alone is left, shrunk where it fails by itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from traceback import walk_tb
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from posthouse.adapters.invariants import Violation
from posthouse.adapters.journal import Journal, read, replay, shrink
from posthouse.adapters.simulation.watched import Watched
from posthouse.core.service.service import Service
from posthouse.core.values.peers import Identity

from .narrowing import Narrowing
from .stage import service as stage
from .storm import IDENTITIES, Acts, Part, Storm, StormReport

COMMAND: Final = "python -m posthouse.adapters.simulation"
Make = Callable[..., Storm]
"""Makes a storm of a seed, a `part` and a `journal`."""

Keep = Callable[[int, bytes], object]
"""Keeps a line of the journal of one of the server's lives."""

OTHER: Final = re.compile(r"[^\w.-]+")
"""What the name of a file does without."""

Lives = dict[int, list[bytes]]
"""The lines of the journals of the server's lives, by their numbers."""

STAGE: Final = "posthouse.adapters.simulation.storms.stage:service"


class Failed(Struct, frozen=True):
    """A storm that failed. `why` is what was seen, `sentence` what does not hold; `made_of` is its make-up; `staged`:
    it was over the stage, and not over somebody's own service.

    `part` is how much of it there was; `place` is where an exception that is no Violation came from. `journal` is where
    the journal is, None where none was asked for; `entries` of `recorded` inputs are left in it; `replays`: it fails
    without the simulator too."""

    seed: int | str
    seconds: float
    sentence: str
    why: str
    made_of: str
    now: float
    steps: int
    part: Part = Part()
    staged: bool = True
    place: str = ""
    journal: str | None = None
    entries: int = 0
    recorded: int = 0
    replays: bool = False

    @property
    def repeat(self) -> str:
        """What runs it again: a command where it was over the stage, else what to say in code."""
        part = self.part
        if not self.staged:
            return f"attempt({self.seed!r}, {self.seconds:g}, service=…, acts=…, part={part!r})"
        words = [COMMAND, f"--first {self.seed} --seeds 1 --seconds {self.seconds:g}"]
        if part.clients is not None:
            words.append(f"--clients {','.join(map(str, part.clients)) or 'none'}")
        if part.spared:
            words.append("--spared")
        return " ".join(words)

    def __str__(self) -> str:
        """For people."""
        lines = [
            f"seed {self.seed} failed at {self.now:.3f} s, step {self.steps}: {self.why}",
            f"  made of: {self.made_of}",
            f"  repeat:  {self.repeat}",
        ]
        if self.journal is not None:
            service = STAGE if self.staged else "MODULE:SERVICE"
            lines += told(self.journal, self.entries, self.recorded, self.replays, service)
        return "\n".join(lines)


def told(journal: str, entries: int, recorded: int, replays: bool, service: str) -> list[str]:
    """Where a journal is, what is in it, and how to look at it."""
    how = "fails by itself" if replays else "only the simulator sees what is wrong"
    return [
        f"  journal: {journal} ({entries} of {recorded} inputs; {how})",
        f"  look:    posthouse replay {journal} {service} --check",
    ]


def attempt(
    seed: int | str,
    seconds: float,
    folder: str | os.PathLike[str] | None = None,
    *,
    service: Service | None = None,
    acts: Acts | None = None,
    identities: Sequence[Identity | None] = IDENTITIES,
    part: Part = Part(),
) -> StormReport | Failed:
    """Run one storm, over the stage or over a service of one's own. When it fails, a journal of its end is left in
    `folder`, shrunk: by itself where it fails by itself, else with the storm."""
    make = partial(Storm, service=service, acts=acts, identities=identities)
    outcome = _run(make, seed, seconds, part)
    if not isinstance(outcome, Failed):
        return outcome
    outcome = replace(outcome, staged=service is None)
    return outcome if folder is None else leave_journal(outcome, folder, make, stage if service is None else service)


def _run(make: Make, seed: int | str, seconds: float, part: Part, journal: Keep | None = None) -> StormReport | Failed:
    storm = make(seed, part=part, journal=journal)
    try:
        return storm.run(seconds)
    except Exception as error:
        return Failed(
            seed,
            seconds,
            error.sentence if isinstance(error, Violation) else type(error).__name__,
            f"{type(error).__name__}: {error}",
            str(storm.swarm),
            storm.world.now,
            storm.world.steps,
            part,
            place="" if isinstance(error, Violation) else _place(error),
        )


def _place(error: Exception) -> str:
    """The line that raised it."""
    *_, innermost = walk_tb(error.__traceback__)
    frame, line = innermost
    return f"{Path(frame.f_code.co_filename).name}:{line}"


def leave_journal(
    failed: Failed, folder: str | os.PathLike[str], make: Make = Storm, service: Service = stage
) -> Failed:
    """Run it again with a journal, and keep what is needed of that of the server's last life."""
    journal = _record(make, failed)
    if journal is None:
        return replace(failed, why=f"{failed.why} (and then it did not fail: it is no function of its seed alone)")
    left = shrunk_journal(journal, service)
    replays = left is not None
    if left is None:
        smaller = narrowed(make, failed)
        left = _record(make, smaller) or journal
        if len(left.entries) < len(journal.entries):
            failed = replace(smaller, staged=failed.staged)
        else:
            left = journal  # of a life that ended sooner
    path = _write(journal_path(folder, f"seed-{failed.seed}"), left)
    return replace(failed, journal=str(path), entries=len(left.entries), recorded=len(journal.entries), replays=replays)


def leave_journal_of_world(lives: Lives, service: Service, path: Path, *, whole: bool) -> list[str]:
    """Keep what is needed of the journal of the server's last life, and say where it is. Where it does not fail by
    itself, all of it is kept if `whole`, or nothing."""
    journal = read(lives[max(lives)])
    shrunk = shrunk_journal(journal, service)
    if shrunk is None and not whole:
        return []
    left = journal if shrunk is None else shrunk
    return told(str(_write(path, left)), len(left.entries), len(journal.entries), shrunk is not None, "MODULE:SERVICE")


def journal_path(folder: str | os.PathLike[str], name: str) -> Path:
    """Where the journal of something of this name is."""
    return Path(folder) / f"{OTHER.sub('-', name)}.journal"


def _write(path: Path, journal: Journal) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(journal.lines()))
    return path


def keeper(lives: Lives) -> Keep:
    """Keeps the lines of each life here."""
    return lambda life, line: lives.setdefault(life, []).append(line)


def _record(make: Make, failed: Failed) -> Journal | None:
    """The journal of the server's last life. None: it did not fail again."""
    lives: Lives = {}
    again = _run(make, failed.seed, failed.seconds, failed.part, keeper(lives))
    return read(lives[max(lives)]) if isinstance(again, Failed) else None


def shrunk_journal(journal: Journal, service: Service) -> Journal | None:
    """The few inputs without which it would not fail in the same way. None: it does not fail by itself."""
    if replay(journal, service, check=True, gateway=Watched).failure is None:
        return None
    return shrink(journal, service, gateway=Watched)


def narrowed(make: Make, failed: Failed) -> Failed:
    """The same failure in the least of the storm that was found to have it."""
    least = failed

    def fails(seconds: float, part: Part) -> bool:
        nonlocal least
        outcome = _run(make, failed.seed, seconds, part)
        if not isinstance(outcome, Failed):
            return False
        if (outcome.sentence, outcome.place) != (failed.sentence, failed.place):
            return False
        least = outcome
        return True

    clients = failed.part.clients
    if clients is None:
        clients = tuple(range(make(failed.seed).swarm.clients))
    Narrowing(failed.seconds, Part(clients, failed.part.spared), fails).narrow()
    return least
