"""Worlds whose real server runs on trio: its own scheduler, on virtual time."""

from __future__ import annotations

import sys

import anyio
import pytest
import sniffio
import trio
from msgspec.structs import replace
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation import Conditions, HandlerFaults, World, attempt
from posthouse.adapters.simulation.clients.protocols.protocol import Transport
from posthouse.adapters.simulation.machine.faults import MachineFaults
from posthouse.adapters.simulation.machine.loops.trio_loop import TrioLoop
from posthouse.adapters.simulation.storms.narrowing import Part
from posthouse.adapters.simulation.storms.storm import StormReport
from posthouse.core import Identity, Service

from .shop import every_transport, shop
from .traces import differences

ON_TRIO = Conditions(machine=MachineFaults(trio=True))


def loop_of(world: World) -> TrioLoop:
    loop = world.process.system.loop
    assert isinstance(loop, TrioLoop)
    return loop


@pytest.mark.parametrize("seed", range(300, 312))
def test_a_storm_on_trio_is_calm(seed: int) -> None:
    outcome = attempt(seed, 4.0, part=Part(trio=True))
    assert isinstance(outcome, StormReport), outcome


def test_a_seed_makes_the_same_storm_on_trio_in_every_process() -> None:
    assert differences([sys.executable, sys.executable], first=300, seeds=4, seconds=4.0, trio=True) == []


@every_transport
def test_the_server_answers_in_the_loop_in_tasks_and_in_threads(transport: Transport) -> None:
    service = shop()

    @service.method(blocking=True)
    def twice(number: int) -> int:
        return 2 * number

    @service.method
    async def library() -> str:
        await trio.sleep(1.0)
        return sniffio.current_async_library()

    world = World(service=service, conditions=ON_TRIO)
    alice = world.client("alice", transport, identity=Identity("ada"))
    calls = [alice.call("add", 1, 2), alice.call("wait", 2.5), alice.call("twice", 4), alice.call("library")]
    world.run(10)
    assert [call.result for call in calls] == [3, 2.5, 8, "trio"]
    assert world.server.broadcast("news") in (0, 1)
    world.finish()
    assert sniffio.thread_local.name is None


def test_a_process_on_trio_is_killed_and_another_one_follows() -> None:
    world = World(service=shop(), conditions=ON_TRIO)
    alice = world.client("alice")
    lost = alice.call("wait", 50.0)
    world.run(1)
    killed = loop_of(world)
    world.restart()
    assert (lost.status, killed.over, killed.is_closed()) == ("lost", True, True)
    again = alice.call("add", 1, 2)
    world.run(1)
    assert again.result == 3
    world.finish()


def test_two_worlds_on_trio_do_not_know_each_other() -> None:
    worlds = [World(number, service=shop(), conditions=ON_TRIO) for number in range(2)]
    calls = [world.client("alice").call("wait", 1.0) for world in worlds]
    for _ in range(20):
        for world in worlds:
            world.run(0.1)
    assert [call.result for call in calls] == [1.0, 1.0]
    for world in worlds:
        world.finish()


def test_faults_of_handlers_end_on_trio_when_the_world_heals() -> None:
    world = World(service=shop(), conditions=replace(ON_TRIO, handlers=HandlerFaults(never=1000)))
    call = world.client("alice").call("add", 1, 2)
    world.run(1)
    assert call.status == "pending"
    world.finish()
    assert call.result == 3


def test_a_task_that_never_waits_is_a_violation() -> None:
    service = Service("busy", public=True)

    @service.method
    async def spin() -> None:
        while True:
            await anyio.sleep(0)

    world = World(service=service, conditions=ON_TRIO)
    world.client("alice").call("spin")
    with pytest.raises(Violation, match="the loop never waits"):
        world.run(1)
    world.restart()
    world.close()


def test_a_defect_in_a_callback_is_raised() -> None:
    def fail() -> None:
        raise KeyError("defect")

    world = World(service=shop(), conditions=ON_TRIO)
    runner = world.process.watch.runner
    runner.poller.call_soon(fail)
    with pytest.raises(KeyError, match="defect"):
        world.run(1)
