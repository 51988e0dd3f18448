"""Declares scenes: each has a name, and is a function that plays on a stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .stage import Stage

Play = Callable[[Stage], object]

SCENES: Final[dict[str, Play]] = {}
"""Every scene, by its name. The modules of `plays` declare them when `repertoire` is imported."""


def scene(name: str) -> Callable[[Play], Play]:
    """Declare a scene: `@scene("a server ends with its last pipe")`."""

    def declare(play: Play) -> Play:
        assert name not in SCENES, name
        SCENES[name] = play
        return play

    return declare
