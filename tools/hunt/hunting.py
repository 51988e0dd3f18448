"""One hunt: storms for a mutant, and the same storms without it. Its outcome, and where outcomes are kept."""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final

from msgspec import Struct
from msgspec.json import Decoder, encode

from . import storms
from .drawing import Drawn
from .storms import Storms, Subject

COMMAND: Final = "python -m posthouse.adapters.simulation"


class Hunted(Struct, frozen=True):
    """The outcome for the mutant with this key. `found` is the sentence of the alarm, None if it was missed.

    `false`: commands of storms that alarm without the mutant, too, and so do not count.
    """

    key: str
    ring: str
    folder: str
    kind: str
    place: str
    change: str
    found: str | None
    storms: int
    took: float
    repeat: str = ""
    false: tuple[str, ...] = ()


def hunt(drawn: Drawn, tree: Path, budget: float, seed: int) -> Hunted:
    """Hunt a mutant with storms for `budget` CPU seconds. Their seeds follow from `seed` and the mutant."""
    subject, clean = Subject(tree, drawn.module, drawn.mutant), Subject(tree)
    first = Random(f"{seed} {drawn.key}").randrange(1 << 40)
    false: list[str] = []
    ran, took = 0, 0.0
    found, repeat = None, ""
    while took < budget:
        outcome = storms.run(subject, first + ran, budget - took)
        ran, took = ran + max(outcome.storms, 1), took + outcome.took
        if outcome.alarm is None:
            break
        if storms.repeat(clean, outcome).alarm is None:
            found, repeat = outcome.alarm, command(outcome)
            break
        false.append(command(outcome))
    module, mutant = drawn.module, drawn.mutant
    place = f"{module.name}.py:{mutant.line}"
    about = (drawn.key, module.ring, module.folder, drawn.kind, place, mutant.change)
    return Hunted(*about, found, ran, round(took, 1), repeat, tuple(false))


def command(storm: Storms) -> str:
    """How to run this storm again."""
    return f"{COMMAND} --first {storm.seed} --seeds 1 --seconds {storm.seconds:g}"


class Kept:
    """Outcomes in a file, one in each line. Each is written when it is known, so that an interruption loses nothing."""

    def __init__(self, file: Path) -> None:
        self._file: Final = file

    def add(self, hunted: Hunted) -> None:
        """Keep one more. Several processes may do so at once."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, encode(hunted) + b"\n")
        finally:
            os.close(descriptor)

    def all(self) -> dict[str, Hunted]:
        """The latest outcome of each mutant, by its key."""
        lines = self._file.read_bytes().splitlines() if self._file.exists() else []
        decoder = Decoder(Hunted)
        return {hunted.key: hunted for hunted in map(decoder.decode, lines)}


def digest(root: Path, folders: Iterable[str]) -> str:
    """A name for the product as it is: outcomes hold as long as it does not change."""
    files = sorted(file for folder in folders for file in (root / folder).rglob("*.py"))
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
