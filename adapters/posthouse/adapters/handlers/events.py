"""Lifecycle events go to the log and to the hooks of the service, in order. A hook cannot change what happened.

Plain hooks run at once. Hooks that await run one after another in one task, behind a bounded queue.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import anyio
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.report import DEBUG, ERROR, INFO, WARNING, logger, report
from posthouse.core.service.method import is_coroutine_function
from posthouse.core.service.service import Hook, Service
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import (
    CallFailed,
    CallTimedOut,
    ConnectionClosed,
    DrainStarted,
    Event,
    LimitBreached,
    RequestRefused,
)

from .watchdog import Watchdog

MAX_WAITING: Final = 1024
"""The number of events that may wait for hooks that await."""

QUIET: Final = 10.0
"""Seconds for which one line in the log stands for all breaches of one limit, or all refusals of one kind."""

NOT_ALLOWED: Final = {
    421: "refused host {host}: to allow it, use --allow-host (in code, allow_hosts)",
    403: "refused origin {origin}: to allow it, use --allow-origin (in code, allow_origins)",
}
"""The refusals that depend on a setting, by status."""

EXCEEDED: Final = "limit {limit} exceeded"
WOULD_EXCEED: Final = "limit {limit} would have been exceeded, and is not enforced"


class Events:
    """Performs `Emit`: writes each event to the log, and runs its hooks."""

    def __init__(self, service: Service, runner: Runner, watchdog: Watchdog) -> None:
        self._runner: Final = runner
        self._watchdog: Final = watchdog
        self._hooks: Final = {
            kind: [(hook, self._queue if is_coroutine_function(hook) else self._call) for hook in hooks]
            for kind, hooks in service.hooks.items()
            if hooks
        }
        self._waiting_out, self._waiting_in = anyio.create_memory_object_stream[tuple[Hook, Event]](MAX_WAITING)
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
            DrainStarted: _log_draining,
        }

    def emit(self, action: Emit) -> None:
        """Perform `Emit`: write the log, then run the hooks."""
        event = action.event
        kind = type(event)
        if kind in self._logs:
            self._logs[kind](event)
        for hook, call in self._hooks.get(kind, ()):
            call(hook, event)

    def explain(self, incident: str, raised: BaseException) -> None:
        """Remember the exception behind a `CallFailed` with this incident, which will follow."""
        self._raised[incident] = raised

    def _call(self, hook: Hook, event: Event) -> None:
        self._watchdog.begins(_name(hook))
        try:
            hook(event)
        except BaseException as error:
            _log_hook(hook, error)
        self._watchdog.ends()
        self._runner.end_turn_if_slow()

    def _queue(self, hook: Hook, event: Event) -> None:
        try:
            self._waiting_out.send_nowait((hook, event))
        except anyio.WouldBlock:
            now = self._runner.now()
            if now - self._dropped_logged >= QUIET:
                self._dropped_logged = now
                text = "dropped an event for {hook}, which is slower than the events: make it faster"
                report(ERROR, "hook.overrun", text, hook=_name(hook))

    async def run_hooks(self) -> None:
        """Run the hooks that await, one after another, until `finish`. Then `finished` is set."""
        async with self._waiting_in:
            async for hook, event in self._waiting_in:
                with anyio.CancelScope():  # a cancellation that a hook brings about itself ends this hook only
                    try:
                        await _awaitable(hook, event)
                    except BaseException as error:
                        if is_ours(error):
                            raise
                        _log_hook(hook, error)
        self.finished.set()

    def finish(self) -> None:
        """No more events follow: `run_hooks` ends after the events that wait."""
        self._waiting_out.close()

    def close(self) -> None:
        """Drop the events that wait."""
        self._waiting_out.close()
        self._waiting_in.close()

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

    def _warn_once(self, kind: str, now: float) -> int:
        """The log level of an event of this kind: WARNING, or DEBUG within `QUIET` seconds after a warning."""
        if now - self._logged.get(kind, -math.inf) < QUIET:
            return DEBUG
        self._logged[kind] = now
        return WARNING


def _awaitable(hook: Hook, event: Event) -> Awaitable[None]:
    awaitable = hook(event)
    assert awaitable is not None
    return awaitable


def is_ours(error: BaseException) -> bool:
    """Is this the cancellation of a scope around this code? User code can raise a cancellation from elsewhere."""
    return isinstance(error, anyio.get_cancelled_exc_class()) and anyio.current_effective_deadline() == -math.inf


def _name(hook: Hook) -> str:
    while isinstance(hook, partial):
        hook = hook.func
    return getattr(hook, "__qualname__", type(hook).__qualname__)


def _log_hook(hook: Hook, error: BaseException) -> None:
    report(ERROR, "hook.failed", "{hook} raised an exception: nothing else is affected", raised=error, hook=_name(hook))


def _log_closed(event: ConnectionClosed) -> None:
    if not logger.isEnabledFor(INFO):
        return  # skip the work: every HTTP request gets here
    report(
        INFO,
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
    report(WARNING, "call.timed_out", "call timed out", method=event.method, connection=event.connection)


def _log_draining(event: DrainStarted) -> None:
    report(INFO, "gateway.draining", "shutting down: new calls are refused, running calls may finish")
