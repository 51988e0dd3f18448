"""What became of each mutant, module by module, and where it is kept between runs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import Final

from .trial import Subject

RINGS: Final = ("core", "transports")

SERVER: Final = ("handlers", "loop", "server", "system")
"""The folders of adapters that run in a server. The other folders are not mutated."""

OTHERS: Final = ("tests/abuse/test_*.py", "tests/transports/test_switchboard_machine.py")
"""Beside the tests that import a module themselves, these may notice what its own tests do not."""


class Outcome(Enum):
    """What the tests said of a mutant."""

    KILLED = "killed"
    LATE = "late"  # it was stopped at the limit of time
    ELSEWHERE = "elsewhere"  # its own tests passed; others did not
    PASSED = "passed"  # its own tests passed; no others were asked
    SURVIVED = "survived"

    @property
    def alive(self) -> bool:
        """Did nobody notice it?"""
        return self in (Outcome.PASSED, Outcome.SURVIVED)


@dataclass(eq=False)
class Module:
    """One module and the outcomes of its mutants by their keys. `name` is its path in its ring: `connections/flow`."""

    root: Path
    ring: str
    name: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.ring}/{self.name}"

    @property
    def file(self) -> Path:
        """Its source."""
        return self.root / self.ring / "posthouse" / self.ring / f"{self.name}.py"

    @property
    def imported(self) -> str:
        """What it is called in an import."""
        return f"posthouse.{self.ring}.{self.name.replace('/', '.')}"

    @property
    def own(self) -> Path:
        """Its own test file."""
        folder, _, stem = self.name.rpartition("/")
        return self.root / "tests" / self.ring / folder / f"test_{stem}.py"

    def others(self) -> list[str]:
        """The test files beside its own that are asked about a survivor."""
        rings = RINGS if self.ring in RINGS else (self.ring,)
        files = [file for ring in rings for file in sorted((self.root / "tests" / ring).rglob("test_*.py"))]
        naming = re.compile(rf"\b{re.escape(self.imported)}\b")
        chosen = [file for file in files if naming.search(file.read_text())]
        chosen += [file for pattern in OTHERS for file in sorted(self.root.glob(pattern)) if file not in chosen]
        return [str(file.relative_to(self.root)) for file in chosen if file != self.own]

    def subject(self, copy: Path) -> Subject:
        """What a trial has to know of it, in a copy of the project."""
        own = str(self.own.relative_to(self.root))
        file = copy / self.file.relative_to(self.root)
        return Subject(copy, self.imported, file, own, tuple(self.others()), loops=self.ring not in RINGS)

    @property
    def killed(self) -> int:
        """How many mutants were noticed."""
        return sum(not outcome.alive for outcome in self.outcomes.values())

    # Kept between runs

    def _digests(self) -> dict[str, str]:
        """Of the module, and of its tests with what they share."""
        folder = self.root / "tests" / self.ring
        shared = [file for file in sorted(folder.rglob("*.py")) if not file.name.startswith("test_")]
        sources = {"module": [self.file], "tests": [self.own, *shared]}
        return {
            name: sha256(b"".join(file.read_bytes() for file in files)).hexdigest() for name, files in sources.items()
        }

    def load(self, folder: Path, *, survivors: bool) -> None:
        """Take up what was found before, if it holds still. `survivors`: whatever became of the tests since."""
        kept = folder / self.ring / f"{self.name}.json"
        if not kept.exists():
            return
        found = json.loads(kept.read_text())
        digests = self._digests()
        if found["module"] != digests["module"] or (found["tests"] != digests["tests"] and not survivors):
            return
        self.outcomes = {key: Outcome(outcome) for key, outcome in found["outcomes"].items()}

    def save(self, folder: Path) -> None:
        """Keep what is known now."""
        kept = folder / self.ring / f"{self.name}.json"
        kept.parent.mkdir(parents=True, exist_ok=True)
        found = {**self._digests(), "outcomes": {key: outcome.value for key, outcome in self.outcomes.items()}}
        kept.write_text(json.dumps(found, indent=1))


def find_modules(root: Path, names: list[str]) -> list[Module]:
    """The modules of these names (`flow`, `connections/flow` or `core/connections/flow`) and of these folders
    (`adapters/loop`), or all: both rings, and the server's code."""
    rings = [(ring, root / ring / "posthouse" / ring) for ring in (*RINGS, "adapters")]
    modules = [
        Module(root, ring, file.relative_to(folder).with_suffix("").as_posix())
        for ring, folder in rings
        for file in sorted(folder.rglob("*.py"))
        if file.stem != "__init__" and (ring in RINGS or file.relative_to(folder).parts[0] in SERVER)
    ]
    chosen = [
        [module for module in modules if f"/{module}".endswith(f"/{name}") or f"{module}".startswith(f"{name}/")]
        for name in names
    ]
    for name, found in zip(names, chosen, strict=True):
        if not found:
            raise SystemExit(f"there is no module {name!r} in {', '.join(RINGS)} or the server")
    return [module for module in modules if not names or any(module in found for found in chosen)]
