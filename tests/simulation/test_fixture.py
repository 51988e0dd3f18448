"""The pytest fixture `world`: what it requires after a test."""

from __future__ import annotations

import pytest
from posthouse.adapters.journal import read

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

BROKEN = """
import pytest
from posthouse.adapters.invariants import Violation
from posthouse.core import Service
from posthouse.core.gateway import Gateway

pytest_plugins = ["posthouse.adapters.simulation.fixture"]
service = Service("s", public=True)

@service.method
def add(a: int, b: int) -> int:
    return a + b

complete = Gateway.complete

def brittle(self, call, result, now):
    if len(self._calls.records) == 2:
        raise LookupError
    return complete(self, call, result, now)

@pytest.fixture(autouse=True)
def planted(monkeypatch):
    monkeypatch.setattr(Gateway, "complete", brittle)

def test_the_core_raises(world):
    world = world(service=service)
    for number in range(6):
        world.client("alice").call("add", 0, number)
        world.run(1)
    world.client("bob").batch([("add", [1, 2]), ("add", [3, 4])])
    world.run(1)

def test_only_the_world_sees(world):
    world = world(service=service)
    alice = world.client("alice")
    alice.connect()
    world.run(1)
    world.after(1.0, lambda: alice._on_response({"id": 77, "result": 1}))
    world.run(2)

def test_what_is_expected_is_no_failure(world):
    world = world(service=service)
    with pytest.raises(Violation):
        world.run_until(lambda: False, "it happens", 1.0)

def test_time_stands_still(world):
    world = world(service=service)
    alice = world.client("alice")
    alice.connect()
    world.run(1)
    world.after(1.0, lambda: alice._on_response({"id": 77, "result": 1}))
    world.stall(2)

def test_step_by_step(world):
    world = world(service=service)
    alice = world.client("alice")
    alice.connect()
    world.after(1.0, lambda: alice._on_response({"id": 77, "result": 1}))
    while world.step():
        pass

def test_the_test_itself_is_wrong(world):
    world = world(service=service)
    world.after(1.0, lambda: 1 // 0)
    world.run(2)
"""


def test_a_world_is_finished_after_a_test_that_passed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:randomly")
    done.assert_outcomes(passed=4, errors=1, failed=1)
    done.stdout.fnmatch_lines(["*Violation: calls: *"])


def test_a_violation_leaves_a_journal(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(BROKEN)
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:randomly")
    done.assert_outcomes(passed=1, failed=5)
    done.stdout.fnmatch_lines(["*test_the_core_raises-0.journal (* of * inputs; fails by itself)"])
    done.stdout.fnmatch_lines(["*test_only_the_world_sees-0.journal (* inputs; fails only in the simulator)"])
    done.stdout.no_fnmatch_line("*test_the_test_itself_is_wrong-0.journal*")
    left = sorted(path.name for path in (pytester.path / "journals").iterdir())
    names = ("only_the_world_sees", "step_by_step", "the_core_raises", "time_stands_still")
    assert left == [f"test_{name}-0.journal" for name in names]
    assert len(read(pytester.path / "journals" / left[2]).entries) <= 4, "of more than a dozen"
