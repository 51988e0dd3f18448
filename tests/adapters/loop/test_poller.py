"""Readiness and waking, from within the loop and from other threads."""

from __future__ import annotations

import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial

import anyio
import pytest
from posthouse.adapters.loop.poller import Poller
from posthouse.adapters.system.machine import MachineSockets
from posthouse.adapters.system.selector import PortableSelector
from posthouse.adapters.system.system import READ, WRITE, Selector

from tests.adapters.loopback import PATIENCE
from tests.adapters.simulated import SimulatedMachine

pytestmark = pytest.mark.anyio


# On a simulated machine


class Bench(SimulatedMachine):
    """A poller, and a list for the test."""

    def __init__(self) -> None:
        super().__init__()
        self.poller = Poller(self.system.sockets)
        self.done: list[object] = []

    def note(self, word: object) -> Callable[[], None]:
        return lambda: self.done.append(word)

    def turn(self) -> None:
        self.done.append("turn")
        for ready, events in self.poller.poll():
            ready(events)


def test_a_turn_follows_each_call_from_elsewhere_and_each_request() -> None:
    bench = Bench()
    task = bench.run(lambda: bench.poller.run(bench.turn))
    assert bench.done == []
    assert bench.poller.call_soon(bench.note("call"))
    bench.settle()
    assert bench.done == ["turn", "call"]
    bench.poller.turn_soon()
    bench.loop.call_soon(bench.note("a task that is ready"))
    bench.settle()
    assert bench.done == ["turn", "call", "turn", "a task that is ready"]
    bench.settle()
    task.cancel()
    bench.settle()
    assert (task.cancelled(), bench.done[4:]) == (True, [])


def test_a_poller_that_runs_no_more_watches_nothing_and_a_turn_that_is_requested_waits_for_the_next_run() -> None:
    bench = Bench()
    bench.run(lambda: bench.poller.run(bench.turn)).cancel()
    bench.settle()
    bench.poller.turn_soon()
    bench.settle()
    assert bench.done == []
    assert bench.loop._readers == {}
    bench.run(lambda: bench.poller.run(bench.turn))
    assert bench.done == ["turn"]


def test_only_the_first_exception_of_its_turns_ends_the_poller() -> None:
    bench = Bench()

    def broken() -> None:
        bench.done.append("turn")
        raise ArithmeticError(len(bench.done))

    task = bench.run(lambda: bench.poller.run(broken))
    bench.poller.turn_soon()
    bench.poller.turn_soon()
    bench.settle()
    assert bench.done == ["turn", "turn"]
    assert str(task.exception()) == "1"


def test_calls_run_in_order_and_each_turn_runs_those_that_had_come() -> None:
    bench = Bench()
    poller = bench.poller

    def first() -> None:
        bench.done.append("first")
        poller.call_soon(bench.note("third"))

    poller.call_soon(first)
    poller.call_soon(bench.note("second"))
    bench.turn()
    assert bench.done == ["turn", "first", "second"]
    bench.turn()
    bench.turn()
    assert bench.done == ["turn", "first", "second", "turn", "third", "turn"]


def test_more_calls_than_the_pipe_that_wakes_can_hold_all_run() -> None:
    bench = Bench()
    for number in range(70_000):
        assert bench.poller.call_soon(partial(bench.done.append, number))
    bench.turn()
    assert bench.done == ["turn", *range(70_000)]


def test_one_look_finds_at_most_512_sockets_and_the_next_one_finds_the_others() -> None:
    bench = Bench()

    class Once:
        """A socket that is read once."""

        def __init__(self) -> None:
            self.socket, self.other = bench.system.sockets.pair()
            self.other.send(b"x")
            bench.poller.watch(self.socket, 0, READ, self)

        def ready(self, events: int) -> None:
            bench.done.append(self)
            assert (events, self.socket.recv(9)) == (READ, b"x")

    bench.system.descriptors.most = 2000
    sockets = [Once() for _ in range(513)]
    bench.turn()
    assert len(bench.done) == 513
    bench.turn()
    assert {*bench.done} == {"turn", *sockets}
    assert len(bench.done) == 515


def test_an_error_is_told_as_bytes_to_read_and_room_to_write() -> None:
    bench = Bench()
    told: list[int] = []

    class Told:
        def ready(self, events: int) -> None:
            told.append(events)

    class Selector:
        """A selector that finds one socket ready, with such events."""

        def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
            assert timeout == 0
            return [(ours.fileno(), events) for events in (1, 4, 5, 6, 8, 16, 24)]

    ours, _ = bench.system.sockets.pair()
    bench.poller.watch(ours, 0, READ, Told())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Poller, "_selector", Selector())
        bench.turn()
    assert told == [1, 4, 5, 5, 5, 5, 5]


def test_a_socket_that_is_not_watched_any_more_has_no_watcher() -> None:
    bench = Bench()

    class Told:
        def ready(self, events: int) -> None: ...

    told = Told()
    gone = weakref.ref(told)
    ours, _ = bench.system.sockets.pair()
    bench.poller.watch(ours, 0, READ, told)
    bench.poller.watch(ours, READ, 0, told)
    del told
    assert gone() is None


def test_a_closed_poller_gives_all_its_descriptors_back_and_drops_the_calls_that_wait() -> None:
    bench = Bench()
    assert bench.poller.call_soon(bench.note("never"))
    assert len(bench.system.descriptors.open()) == 3
    bench.poller.close()
    assert bench.system.descriptors.open() == {}
    assert not bench.poller._calls
    assert not bench.poller.call_soon(bench.note("never"))
    assert bench.done == []


# On this machine


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


async def test_neither_end_of_the_pipe_that_wakes_blocks_the_loop(poller: Poller) -> None:
    ran: list[int] = []
    for number in range(70_000):  # more than the pipe can hold, and nobody reads it
        assert poller.call_soon(partial(ran.append, number))
    turn(poller)
    assert ran == [*range(70_000)]
    while poller.poll():
        turn(poller)
    poller.ready(READ)
    assert len(ran) == 70_000


async def test_sockets_that_are_ready_add_no_turn_to_one_that_was_asked_for(poller: Poller) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    poller.watch(ours, 0, READ, Told())
    theirs.send(b"x")  # nobody reads it
    turns = rounds = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        poller.turn_soon()

    async with anyio.create_task_group() as group:
        group.start_soon(poller.run, turn)
        while turns < 20:
            rounds += 1
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert turns <= rounds + 1
    ours.close()
    theirs.close()


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
