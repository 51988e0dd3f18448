"""The fixture that users' tests have: what it demands when a test is over."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest
from posthouse.core import Service

pytest_plugins = ["posthouse.adapters.simulation.fixture"]
service = Service("s", public=True)
seeds = []

@service.method
def add(a: int, b: int) -> int:
    return a + b

@service.method(timeout=500.0)
async def never() -> None:
    import asyncio
    await asyncio.Event().wait()

@pytest.mark.parametrize("case", [1, 2])
def test_settles(world, case):
    world = world(service=service)
    seeds.append(world.chance.seed)
    call = world.client("alice").call("add", 1, case)
    world.run(1)
    assert call.result == 1 + case

def test_seeds_differ():
    assert len(set(seeds)) == 2

def test_leaks(world):
    world = world(service=service, seed=5)
    world.client("alice").call("add", 1, 2)
    world.process.gateway._calls.waiting += 1

def test_fails(world):
    world(service=service).process.gateway._calls.waiting += 1
    assert False, "by itself"
"""


def test_a_test_that_has_passed_is_settled_and_left(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    done.assert_outcomes(passed=4, errors=1, failed=1)
    done.stdout.fnmatch_lines(["*Violation: calls: *"])
