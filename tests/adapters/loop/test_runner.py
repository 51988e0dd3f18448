"""One loop: others have their turn, deadlines are kept, and a step of the wall clock is noticed.

The first part drives a runner of its own, on a simulated machine, with a board that only notes what it is told. The
second part is a whole server, over loopback.
"""

from __future__ import annotations

import json
import math
import os
import select
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from contextvars import copy_context
from typing import Any, Final

import anyio
import pytest
from anyio.abc import SocketAttribute
from posthouse.adapters import Clock
from posthouse.adapters.loop.named import named_loop
from posthouse.adapters.loop.runner import MAX_ACTIONS, MAX_READS, Runner
from posthouse.adapters.system.system import READ, Socket
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.peers import SocketId

from tests.abuse.attacker import frame
from tests.adapters.loopback import connected, post, serving, text, websocket
from tests.adapters.simulated import SimulatedMachine

BEGIN, REARM = Runner.__init__, Runner._rearm
"""Without the invariants, which a board of a test does not have."""


class Board:
    """The board of a runner. `told` holds what it was told; `due` is its next deadline. All bytes leave `actions`."""

    def __init__(self) -> None:
        self.outbox: list[object] = []
        self.told: list[tuple[Any, ...]] = []
        self.actions: list[object] = []
        self.due: float | None = None

    def received(self, socket: int, data: bytes, now: float) -> None:
        self.told.append(("received", socket, data))
        self.outbox.extend(self.actions)

    def received_eof(self, socket: int, now: float) -> None:
        self.told.append(("end", socket))

    def next_timeout(self) -> float | None:
        return self.due

    def handle_timeout(self, now: float) -> None:
        self.told.append(("timeout", now))
        if self.due is not None and self.due <= now:
            self.due = None

    def set_wall(self, wall: float, now: float) -> None:
        self.told.append(("wall", wall, now))


class Do:
    """An action that does what a test says."""

    def __init__(self, do: Callable[[], object]) -> None:
        self.do: Final = do


class Ready:
    """The owner of a socket, which does what a test says when the socket is ready."""

    def __init__(self, do: Callable[[], object]) -> None:
        self._do: Final = do

    def ready(self, events: int) -> bool:
        return self._do() is True


def both(first: Callable[[], object], second: Callable[[], object]) -> Callable[[], None]:
    """Do both."""

    def do() -> None:
        first()
        second()

    return do


class Flushed:
    """Something that was written to, and does what a test says when it is flushed."""

    def __init__(self, do: Callable[[], object]) -> None:
        self._do: Final = do

    def flush(self) -> None:
        self._do()


class Bench(SimulatedMachine):
    """A runner that runs, from 0 on its clock, on a board of a test. `done` is a list for the test."""

    def __init__(self) -> None:
        super().__init__()
        self.system.wall_offset = 0.0
        self.board: Final = Board()
        board: Any = self.board
        self.runner: Final = Runner(board, self.system)
        self.runner.actions[Do] = lambda action: action.do()
        self.done: Final[list[Any]] = []
        self.kept: Final[list[Socket]] = []
        self._context: Final = copy_context()
        self.task = self.run(self._run, context=self._context)

    async def _run(self) -> None:
        with named_loop():
            await self.runner.run()

    def note(self, word: object) -> Callable[[], None]:
        return lambda: self.done.append(word)

    def do(self, *does: Callable[[], object]) -> None:
        """Leave actions on the board."""
        self.board.outbox.extend(map(Do, does))

    def read(self, *does: Callable[[], object]) -> None:
        """Let the loop find as many sockets ready at once. Their owners read them, and do this, in this order."""
        left = list(does)

        def begin(ours: Socket) -> None:
            def ready() -> object:
                ours.recv(100)
                return left.pop(0)()

            self.runner.poller.watch(ours, 0, READ, Ready(ready))

        for _ in does:
            ours, theirs = self.system.sockets.pair()
            self.kept.extend((ours, theirs))
            begin(ours)
            theirs.send(b"x")
        self.settle()

    def flush(self) -> None:
        """Perform the actions on the board, and run everything that follows."""
        self.loop.call_soon(self.runner.flush_outbox, context=self._context)
        self.settle()

    def dawdle(self, seconds: float) -> None:
        """Take so long."""
        self.clock.skip(seconds)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(Runner, "__init__", BEGIN)
    monkeypatch.setattr(Runner, "_rearm", REARM)
    return Bench()


