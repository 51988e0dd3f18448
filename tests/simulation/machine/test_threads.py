"""Threads that wait for each other. One test, on both machines."""

from __future__ import annotations

import threading
from functools import partial
from queue import Empty

import pytest
from posthouse.adapters.simulation import Drawn
from posthouse.adapters.simulation.machine.descriptors import Descriptors
from posthouse.adapters.simulation.machine.threads import SimulatedThreads
from posthouse.adapters.simulation.schedule import ProcessClock
from posthouse.core import UsageError

from tests.simulation.machine.systems import Bench, SimulatedBench


def test_a_thread_is_another_than_that_of_the_loop(bench: Bench) -> None:
    seen: list[int] = []
    bench.in_thread(lambda: seen.append(threading.get_ident()))
    assert seen != [threading.get_ident()]


def test_threads_wait_for_each_other(bench: Bench) -> None:
    changed = bench.system.threads.condition()
    items: list[int] = []
    taken: list[int] = []

    def take() -> None:
        while len(taken) < 100:
            with changed:
                while not items:
                    changed.wait()
                taken.append(items.pop(0))
                changed.notify_all()

    def give() -> None:
        for number in range(100):
            with changed:
                while items:
                    changed.wait()
                items.append(number)
                changed.notify()

    bench.system.threads.start(give, "give")
    bench.in_thread(take)
    assert taken == list(range(100))


def test_waiting_ends_in_time(bench: Bench) -> None:
    changed = bench.system.threads.condition()

    def wait() -> None:
        with changed:
            assert changed.wait(0.001) is False

    bench.in_thread(wait)


def test_a_future_is_waited_for(bench: Bench) -> None:
    future = bench.system.threads.future()
    bench.system.threads.start(lambda: future.set_result(7), "set")
    seen: list[int] = []
    bench.in_thread(lambda: seen.append(future.result()))
    assert seen == [7]


def test_a_result_is_waited_for_so_long(bench: Bench) -> None:
    future = bench.system.threads.future()

    def wait() -> None:
        with pytest.raises(TimeoutError):
            future.result(0.001)

    bench.in_thread(wait)


def test_other_threads_run_after_a_call_of_the_kernel(simulated: SimulatedBench) -> None:
    machine = simulated.machine
    seen: list[str] = []
    always = SimulatedThreads(ProcessClock(simulated.schedule), Drawn(lambda n: n - 1).stream("threads"))
    descriptors = Descriptors(always)
    null = descriptors.null()

    def read(name: str) -> None:
        for _ in range(2):
            descriptors.read(null, 1)
            seen.append(name)

    always.start(partial(read, "one"), "one")
    always.start(partial(read, "other"), "other")
    while always.alive:
        simulated.pass_time()
    assert seen == ["one", "other", "one", "other"]
    assert machine.descriptors.read(machine.descriptors.null(), 1) == b""


def test_a_thread_that_waits_for_something_else_is_a_misuse(
    simulated: SimulatedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posthouse.adapters.simulation.machine.threads.PATIENCE", 0.01)
    lock = threading.Lock()

    def work() -> None:
        with lock:
            """Another thread holds it."""

    with lock, pytest.raises(UsageError, match=r"stuck does not come back: .* must not wait for another thread"):
        simulated.machine.threads.start(work, "stuck")
        while True:
            simulated.pass_time()
    assert simulated.machine.threads.alive == []


def test_a_thread_draws_in_the_thread_of_its_world(simulated: SimulatedBench) -> None:
    drawn_in: list[int] = []
    drawn: list[int] = []

    def draw(n: int) -> int:
        drawn_in.append(threading.get_ident())
        return n - 1

    stream = Drawn(draw).stream("threads")
    simulated.in_thread(lambda: drawn.extend([stream.choose(5), stream.choose(7)]))
    assert (drawn, drawn_in) == ([4, 6], [threading.get_ident()] * 2)


def test_a_thread_whose_draw_fails_ends_with_its_process(simulated: SimulatedBench) -> None:
    threads = simulated.machine.threads
    drawn: list[int] = []
    stream = Drawn(lambda n: 1 // 0).stream("threads")
    with pytest.raises(ZeroDivisionError):
        simulated.in_thread(lambda: drawn.append(stream.choose(5)))
    assert (threads.running, len(threads.alive)) == (None, 1)
    threads.kill()
    assert (threads.alive, drawn) == ([], [])


def test_a_queue_is_waited_for(bench: Bench) -> None:
    queue = bench.system.threads.queue()
    seen: list[int | None] = []

    def take() -> None:
        seen.extend((queue.get(), queue.get(timeout=60.0)))
        with pytest.raises(Empty):
            queue.get(timeout=0.001)

    def put() -> None:
        queue.put(1)
        queue.put(None)

    bench.system.threads.start(put, "put")
    bench.in_thread(take)
    assert seen == [1, None]


def test_a_function_is_called_until_it_is_ended(bench: Bench) -> None:
    changed = bench.system.threads.condition()
    calls: list[int] = []

    def call() -> None:
        with changed:
            calls.append(len(calls))
            changed.notify_all()

    def wait() -> None:
        with changed:
            while len(calls) < 3:
                changed.wait()

    stop = bench.system.threads.every(0.001, call, "often")
    bench.in_thread(wait)
    stop()
    assert calls[:3] == [0, 1, 2]


# What only the simulation does


def order(seed: int) -> list[int]:
    """Three threads, each of which notes its number twice."""
    simulated = SimulatedBench(seed)
    noted: list[int] = []

    def note(number: int) -> None:
        noted.append(number)
        simulated.machine.threads.condition().wait(0.0)
        noted.append(number)

    for number in range(3):
        simulated.machine.threads.start(partial(note, number), f"note {number}")
    while len(noted) < 6:
        simulated.pass_time()
    return noted


def test_the_order_of_threads_follows_from_the_seed() -> None:
    orders = [order(seed) for seed in range(8)]
    assert orders == [order(seed) for seed in range(8)]
    assert len(set(map(tuple, orders))) > 1


def test_the_event_loop_may_not_wait(simulated: SimulatedBench) -> None:
    with pytest.raises(RuntimeError, match="would wait for ever"):
        simulated.machine.threads.condition().wait()


def test_an_exception_of_a_thread_is_a_defect(simulated: SimulatedBench) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    simulated.machine.threads.start(fail, "fails")
    with pytest.raises(ZeroDivisionError):
        simulated.pass_time()


def test_every_thread_ends_with_its_process(simulated: SimulatedBench) -> None:
    threads, ran = simulated.machine.threads, []

    def wait() -> None:
        ran.append("before")
        threads.condition().wait()
        ran.append("after")

    threads.start(wait, "waits")
    while not ran:
        simulated.pass_time()
    threads.start(wait, "has not begun")
    threads.every(1.0, lambda: ran.append("later"), "often")
    threads.kill()
    while simulated.schedule.next() is not None:
        simulated.pass_time()
    assert ran == ["before"]
