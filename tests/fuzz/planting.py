"""A copy of the product with one bug in it: the proof that a target can find."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.fuzz.session import ROOT
from tests.fuzz.target import Planted


def plant(bug: Planted, folder: Path) -> Path:
    """Copy the three rings into `folder`, with the bug. Raises ValueError where the code that it changes is not there,
    or there twice."""
    for ring in ("core", "transports", "adapters"):
        shutil.copytree(ROOT / ring, folder / ring, ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / bug.file
    text = file.read_text()
    if text.count(bug.before) != 1:
        raise ValueError(f"{bug.file} has {bug.before!r} {text.count(bug.before)} times: it must be there once")
    file.write_text(text.replace(bug.before, bug.after))
    return folder