def test_the_actions_of_each_input_are_performed_before_the_next_input(bench: Bench) -> None:
    bench.read(
        lambda: bench.do(bench.note("one a"), bench.note("one b")),
        both(bench.note("two"), lambda: bench.do(bench.note("two a"))),
    )
    assert bench.done == ["one a", "one b", "two", "two a"]
    assert bench.board.outbox == []


def test_an_action_may_leave_further_actions(bench: Bench) -> None:
    bench.do(lambda: bench.do(bench.note("second")), bench.note("first"))
    bench.runner.flush_outbox()
    assert (bench.done, bench.board.outbox) == (["first", "second"], [])


def test_a_turn_ends_after_256_actions_and_the_rest_follows_in_the_next(bench: Bench) -> None:
    assert MAX_ACTIONS == 256
    bench.runner.written[Flushed(bench.note("flushed"))] = None
    bench.do(*[bench.note("acted")] * 300)
    bench.runner.flush_outbox()
    assert bench.done == ["acted"] * 256 + ["flushed"]
    assert len(bench.board.outbox) == 44
    bench.loop.call_soon(bench.note("another task"))
    bench.settle()
    assert bench.done[257:] in (["another task", *["acted"] * 44], [*["acted"] * 44, "another task"])
    assert bench.board.outbox == []


def piece(bench: Bench, socket: int, data: bytes, *, few: bool = True) -> Callable[[], bool]:
    """Read these bytes from a socket."""

    def read() -> bool:
        bench.done.append(len(bench.board.told))
        bench.runner.read((SocketId(socket), data))
        return few

    return read


def test_sockets_are_read_before_the_bytes_of_the_first_are_looked_at(bench: Bench) -> None:
    bench.board.actions = [Do(bench.note("acted"))]
    bench.read(piece(bench, 1, b"abc"), piece(bench, 2, b"de"), piece(bench, 3, b""))
    assert bench.done == [0, 0, 0, "acted", "acted"]
    assert bench.board.told == [("received", 1, b"abc"), ("received", 2, b"de"), ("end", 3)]


def test_many_bytes_are_looked_at_before_another_socket_is_read(bench: Bench) -> None:
    bench.read(piece(bench, 1, b"abc"), piece(bench, 2, b"many", few=False), piece(bench, 3, b"de"))
    assert bench.done == [0, 0, 2]
    assert bench.board.told == [("received", 1, b"abc"), ("received", 2, b"many"), ("received", 3, b"de")]


def test_what_follows_from_another_input_comes_before_another_socket_is_read(bench: Bench) -> None:
    bench.read(lambda: bench.do(bench.note("acted")), piece(bench, 2, b"de"))
    assert bench.done == ["acted", 0]


def test_no_more_than_64_sockets_are_read_before_their_bytes_are_looked_at(bench: Bench) -> None:
    assert MAX_READS == 64
    bench.read(*[piece(bench, number, b"x") for number in range(65)])
    assert bench.done == [0] * 64 + [64]
    assert bench.board.told == [("received", number, b"x") for number in range(65)]


def test_bytes_wait_for_the_next_turn_when_a_turn_has_performed_256_actions(bench: Bench) -> None:
    bench.runner.written[Flushed(bench.note("flushed"))] = None
    bench.board.actions = [Do(bench.note("acted"))] * 256
    bench.read(piece(bench, 1, b"x"), piece(bench, 2, b"y"))
    assert bench.done == [0, 0, *["acted"] * 256, "flushed", *["acted"] * 256]


def test_an_action_that_is_alone_is_not_in_the_outbox_while_it_is_performed(bench: Bench) -> None:
    outbox = bench.board.outbox
    bench.do(lambda: bench.done.append(len(outbox)))
    bench.flush()
    bench.do(lambda: bench.done.append(len(outbox)), bench.note("second"))
    bench.flush()
    assert bench.done == [0, 2, "second"]


