"""What is left of a storm that failed: what it was made of, one line that repeats it, and a journal that shows it.

The storm is run again with a journal. Where the journal fails by itself, without world and simulator, it is shrunk to
the few inputs without which it would not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from posthouse.adapters.invariants import Violation
from posthouse.adapters.journal import Journal, read, replay, shrink
from posthouse.core.service import Service

from .stage import service as stage
from .storm import Acts, Calm, Storm
from .watched import Watched

COMMAND: Final = "python -m posthouse.adapters.simulation"
STAGE: Final = "posthouse.adapters.simulation.stage:service"


class Failed(Struct, frozen=True):
    """A storm that failed. `why` is what was seen, `sentence` what does not hold; `made_of` is its make-up.

    `journal` is where the journal is, None where none was asked for; `entries` of `recorded` inputs are left in it;
    `replays`: it fails without the simulator too."""

    seed: int
    seconds: float
    sentence: str
    why: str
    made_of: str
    now: float
    steps: int
    journal: str | None = None
    entries: int = 0
    recorded: int = 0
    replays: bool = False

    @property
    def repeat(self) -> str:
        """The command that runs it again, where it was over the stage."""
        return f"{COMMAND} --first {self.seed} --seeds 1 --seconds {self.seconds:g}"

    def __str__(self) -> str:
        """For people."""
        lines = [
            f"seed {self.seed} failed at {self.now:.3f} s, step {self.steps}: {self.why}",
            f"  made of: {self.made_of}",
            f"  repeat:  {self.repeat}",
        ]
        if self.journal is not None:
            what = f"{self.entries} of {self.recorded} inputs"
            how = "fails by itself" if self.replays else "shows what happened; only the simulator sees what is wrong"
            lines.append(f"  journal: {self.journal} ({what}; {how})")
            lines.append(f"  look:    posthouse replay {self.journal} {STAGE} --check")
        return "\n".join(lines)


def attempt(
    seed: int,
    seconds: float,
    folder: Path | None = None,
    *,
    service: Service | None = None,
    acts: Acts | None = None,
) -> Calm | Failed:
    """Run one storm, over the stage or over a service of one's own. When it fails, a journal of its end is left in
    `folder`, shrunk where that can be."""
    storm = Storm(seed, service=service, acts=acts)
    try:
        return storm.run(seconds)
    except Exception as error:
        failed = Failed(
            seed,
            seconds,
            error.sentence if isinstance(error, Violation) else type(error).__name__,
            f"{type(error).__name__}: {error}",
            str(storm.swarm),
            storm.world.now,
            storm.world.steps,
        )
    return failed if folder is None else leave_journal(failed, folder, service, acts)


def leave_journal(failed: Failed, folder: Path, service: Service | None, acts: Acts | None) -> Failed:
    """Run it again with a journal, and keep that of the server's last life."""
    lives: dict[int, list[bytes]] = {}
    storm = Storm(
        failed.seed,
        service=service,
        acts=acts,
        journal=lambda life, line: lives.setdefault(life, []).append(line),
    )
    try:
        storm.run(failed.seconds)
    except Exception:
        journal = read(lives[max(lives)])
    else:
        return replace(failed, why=f"{failed.why} (and then it did not fail: it is no function of its seed alone)")
    shrunk = shrunk_journal(journal, stage if service is None else service)
    left = journal if shrunk is None else shrunk
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"seed-{failed.seed}.journal"
    path.write_bytes(b"".join(left.lines()))
    return replace(
        failed,
        journal=str(path),
        entries=len(left.entries),
        recorded=len(journal.entries),
        replays=shrunk is not None,
    )


def shrunk_journal(journal: Journal, service: Service) -> Journal | None:
    """The few inputs without which it would not fail in the same way. None: it does not fail by itself."""
    if replay(journal, service, check=True, gateway=Watched).failure is None:
        return None
    return shrink(journal, service, gateway=Watched)
