"""Threads of which only one runs at a time. A stream decides on their order, so that a seed reproduces a race.

The threads are real: user code runs in them as it does in a server. A thread runs until it waits or ends, and the world
waits for that. An event of the schedule resumes the thread, after a delay that the stream draws.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import Empty
from typing import Any, Final

from posthouse.adapters.simulation.chance import ASKING, Stream
from posthouse.adapters.simulation.schedule import ProcessClock
from posthouse.core.values.errors import UsageError

DELAYS: Final = (0.0, 0.0, 0.0001, 0.003)
"""The delays, in seconds, from which the stream draws. A thread that may run is resumed after one of them."""

PATIENCE: Final = 60.0
"""Seconds of real time after which a thread that runs is taken for stuck."""

STRAY: Final = "in a simulation, a function in a thread must not wait for another thread, as for a lock or a queue"

PAUSES: Final = 100
"""How often, in a thousand calls of the kernel, other threads run before the one that made the call goes on."""


class Exited(BaseException):
    """The process has exited with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code: Final = code


class Killed(BaseException):
    """Raised in each thread of a killed process, where it waits."""


def _closed() -> threading.Lock:
    """A lock that is taken: the next one to acquire it waits until another thread releases it."""
    lock = threading.Lock()
    lock.acquire()
    return lock


class _Thread:
    """One thread. `go` is released to resume it. `waits_for`: the condition on which it waits. `number` grows each time
    that it is resumed."""

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.go: Final = _closed()
        self.waits_for: SimulatedCondition | None = None
        self.number = 0
        self.notified = False
        self.ended = False
        self.error: BaseException | None = None


class SimulatedThreads:
    """The threads of one process. `running`: the thread that runs, None while the event loop's thread does."""

    def __init__(self, clock: ProcessClock, stream: Stream) -> None:
        self._clock: Final = clock
        self._stream: Final = stream
        self._back: Final = _closed()
        self._threads: Final[dict[_Thread, None]] = {}
        self._killed = False
        self._asked: Callable[[], int] | None = None
        self._answer = 0
        self.running: _Thread | None = None

    @property
    def alive(self) -> list[str]:
        """The names of the threads that have not ended."""
        return [thread.name for thread in self._threads]

    # The interface of the system

    def start(self, work: Callable[[], None], name: str) -> None:
        thread = _Thread(name)
        self._threads[thread] = None
        threading.Thread(target=self._run, args=(thread, work), name=name, daemon=True).start()
        self._plan(thread)

    def every(self, seconds: float, call: Callable[[], None], name: str) -> Callable[[], None]:
        """Call a function again and again, without a thread: events of the schedule call it."""
        stopped = False

        def again() -> None:
            if not stopped and not self._killed:
                call()
                self._clock.after(seconds, again)

        def stop() -> None:
            nonlocal stopped
            stopped = True

        self._clock.after(seconds, again)
        return stop

    def condition(self) -> SimulatedCondition:
        return SimulatedCondition(self)

    def future(self) -> SimulatedFuture:
        return SimulatedFuture(self.condition())

    def queue(self) -> SimulatedQueue:
        return SimulatedQueue(self.condition())

    # The thread that runs

    def _run(self, thread: _Thread, work: Callable[[], None]) -> None:
        thread.go.acquire()
        ASKING.ask = partial(self._ask, thread)
        try:
            if not self._killed:
                work()
        except (Killed, Exited):
            pass
        except BaseException as error:
            thread.error = error
        thread.ended = True
        self._back.release()

    def _plan(self, thread: _Thread) -> None:
        self._clock.after(self._stream.pick(DELAYS), partial(self._resume, thread, thread.number))

    def _resume(self, thread: _Thread, number: int) -> None:
        """Resume a thread, until it waits again. `number` is that of the wait that this ends; a later wait goes on."""
        if thread.ended or thread.number != number:
            return
        assert self.running is None
        self.running = thread
        thread.number += 1
        try:
            self._let(thread)
            while self._asked is not None:
                asked, self._asked = self._asked, None
                self._answer = asked()
                self._let(thread)
        finally:
            self.running = None
        if thread.ended:
            del self._threads[thread]
            if thread.error is not None:
                raise thread.error

    def _let(self, thread: _Thread) -> None:
        """Let a thread run until it waits. Raises UsageError if it waits for something outside of this machine."""
        thread.go.release()
        if not self._back.acquire(timeout=PATIENCE):
            thread.ended = True
            del self._threads[thread]
            raise UsageError(f"{thread.name} does not come back: {STRAY}")

    def _ask(self, thread: _Thread, asked: Callable[[], int]) -> int:
        """Have the thread of the world call a function, and return its result."""
        self._asked = asked
        self._back.release()
        thread.go.acquire()
        if self._killed:
            raise Killed
        return self._answer

    def wait(self, condition: SimulatedCondition, timeout: float | None) -> bool:
        """Block the running thread until it is notified, or until `timeout` seconds are over. Was it notified?"""
        if self._killed:
            raise Killed
        thread = self.running
        if thread is None:
            raise RuntimeError("the event loop's thread would wait for ever: no other thread runs meanwhile")
        thread.waits_for, thread.notified = condition, False
        condition.waiting.append(thread)
        if timeout is not None:
            self._clock.after(timeout, partial(self._resume, thread, thread.number))
        self._back.release()
        thread.go.acquire()
        thread.waits_for = None
        if thread in condition.waiting:
            condition.waiting.remove(thread)
        if self._killed:
            raise Killed
        return thread.notified

    def pause(self) -> None:
        """The running thread has called the kernel: others may run before it goes on."""
        if self.running is not None and self._stream.happens(PAUSES):
            self.wait(SimulatedCondition(self), self._stream.pick(DELAYS))

    def notify(self, thread: _Thread) -> None:
        """End the wait of a thread: it is resumed after a delay."""
        thread.notified = True
        self._plan(thread)

    def kill(self) -> None:
        """End every thread, where it waits: the process was killed."""
        self._killed = True
        for thread in list(self._threads):
            self._resume(thread, thread.number)


class SimulatedCondition:
    """A condition without a lock: a running thread is never interrupted."""

    def __init__(self, threads: SimulatedThreads) -> None:
        self._threads: Final = threads
        self.waiting: Final[deque[_Thread]] = deque()

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *error: object) -> None:
        """Do nothing: there is no lock."""

    def wait(self, timeout: float | None = None) -> bool:
        return self._threads.wait(self, timeout)

    def notify(self, n: int = 1) -> None:
        for _ in range(min(n, len(self.waiting))):
            self._threads.notify(self.waiting.popleft())

    def notify_all(self) -> None:
        self.notify(len(self.waiting))


class SimulatedFuture(Future[Any]):
    """A future whose result a simulated thread can wait for."""

    def __init__(self, changed: SimulatedCondition) -> None:
        super().__init__()
        self._changed: Final = changed
        self.add_done_callback(lambda _: changed.notify_all())

    def result(self, timeout: float | None = None) -> Any:
        """The result, when there is one. Raises TimeoutError after so many seconds."""
        while not self.done():
            if not self._changed.wait(timeout):
                raise TimeoutError
        return super().result()


class SimulatedQueue:
    """A queue without a bound."""

    def __init__(self, condition: SimulatedCondition) -> None:
        self._changed: Final = condition
        self._items: Final[deque[int | None]] = deque()

    def put(self, item: int | None) -> None:
        self._items.append(item)
        self._changed.notify()

    def get(self, *, timeout: float | None = None) -> int | None:
        while not self._items:
            if not self._changed.wait(timeout):
                raise Empty
        return self._items.popleft()
