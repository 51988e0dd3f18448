"""An event loop on virtual time: asyncio with the time of the schedule. It never waits.

`turn` runs everything that can run. When the loop would wait, the turn is over; the end of the next sleep is an event
of the schedule. Functions that asyncio would run in a thread run at once. Sockets, threads and processes of asyncio do
not live on virtual time, and are refused. Nothing depends on the addresses of objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from itertools import count
from typing import Any, Final, TypeVarTuple

from anyio._backends import _asyncio
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.schedule import ProcessClock
from posthouse.core.values.errors import UsageError

Ts = TypeVarTuple("Ts")

Ready = tuple[Callable[[], object], Context]
"""The callback of a descriptor that is ready, and the variables with which it runs."""

MAX_ROUNDS: Final = 100_000
"""The most rounds of one turn. A task that sleeps for 0 seconds in a loop would go on forever."""

NOT_SIMULATED: Final = (
    "handlers in a simulation cannot use sockets, threads of their own or processes: replace them with a fake in tests"
)

SCOPE: Final = "CancelScope"
"""The name under which anyio finds the class of its cancel scopes."""


class NumberedTask(asyncio.Task[Any]):
    """A task whose hash is its number: task groups are sets, and cancel their members in the order of their hashes."""

    def __init__(self, number: int, coroutine: Coroutine[Any, Any, Any], **rest: Any) -> None:
        self._number: Final = number
        super().__init__(coroutine, **rest)

    def __hash__(self) -> int:
        return self._number

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Add a callback. That of an anyio worker thread is refused: virtual time would not wait for the thread."""
        worker = getattr(callback, "__self__", None)
        if isinstance(worker, _asyncio.WorkerThread):
            worker.stop()
            raise UsageError(NOT_SIMULATED)
        super().add_done_callback(callback, context=context)


class NumberedScope(_asyncio.CancelScope):
    """A cancel scope of anyio whose hash is that of its task: scopes are kept in sets, and cancelled in the order of
    their hashes."""

    __slots__ = ()

    def __hash__(self) -> int:
        task = self._host_task
        return object.__hash__(self) if task is None else hash(task)


@contextmanager
def _numbered_scopes() -> Iterator[None]:
    """Let anyio make numbered scopes. Tasks make their scopes themselves, through anyio, which offers no other way to
    choose the class."""
    usual = _asyncio.CancelScope
    setattr(_asyncio, SCOPE, NumberedScope)
    try:
        yield
    finally:
        setattr(_asyncio, SCOPE, usual)


class _Waiting:
    """The selector with which a loop would wait. When the loop wants to wait, it ends the turn."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop: Final = loop

    def select(self, timeout: float | None = None) -> list[Ready]:
        return self._loop.next_round(timeout)


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop on virtual time. `stuck` is the sentence of the violation if it never waits.

    `woken`: something may be ready to run. `wait`: seconds until the next sleep ends, when a turn is over. `failed`: a
    defect, which `turn` raises.
    """

    def __init__(self, clock: ProcessClock, stuck: str) -> None:
        super().__init__()
        self._clock: Final = clock
        self._stuck: Final = stuck
        self._selector: Final = _Waiting(self)
        self._rounds = 0
        self._planned: float | None = None
        self.woken = False
        self.wait: float | None = None
        self.failed: BaseException | None = None
        numbers = count(1)

        def begin(loop: asyncio.AbstractEventLoop, coroutine: Any, **rest: Any) -> NumberedTask:
            return NumberedTask(next(numbers), coroutine, loop=loop, **rest)

        self.set_task_factory(begin)

    def time(self) -> float:
        """The time of the schedule."""
        return self._clock.now

    # Turns

    def turn(self) -> None:
        """Run until nothing can run. Raises the exception of `failed`."""
        if not self.woken or self.is_running() or self.is_closed():
            return
        self.woken = False
        self._rounds = 0
        with _numbered_scopes():
            self.run_forever()
        if self.failed is not None:
            raise self.failed
        if self.wait is not None:
            due = self._clock.now + self.wait
            if self._planned is None or due < self._planned:
                self._planned = due
                self._clock.after(self.wait, self._slept)

    def _slept(self) -> None:
        """End a sleep: the next turn may run its callback."""
        self._planned = None
        self.woken = True

    def next_round(self, timeout: float | None) -> list[Ready]:
        """The callbacks that run in the next round. Ends the turn if there are none, and the loop would wait."""
        ready = self._ready_callbacks()
        if not ready and (timeout is None or timeout > 0):
            self.wait = timeout
            self.stop()
        self._rounds += 1
        if self._rounds > MAX_ROUNDS:
            raise Violation(self._stuck, f"{MAX_ROUNDS} rounds in one turn")
        return ready

    def _ready_callbacks(self) -> list[Ready]:
        """The callbacks of descriptors that are ready."""
        return []

    def _process_events(self, event_list: list[Ready]) -> None:
        for callback, context in event_list:
            self.call_soon(callback, context=context)

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run this in the next round."""
        self.woken = True
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run this in the next round, called from a thread."""
        self.woken = True
        return super().call_soon_threadsafe(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run this at a time. The end of the turn plans it on the schedule."""
        self.woken = True
        return super().call_at(when, callback, *args, context=context)

    def run_in_executor(self, executor: Any, function: Callable[[*Ts], Any], *args: *Ts) -> asyncio.Future[Any]:
        """Run this at once instead of in a thread."""
        future = self.create_future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _write_to_self(self) -> None:
        """Do nothing: the loop never waits, so no thread needs to wake it."""

    def __del__(self) -> None:
        """Do not warn about a loop that was not closed: it holds no resources."""

    # Operations that do not live on virtual time

    def _not_simulated(self, *arguments: Any, **named: Any) -> Any:
        """Refuse sockets and processes: they do not live on virtual time."""
        raise UsageError(NOT_SIMULATED)

    def add_reader(self, fd: Any, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Refuse a descriptor."""
        self._not_simulated()

    def add_writer(self, fd: Any, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Refuse a descriptor."""
        self._not_simulated()

    sock_connect = sock_accept = sock_recv = sock_sendall = _not_simulated
    create_unix_connection = create_unix_server = connect_read_pipe = connect_write_pipe = _not_simulated
    _make_socket_transport = _make_datagram_transport = _make_subprocess_transport = _not_simulated
