"""The pytest fixture `world`: worlds for a test, each settled and left at its end.

In a `conftest.py`:

    pytest_plugins = ["posthouse.adapters.simulation.fixture"]

A test that asks for `world` calls it with what a `World` is made of. Without a seed the name of the test is one: the
same every time, and another for each case of a parametrized test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .world import World


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[Callable[..., World]]:
    """Makes worlds: `world(service=…, seed=…, …)`. When the test is over and has not failed, every call must get its
    outcome, everybody leaves, and the server's tables must be empty."""
    made: list[World] = []
    failed = request.session.testsfailed

    def make(*, seed: int | str = request.node.nodeid, **parts: Any) -> World:
        made.append(World(seed, **parts))
        return made[-1]

    yield make
    try:
        if request.session.testsfailed == failed:
            for each in made:
                each.leave()
    finally:
        for each in made:
            each.close()
