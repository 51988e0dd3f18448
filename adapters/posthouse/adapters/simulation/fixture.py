"""The pytest fixture `world`: worlds for a test, each settled and left at its end.

In a `conftest.py`:

    pytest_plugins = ["posthouse.adapters.simulation.fixture"]

A test that asks for `world` calls it with what a `World` is made of. Without a seed the name of the test is one: the
same every time, and another for each case of a parametrized test.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.storms.failing import Lives, journal_path, keeper, leave_journal_of_world

from .world import MakeWorld, World

FOLDER: Final = "journals"
"""Where journals of worlds that failed are left, beside the configuration of pytest."""


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[MakeWorld]:
    """Makes worlds: `world(service=…, seed=…, …)`. When the test is over and has not failed, every call must get its
    outcome, everybody leaves, and the server's tables must be empty. Of a world in which something does not hold that
    must, a journal is left."""
    made: list[tuple[World, Lives]] = []
    failed = request.session.testsfailed

    def make(*, seed: int | str = request.node.nodeid, **parts: Any) -> World:
        lives: Lives = {}
        world = World(seed, **{"journal": keeper(lives), **parts})
        made.append((world, lives))
        return world

    yield make
    passed = request.session.testsfailed == failed
    try:
        for world, _ in made:
            if passed and world.failed is None:  # else the test has expected that
                passed = False
                world.leave()
                passed = True
    finally:
        for number, (world, lives) in enumerate(made):
            world.close()
            if not passed and world.failed is not None and lives:
                path = journal_path(request.config.rootpath / FOLDER, f"{request.node.name}-{number}")
                whole = isinstance(world.failed, Violation)
                lines = leave_journal_of_world(lives, world.service, path, whole=whole)
                sys.stdout.writelines(f"{line}\n" for line in lines)
