"""Lifecycle events go to the log and to the hooks of the service, in order. A hook cannot change what happened.

Plain hooks run at once. Coroutines that hooks return are awaited in a task, one after another, behind a bounded queue.
Each hook has context variables of its own.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial
from typing import Any, Final

import anyio
from msgspec import Struct
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.report import DEBUG, ERROR, INFO, WARNING, access, is_logged, report
from posthouse.core.service.hooks import DeclaredHook
from posthouse.core.service.service import Service
from posthouse.core.service.signature import innermost
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import (
    CallEnded,
    CallFailed,
    CallTimedOut,
    ConnectionClosed,
    DrainStarted,
    Event,
    LimitBreached,
    RequestRefused,
)
from posthouse.core.values.peers import ConnectionId

from .cancellation import Cancellation
from .firewall import drop, must_wait
from .state.states import States
from .state.views import EventContexts
from .tasks import Tasks
from .watchdog import Watchdog

MAX_WAITING: Final = 1024
"""The number of events that may wait for hooks that await."""

QUIET: Final = 10.0
"""Seconds for which one line in the log stands for all breaches of one limit, or all refusals of one kind."""

LAST_GRACE: Final = 0.1
"""Seconds that a hook has to end, when it is cancelled at the end of the server."""

NOT_ALLOWED: Final = {
    421: "refused host {host}: to allow it, use --allow-host (in code, allow_hosts)",
    403: "refused origin {origin}: to allow it, use --allow-origin (in code, allow_origins)",
}
"""The refusals that depend on a setting, by status."""

CUT: Final = ("calls.disconnected", "calls.drained")
"""The counters of calls that ended because the server did."""

EXCEEDED: Final = "limit {limit} exceeded"
WOULD_EXCEED: Final = "limit {limit} would have been exceeded, and is not enforced"


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
        self._runner: Final = runner
        self._tasks: Final = tasks
        self._watchdog: Final = watchdog
        self._hooks: Final = service.hooks
        self._contexts: Final = EventContexts(service, states, self._notify)
        self._waiting: Final[deque[Started]] = deque()
        self._running: Started | None = None
        self._finish = False
        self.draining_since: float | None = None
        self._at_drain: dict[str, int] = {}
        self._raised: Final[dict[str, BaseException]] = {}
        self.finished: Final = anyio.Event()
        self._logged: Final[dict[str, float]] = {}
        self._dropped_logged = -math.inf
        self._logs: Final[dict[type[Event], Callable[[Any], None]]] = {
            ConnectionClosed: _log_closed,
            CallFailed: self._log_failed,
            CallTimedOut: _log_timed_out,
            LimitBreached: self._log_breach,
            RequestRefused: self._log_refused,
            DrainStarted: self._log_draining,
        }
        if access_log:
            self._logs[CallEnded] = _log_ended

    def emit(self, action: Emit) -> None:
        """Perform `Emit`: write the log, then run the hooks."""
        event = action.event
        kind = type(event)
        if kind in self._logs:
            self._logs[kind](event)
        if self._contexts.needed:
            self._contexts.see(action)
        for hook in self._hooks.get(kind, ()):
            self._call(hook, event)

    def explain(self, incident: str, raised: BaseException) -> None:
        """Remember the exception behind a `CallFailed` with this incident, which will follow."""
        self._raised[incident] = raised

    def _call(self, hook: DeclaredHook, event: Event) -> None:
        variables = self._tasks.fresh()
        self._watchdog.begins(_name(hook))
        try:
            waits = variables.run(hook.function, event, *self._contexts.rest(hook, event))
            if waits is not None and must_wait(waits):
                self._queue(Started(hook, variables, waits, Cancellation()))
        except BaseException as error:
            _log_hook(hook, error)
        self._runner.end_turn_if_slow(self._watchdog.ends())

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
            _log_hook(started.hook, error)
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

    # For people

    def _log_failed(self, event: CallFailed) -> None:
        report(
            ERROR,
            "call.failed",
            "call failed",
            raised=self._raised.pop(event.incident, None),
            method=event.method,
            incident=event.incident,
            reason=event.reason,
            connection=event.connection,
            request_id=event.request_id,
        )

    def _log_breach(self, event: LimitBreached) -> None:
        report(
            self._warn_once(event.limit, event.now),
            "limit.breached",
            f"{EXCEEDED if event.enforced else WOULD_EXCEED}: docs/limits.md explains it",
            limit=event.limit,
            connection=event.connection,
            peer=event.address.host or None,
        )

    def _log_refused(self, event: RequestRefused) -> None:
        text = None if event.rejected_value is None else NOT_ALLOWED.get(event.status)
        report(
            DEBUG if text is None else self._warn_once(f"http.refused.{event.status}", event.now),
            "request.refused",
            text or "refused a request",
            host=event.rejected_value if event.status == 421 else None,
            origin=event.rejected_value if event.status == 403 else None,
            status=event.status,
            reason=event.reason,
            peer=event.address.host or None,
        )

    def _log_draining(self, event: DrainStarted) -> None:
        self.draining_since = event.now
        self._at_drain = self._runner.board.stats()
        report(INFO, "gateway.draining", "shutting down: new calls are refused, running calls may finish")

    def report_end(self) -> None:
        """The server has ended: say what its shut-down did."""
        now = self._runner.board.stats()
        if self.draining_since is None:
            text = "stopped without a shut-down: {connections} connections were cut"
            report(INFO, "server.stopped", text, connections=now["connections.open"])
            return
        since = {name: now[name] - self._at_drain[name] for name in ("connections.closed", *CUT)}
        text = "shut down in {seconds} s: closed connections: {connections}, cancelled calls: {calls}"
        report(
            INFO,
            "server.stopped",
            text,
            seconds=round(self._runner.now() - self.draining_since, 3),
            connections=since["connections.closed"],
            calls=sum(since[name] for name in CUT),
        )

    def _warn_once(self, kind: str, now: float) -> int:
        """The log level of an event of this kind: WARNING, or DEBUG within `QUIET` seconds after a warning."""
        if now - self._logged.get(kind, -math.inf) < QUIET:
            return DEBUG
        self._logged[kind] = now
        return WARNING


async def _awaited(waits: Awaitable[object]) -> None:
    await waits


def _name(hook: DeclaredHook) -> str:
    function = innermost(hook.function)
    return getattr(function, "__qualname__", type(function).__qualname__)


def _log_hook(hook: DeclaredHook, error: BaseException) -> None:
    report(ERROR, "hook.failed", "{hook} raised an exception: nothing else is affected", raised=error, hook=_name(hook))


def _log_closed(event: ConnectionClosed) -> None:
    # Each HTTP request is a connection of its own: the line of an ordinary one belongs in the access log.
    level = DEBUG if event.kind == "http" and event.reason is None else INFO
    if not is_logged(level):
        return  # skip the work: every HTTP request gets here
    report(
        level,
        "connection.closed",
        "connection closed",
        connection=event.connection,
        public_id=event.public_id,
        kind=event.kind,
        peer=event.address.host or None,
        user=event.user,
        code=event.code,
        reason=event.reason,
        seconds=round(event.duration, 3),
        calls=event.calls,
    )


def _log_timed_out(event: CallTimedOut) -> None:
    report(
        WARNING,
        "call.timed_out",
        "call timed out",
        method=event.method,
        connection=event.connection,
        request_id=event.request_id,
    )


def _log_ended(event: CallEnded) -> None:
    report(
        INFO,
        "call.ended",
        "call ended",
        to=access,
        method=event.method,
        outcome=event.outcome,
        code=event.code,
        milliseconds=round(event.seconds * 1000, 3),
        connection=event.connection,
        kind=event.kind,
        peer=event.address.host or None,
        user=event.user,
        request_id=event.request_id,
    )