def test_input_waits_for_the_next_turn_when_a_turn_has_performed_256_actions(bench: Bench) -> None:
    flushed = Flushed(bench.note("flushed"))
    bench.runner.written[flushed] = None
    bench.read(
        lambda: bench.do(*[bench.note("one")] * 255),
        lambda: bench.do(bench.note("two")),
        bench.note("three"),
    )
    assert bench.done == ["one"] * 255 + ["two", "flushed", "three"]


@pytest.mark.parametrize(("seconds", "together"), [(0.0049, True), (0.005, False)])
def test_input_waits_for_the_next_turn_when_a_turn_has_taken_five_milliseconds(
    bench: Bench, seconds: float, together: bool
) -> None:
    def slow() -> None:
        bench.runner.written[Flushed(bench.note("flushed"))] = None
        bench.dawdle(seconds)

    bench.read(slow, bench.note("two"))
    assert bench.done == (["two", "flushed"] if together else ["flushed", "two"])


@pytest.mark.parametrize(("seconds", "together"), [(0.0049, True), (0.005, False)])
def test_actions_wait_for_the_next_turn_behind_user_code_that_was_slow(
    bench: Bench, seconds: float, together: bool
) -> None:
    def slow() -> None:
        bench.runner.written[Flushed(bench.note("flushed"))] = None
        bench.dawdle(seconds)
        bench.runner.end_turn_if_slow(bench.runner.now())

    bench.do(slow, bench.note("next"))
    bench.runner.flush_outbox()
    assert bench.done == (["next", "flushed"] if together else ["flushed"])
    bench.settle()
    assert bench.done == (["next", "flushed"] if together else ["flushed", "next"])


def test_what_was_written_is_flushed_once_at_the_end_of_the_turn(bench: Bench) -> None:
    flushed = Flushed(bench.note("flushed"))

    def write() -> None:
        bench.note("written")()
        bench.runner.written[flushed] = None

    bench.do(write, write)
    bench.runner.flush_outbox()
    assert bench.done == ["written", "written", "flushed"]
    assert bench.runner.written == {}


def test_actions_that_a_flush_leaves_are_performed_and_flushed_in_the_same_turn(bench: Bench) -> None:
    more = Flushed(bench.note("more"))

    def flush() -> None:
        bench.note("flushed")()
        bench.do(lambda: bench.runner.written.setdefault(more), bench.note("performed"))

    bench.do(lambda: bench.runner.written.setdefault(Flushed(flush)))
    bench.runner.flush_outbox()
    assert bench.done == ["flushed", "performed", "more"]


def test_the_outbox_is_not_flushed_within_a_turn_nor_when_one_is_requested(bench: Bench) -> None:
    def act() -> None:
        bench.do(bench.note("later"))
        bench.runner.flush_outbox()
        bench.runner.flush_outbox(soon=True)
        bench.note("acted")()

    bench.do(act)
    bench.runner.flush_outbox()
    assert bench.done == ["acted", "later"]
    bench.do(bench.note("soon"))
    bench.runner.flush_outbox(soon=True)
    bench.runner.flush_outbox()
    assert bench.done == ["acted", "later"]
    bench.settle()
    assert bench.done == ["acted", "later", "soon"]


def test_actions_that_are_to_be_performed_soon_wait_for_the_tasks_that_are_ready(bench: Bench) -> None:
    def other() -> None:
        bench.note("other task")()
        bench.do(bench.note("its action"))
        bench.runner.flush_outbox(soon=True)

    def input() -> None:
        bench.note("task")()
        bench.do(bench.note("action"))
        bench.runner.flush_outbox(soon=True)

    bench.loop.call_soon(input)
    bench.loop.call_soon(other)
    bench.settle()
    assert bench.done == ["task", "other task", "action", "its action"]


def test_an_exception_of_an_action_ends_the_runner_and_a_flush_still_works_after_one(bench: Bench) -> None:
    def fail() -> None:
        raise ArithmeticError

    bench.do(fail)
    with pytest.raises(ArithmeticError):
        bench.runner.flush_outbox()
    bench.board.outbox.clear()
    bench.do(bench.note("performed"))
    bench.runner.flush_outbox()
    assert bench.done == ["performed"]
    bench.do(fail)
    bench.runner.flush_outbox(soon=True)
    bench.settle()
    assert isinstance(bench.task.exception(), ExceptionGroup)


