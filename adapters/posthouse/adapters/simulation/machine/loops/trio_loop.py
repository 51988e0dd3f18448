"""The event loop of a simulated process on trio: trio's own scheduler, on virtual time, over the machine's descriptors.

trio has no interface for this. `trio.run` is a loop around a generator, `unrolled_run`, which runs the tasks that are
ready and yields the seconds to wait; guest mode drives the same generator. Here a turn drives it: with a clock on
virtual time, with descriptors of the simulated machine in place of epoll, and with a seed for the order of tasks. All
uses of trio's private parts are in this file.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from functools import partial
from heapq import heappush
from itertools import count
from random import Random
from typing import Any, Final

import sniffio
import trio
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.machine.descriptors import Descriptors
from posthouse.adapters.simulation.machine.signals import SimulatedSignals
from posthouse.adapters.simulation.schedule import ProcessClock
from posthouse.adapters.system.system import READ
from trio._core import _run
from trio._core._instrumentation import Instruments
from trio._core._ki import KIManager
from trio.lowlevel import Abort

from .asyncio_loop import MAX_ROUNDS

TICK: Final = 1e-9
"""Seconds by which a deadline is handled late, at most: sums of times are rounded."""

SEED_BYTES: Final = 8

ORDERED: Final = "_ALLOW_DETERMINISTIC_SCHEDULING"
RANDOM: Final = "_r"
"""The names under which trio finds out whether the order of tasks follows from its random numbers alone, and those
numbers."""

STUCK: Final = "time: the loop never waits and the clock does not advance"


class _Clock(trio.abc.Clock):
    """The clock of a process, for trio."""

    def __init__(self, clock: ProcessClock) -> None:
        self._clock: Final = clock

    def start_clock(self) -> None:
        """Do nothing: the clock of a world always runs."""

    def current_time(self) -> float:
        return self._clock.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return deadline - self._clock.now


class _Deadlines(_run.Deadlines):
    """Deadlines of the same time end in the order in which they were set, and not in that of addresses."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers: Final = count()

    def add(self, deadline: float, cancel_scope: trio.CancelScope) -> None:
        heappush(self._heap, (deadline, next(self._numbers), cancel_scope))
        self._active += 1


class _Waiting:
    """What trio takes for epoll: the tasks that wait for descriptors of the simulated machine."""

    def __init__(self, descriptors: Descriptors, wake_up: Callable[[], None]) -> None:
        self._descriptors: Final = descriptors
        self._wake_up: Final = wake_up
        self._readers: Final[dict[Any, trio.lowlevel.Task]] = {}
        self.calls: Callable[[], int] = int

    def ready(self) -> list[Any]:
        """The keys of the tasks that can go on. trio's own socket is ready when trio has calls to run."""
        return [key for key in self._readers if self._is_ready(key)]

    def _is_ready(self, key: Any) -> bool:
        return bool(self._descriptors.file(key).ready() & READ) if isinstance(key, int) else self.calls() > 0

    async def wait_readable(self, key: Any) -> None:
        """Wait for a descriptor, or for trio's own socket."""
        self._readers[key] = trio.lowlevel.current_task()
        if isinstance(key, int):
            self._descriptors.watch(self._descriptors.file(key), self._wake_up)

        def abort(_: object) -> Abort:
            self._forget(key)
            return Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def _forget(self, key: Any) -> trio.lowlevel.Task:
        if isinstance(key, int):
            self._descriptors.unwatch(self._descriptors.file(key), self._wake_up)
        return self._readers.pop(key)

    def process_events(self, events: list[Any]) -> None:
        """Let these tasks go on."""
        for key in events:
            trio.lowlevel.reschedule(self._forget(key))

    def force_wakeup(self) -> None:
        """trio has something to do although it waits."""
        self._wake_up()

    def close(self) -> None:
        """The run has ended."""


