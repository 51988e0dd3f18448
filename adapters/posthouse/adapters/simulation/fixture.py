"""The pytest fixture `world`: it makes worlds for a test, and settles and finishes each when the test has passed.

In a `conftest.py`:

    pytest_plugins = ["posthouse.adapters.simulation.fixture"]

A test calls `world` with the arguments of `World`. The default seed is the name of the test: it is the same in every
run, and differs for each case of a parametrized test.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest
from posthouse.adapters.invariants import Violation

from .engine import Monitoring
from .journals import Journals, save, shrunk
from .world import MakeWorld, World

FOLDER: Final = "journals"
"""The folder for journals of worlds that failed, in pytest's root directory."""


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[MakeWorld]:
    """Makes worlds: `world(service=…, seed=…, …)`.

    After a test that passed, every call must get an outcome, every client is closed, and the server's tables must be
    empty. A world in which an invariant was violated leaves a journal.
    """
    made: list[tuple[World, Journals]] = []
    failed_before = request.session.testsfailed

    def make(*, seed: int | str = request.node.nodeid, **parts: Any) -> World:
        journals = Journals()
        world = World(seed, **{"monitoring": Monitoring(journal=journals.add), **parts})
        made.append((world, journals))
        return world

    yield make
    passed = request.session.testsfailed == failed_before
    try:
        for world, _ in made:
            if passed and world.failed is None:  # the test expected a failure if there was one
                passed = False
                world.finish()
                passed = True
    finally:
        for number, (world, journals) in enumerate(made):
            world.close()
            if not passed and world.failed is not None:
                name = f"{request.node.name}-{number}"
                lines = _leave_journal(world, journals, str(request.config.rootpath / FOLDER), name)
                sys.stdout.writelines(f"{line}\n" for line in lines)


def _leave_journal(world: World, journals: Journals, folder: str, name: str) -> list[str]:
    """Save the journal of the last process, shrunk if it fails by itself. A journal that does not is saved only if an
    invariant was violated. Returns the lines that say where it is."""
    journal = journals.last()
    small = shrunk(journal, world.service)
    if small is None and not isinstance(world.failed, Violation):
        return []
    left = journal if small is None else small
    saved = save(left, folder, name, recorded=len(journal.entries), replays=small is not None)
    return saved.lines("MODULE:SERVICE")