def test_a_deadline_of_the_board_wakes_the_loop(bench: Bench) -> None:
    bench.board.due = 5.0
    bench.flush()
    bench.pass_time(4.9)
    assert bench.board.told == []
    bench.pass_time(0.2)
    assert bench.board.told == [("timeout", 5.0)]


def test_the_earlier_of_two_deadlines_wakes_the_loop(bench: Bench) -> None:
    bench.runner.on_due["mine"] = lambda key: bench.done.append((key, bench.runner.now()))
    bench.runner.arm(3.0, "mine", 7)
    bench.board.due = 9.0
    bench.flush()
    bench.pass_time(3.5)
    assert bench.done == [(7, 3.0)]
    bench.runner.arm(1.0, "mine", 8)
    bench.flush()
    bench.pass_time(20.0)
    assert bench.done == [(7, 3.0), (8, 4.5)]
    assert bench.board.told == [("timeout", 3.0), ("timeout", 4.5), ("timeout", 9.0)]


def test_deadlines_of_one_time_fire_in_their_order_behind_those_of_the_board(bench: Bench) -> None:
    bench.runner.on_due["a"] = lambda key: bench.done.append(("a", key, list(bench.board.told)))
    bench.runner.on_due["b"] = lambda key: bench.done.append(("b", key, list(bench.board.told)))
    for reason, key in (("b", 1), ("a", 2)):
        bench.runner.arm(2.0, reason, key)
    bench.runner.arm(2.5, "a", 3)
    bench.flush()
    bench.pass_time(2.0)
    assert bench.done == [("b", 1, [("timeout", 2.0)]), ("a", 2, [("timeout", 2.0)])]


def test_a_deadline_that_has_passed_fires_in_the_next_turn(bench: Bench) -> None:
    bench.runner.on_due["mine"] = bench.done.append
    bench.runner.arm(0.0, "mine", 1)
    bench.runner.flush_outbox()
    assert bench.done == []
    bench.settle()
    assert bench.done == [1]


def test_input_that_has_come_is_read_before_a_deadline_fires(bench: Bench) -> None:
    bench.runner.on_due["mine"] = lambda key: bench.done.append("due")
    bench.runner.arm(1.0, "mine", 1)
    bench.flush()
    bench.read(both(bench.note("first"), lambda: bench.dawdle(2.0)), lambda: bench.do(bench.note("second")))
    assert bench.done == ["first", "second", "due"]


def test_actions_that_are_left_are_performed_before_a_deadline_fires(bench: Bench) -> None:
    bench.runner.on_due["mine"] = lambda key: bench.do(bench.note("due"))

    def slow() -> None:
        bench.dawdle(2.0)
        bench.runner.end_turn_if_slow(bench.runner.now())

    bench.runner.arm(1.0, "mine", 1)
    bench.do(slow, bench.note("left"))
    bench.runner.flush_outbox(soon=True)
    bench.settle()
    assert bench.done == ["left", "due"]


def test_the_actions_of_a_deadline_are_performed_and_flushed_in_its_turn(bench: Bench) -> None:
    def due(key: int) -> None:
        bench.do(bench.note("action"))
        bench.runner.written[Flushed(bench.note("flushed"))] = None

    bench.runner.on_due["mine"] = due
    bench.runner.arm(1.0, "mine", 1)
    bench.flush()
    bench.pass_time(1.0)
    assert bench.done == ["action", "flushed"]


def test_a_turn_before_a_deadline_handles_none(bench: Bench) -> None:
    bench.board.due = 5.0
    bench.flush()
    bench.pass_time(1.0)
    bench.runner.flush_outbox(soon=True)
    bench.settle()
    assert bench.board.told == []


@pytest.mark.parametrize(
    ("at", "step", "told"),
    [
        (0.875, 0.0625, []),
        (1.0, 0.0625, [("wall", 1.0625, 1.0)]),
        (1.0, -0.0625, [("wall", 0.9375, 1.0)]),
        (1.0, 0.03125, []),
        (1.0, -0.03125, []),
        (1.5, 900.0, [("wall", 901.5, 1.5)]),
    ],
)
def test_a_step_of_the_wall_clock_is_noticed_within_a_second(
    bench: Bench, at: float, step: float, told: list[tuple[Any, ...]]
) -> None:
    bench.system.wall_offset = step
    bench.pass_time(at)
    bench.runner.flush_outbox(soon=True)
    bench.settle()
    assert bench.board.told == told


