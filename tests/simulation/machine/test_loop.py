"""The event loop of a simulated machine: asyncio as it is, on virtual time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import anyio
import pytest
from posthouse.adapters.invariants import Violation
from posthouse.core.values.errors import UsageError

from tests.simulation.machine.systems import READ, SimulatedBench


def run(simulated: SimulatedBench, main: Callable[[], Awaitable[object]]) -> asyncio.Task[object]:
    """Run this until nothing happens any more."""
    loop = simulated.loop

    async def started() -> object:
        return await main()

    task = loop.create_task(started())
    loop.turn()
    while simulated.schedule.next() is not None:
        simulated.pass_time()
        loop.turn()
    return task


def test_time_passes_at_once(simulated: SimulatedBench) -> None:
    async def main() -> float:
        await asyncio.sleep(3600.0)
        return asyncio.get_running_loop().time()

    assert run(simulated, main).result() == 3600.0


def test_a_reader_is_called_while_its_descriptor_is_ready_with_its_own_variables(simulated: SimulatedBench) -> None:
    server, client = simulated.pair()
    selector = simulated.machine.sockets.selector()
    selector.register(server.fileno(), READ)
    loop, read = simulated.loop, bytearray()
    name = ContextVar("name", default="main")
    seen: list[str] = []

    def ready() -> None:
        read.extend(server.recv(1))
        seen.append(name.get())

    async def main() -> None:
        name.set("task")
        loop.add_reader(selector.fileno(), ready)
        client.send(b"ab")
        await asyncio.sleep(1.0)
        assert loop.remove_reader(selector.fileno())
        assert not loop.remove_reader(selector.fileno())
        client.send(b"c")
        await asyncio.sleep(1.0)

    run(simulated, main).result()
    assert (bytes(read), seen) == (b"ab", ["task", "task"])
    selector.close()


def test_work_for_a_thread_of_asyncio_is_done_in_one_of_the_machine(simulated: SimulatedBench) -> None:
    async def main() -> tuple[bool, str]:
        loop = asyncio.get_running_loop()
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 // 0)
        there = await asyncio.to_thread(threading.get_ident)
        return there == threading.get_ident(), await loop.run_in_executor(None, str, 8)

    assert run(simulated, main).result() == (False, "8")
    assert simulated.machine.threads.alive == []


def test_work_for_a_thread_that_nobody_waits_for_any_more_ends(simulated: SimulatedBench) -> None:
    done: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, done.append, "cancelled").cancel()
        loop.run_in_executor(None, done.append, "alone")

    run(simulated, main)
    simulated.loop.run_in_executor(None, done.append, "late")
    simulated.loop.close()
    while simulated.schedule.next() is not None:
        simulated.pass_time()
    assert sorted(done) == ["alone", "cancelled", "late"]


def test_what_does_not_live_on_virtual_time_is_refused(simulated: SimulatedBench) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(UsageError, match="replace them with a fake"):
            await asyncio.open_connection("127.0.0.1", 1)
        with pytest.raises(UsageError, match="replace them with a fake"):
            loop.add_writer(simulated.listening.fileno(), print)

    run(simulated, main).result()


def test_a_loop_that_never_waits_is_a_violation(simulated: SimulatedBench) -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Violation, match="the loop never waits"):
        run(simulated, main)


def test_a_callback_that_raises_is_a_defect(simulated: SimulatedBench) -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon_threadsafe(int, "x")
        await asyncio.sleep(1.0)

    with pytest.raises(ValueError, match="invalid literal"):
        run(simulated, main)


def test_cancel_scopes_are_ordered_by_their_tasks_in_the_loop_alone(simulated: SimulatedBench) -> None:
    same_as: list[str] = []

    async def main() -> None:
        async with anyio.create_task_group() as group:
            hashes = {hash(asyncio.current_task()): "task", object.__hash__(group.cancel_scope): "object"}
            same_as.append(hashes[hash(group.cancel_scope)])

    run(simulated, main).result()
    asyncio.run(main())
    assert same_as == ["task", "object"]


def test_tasks_that_are_ready_run_in_a_drawn_order_and_callbacks_in_their_own(simulated: SimulatedBench) -> None:
    tasks: list[str] = []
    callbacks: list[str] = []

    async def step(name: str) -> None:
        tasks.append(name)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            for name in "abcd":
                group.create_task(step(name))
                loop.call_soon(callbacks.append, name)

    def order() -> str:
        tasks.clear()
        callbacks.clear()
        run(simulated, main).result()
        assert "".join(callbacks) == "abcd"
        return "".join(tasks)

    assert order() == "abcd"
    simulated.loop.reordered = 1000
    orders = {order() for _ in range(10)}
    assert len(orders) > 3 and {"".join(sorted(each)) for each in orders} == {"abcd"}


def test_a_callback_that_cancels_a_task_keeps_its_place(simulated: SimulatedBench) -> None:
    simulated.loop.reordered = 1000
    seen: list[str] = []

    async def sleep(name: str) -> None:
        try:
            await asyncio.sleep(1.0)
        except asyncio.CancelledError:
            seen.append(name)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(sleep(name)) for name in "abc"]
        await asyncio.sleep(0.5)
        for task in tasks:
            loop.call_soon(task.cancel)
        loop.call_soon(seen.append, "all")
        await asyncio.wait(tasks)

    run(simulated, main).result()
    assert (seen[0], sorted(seen[1:])) == ("all", ["a", "b", "c"])


def test_a_descriptor_may_be_found_to_be_ready_a_round_later(simulated: SimulatedBench) -> None:
    simulated.loop.reordered = 1000
    server, client = simulated.pair()
    seen: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(server.fileno(), lambda: seen.append(server.recv(9).decode()))
        client.send(b"read")
        simulated.until(server, READ)
        for name in ("first", "second"):
            await asyncio.sleep(0)
            seen.append(name)
        await asyncio.sleep(0.1)

    run(simulated, main).result()
    assert seen == ["first", "second", "read"]


def test_an_earlier_timer_is_planned_beside_a_later_one(simulated: SimulatedBench) -> None:
    times: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(5.0, lambda: times.append(loop.time()))
        await asyncio.sleep(1.0)
        times.append(loop.time())

    run(simulated, main).result()
    assert times == [1.0, 5.0]


def test_addresses_are_those_of_one_machine(simulated: SimulatedBench) -> None:
    addresses = simulated.machine.sockets.addresses
    assert [addresses(host, 80)[0][1] for host in ("localhost", "10.1.2.3")] == [("127.0.0.1", 80), ("10.1.2.3", 80)]


def test_the_wall_clock_can_be_set(simulated: SimulatedBench) -> None:
    system = simulated.machine
    simulated.schedule.now = 5.0
    assert (system.now(), system.wall()) == (5.0, 5.0)
    system.wall_offset = 100.0
    assert system.wall() == 105.0
