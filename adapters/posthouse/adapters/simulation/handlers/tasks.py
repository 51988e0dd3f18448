"""Coroutines on the virtual clock: an asyncio loop whose time is the schedule's, and that never waits.

Handlers and hooks that await run here as they would in a server, with asyncio and with anyio on it, but for what needs
the outside: sockets, files, threads, other processes. `turn` runs what can run and plans the next turn for when a
sleep ends. What asyncio would give to a thread is run at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from itertools import count
from typing import Any, Final, TypeVarTuple

from anyio._backends._asyncio import CancelScope, WorkerThread
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.schedule import Clock
from posthouse.core.values.errors import UsageError

Ts = TypeVarTuple("Ts")

OUTSIDE: Final = (
    "handlers in a simulation may use no sockets, threads of their own or processes: put something else in their place"
)

MAX_ROUNDS: Final = 100_000
"""So often may a turn go round before everything waits: what sleeps for no time at all would go round for ever."""


class _Task(asyncio.Task[Any]):
    """Hashed by when it began: asyncio's groups are sets, and cancel their members in the order of their hashes."""

    def __init__(self, number: int, coroutine: Coroutine[Any, Any, Any], **rest: Any) -> None:
        self._number: Final = number
        super().__init__(coroutine, **rest)

    def __hash__(self) -> int:
        return self._number

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Also where anyio begins a thread, for which virtual time would not wait: it is refused."""
        worker = getattr(callback, "__self__", None)
        if isinstance(worker, WorkerThread):
            worker.stop()
            raise UsageError(OUTSIDE)
        super().add_done_callback(callback, context=context)


def _number(scope: CancelScope) -> int:
    """The hash of a cancel scope of anyio's, which are sets within one another and are cancelled in that order: while
    it is entered by a task of ours it is the task's."""
    host = scope._host_task
    return host._number if type(host) is _Task else object.__hash__(scope)


CancelScope.__hash__ = _number  # type: ignore[method-assign, assignment]


class _Selector:
    """Where a loop would wait for sockets. Here to wait means that nothing can run: then the turn is over."""

    def __init__(self, loop: _Loop) -> None:
        self._loop = loop
        self.rounds = 0
        self.idle_for: float | None = None

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout > 0:
            self.idle_for = timeout
            self._loop.stop()
        self.rounds += 1
        if self.rounds > MAX_ROUNDS:
            raise Violation(
                "time: handlers that await let the clock go on",
                f"they yielded {MAX_ROUNDS} times and waited for nothing",
            )
        return []


class _Loop(asyncio.BaseEventLoop):
    """An event loop on virtual time. `stirred`: there may be something to run."""

    def __init__(self, schedule: Clock) -> None:
        super().__init__()
        self._schedule: Final = schedule
        self._selector: Final = _Selector(self)
        self.stirred = False
        numbers = count(1)

        def begin(loop: asyncio.AbstractEventLoop, coroutine: Any, **rest: Any) -> _Task:
            return _Task(next(numbers), coroutine, loop=loop, **rest)

        self.set_task_factory(begin)

    def time(self) -> float:
        """The schedule's."""
        return self._schedule.now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Something can run."""
        self.stirred = True
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Something can run, as handlers that block say it."""
        self.stirred = True
        return super().call_soon_threadsafe(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Something will run, and the turn that follows plans when."""
        self.stirred = True
        return super().call_at(when, callback, *args, context=context)

    def run_in_executor(self, executor: Any, function: Callable[[*Ts], Any], *args: *Ts) -> asyncio.Future[Any]:
        """Not in a thread, but at once."""
        future = self.create_future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _outside(self, *arguments: Any, **named: Any) -> Any:
        """Sockets and processes are where the time is another."""
        raise UsageError(OUTSIDE)

    add_reader = add_writer = _outside  # type: ignore[assignment]
    sock_connect = sock_accept = sock_recv = sock_sendall = _outside
    create_unix_connection = create_unix_server = connect_read_pipe = connect_write_pipe = _outside
    _make_socket_transport = _make_datagram_transport = _make_subprocess_transport = _outside

    def __del__(self) -> None:
        """A world that is dropped drops it too: there is nothing that it would have to give back."""

    def _process_events(self, event_list: list[Any]) -> None:
        """There never are any."""

    def _write_to_self(self) -> None:
        """Nobody has to be woken."""


class Tasks:
    """The tasks of one process. Handlers and hooks run behind a firewall in them: what a task raises is not theirs, and
    comes out of the turn in which it does."""

    def __init__(self, schedule: Clock) -> None:
        self._schedule: Final = schedule
        self._loop: Final = _Loop(schedule)
        self._loop.set_exception_handler(_ignore)  # of tasks that are dropped with their world
        self._tasks: dict[asyncio.Task[None], None] = {}  # in the order in which they began
        self._planned: float | None = None
        self._turning = False
        self._failed: BaseException | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, to make futures for what tasks wait for."""
        return self._loop

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Begin a task. It runs with the next turn."""
        task = self._loop.create_task(coroutine)
        self._tasks[task] = None
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled():
            self._failed = self._failed or task.exception()

    def turn(self) -> None:
        """Run until every task waits. Raises what one of them did."""
        if self._turning or not self._loop.stirred or self._loop.is_closed():
            return
        self._turning = True
        self._loop.stirred = False
        self._loop._selector.rounds = 0
        try:
            self._loop.run_forever()
        finally:
            self._turning = False
        if self._failed is not None:
            raise self._failed
        wait = self._loop._selector.idle_for
        if wait is not None:
            due = self._schedule.now + wait
            if self._planned is None or due < self._planned:
                self._planned = due
                self._schedule.after(wait, self._wake)

    def _wake(self) -> None:
        self._planned = None
        self._loop.stirred = True
        self.turn()

    def close(self) -> None:
        """The process is gone, and its tasks with it: they are stopped where they are."""
        if self._loop.is_closed():
            return
        for task in self._tasks:
            task.cancel()
        try:
            self.turn()
        finally:
            self._loop.close()


def _ignore(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Nobody listens."""
