"""Readiness and waking, from within the loop and from other threads."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import anyio
import pytest
from posthouse.adapters.loop.poller import READ, WRITE, Poller
from posthouse.adapters.system.machine import MachineSockets

from tests.adapters.loopback import PATIENCE

pytestmark = pytest.mark.anyio


@pytest.fixture
def poller() -> Iterator[Poller]:
    poller = Poller(MachineSockets())
    yield poller
    poller.close()


def turn(poller: Poller) -> None:
    for ready, events in poller.poll():
        ready(events)


async def test_calls_from_a_thread_run_in_the_loop_in_order(poller: Poller) -> None:
    ran: list[tuple[int, int]] = []
    over = anyio.Event()

    def ask() -> None:
        for number in range(70_000):  # more than the pipe that wakes can hold
            poller.call_soon(lambda number=number: ran.append((number, threading.get_ident())))  # type: ignore[misc]
        poller.call_soon(over.set)

    thread = threading.Thread(target=ask)
    async with anyio.create_task_group() as group:
        group.start_soon(poller.run, lambda: turn(poller))
        thread.start()
        with anyio.fail_after(PATIENCE):
            await over.wait()
        group.cancel_scope.cancel()
    thread.join()
    assert ran == [(number, threading.get_ident()) for number in range(70_000)]


async def test_a_call_that_a_call_adds_runs_later(poller: Poller) -> None:
    ran: list[str] = []

    def first() -> None:
        poller.call_soon(lambda: ran.append("second"))
        ran.append("first")

    poller.call_soon(first)
    turn(poller)
    assert ran == ["first"]
    turn(poller)
    assert ran == ["first", "second"]


async def test_only_watched_events_are_reported(poller: Poller) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        said: list[int] = []
        poller.watch(ours, 0, READ, said.append)
        turn(poller)
        assert said == []
        theirs.send(b"x")
        turn(poller)
        assert said == [READ]
        poller.watch(ours, READ, READ | WRITE, said.append)
        turn(poller)
        assert said == [READ, READ | WRITE]
        poller.watch(ours, READ | WRITE, 0, said.append)
        turn(poller)
        assert len(said) == 2


async def test_an_exception_of_a_turn_ends_the_loop(poller: Poller) -> None:
    def broken() -> None:
        raise ArithmeticError

    poller.call_soon(lambda: None)
    with pytest.raises(ArithmeticError):
        await poller.run(broken)


async def test_a_closed_poller_runs_no_calls() -> None:
    poller = Poller(MachineSockets())
    poller.close()
    assert not poller.call_soon(lambda: None)
