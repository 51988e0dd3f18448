"""Lifecycle events go to the log and to the hooks of the service, in order. A hook cannot change what happened.

Plain hooks run at once. Coroutines that hooks return are awaited in a task, one after another, behind a bounded queue.
Each hook has context variables of its own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable
from contextvars import Context
from functools import partial
from typing import Final

import anyio
from msgspec import Struct
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.report import ERROR, WARNING, report
from posthouse.core.service.hooks import DeclaredHook
from posthouse.core.service.service import Service
from posthouse.core.service.signature import innermost
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import Event
from posthouse.core.values.peers import ConnectionId

from .cancellation import Cancellation
from .firewall import drop, must_wait
from .log.lines import QUIET, EventLog
from .state.states import States
from .state.views import EventContexts
from .tasks import Tasks
from .watchdog import Watchdog

MAX_WAITING: Final = 1024
"""The number of events that may wait for hooks that await."""

LAST_GRACE: Final = 0.1
"""Seconds that a hook has to end, when it is cancelled at the end of the server."""


class Started(Struct, frozen=True, eq=False):
    """A hook that has returned something to await."""

    hook: DeclaredHook
    variables: Context
    waits: Awaitable[None]
    task: Cancellation


class Events:
    """Performs `Emit`: writes each event to the log, and runs its hooks. `access_log`: a line for each call, too."""

    def __init__(
        self,
        service: Service,
        runner: Runner,
        tasks: Tasks,
        watchdog: Watchdog,
        states: States,
        *,
        access_log: bool = False,
    ) -> None:
        self.states: Final = states
        self.log: Final = EventLog(runner, access_log=access_log)
        self._runner: Final = runner
        self._tasks: Final = tasks
        self._watchdog: Final = watchdog
        self._hooks: Final = service.hooks
        self._contexts: Final = EventContexts(service, states, self._notify)
        self._waiting: Final[deque[Started]] = deque()
        self._running: Started | None = None
        self._finish = False
        self.finished: Final = anyio.Event()
        self._dropped_logged = -math.inf
        self._lines: Final = self.log.of

    def emit(self, action: Emit) -> None:
        """Perform `Emit`: write the log, then run the hooks."""
        event = action.event
        kind = type(event)
        if kind in self._lines:
            self._lines[kind](event)
        if self._contexts.needed:
            self._contexts.see(action)
        for hook in self._hooks.get(kind, ()):
            self._call(hook, event)

    def explain(self, incident: str, raised: BaseException) -> None:
        """Remember the exception behind a `CallFailed` with this incident, which will follow."""
        self.log.raised[incident] = raised

    def _call(self, hook: DeclaredHook, event: Event) -> None:
        variables = self._tasks.fresh()
        self._watchdog.begins(_name(hook))
        try:
            waits = variables.run(hook.function, event, *self._contexts.rest(hook, event))
            if waits is not None and must_wait(waits):
                self._queue(Started(hook, variables, waits, Cancellation()))
        except BaseException as error:
            self._failed(hook, error)
        self._runner.end_turn_if_slow(self._watchdog.ends())

    def _failed(self, hook: DeclaredHook, error: BaseException) -> None:
        name = _name(hook)
        if self.log.repeats.allows("hook.failed", "hook", name):
            text = "{hook} raised an exception: nothing else is affected"
            report(ERROR, "hook.failed", text, raised=error, hook=name)

    def _notify(self, to: ConnectionId, method: str, params: object) -> bool:
        runner = self._runner
        return runner.run_in_loop(lambda: runner.board.notify(to, method, params, runner.now()), False)

    def _queue(self, started: Started) -> None:
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(started)
            if self._running is None:
                self._next()
            return
        drop(started.waits)
        now = self._runner.now()
        if now - self._dropped_logged >= QUIET:
            self._dropped_logged = now
            text = "dropped an event for {hook}, which is slower than the events: make it faster"
            report(ERROR, "hook.overrun", text, hook=_name(started.hook))

    def _next(self) -> None:
        """Begin to await the next hook, or note that all have ended."""
        self._running = None
        if self._waiting:
            self._running = started = self._waiting.popleft()
            self._tasks.start(started.variables, partial(self._run, started), _name(started.hook))
        elif self._finish:
            self.finished.set()

    async def _run(self, started: Started) -> None:
        try:
            await started.task.guard(_awaited(started.waits))
        except BaseException as error:
            self._failed(started.hook, error)
        self._next()

    def finish(self) -> None:
        """No more events follow: `finished` is set after the hooks that wait."""
        self._finish = True
        if self._running is None:
            self._next()

    async def stop(self) -> list[str]:
        """Drop the hooks that wait, and cancel the one that runs. Returns its name if it resists: it is left behind."""
        while self._waiting:
            drop(self._waiting.popleft().waits)
        if self._running is None:
            return []
        self._running.task.cancel()
        self._finish = True
        with anyio.move_on_after(LAST_GRACE, shield=True):
            await self.finished.wait()
        if self._running is None:
            return []
        name = _name(self._running.hook)
        report(WARNING, "hook.resists", "{hook} was cancelled, but goes on: the server ends without it", hook=name)
        return [name]


async def _awaited(waits: Awaitable[object]) -> None:
    await waits


def _name(hook: DeclaredHook) -> str:
    function = innermost(hook.function)
    return getattr(function, "__qualname__", type(function).__qualname__)
