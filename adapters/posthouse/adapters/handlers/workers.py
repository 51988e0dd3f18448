"""A bounded pool of threads for handlers that block.

A stuck thread delays neither the others nor the exit. This module does not know what a job does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from posthouse.adapters.system.system import Threads

Job = Callable[[], None]


class Workers:
    """At most `size` threads, started on demand, and at most `max_queue` jobs that wait for a thread."""

    def __init__(self, threads: Threads, size: int, max_queue: int) -> None:
        self._start: Final = threads.start
        self._size: Final = size
        self._max_queue: Final = max_queue
        self._jobs: deque[Job] = deque()
        self._changed: Final = threads.condition()
        self._threads = 0
        self._running = 0
        self._closed = False

    def submit(self, job: Job) -> bool:
        """Run `job` in a thread. It must not raise. False: every thread is busy and the queue is full."""
        with self._changed:
            unfinished = len(self._jobs) + self._running
            if unfinished >= self._size + self._max_queue:
                return False
            self._jobs.append(job)
            if unfinished < self._threads:
                self._changed.notify()
            elif self._threads < self._size:
                self._threads += 1
                self._start(self._work, f"posthouse-worker-{self._threads}")
            return True

    def withdraw(self, job: Job) -> bool:
        """Take a job out of the queue. False: it has begun."""
        with self._changed:
            for place, waiting in enumerate(self._jobs):
                if waiting is job:
                    del self._jobs[place]
                    return True
            return False

    def close(self) -> None:
        """Begin no more jobs. Running jobs are not waited for."""
        with self._changed:
            self._closed = True
            self._jobs.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = self._jobs.popleft()
                self._running += 1
            job()
            del job  # do not keep its arguments alive while this thread waits
            with self._changed:
                self._running -= 1