def test_each_step_of_the_wall_clock_is_noticed_once(bench: Bench) -> None:
    for offset in (100.0, 100.0, 100.0, 300.0):
        bench.system.wall_offset = offset
        bench.pass_time(1.0)
        bench.runner.flush_outbox(soon=True)
        bench.settle()
        bench.runner.flush_outbox(soon=True)
        bench.settle()
    assert bench.board.told == [("wall", 101.0, 1.0), ("wall", 304.0, 4.0)]


def test_the_clocks_are_compared_once_a_second(bench: Bench) -> None:
    def turn() -> None:
        bench.runner.flush_outbox(soon=True)
        bench.settle()

    bench.pass_time(1.0)
    turn()
    bench.system.wall_offset = 100.0
    bench.pass_time(0.5)
    turn()
    assert bench.board.told == []
    bench.pass_time(0.5)
    turn()
    assert bench.board.told == [("wall", 102.0, 2.0)]


def test_a_runner_that_begins_later_notices_no_step_where_there_was_none(bench: Bench) -> None:
    bench.pass_time(100.0)
    board: Any = Board()
    later = Runner(board, bench.system)
    bench.run(later.run)
    bench.pass_time(2.0)
    later.flush_outbox(soon=True)
    bench.settle()
    assert board.told == []


def test_a_call_in_the_loops_own_thread_runs_at_once_and_its_actions_follow(bench: Bench) -> None:
    def call() -> str:
        bench.do(bench.note("action"))
        return "result"

    assert bench.runner.in_loop_thread
    assert bench.runner.run_in_loop(call, "otherwise") == "result"
    assert bench.done == ["action"]

    def fail() -> str:
        bench.do(bench.note("another"))
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        bench.runner.run_in_loop(fail, "otherwise")
    assert bench.done == ["action", "another"]


def test_a_call_of_a_thread_runs_in_the_loop_and_gives_its_result_or_its_exception(bench: Bench) -> None:
    loop_thread = threading.get_ident()

    def call() -> int:
        assert threading.get_ident() == loop_thread
        return 7

    def fail() -> int:
        raise ArithmeticError("of the call")

    def work() -> None:
        assert not bench.runner.in_loop_thread
        bench.done.append(bench.runner.run_in_loop(call, 0))
        with pytest.raises(ArithmeticError, match="of the call"):
            bench.runner.run_in_loop(fail, 0)
        bench.done.append("ended")

    bench.system.threads.start(work, "thread")
    bench.pass_time(0.1)
    assert bench.done == [7, "ended"]


def test_a_thread_that_waits_for_the_loop_is_released_when_no_turn_follows(bench: Bench) -> None:
    def ran() -> str:
        bench.done.append("ran")
        return "ran"

    def work() -> None:
        bench.done.append(bench.runner.run_in_loop(ran, "otherwise"))
        bench.done.append(bench.runner.run_in_loop(lambda: "ran", "at once"))

    bench.task.cancel()
    bench.settle()
    bench.system.threads.start(work, "thread")
    bench.pass_time(0.1)
    assert (bench.done, bench.system.threads.alive) == ([], ["thread"])
    bench.runner.release_threads()
    bench.pass_time(0.1)
    assert (bench.done, bench.system.threads.alive) == (["otherwise", "at once"], [])
    bench.run(lambda: bench.runner.poller.run(bench.runner._turn))
    assert bench.done == ["otherwise", "at once"], "the call of the released thread never runs"


def test_a_thread_that_waits_for_the_loop_is_released_when_the_loop_is_closed(bench: Bench) -> None:
    bench.task.cancel()
    bench.settle()
    bench.system.threads.start(
        lambda: bench.done.append(bench.runner.run_in_loop(lambda: "ran", "otherwise")), "thread"
    )
    bench.pass_time(0.1)
    assert bench.done == []
    bench.runner.close()
    bench.pass_time(0.1)
    assert bench.done == ["otherwise"]


