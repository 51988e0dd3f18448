"""A pool of threads with a bound on everything."""

from __future__ import annotations

import threading

from posthouse.adapters.handlers.workers import Workers
from posthouse.adapters.system.machine import MachineThreads

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
