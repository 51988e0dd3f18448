"""Coroutines on the virtual clock: an asyncio loop that uses the time of the schedule and never waits.

Handlers and hooks that await run here as in a server, on asyncio or anyio. They cannot use sockets, threads of their
own or other processes. `turn` runs everything that can run, and plans the next turn for the end of the next sleep.
Functions that asyncio would run in a thread are run at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from itertools import count
from typing import Any, Final, TypeVarTuple

from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.machine.tasks import NOT_SIMULATED, NumberedTask
from posthouse.adapters.simulation.schedule import ProcessClock
from posthouse.core.values.errors import UsageError

Ts = TypeVarTuple("Ts")

MAX_ROUNDS: Final = 100_000
"""The most rounds of one turn. A task that sleeps for 0 seconds in a loop would go on forever."""


class _Selector:
    """The selector with which a loop would wait for sockets. When the loop wants to wait, the turn is over."""

    def __init__(self, loop: _Loop) -> None:
        self._loop = loop
        self.rounds = 0
        self.wait: float | None = None

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout > 0:
            self.wait = timeout
            self._loop.stop()
        self.rounds += 1
        if self.rounds > MAX_ROUNDS:
            raise Violation(
                "time: a handler yields forever and the clock does not advance",
                f"{MAX_ROUNDS} rounds in one turn",
            )
        return []


class _Loop(asyncio.BaseEventLoop):
    """An event loop on virtual time. `runnable`: something may be ready to run."""

    def __init__(self, clock: ProcessClock) -> None:
        super().__init__()
        self._clock: Final = clock
        self._selector: Final = _Selector(self)
        self.runnable = False
        numbers = count(1)

        def begin(loop: asyncio.AbstractEventLoop, coroutine: Any, **rest: Any) -> NumberedTask:
            return NumberedTask(next(numbers), coroutine, loop=loop, **rest)

        self.set_task_factory(begin)

    def time(self) -> float:
        """The time of the schedule."""
        return self._clock.now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run this in the next turn."""
        self.runnable = True
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run this in the next turn, called from a blocking handler."""
        self.runnable = True
        return super().call_soon_threadsafe(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run this at a time. The next turn plans it on the schedule."""
        self.runnable = True
        return super().call_at(when, callback, *args, context=context)

    def run_in_executor(self, executor: Any, function: Callable[[*Ts], Any], *args: *Ts) -> asyncio.Future[Any]:
        """Run this at once instead of in a thread."""
        future = self.create_future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _not_simulated(self, *arguments: Any, **named: Any) -> Any:
        """Refuse sockets and processes: they do not live on virtual time."""
        raise UsageError(NOT_SIMULATED)

    add_reader = add_writer = _not_simulated  # type: ignore[assignment]
    sock_connect = sock_accept = sock_recv = sock_sendall = _not_simulated
    create_unix_connection = create_unix_server = connect_read_pipe = connect_write_pipe = _not_simulated
    _make_socket_transport = _make_datagram_transport = _make_subprocess_transport = _not_simulated

    def __del__(self) -> None:
        """A loop that was not closed holds no resources, so there is no warning."""

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no events of sockets."""

    def _write_to_self(self) -> None:
        """No thread waits for the loop."""


class Tasks:
    """The tasks of one process.

    The firewall catches exceptions of handlers and hooks. An exception that a task raises is therefore a defect of the
    project, and `turn` raises it.
    """

    def __init__(self, clock: ProcessClock) -> None:
        self.loop: Final = _Loop(clock)
        self._clock: Final = clock
        self.loop.set_exception_handler(_ignore)  # for tasks that are dropped with their world
        self._tasks: dict[asyncio.Task[None], None] = {}  # in the order in which they started
        self._planned: float | None = None
        self._turning = False
        self._failed: BaseException | None = None

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Start a task. It runs in the next turn."""
        task = self.loop.create_task(coroutine)
        self._tasks[task] = None
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled():
            self._failed = self._failed or task.exception()

    def turn(self) -> None:
        """Run until every task waits. Raises the exception of a task that failed."""
        if self._turning or not self.loop.runnable or self.loop.is_closed():
            return
        self._turning = True
        self.loop.runnable = False
        self.loop._selector.rounds = 0
        try:
            self.loop.run_forever()
        finally:
            self._turning = False
        if self._failed is not None:
            raise self._failed
        wait = self.loop._selector.wait
        if wait is not None:
            due = self._clock.now + wait
            if self._planned is None or due < self._planned:
                self._planned = due
                self._clock.after(wait, self._wake)

    def _wake(self) -> None:
        self._planned = None
        self.loop.runnable = True
        self.turn()

    def close(self) -> None:
        """The process has ended: cancel every task."""
        if self.loop.is_closed():
            return
        for task in self._tasks:
            task.cancel()
        try:
            self.turn()
        finally:
            self.loop.close()


def _ignore(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Do not log."""
