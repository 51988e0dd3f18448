"""The event loop of a simulated process: asyncio on virtual time, over simulated descriptors. It never waits.

`turn` runs everything that can run. When the loop would wait, the turn is over; the end of the next sleep is an event
of the schedule. Functions that asyncio runs in a thread run in one of the machine. Real sockets, threads and processes
do not live on virtual time, and are refused.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from itertools import count
from types import BuiltinMethodType
from typing import Any, Final, TypeVarTuple

from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.machine.descriptors import Descriptors
from posthouse.adapters.simulation.machine.numbered import NOT_SIMULATED, NumberedTask, numbered_scopes
from posthouse.adapters.simulation.machine.signals import SimulatedSignals
from posthouse.adapters.simulation.machine.threads import SimulatedThreads
from posthouse.adapters.simulation.schedule import ProcessClock
from posthouse.adapters.system.system import READ
from posthouse.core.values.errors import UsageError

Ts = TypeVarTuple("Ts")

Ready = tuple[Callable[[], object], Context]
"""The callback of a descriptor that is ready, and the variables with which it runs."""

MAX_ROUNDS: Final = 100_000
"""The most rounds of one turn. A task that sleeps for 0 seconds in a loop would go on forever."""


class _Waiting:
    """The selector with which a loop would wait. When the loop wants to wait, it ends the turn."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop: Final = loop

    def select(self, timeout: float | None = None) -> list[Ready]:
        return self._loop.next_round(timeout)


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop on virtual time. A callback that raises is a defect, and so is a loop that never waits.

    `reordered`: in so many of a thousand rounds, tasks run in an order that the stream draws, or descriptors are found
    to be ready one round later. asyncio promises neither. It promises the order of callbacks (`call_soon`) among
    themselves, and that is kept.

    `woken`: something may be ready to run. `wait`: seconds until the next sleep ends, when a turn is over. `failed`: a
    defect, which `turn` raises.
    """

    _ready: deque[Any]  # the handles that run in the next round

    def __init__(
        self,
        clock: ProcessClock,
        descriptors: Descriptors,
        signals: SimulatedSignals,
        threads: SimulatedThreads,
        stream: Stream,
    ) -> None:
        super().__init__()
        self._stream: Final = stream
        self._main: asyncio.Task[None] | None = None
        self.reordered = 0
        self._clock: Final = clock
        self._descriptors: Final = descriptors
        self._signals: Final = signals
        self._threads: Final = threads
        self._readers: Final[dict[int, Ready]] = {}
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
        self.set_exception_handler(self._fail)

    def begin(
        self, main: Coroutine[Any, Any, None], context: Context, ended: Callable[[BaseException | None], None]
    ) -> None:
        """Begin to run this. `ended` is called with the exception that it has raised, or None."""

        def done(task: asyncio.Task[None]) -> None:
            ended(None if task.cancelled() else task.exception())

        self._main = self.create_task(main, name="serve", context=context)
        self._main.add_done_callback(done)

    def run_soon(self, callback: Callable[[], object], context: Context) -> None:
        """Run this in the next turn, with these variables."""
        self.call_soon(callback, context=context)

    @property
    def over(self) -> bool:
        """Has the main task ended?"""
        return self._main is not None and self._main.done()

    def cancel_all(self) -> None:
        """Cancel every task."""
        for task in sorted(asyncio.all_tasks(self), key=hash):
            task.cancel()

    def _fail(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep the exception of a callback. That of a task is raised in the task that awaits it."""
        if "handle" in context:
            self.failed = self.failed or context.get("exception")

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
        with numbered_scopes():
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
            busy = [f"{name} does not wait" for name in self._ready_tasks()]
            raise Violation("time: the loop never waits and the clock does not advance", *busy)
        return ready

    def _ready_tasks(self) -> list[str]:
        """The names of the tasks that run in the next round."""
        owners = [getattr(handle._callback, "__self__", None) for handle in self._ready]
        return [owner.get_name() for owner in owners if isinstance(owner, asyncio.Task)]

    # Descriptors

    def wake_up(self) -> None:
        """Let the next turn look at the descriptors: one of them may be ready."""
        self.woken = True

    def add_reader(self, fd: Any, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Call this in each round in which the descriptor can be read."""
        self._readers[fd] = partial(callback, *args), copy_context()
        self._descriptors.watch(self._descriptors.file(fd), self.wake_up)
        self.woken = True

    def remove_reader(self, fd: Any) -> bool:
        """End `add_reader`. Returns False if the descriptor had no reader."""
        if self._readers.pop(fd, None) is None:
            return False
        self._descriptors.unwatch(self._descriptors.file(fd), self.wake_up)
        return True

    def _ready_callbacks(self) -> list[Ready]:
        self._signals.call_handlers()
        if self._ready and self._stream.happens(self.reordered):
            return []  # the kernel tells of them in the next round
        file = self._descriptors.file
        return [reader for fd, reader in self._readers.items() if file(fd).ready() & READ]

    # Callbacks

    def _process_events(self, event_list: list[Ready]) -> None:
        for callback, context in event_list:
            self.call_soon(callback, context=context)
        if self._stream.happens(self.reordered):
            self._reorder_tasks()

    def _reorder_tasks(self) -> None:
        """Let the tasks that are ready run in a drawn order. Callbacks keep their places."""
        ready = self._ready
        places = [place for place, handle in enumerate(ready) if _is_step(handle)]
        steps = [ready[place] for place in places]
        for place in places:
            ready[place] = steps.pop(self._stream.choose(len(steps)))

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
        """Run this in a thread of the machine, also if an executor is given."""
        future = self.create_future()

        def work() -> None:
            try:
                end = partial(future.set_result, function(*args))
            except Exception as error:
                end = partial(future.set_exception, error)
            if not self.is_closed():
                self.call_soon_threadsafe(lambda: future.done() or end())

        self._threads.start(work, "executor")
        return future

    def _write_to_self(self) -> None:
        """Do nothing: the loop never waits, so no thread needs to wake it."""

    def __del__(self) -> None:
        """Do not warn about a loop that was not closed: it holds no resources."""

    # Operations that do not live on virtual time

    def _not_simulated(self, *arguments: Any, **named: Any) -> Any:
        """Refuse sockets and processes: they do not live on virtual time."""
        raise UsageError(NOT_SIMULATED)

    def add_writer(self, fd: Any, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Refuse a descriptor."""
        self._not_simulated()

    sock_connect = sock_accept = sock_recv = sock_sendall = _not_simulated
    create_unix_connection = create_unix_server = connect_read_pipe = connect_write_pipe = _not_simulated
    _make_socket_transport = _make_datagram_transport = _make_subprocess_transport = _not_simulated


def _is_step(handle: Any) -> bool:
    """Does this callback continue a task?"""
    callback = handle._callback
    if not isinstance(getattr(callback, "__self__", None), NumberedTask):
        return False
    return not isinstance(callback, BuiltinMethodType) or callback.__name__ == "task_wakeup"
