"""A line of requests: bounded, performed in groups, and empty in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from threading import Event, current_thread
from typing import Any

import anyio
import pytest
from posthouse.adapters.store.sqlite.line import GROUP, Line, in_thread
from posthouse.core.operations.operations import Busy, Failed
from posthouse.core.store.outcomes import Done, StoreOutcome

pytestmark = pytest.mark.anyio


class Gate:
    """A thread that waits for a test before each group."""

    def __init__(self, most: int) -> None:
        self.groups: list[list[Any]] = []
        self.begun, self.go_on, self.ended = Event(), Event(), Event()
        self.line = Line("test", most, self.perform, self.ended.set)

    def perform(self, requests: Sequence[Any]) -> list[StoreOutcome]:
        self.begun.set()
        assert self.go_on.wait(60)
        self.groups.append(list(requests))
        return [Done(request) for request in requests]


async def until(event: Event) -> None:
    assert await anyio.to_thread.run_sync(event.wait, 60)


async def close(gate: Gate) -> None:
    gate.go_on.set()
    gate.line.close()
    await anyio.to_thread.run_sync(gate.line.join)
    assert gate.ended.is_set()


async def test_requests_that_come_meanwhile_are_one_group() -> None:
    gate = Gate(100)
    outcomes: dict[int, StoreOutcome] = {}

    async def ask(number: int) -> None:
        outcomes[number] = await gate.line.ask(number)

    async with anyio.create_task_group() as group:
        group.start_soon(ask, 0)
        await until(gate.begun)
        for number in range(1, 6):
            group.start_soon(ask, number)
            await anyio.wait_all_tasks_blocked()
        gate.go_on.set()
    assert gate.groups == [[0], [1, 2, 3, 4, 5]]
    assert outcomes == {number: Done(number) for number in range(6)}
    await close(gate)


@pytest.mark.parametrize(("most", "busy"), [(1, 2), (2, 1), (3, 0)])
async def test_a_number_of_requests_may_wait(most: int, busy: int) -> None:
    gate = Gate(most)
    outcomes: list[StoreOutcome] = []

    async def ask() -> None:
        outcomes.append(await gate.line.ask(None))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await until(gate.begun)
        for _ in range(3):
            group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
        assert outcomes == [Busy()] * busy
        gate.go_on.set()
    await close(gate)


async def test_a_group_has_a_greatest_size() -> None:
    gate = Gate(10_000)
    async with anyio.create_task_group() as group:
        group.start_soon(gate.line.ask, 0)
        await until(gate.begun)
        for number in range(GROUP + 1):
            group.start_soon(gate.line.ask, number)
        await anyio.wait_all_tasks_blocked()
        gate.go_on.set()
    assert [len(each) for each in gate.groups] == [1, GROUP, 1]
    await close(gate)


async def test_what_waits_is_performed_when_the_line_is_closed_and_nothing_after_it() -> None:
    gate = Gate(100)
    outcomes: list[StoreOutcome] = []

    async def ask() -> None:
        outcomes.append(await gate.line.ask(1))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await until(gate.begun)
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        gate.line.close()
        assert await gate.line.ask(2) == Failed()
        gate.go_on.set()
    assert outcomes == [Done(1), Done(1)]
    await close(gate)


async def test_a_request_that_nobody_waits_for_is_performed_all_the_same() -> None:
    gate = Gate(100)
    async with anyio.create_task_group() as group:
        group.start_soon(gate.line.ask, 1)
        await until(gate.begun)
        group.cancel_scope.cancel()
    await close(gate)
    assert gate.groups == [[1]]


def test_a_loop_that_has_ended_hears_nothing() -> None:
    gates: list[Gate] = []

    async def main() -> None:
        gates.append(Gate(100))
        task = asyncio.create_task(gates[0].line.ask(1))
        await until(gates[0].begun)
        task.cancel()

    asyncio.run(main())
    (gate,) = gates
    gate.go_on.set()
    gate.line.close()
    gate.line.join()
    assert gate.groups == [[1]]


async def test_a_call_in_a_thread_raises_what_the_function_raises() -> None:
    names: list[str] = []
    await in_thread(lambda: names.append(current_thread().name), "apart")
    assert names == ["apart"]

    def fail() -> None:
        raise OSError("the disk fails")

    with pytest.raises(OSError, match="the disk fails"):
        await in_thread(fail, "apart")


async def test_a_call_in_a_thread_that_is_cancelled_goes_on_there() -> None:
    begun, go_on, ended = Event(), Event(), Event()

    def wait() -> None:
        begun.set()
        assert go_on.wait(60)
        ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(in_thread, wait, "apart")
        await until(begun)
        group.cancel_scope.cancel()
    assert not ended.is_set()
    go_on.set()
    await until(ended)
