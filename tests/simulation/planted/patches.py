"""The patches: what each one breaks, whether it still applies, and a copy of the product with one of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from msgspec import Struct

ROOT: Final = Path(__file__).parents[3]
RINGS: Final = ("core", "transports", "adapters")


class Patch(Struct, frozen=True):
    """One planted bug. `wrong` is a sentence that describes it."""

    name: str
    wrong: str
    path: Path


class DoesNotApply(Exception):
    """The product has changed, and this patch does not apply any more."""


def patches() -> dict[str, Patch]:
    """All patches, by name."""
    found = (read(path) for path in sorted(Path(__file__).parent.glob("*.patch")))
    return {patch.name: patch for patch in found}


def read(path: Path) -> Patch:
    """One patch. Its first line describes the bug. Raises ValueError if it does not."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    if not first.startswith("# "):
        raise ValueError(f"{path.name} must begin with a line `# ...` that says what is wrong with it")
    return Patch(path.stem, first[2:], path)


def copy(tree: Path) -> None:
    """Copy the product into this folder."""
    for ring in RINGS:
        shutil.copytree(ROOT / ring, tree / ring, ignore=shutil.ignore_patterns("__pycache__"))


def apply(patch: Patch, tree: Path, *, check: bool = False) -> None:
    """Apply the patch to the copy in `tree`; with `check`, only verify that it applies. Raises DoesNotApply."""
    options = ["--check"] if check else []
    # Without this, git would find the surrounding repository and ignore the files.
    git = ["git", "--git-dir=/dev/null", "apply", *options, "--verbose", str(patch.path)]
    done = subprocess.run(git, cwd=tree, capture_output=True, text=True)
    if done.returncode != 0:
        raise DoesNotApply(f"{patch.path.name} does not apply to the product as it is now:\n{done.stderr.strip()}")
