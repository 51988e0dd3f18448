"""A pool of threads with a bound on everything."""

from __future__ import annotations

import gc
import threading
import weakref

from posthouse.adapters.handlers.workers import Workers
from posthouse.adapters.system.machine import MachineThreads

from tests.adapters.simulated import SimulatedMachine

PATIENCE = 20.0


THREADS = MachineThreads()


class Jobs:
    """Jobs that wait until they are released, and say when they have begun and ended."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)
        self.release = threading.Event()
        self.threads: list[str] = []

    def job(self) -> None:
        self.threads.append(threading.current_thread().name)
        self.begun.release()
        self.release.wait(PATIENCE)
        self.ended.release()


def test_it_takes_as_many_jobs_as_it_has_threads_and_places() -> None:
    workers, jobs = Workers(THREADS, 2, 1), Jobs()
    assert [workers.submit(jobs.job) for _ in range(4)] == [True, True, True, False]
    assert jobs.begun.acquire(timeout=PATIENCE) and jobs.begun.acquire(timeout=PATIENCE)
    assert not jobs.begun.acquire(blocking=False)
    jobs.release.set()
    for _ in range(3):
        assert jobs.ended.acquire(timeout=PATIENCE)
    assert len({*jobs.threads}) == 2
    workers.close()


def test_a_thread_is_started_only_when_the_others_are_busy() -> None:
    workers, jobs = Workers(THREADS, 8, 0), Jobs()
    jobs.release.set()
    idle = threading.Event()
    for _ in range(3):
        idle.clear()
        assert workers.submit(jobs.job)
        assert jobs.ended.acquire(timeout=PATIENCE)
    workers.close()
    assert 1 <= len({*jobs.threads}) <= 3


def test_a_job_that_has_not_begun_can_be_withdrawn() -> None:
    workers, first, second = Workers(THREADS, 1, 1), Jobs(), Jobs()
    waiting = second.job
    assert workers.submit(first.job)
    assert first.begun.acquire(timeout=PATIENCE)
    assert workers.submit(waiting)
    assert workers.withdraw(waiting)
    assert not workers.withdraw(waiting)
    first.release.set()
    assert first.ended.acquire(timeout=PATIENCE)
    workers.close()
    assert second.threads == []


def test_a_stuck_job_does_not_delay_the_exit() -> None:
    workers, jobs = Workers(THREADS, 1, 1), Jobs()
    assert workers.submit(jobs.job) and workers.submit(jobs.job)
    assert jobs.begun.acquire(timeout=PATIENCE)
    workers.close()
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("posthouse-worker"))
    jobs.release.set()
    assert jobs.ended.acquire(timeout=PATIENCE)
    assert len(jobs.threads) == 1


# On a simulated machine, whose threads run one at a time


class Bench(SimulatedMachine):
    """Workers, and jobs that block until `gate` opens. `ran` names the jobs that have begun."""

    def __init__(self, size: int, max_queue: int) -> None:
        super().__init__()
        self.workers = Workers(self.system.threads, size, max_queue)
        self.ran: list[str] = []
        self.gate = self.system.threads.condition()

    def block(self, name: str) -> bool:
        def job() -> None:
            self.ran.append(name)
            self.gate.wait()

        return self.workers.submit(job)

    def open(self) -> None:
        self.gate.notify_all()
        self.pass_time(0.01)

    def run_all(self) -> None:
        self.pass_time(0.01)


def test_running_jobs_count_as_well_as_waiting_ones() -> None:
    bench = Bench(1, 1)
    assert bench.block("a")
    bench.run_all()
    assert (bench.ran, bench.block("b"), bench.block("c")) == (["a"], True, False)
    bench.open()
    assert bench.ran == ["a", "b"]
    assert (bench.block("d"), bench.block("e")) == (True, False)
    bench.open()
    bench.open()
    assert bench.ran == ["a", "b", "d"]
    assert [bench.block(name) for name in "fgh"] == [True, True, False]


def test_a_job_has_the_thread_that_is_idle_and_a_new_one_if_there_is_none() -> None:
    bench = Bench(2, 5)
    bench.block("a")
    bench.run_all()
    bench.open()
    assert bench.system.threads.alive == ["posthouse-worker-1"]
    bench.block("b")
    bench.run_all()
    assert (bench.ran, bench.system.threads.alive) == (["a", "b"], ["posthouse-worker-1"])
    bench.block("c")
    bench.block("d")
    bench.run_all()
    assert (bench.ran, bench.system.threads.alive) == (["a", "b", "c"], ["posthouse-worker-1", "posthouse-worker-2"])
    bench.open()
    assert bench.ran == ["a", "b", "c", "d"]


def test_two_jobs_at_once_have_two_threads_though_one_would_be_idle_soon() -> None:
    bench = Bench(3, 5)
    bench.block("a")
    bench.run_all()
    bench.open()
    bench.block("b")
    bench.block("c")
    bench.run_all()
    assert (sorted(bench.ran), len(bench.system.threads.alive)) == (["a", "b", "c"], 2)


def test_only_the_job_itself_is_withdrawn() -> None:
    bench = Bench(1, 3)
    ran: list[str] = []
    first, second, third = (lambda: ran.append("first")), (lambda: ran.append("second")), (lambda: ran.append("third"))
    for job in (first, second, third):
        assert bench.workers.submit(job)
    assert bench.workers.withdraw(second)
    assert not bench.workers.withdraw(lambda: None)
    bench.run_all()
    assert ran == ["first", "third"]
    assert not bench.workers.withdraw(first)


def test_closing_ends_the_threads_that_are_idle_and_drops_the_jobs_that_wait() -> None:
    bench = Bench(2, 5)
    bench.block("a")
    bench.run_all()
    bench.open()
    bench.block("b")
    bench.run_all()

    def job() -> None:
        bench.ran.append("never")

    waiting = weakref.ref(job)
    bench.workers.submit(bench.gate.notify_all)
    bench.run_all()
    bench.block("c")
    bench.block("d")
    bench.run_all()
    bench.workers.submit(job)
    del job
    bench.workers.close()
    gc.collect()
    assert waiting() is None
    bench.open()
    assert bench.ran == ["a", "b", "c", "d"]
    assert bench.system.threads.alive == []


def test_a_job_that_has_ended_is_not_kept_by_its_idle_thread() -> None:
    bench = Bench(1, 1)

    def job() -> None:
        bench.ran.append("a")

    ended = weakref.ref(job)
    bench.workers.submit(job)
    del job
    bench.run_all()
    gc.collect()
    assert (bench.ran, ended()) == (["a"], None)
    assert len(bench.system.threads.alive) == 1
