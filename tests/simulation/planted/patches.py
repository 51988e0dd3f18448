"""The patches: what each makes wrong, whether it still applies, and a copy of the product with one of them in it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from msgspec import Struct

ROOT: Final = Path(__file__).parents[3]
RINGS: Final = ("core", "transports", "adapters")


class Patch(Struct, frozen=True):
    """One planted bug. `wrong` says in a sentence what is wrong with it."""

    name: str
    wrong: str
    path: Path


class DoesNotApply(Exception):
    """The product has moved on, and this patch has not."""


def patches() -> dict[str, Patch]:
    """All of them, by name."""
    found = (read(path) for path in sorted(Path(__file__).parent.glob("*.patch")))
    return {patch.name: patch for patch in found}


def read(path: Path) -> Patch:
    """One patch, whose first line says what is wrong with it. Raises ValueError for one that does not say."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    if not first.startswith("# "):
        raise ValueError(f"{path.name} must begin with a line `# ...` that says what is wrong with it")
    return Patch(path.stem, first[2:], path)


def copy(tree: Path) -> None:
    """The product as it is now, into this folder."""
    for ring in RINGS:
        shutil.copytree(ROOT / ring, tree / ring, ignore=shutil.ignore_patterns("__pycache__"))


def apply(patch: Patch, tree: Path, *, check: bool = False) -> None:
    """Put the bug into the copy in `tree`, or with `check` only see that it could be. Raises DoesNotApply."""
    options = ["--check"] if check else []
    # Without an own repository git would look for the one around it, and leave the files alone.
    git = ["git", "--git-dir=/dev/null", "apply", *options, "--verbose", str(patch.path)]
    done = subprocess.run(git, cwd=tree, capture_output=True, text=True)
    if done.returncode != 0:
        raise DoesNotApply(f"{patch.path.name} does not apply to the product as it is now:\n{done.stderr.strip()}")
