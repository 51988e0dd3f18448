"""All scenes, and their known course. A storm performs some of them, each on a stage of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final, Protocol, TypeVar

from msgspec import Struct
from msgspec.json import decode
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.storms.catalogue.conversations import CONVERSATIONS, converse
from posthouse.adapters.simulation.storms.episodes.hosted import Hosted
from posthouse.adapters.simulation.storms.episodes.publishing.episode import Publishing
from posthouse.adapters.simulation.storms.episodes.rows import Requests
from posthouse.adapters.simulation.storms.episodes.sessions.sessions import Sessions
from posthouse.adapters.simulation.storms.episodes.users import Users
from posthouse.core.service.service import Service

from .plays import beginnings, callers, declared, ends, handlers, hooks, liars, limits, lives, proxies, turns, values
from .plays.accounts import sessions
from .scene import SCENES
from .stage import Stage
from .stored import kept

MODULES: Final = (
    beginnings,
    callers,
    declared,
    ends,
    handlers,
    hooks,
    liars,
    limits,
    lives,
    proxies,
    turns,
    values,
    sessions,
    kept,
)
"""The modules that declare scenes."""

S = TypeVar("S")

KNOWN: Final[dict[str, list[str]]] = decode(
    Path(__file__).with_name("scenes.json").read_bytes(), type=dict[str, list[str]]
)
"""The lines of each scene, by its name. `python -m tests.simulation.scenes` writes them anew."""


EPISODES: Final[tuple[Callable[[Stream], Episode], ...]] = (Users, Requests, Sessions, Publishing, Hosted)
"""What the storms of a seed play once each: with a gateway or a store alone, and under an ASGI server."""

PARTS: Final = 16
ACTS: Final = 12
"""A storm leads one of so many parts of all conversations, and performs one of so many parts of all scenes."""


class Episode(Protocol):
    """What a storm plays behind its world."""

    def run(self) -> int:
        """Play it. Returns the number of its steps. Raises Violation."""
        ...


class Performed(Struct, frozen=True):
    """A scene that was performed: what was noted, and how many events the world had."""

    lines: list[str]
    events: int


def perform(name: str) -> Performed:
    """Perform this scene."""
    stage = Stage()
    with stage.logged():
        try:
            SCENES[name](stage)
            return Performed(list(stage.lines), stage.events)
        finally:
            stage.close()


def check(name: str) -> int:
    """Perform this scene, whose course must be the known one. Returns the number of its events. Raises Violation."""
    performed = perform(name)
    for seen, known in zip_longest(performed.lines, KNOWN.get(name, [])):
        if seen != known:
            raise Violation("documented: a scene takes another course", name, seen, known)
    return performed.events


def perform_part(seed: object, stream: Stream, service: Service) -> int:
    """Lead some conversations with this service, perform some scenes, and an episode of each kind. Storms whose seeds
    follow each other go through all conversations and scenes. Returns the number of events. Raises Violation."""
    converse(in_turn(CONVERSATIONS, PARTS, seed, stream), stream, service)
    steps = sum(map(check, in_turn(list(SCENES), ACTS, seed, stream)))
    return steps + sum(kind(stream).run() for kind in EPISODES)


def in_turn(all: Sequence[S], parts: int, seed: object, stream: Stream) -> list[S]:
    """One of so many parts of these: that of the seed, if it is a number."""
    place = seed if isinstance(seed, int) else stream.choose(parts)
    return list(all[place % parts :: parts])