def test_a_thread_that_calls_a_loop_that_has_ended_gets_the_other_result(bench: Bench) -> None:
    bench.task.cancel()
    bench.settle()
    bench.runner.close()
    bench.system.threads.start(
        lambda: bench.done.append(bench.runner.run_in_loop(lambda: "ran", "otherwise")), "thread"
    )
    bench.pass_time(0.1)
    assert bench.done == ["otherwise"]
    assert not bench.runner._calls


def test_a_runner_that_is_cancelled_ends_with_its_alarm(bench: Bench) -> None:
    bench.board.due = 5.0
    bench.flush()
    bench.task.cancel()
    bench.settle()
    assert bench.task.cancelled()
    bench.pass_time(10.0)
    assert bench.board.told == []
    assert math.isfinite(bench.runner._alarm.due)


pytestmark = pytest.mark.anyio

CALLS = 1_000
"""So many that a batch of them takes several turns: trio runs what is ready in no promised order."""


async def test_other_tasks_run_within_a_long_batch() -> None:
    service = Service("busy", public=True)
    calls = 0

    @service.method
    def work() -> None:
        nonlocal calls
        calls += 1

    seen: list[int] = []
    config = Config(max_calls_per_connection=CALLS, max_batch=CALLS)
    async with (
        serving(service, config=config) as server,
        websocket(server) as client,
        anyio.create_task_group() as group,
    ):

        async def watch() -> None:
            while True:
                seen.append(calls)
                await anyio.lowlevel.checkpoint()

        group.start_soon(watch)
        await client.say(b"[" + b",".join(text("work", id=id) for id in range(CALLS)) + b"]")
        assert len(await client.next()) == CALLS
        group.cancel_scope.cancel()
    assert calls == CALLS
    assert [count for count in seen if 0 < count < CALLS]


async def test_other_tasks_run_after_a_slow_handler() -> None:
    service = Service("slow", public=True)
    now = Now()
    calls = 0

    @service.method
    def work() -> None:
        nonlocal calls
        calls += 1
        now.ahead += 0.006

    seen: list[int] = []
    async with (
        serving(service, clock=Clock(now=now)) as server,
        websocket(server) as client,
        anyio.create_task_group() as group,
    ):

        async def watch() -> None:
            while True:
                seen.append(calls)
                await anyio.lowlevel.checkpoint()

        group.start_soon(watch)
        await client.say(b"[" + b",".join(text("work", id=id) for id in range(5)) + b"]")
        assert len(await client.next()) == 5
        group.cancel_scope.cancel()
    assert calls == 5
    assert len({1, 2, 3, 4} & {*seen}) >= 2  # of two that take turns, one may be a turn ahead


async def test_all_answers_of_a_turn_leave_at_its_end() -> None:
    service = Service("together", public=True)
    descriptors: list[int] = []
    readable: list[list[int]] = []

    @service.method
    def look() -> None:
        readable.append(select.select(descriptors, [], [], 0)[0])

    async with serving(service) as server, connected(server) as one, connected(server) as two:
        for client in (one, two):
            await client.post("connection.ping")
            descriptors.append(client.stream.extra(SocketAttribute.raw_socket).fileno())
        for descriptor in descriptors:  # without an await: one turn reads both
            os.write(descriptor, post(text("look")))
        assert [(await client.response())[0] for client in (one, two)] == [200, 200]
    assert readable == [[], []]


async def test_an_answer_does_not_wait_for_a_handler_that_was_slow_before() -> None:
    service = Service("together", public=True)
    now = Now()
    descriptors: list[int] = []
    readable: list[int] = []

    @service.method
    def look() -> None:
        readable.append(len(select.select(descriptors, [], [], 0)[0]))
        now.ahead += 0.002

    async with (
        serving(service, clock=Clock(now=now)) as server,
        connected(server) as one,
        connected(server) as two,
    ):
        for client in (one, two):
            await client.post("look")
            descriptors.append(client.stream.extra(SocketAttribute.raw_socket).fileno())
        for descriptor in descriptors:  # without an await: one turn reads both
            os.write(descriptor, post(text("look")))
        assert [(await client.response())[0] for client in (one, two)] == [200, 200]
    assert readable == [0, 0, 0, 1]


