"""Write `scenes.json` anew, with the course of each scene as it is now: `python -m tests.simulation.scenes`.

Read the difference before you commit it: each line of it is seen by clients, or by operators.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec.json import encode, format
from posthouse.adapters.simulation.storms.scenes import repertoire
from posthouse.adapters.simulation.storms.scenes.repertoire import perform
from posthouse.adapters.simulation.storms.scenes.scene import SCENES

FILE: Final = Path(repertoire.__file__).with_name("scenes.json")


def written(known: dict[str, list[str]]) -> bytes:
    """The file: one line for each line of a scene."""
    return format(encode(known), indent=1) + b"\n"


if __name__ == "__main__":
    FILE.write_bytes(written({name: perform(name).lines for name in SCENES}))
