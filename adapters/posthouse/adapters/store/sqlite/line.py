"""A line of requests in front of one thread, which performs all that wait as one group; and one call in a thread.

These threads are daemons: a disk that hangs holds up neither the end of the loop nor that of the process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from threading import Condition, Thread
from typing import Any, Final

import anyio
from posthouse.core.operations.operations import Busy, Failed
from posthouse.core.store.outcomes import StoreOutcome

GROUP: Final = 256
"""The most requests of one group: the first of them waits for the last."""

Perform = Callable[[Sequence[Any]], list[StoreOutcome]]
Soon = Callable[[Callable[[], object]], object]


class Waiting:
    """One request, and who waits for its outcome."""

    __slots__ = ("ended", "outcome", "request")

    def __init__(self, request: Any) -> None:
        self.request: Final = request
        self.ended: Final = anyio.Event()
        self.outcome: StoreOutcome = Failed()


class Line:
    """At most `most` requests wait. `perform` gets each group in a thread named `name`, and never raises. `end` is
    called in that thread when the line is closed and empty."""

    def __init__(self, name: str, most: int, perform: Perform, end: Callable[[], None]) -> None:
        self._most: Final = most
        self._perform: Final = perform
        self._end: Final = end
        self._soon: Final = in_loop()
        self._changed: Final = Condition()
        self._waiting: deque[Waiting] = deque()
        self._closed = False
        self._thread: Final = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def ask(self, request: Any) -> StoreOutcome:
        """The outcome of a request. Busy: too many wait. Failed: the line is closed."""
        with self._changed:
            if self._closed:
                return Failed()
            if len(self._waiting) >= self._most:
                return Busy()
            waiting = Waiting(request)
            self._waiting.append(waiting)
            self._changed.notify()
        await waiting.ended.wait()
        return waiting.outcome

    def close(self) -> None:
        """Take no more requests. Those that wait are performed."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def join(self) -> None:
        """Wait until the thread has ended. Blocks."""
        self._thread.join()

    def _run(self) -> None:
        while group := self._next_group():
            outcomes = self._perform([waiting.request for waiting in group])
            for waiting, outcome in zip(group, outcomes, strict=True):
                waiting.outcome = outcome
            with suppress(RuntimeError):  # the loop has ended: nobody waits
                self._soon(partial(_tell, group))
        self._end()

    def _next_group(self) -> list[Waiting]:
        """The requests that wait, when there are any. Empty: the line is closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            return [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]


def _tell(group: list[Waiting]) -> None:
    for waiting in group:
        waiting.ended.set()


async def in_thread(function: Callable[[], None], name: str) -> None:
    """Call it in a thread of this name, and raise what it raises. If this is cancelled, the thread goes on."""
    ended, soon, errors = anyio.Event(), in_loop(), list[BaseException]()

    def call() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            soon(ended.set)

    Thread(target=call, name=name, daemon=True).start()
    await ended.wait()
    if errors:
        raise errors[0]


def in_loop() -> Soon:
    """A function that calls another one in the loop that runs now, from any thread."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon
