"""A bounded pool of threads for handlers that block.

Its threads are daemons: one that is stuck holds up neither the others nor the exit. It may not know what it runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import Final

Job = Callable[[], None]


class Workers:
    """At most `size` threads, started when they are needed, and at most `max_queue` jobs that wait for one."""

    def __init__(self, size: int, max_queue: int) -> None:
        self._size: Final = size
        self._max_queue: Final = max_queue
        self._jobs: deque[Job] = deque()
        self._changed: Final = Condition()
        self._threads = 0
        self._running = 0
        self._closed = False

    def submit(self, job: Job) -> bool:
        """Have `job` run by a thread; it must not raise. False: every thread is busy and the queue is full."""
        with self._changed:
            unfinished = len(self._jobs) + self._running
            if unfinished >= self._size + self._max_queue:
                return False
            self._jobs.append(job)
            if unfinished < self._threads:
                self._changed.notify()
            elif self._threads < self._size:
                self._threads += 1
                Thread(target=self._work, name=f"posthouse-worker-{self._threads}", daemon=True).start()
            return True

    def withdraw(self, job: Job) -> bool:
        """Do not run it after all. False: it has begun."""
        with self._changed:
            for place, waiting in enumerate(self._jobs):
                if waiting is job:
                    del self._jobs[place]
                    return True
            return False

    def close(self) -> None:
        """Begin nothing more. What runs is left to itself."""
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
            del job  # what it holds is not kept while this thread waits
            with self._changed:
                self._running -= 1
