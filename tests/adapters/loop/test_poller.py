"""Readiness and waking, from within the loop and from other threads."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import anyio
import pytest
from posthouse.adapters.loop.poller import Poller
from posthouse.adapters.system.machine import MachineSockets
from posthouse.adapters.system.selector import PortableSelector
from posthouse.adapters.system.system import READ, WRITE, Selector

from tests.adapters.loopback import PATIENCE

pytestmark = pytest.mark.anyio


class PortableSockets(MachineSockets):
    """Sockets of a machine without epoll."""

    def selector(self) -> Selector:
        return PortableSelector()


@pytest.fixture(params=[MachineSockets, PortableSockets])
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    poller = Poller(request.param())
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


class Told:
    """Notes the events that it is told."""

    def __init__(self) -> None:
        self.events: list[int] = []

    def ready(self, events: int) -> None:
        self.events.append(events)


async def test_only_watched_events_are_reported(poller: Poller) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        told = Told()
        poller.watch(ours, 0, READ, told)
        turn(poller)
        assert told.events == []
        theirs.send(b"x")
        turn(poller)
        assert told.events == [READ]
        poller.watch(ours, READ, READ | WRITE, told)
        turn(poller)
        assert told.events == [READ, READ | WRITE]
        poller.watch(ours, READ | WRITE, WRITE, told)
        turn(poller)
        assert told.events == [READ, READ | WRITE, WRITE]
        poller.watch(ours, WRITE, 0, told)
        turn(poller)
        assert len(told.events) == 3


async def test_a_peer_that_hung_up_is_reported_as_bytes_to_read(poller: Poller) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        told = Told()
        poller.watch(ours, 0, READ, told)
        theirs.close()
        turn(poller)
        assert told.events[0] & READ


async def test_a_descriptor_that_is_used_again_is_its_new_owners(poller: Poller) -> None:
    first, second = Told(), Told()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        poller.watch(ours, 0, WRITE, first)
        poller.watch(ours, WRITE, 0, first)
        poller.watch(ours, 0, WRITE, second)
        turn(poller)
        assert (first.events, second.events) == ([], [WRITE])


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
