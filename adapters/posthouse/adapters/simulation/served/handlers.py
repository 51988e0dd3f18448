"""The handlers and hooks of a real server: the calls that run, the faults of handlers, the exceptions of hooks."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from copy import copy
from functools import partial, wraps
from typing import Any, Final

import anyio
from msgspec.structs import replace
from posthouse.adapters.handlers.firewall import must_wait
from posthouse.adapters.handlers.runs import Runs
from posthouse.adapters.invariants.violation import must
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.machine.threads import SimulatedCondition, SimulatedThreads
from posthouse.adapters.simulation.schedule import ProcessClock
from posthouse.core.service.authenticators import Authenticator
from posthouse.core.service.hooks import DeclaredHook
from posthouse.core.service.method import Method
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Invoke
from posthouse.core.values.peers import CallId, Identity, OperationId
from posthouse.transports.switchboard.switchboard import Switchboard

from .faults import HandlerFaults, InjectedError

Complete = Callable[[CallId, object, float], bool]
"""Reports the result of a handler to the switchboard. Returns False if its call has ended."""

MAX_ERRORS: Final = 1000
"""The most exceptions of hooks that are kept."""


CONCLUDE: Final = "conclude"


class ServedHandlers:
    """The handlers of one process. `faults` decides how often their functions fail, until `heal`. `errors` holds the
    latest exceptions of hooks."""

    def __init__(self, faults: HandlerFaults, stream: Stream, threads: SimulatedThreads) -> None:
        self.faults = faults
        self.runs: Runs | None = None
        self.left = False
        self.errors: Final[deque[BaseException]] = deque(maxlen=MAX_ERRORS)
        self._stream: Final = stream
        self._threads: Final = threads
        self._healed: Final[list[anyio.Event]] = []
        self._shields: Final[dict[anyio.CancelScope, None]] = {}
        self._whole = False

    @property
    def running(self) -> list[Invoke]:
        """The calls whose handlers have not ended."""
        return [] if self.runs is None else [run.invoke for run in self.runs._runs.values()]

    @property
    def resist(self) -> bool:
        """Are there handlers that ignore their cancellation?"""
        return bool(self._shields)

    def check(self) -> None:
        """Check that no call waits that could run. Raises Violation."""
        if self.runs is None or self.runs._idle is not None:
            return  # the server ends
        runs, workers = self.runs._runs.values(), self.runs._workers
        begun = {run.invoke.caller.connection for run in runs if run.invoke.method.sequential and not run.queued}
        must(self.runs._queues.keys() <= begun, "calls: the next of a sequential line has begun")
        idle = workers._changed
        if isinstance(idle, SimulatedCondition) and idle.waiting:
            woken = workers._threads - workers._running - len(idle.waiting)
            must(len(workers._jobs) <= woken, "calls: a job wakes a thread that is idle")

    def heal(self) -> None:
        """End all faults: every handler then ends as it should. The event loop calls this."""
        self._whole = True
        self.faults = HandlerFaults()
        for event in self._healed:
            event.set()
        self._healed.clear()
        for scope in self._shields:
            scope.shield = False
        self._shields.clear()

    def attach(self, runs: Runs, board: Switchboard, clock: ProcessClock) -> None:
        """Observe the runs of a server. The ends of its handlers are reported twice, as often as the faults say."""
        self.runs = runs
        stop = "stop"
        setattr(runs, stop, partial(self._stop, runs, runs.stop))
        if self.faults.twice:
            for name in ("complete", "fail"):
                setattr(board, name, partial(self._report, getattr(board, name), board.complete, clock))
            setattr(board, CONCLUDE, partial(self._conclude, board.conclude, clock))

    async def _stop(self, runs: Runs, stop: Callable[[float], Awaitable[list[str]]], seconds: float) -> list[str]:
        in_threads = any(run.job is not None for run in runs._runs.values())
        names = await stop(seconds)
        self.left = in_threads or bool(names)
        return names

    def _report(
        self, input: Callable[..., bool], complete: Complete, clock: ProcessClock, call: CallId, *rest: Any
    ) -> bool:
        replied = input(call, *rest)
        if self._stream.happens(self.faults.twice):
            seconds = self.faults.max_delay * self._stream.choose(1000) / 1000
            clock.after(seconds, partial(self._report_again, complete, clock, call))
        return replied

    def _conclude(
        self, conclude: Callable[..., bool], clock: ProcessClock, operation: OperationId, outcome: object, now: float
    ) -> bool:
        """An authenticator decides twice, as often as the faults say."""
        first = conclude(operation, outcome, now)
        if self._stream.happens(self.faults.twice):
            seconds = self.faults.max_delay * self._stream.choose(1000) / 1000
            clock.after(seconds, partial(self._conclude_again, conclude, clock, operation))
        return first

    def _conclude_again(self, conclude: Callable[..., bool], clock: ProcessClock, operation: OperationId) -> None:
        if self.runs is not None:
            again = conclude(operation, Identity("eve"), clock.now)
            must(not again, "operations: the second end of an operation is ignored")

    def _report_again(self, complete: Complete, clock: ProcessClock, call: CallId) -> None:
        if self.runs is not None:
            must(not complete(call, None, clock.now), "calls: the second end of a handler is ignored")

    def close(self) -> None:
        """Forget the runs: the process was killed."""
        self.runs = None

    def prepare(self, service: Service) -> Service:
        """Returns a copy of a service, with functions that fail and hooks whose exceptions are kept."""
        prepared = copy(service)
        if self.faults != HandlerFaults():
            prepared.methods = {
                name: replace(method, function=self._failing(method)) for name, method in service.methods.items()
            }
            prepared.authenticators = {
                name: replace(each, function=self._failing(each)) for name, each in service.authenticators.items()
            }
        prepared.hooks = {
            event: tuple(replace(hook, function=self._heard(hook)) for hook in hooks)
            for event, hooks in service.hooks.items()
        }
        return prepared

    # Functions that fail

    def _failing(self, method: Method | Authenticator) -> Callable[..., object]:
        function = method.function

        @wraps(function)
        def failing(*args: Any, **kwargs: Any) -> object:
            result = function(*args, **kwargs)
            if must_wait(result):
                return self._awaited(result)
            self._raise()
            if self._threads.running is not None:
                self._dawdle()
                return result
            seconds = self._lateness()
            return result if seconds is None else self._late(result, seconds)

        return failing

    def _raise(self) -> None:
        if self._stream.happens(self.faults.raises):
            raise InjectedError

    def _lateness(self) -> float | None:
        """Draws the seconds for which a function delays its end, None if it ends at once."""
        if self._stream.happens(self.faults.never):
            return float("inf")
        if self._stream.happens(self.faults.late):
            return self.faults.max_delay * self._stream.choose(1000) / 1000
        return None

    def _dawdle(self) -> None:
        """Block the thread for a while, or not at all."""
        seconds = self._lateness()
        if seconds is not None:
            self._threads.condition().wait(min(seconds, self.faults.max_delay))

    async def _late(self, result: object, seconds: float) -> object:
        with self._scope() as scope:
            await self._wait(seconds)
        self._shields.pop(scope, None)
        return result

    async def _awaited(self, waits: Any) -> object:
        try:
            with self._scope() as scope:
                result = await waits
                self._raise()
                seconds = self._lateness()
                if seconds is not None:
                    await self._wait(seconds)
        finally:
            self._shields.pop(scope, None)
        return result

    def _scope(self) -> anyio.CancelScope:
        """A scope that ignores the cancellation of its handler, as often as the faults say, until all faults end."""
        scope = anyio.CancelScope(shield=self._stream.happens(self.faults.ignores_cancel))
        if scope.shield:
            self._shields[scope] = None
        return scope

    async def _wait(self, seconds: float) -> None:
        """Wait for so many seconds, or until all faults end."""
        if self._whole:
            return
        healed = anyio.Event()
        self._healed.append(healed)
        with anyio.move_on_after(seconds):
            await healed.wait()

    # Hooks

    def _heard(self, hook: DeclaredHook) -> Callable[..., Any]:
        function = hook.function

        def heard(*args: Any) -> Any:
            try:
                waits = function(*args)
            except BaseException as error:
                self.errors.append(error)
                raise
            return self._awaited_hook(waits) if waits is not None and must_wait(waits) else waits

        return wraps(function)(heard)

    async def _awaited_hook(self, waits: Any) -> None:
        try:
            await waits
        except BaseException as error:
            self.errors.append(error)
            raise