async def test_answers_of_tasks_that_end_together_leave_together() -> None:
    service = Service("together", public=True)
    descriptors: list[int] = []
    begun: list[int] = []
    release = anyio.Event()
    readable: list[list[int]] = []

    @service.method
    async def wait() -> None:
        begun.append(1)
        if len(begun) == 3:
            release.set()
        await release.wait()
        readable.append(select.select(descriptors, [], [], 0)[0])

    async with (
        serving(service) as server,
        connected(server) as one,
        connected(server) as two,
        connected(server) as three,
    ):
        clients = (one, two, three)
        for client in clients:
            descriptors.append(client.stream.extra(SocketAttribute.raw_socket).fileno())
            await client.send(post(text("wait")))
        assert [(await client.response())[0] for client in clients] == [200, 200, 200]
    assert readable == [[], [], []]


class Now:
    """Monotonic seconds, and as many more as the test says."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class Wall(Now):
    """Unix seconds, and as many more."""

    def __call__(self) -> float:
        return time.time() + self.ahead


async def test_deadlines_are_kept_in_their_order() -> None:
    service = Service("deadlines", public=True)

    @service.method(timeout=0.2)
    async def late() -> None:
        await anyio.sleep_forever()

    @service.method(timeout=0.1)
    async def early() -> None:
        await anyio.sleep_forever()

    async with serving(service) as server, websocket(server) as client:
        # They come in one read, so that both deadlines count from the same moment.
        await client.send(frame(text("late", id="late")) + frame(text("early", id="early")))
        answers = [await client.next(), await client.next()]
        assert [(answer["id"], answer["error"]["code"]) for answer in answers] == [("early", -32030), ("late", -32030)]


async def test_a_step_of_the_wall_clock_changes_timestamps_only() -> None:
    now, wall = Now(), Wall()
    async with serving(Service("timed"), clock=Clock(now, wall, os.urandom)) as server, websocket(server) as client:
        before = (await client.call("connection.ping"))["result"]["timestamp"]
        wall.ahead += 100_000.0
        now.ahead += 2.0  # it is looked at now and then
        await client.call("connection.ping")
        after = (await client.call("connection.ping"))["result"]["timestamp"]
        assert 100_000.0 <= after - before < 100_000.0 + 1_000.0
        assert server.health().connections == 1


async def test_input_that_has_come_is_read_before_any_deadline_fires() -> None:
    now = Now()
    config = Config(heartbeat_interval=None, idle_timeout=30.0)
    service = Service("asleep", public=True)

    @service.method
    def sleep() -> str:
        now.ahead += 60.0  # the process was stopped, and the client went on speaking
        return "slept"

    async with serving(service, config=config, clock=Clock(now=now)) as server, websocket(server) as client:
        await client.say(text("sleep", id=1))
        await client.say(text("connection.ping", id=2))
        assert {(await client.next())["id"] for _ in range(2)} == {1, 2}
        assert (await client.call("connection.ping", id=3))["id"] == 3


async def test_pipelined_requests_over_http_are_answered_one_by_one_in_order() -> None:
    service = Service("pipelined", public=True)

    @service.method
    async def echo(value: int) -> int:
        await anyio.lowlevel.checkpoint()
        return value

    async with serving(service) as server, connected(server) as client:
        await client.send(b"".join(post(text("echo", [number])) for number in range(100)))
        answers = [await client.response() for _ in range(100)]
        assert [body["result"] for _, body in answers] == list(range(100))
        assert json.dumps(answers[0][1]) == '{"jsonrpc": "2.0", "result": 0, "id": 1}'


async def test_a_connection_costs_neither_a_task_nor_a_thread() -> None:
    service = Service("cheap", public=True)

    @service.method
    def echo(value: int) -> int:
        return value

    async with serving(service) as server, websocket(server):  # by now all of it runs
        before = costs()
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(websocket(server)) for _ in range(50)]
            for number, client in enumerate(clients):
                assert (await client.call("echo", [number]))["result"] == number
            assert costs() == before


def costs() -> tuple[int, list[str]]:
    """Tasks, and threads of ours: others come and go as they please."""
    threads = sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("posthouse"))
    return len(anyio.get_running_tasks()), threads
