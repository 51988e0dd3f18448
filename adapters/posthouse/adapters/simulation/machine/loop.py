"""The event loop of a simulated process: asyncio on virtual time, which never waits.

`turn` runs everything that can run: callbacks, tasks, and readers of descriptors that are ready. When the loop would
wait, the turn is over; the end of the next sleep is an event of the schedule. Functions that asyncio would run in a
thread are run at once. Sockets and processes of asyncio itself do not live on virtual time, and are refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from itertools import count
from typing import Any, Final, TypeVarTuple

from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.schedule import ProcessClock
from posthouse.adapters.system.system import READ
from posthouse.core.values.errors import UsageError

from .descriptors import Descriptors
from .tasks import NOT_SIMULATED, NumberedTask

Ts = TypeVarTuple("Ts")

Reader = tuple[Callable[[], object], Context]
"""The callback of a reader, and the variables with which it runs."""

MAX_ROUNDS: Final = 100_000
"""The most rounds of one turn. A task that sleeps for 0 seconds in a loop would go on forever."""


class _Waiting:
    """The selector with which a loop would wait. When the loop wants to wait, the turn is over."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop: Final = loop

    def select(self, timeout: float | None = None) -> list[Reader]:
        loop = self._loop
        ready = loop.ready_readers()
        if not ready and (timeout is None or timeout > 0):
            loop.wait = timeout
            loop.stop()
        loop.rounds += 1
        if loop.rounds > MAX_ROUNDS:
            raise Violation("time: the loop never waits and the clock does not advance", f"{MAX_ROUNDS} rounds")
        return ready


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop on virtual time, over these descriptors."""

    def __init__(self, clock: ProcessClock, descriptors: Descriptors) -> None:
        super().__init__()
        self._clock: Final = clock
        self._descriptors: Final = descriptors
        self._selector: Final = _Waiting(self)
        self._readers: Final[dict[int, Reader]] = {}
        self.rounds = 0
        self.wait: float | None = None
        self._woken = False  # something may be ready to run
        self._planned: float | None = None
        self.failed: BaseException | None = None
        numbers = count(1)

        def begin(loop: asyncio.AbstractEventLoop, coroutine: Any, **rest: Any) -> NumberedTask:
            return NumberedTask(next(numbers), coroutine, loop=loop, **rest)

        self.set_task_factory(begin)
        self.set_exception_handler(self._fail)

    def _fail(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback raised: a defect. That of a task is found by those who await it."""
        if "handle" in context:
            self.failed = self.failed or context.get("exception")

    def time(self) -> float:
        """The time of the schedule."""
        return self._clock.now

    # Descriptors

    def _wake(self) -> None:
        self._woken = True

    def wake_up(self) -> None:
        """Something may be ready to run, for which there was no event."""
        self._wake()

    def add_reader(self, fd: Any, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Call this in each round in which the descriptor is ready to be read."""
        self._readers[fd] = partial(callback, *args), copy_context()
        self._descriptors.watch(self._descriptors.file(fd), self._wake)
        self._woken = True

    def remove_reader(self, fd: Any) -> bool:
        """Do not call it any more."""
        if self._readers.pop(fd, None) is None:
            return False
        self._descriptors.unwatch(self._descriptors.file(fd), self._wake)
        return True

    def ready_readers(self) -> list[Reader]:
        """The readers whose descriptors are ready."""
        file = self._descriptors.file
        return [reader for fd, reader in self._readers.items() if file(fd).ready() & READ]

    def _process_events(self, event_list: list[Reader]) -> None:
        for callback, context in event_list:
            self.call_soon(callback, context=context)

    # Turns

    def turn(self) -> None:
        """Run until nothing can run. Raises the exception of a callback that failed."""
        if not self._woken or self.is_running() or self.is_closed():
            return
        self._woken = False
        self.rounds = 0
        self.run_forever()
        if self.failed is not None:
            raise self.failed
        if self.wait is not None:
            due = self._clock.now + self.wait
            if self._planned is None or due < self._planned:
                self._planned = due
                self._clock.after(self.wait, self._timer)

    def _timer(self) -> None:
        self._planned = None
        self._woken = True

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run this in the next round."""
        self._woken = True
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run this in the next round, called from a thread."""
        self._woken = True
        return super().call_soon_threadsafe(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run this at a time. The end of the turn plans it on the schedule."""
        self._woken = True
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

    def add_writer(self, fd: Any, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Refuse: the server needs none."""
        self._not_simulated()

    sock_connect = sock_accept = sock_recv = sock_sendall = _not_simulated
    create_unix_connection = create_unix_server = connect_read_pipe = connect_write_pipe = _not_simulated
    _make_socket_transport = _make_datagram_transport = _make_subprocess_transport = _not_simulated

    def __del__(self) -> None:
        """A loop that was not closed holds no resources, so there is no warning."""

    def _write_to_self(self) -> None:
        """No thread waits for the loop."""