class TrioLoop:
    """A run of trio on virtual time. The names are those of `SimulatedLoop`."""

    def __init__(
        self, clock: ProcessClock, descriptors: Descriptors, signals: SimulatedSignals, stream: Stream
    ) -> None:
        self._clock: Final = clock
        self._signals: Final = signals
        self._random: Final = Random(stream.entropy(SEED_BYTES))
        self._waiting: Final = _Waiting(descriptors, self.wake_up)
        self._scope: Final = trio.CancelScope()
        self._runner: Any = None
        self._run: Generator[float, Any, None] | None = None
        self._hooks: Any = None
        self._planned: float | None = None
        self._running = False
        self.reordered = 0
        self.woken = False
        self.over = False
        self.wait: float | None = None
        self.failed: BaseException | None = None

    def begin(
        self, main: Coroutine[Any, Any, None], context: Context, ended: Callable[[BaseException | None], None]
    ) -> None:
        """Begin to run this. `ended` is called with the exception that it has raised, or None."""
        waiting: Any = self._waiting
        runner = self._runner = _run.Runner(
            clock=_Clock(self._clock),
            instruments=Instruments([]),
            io_manager=waiting,
            ki_manager=KIManager(),
            system_context=context.run(copy_context),
            strict_exception_groups=True,
        )
        runner.deadlines = _Deadlines()
        self._waiting.calls = runner.entry_queue.size

        async def run() -> None:
            error: BaseException | None = None
            with self._scope:
                try:
                    await main
                except trio.Cancelled:
                    raise
                except BaseException as raised:
                    error = raised
            ended(error)

        self._run = _run.unrolled_run(runner, run, (), host_uses_signal_set_wakeup_fd=True)
        self.woken = True
        with self._inside():
            runner.asyncgens.install_hooks(runner)
            self._hooks = sys.get_asyncgen_hooks()
            next(self._run)

    # Turns

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """Be in the run: trio finds it, and the order of its tasks is that of our seed."""
        known, hooks = _run.GLOBAL_RUN_CONTEXT.__dict__, sys.get_asyncgen_hooks()
        before, library = [(name, getattr(_run, name)) for name in (ORDERED, RANDOM)], sniffio.thread_local.name
        if self._hooks is not None:
            sys.set_asyncgen_hooks(*self._hooks)
        known["runner"] = self._runner
        setattr(_run, ORDERED, True)
        setattr(_run, RANDOM, self._random)
        sniffio.thread_local.name = "trio"
        self._running = True
        try:
            yield
        finally:
            self._running = False
            sniffio.thread_local.name = library
            for name, value in before:
                setattr(_run, name, value)
            known.clear()
            sys.set_asyncgen_hooks(*hooks)

    def turn(self) -> None:
        """Run until nothing can run. Raises the exception of `failed`."""
        if not self.woken or self._running or self.over:
            return
        self.woken = False
        with self._inside():
            rounds = 0
            while self._round():
                rounds += 1
                if rounds > MAX_ROUNDS:
                    raise Violation(STUCK, f"{MAX_ROUNDS} rounds in one turn")
        if self.failed is not None:
            raise self.failed
        if self.wait is not None:
            due = self._clock.now + self.wait
            if self._planned is None or due < self._planned:
                self._planned = due
                self._clock.after(self.wait, self._slept)

    def _slept(self) -> None:
        self._planned = None
        self.woken = True

    def _round(self) -> bool:
        """Run the tasks that are ready. Returns False if there are none, or if the run has ended."""
        self._signals.call_handlers()
        assert self._run is not None
        ready, wait = self._waiting.ready(), self._runner.deadlines.next_deadline() - self._clock.now
        if not ready and not self._runner.runq and wait > 0:
            self.wait = None if math.isinf(wait) else wait + TICK
            return False
        try:
            self._run.send(ready)
        except StopIteration:
            self._end()
        except trio.TrioInternalError as error:
            self.failed = self.failed or _cause(error)
            self._end()
        return not self.over

    def _end(self) -> None:
        self.over = True
        self.wait = None

    def wake_up(self) -> None:
        """Let the next turn look at the descriptors: one of them may be ready."""
        self.woken = True

    def run_soon(self, callback: Callable[[], object], context: Context) -> None:
        """Run this in the next turn, with these variables."""
        self._runner.entry_queue.queue.append((partial(context.run, callback), ()))
        self.woken = True

    def is_running(self) -> bool:
        """Does a task or a callback run?"""
        return self._running

    def is_closed(self) -> bool:
        """Has the run ended?"""
        return self.over

    def cancel_all(self) -> None:
        """Cancel the main coroutine, and then every task."""
        with self._inside():
            self._scope.cancel()  # trio then cancels the tasks of handlers, which are its own
        self.woken = True

    def close(self) -> None:
        """End the run, whatever has not ended."""
        if self._run is not None and not self.over:
            with self._inside(), warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                self._run.close()
        self._end()


def _cause(error: BaseException) -> BaseException:
    """The exception behind an internal error of trio: an exception of a callback, or of a task that trio owns."""
    while isinstance(error, trio.TrioInternalError) and error.__cause__ is not None:
        error = error.__cause__
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
