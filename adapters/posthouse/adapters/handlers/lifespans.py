"""The lifespans of a service while it is served: each runs in one task, from its start to its end.

They start one after another, those of included services first, and end in the reverse order. This module does not know
what a server is, nor how a task is started.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, Final, Literal

import anyio
from posthouse.adapters.report import ERROR, WARNING, report
from posthouse.core.service.lifespan import Lifespan
from posthouse.core.values.errors import UsageError

from .cancellation import Cancellation
from .firewall import alone
from .state.states import States

Phase = Literal["start", "serving", "end"]

TEXTS: Final[dict[Phase, str]] = {
    "start": "the lifespan of service {service!r} failed to start: {error}",
    "serving": "the lifespan of service {service!r} failed while it was serving: {error}",
    "end": "the lifespan of service {service!r} failed at its end: {error}",
}

LAST_GRACE: Final = 0.1
"""Seconds that a lifespan has at least to end, before and after its cancellation."""

Start = Callable[[Callable[[], Coroutine[Any, Any, None]], str], None]
"""Starts a task of this name."""


class LifespanError(Exception):
    """The lifespan of a service raised an exception, which is the `__cause__`.

    `service` is the name of the service. `phase` says when: at the "start", while "serving" or at the "end".
    """

    def __init__(self, service: str, phase: Phase, cause: BaseException) -> None:
        kind, text = type(cause).__name__, _text(cause)
        super().__init__(TEXTS[phase].format(service=service, error=f"{kind}: {text}" if text else kind))
        self.service: Final = service
        self.phase: Final = phase
        self.__cause__ = cause


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "its text cannot be shown"


class OpenLifespan:
    """One lifespan that runs. `begun`: it has started, or failed. `end` lets it end; `ended`: its task has ended.

    `broke` is called if it ends by itself, because a task of its own has failed. Its clean-up still waits for `end`.
    """

    def __init__(self, lifespan: Lifespan, server: object, states: States, broke: Callable[[], None]) -> None:
        self.lifespan: Final = lifespan
        self.begun: Final = anyio.Event()
        self.end: Final = anyio.Event()
        self.ended: Final = anyio.Event()
        self.phase: Phase = "start"
        self.error: BaseException | None = None
        self.task: Final = Cancellation()
        self.task_id = 0
        self._server: Final = server
        self._states: Final = states
        self._broke: Final = broke

    async def run(self) -> None:
        """Run it, from its start to its end. It raises nothing."""
        self.task_id = anyio.get_current_task().id
        try:
            await self.task.guard(self._hold())
        except BaseException as error:
            self.error = error
            if isinstance(error, GeneratorExit):
                raise
        self.ended.set()
        self.begun.set()

    async def _hold(self) -> None:
        async with self.lifespan.open(self._server) as state:
            self._states[self.lifespan] = state
            self.phase = "serving"
            self.begun.set()
            try:
                await self.end.wait()
            except anyio.get_cancelled_exc_class():
                if not self.end.is_set():
                    self._broke()
                    with anyio.CancelScope(shield=True):
                        await self.end.wait()
                raise
            self.phase = "end"


class Lifespans:
    """The lifespans of one service. `start` starts a task; `broke` is called if one ends by itself. `over`: their start
    has ended, with success or without."""

    def __init__(
        self, lifespans: tuple[Lifespan, ...], server: object, states: States, start: Start, broke: Callable[[], None]
    ) -> None:
        self._declared: Final = lifespans
        self._server: Final = server
        self._states: Final = states
        self._start: Final = start
        self._broke: Final = broke
        self._open: Final[list[OpenLifespan]] = []
        self._starting: Final = anyio.CancelScope()
        self._failed = True
        self.over: Final = anyio.Event()

    async def start(self) -> bool:
        """Start them, one after another. False: one has failed, or `abort` was called. Those after it do not start."""
        with self._starting:
            for lifespan in self._declared:
                started = OpenLifespan(lifespan, self._server, self._states, partial(self._break, lifespan))
                self._open.append(started)
                self._start(started.run, f"lifespan of {lifespan.service}")
                await started.begun.wait()
                if started.error is not None:
                    break
            else:
                self._failed = self._starting.cancel_called  # it may come when the last one has just started
        self.over.set()
        return not self._failed

    def abort(self) -> bool:
        """Start no more of them. False: the start is over."""
        self._starting.cancel()
        return not self.over.is_set()

    async def started(self) -> bool:
        """Wait until the start is over. False: it has failed. Raises UsageError in the task of a lifespan that starts,
        which would wait for itself."""
        if not self.over.is_set() and any(each.task_id == anyio.get_current_task().id for each in self._open):
            raise UsageError(
                "a lifespan cannot call its service before `yield`, because no service has started yet: start a task "
                "that calls it"
            )
        await self.over.wait()
        return not self._failed

    def _break(self, lifespan: Lifespan) -> None:
        text = "the lifespan of service {service} has ended by itself: the server shuts down"
        report(ERROR, "lifespan.ended", text, service=lifespan.service)
        self._broke()

    async def stop(self, seconds: float) -> list[str]:
        """End the lifespans in reverse order, within this time. A lifespan that takes longer is cancelled, and
        left if it resists. Returns the names of the services whose lifespans were left behind."""
        self.over.set()  # also if the start was cancelled: nobody may wait for it any more
        left: list[str] = []
        until = anyio.current_time() + seconds
        for lifespan in reversed(self._open):
            lifespan.end.set()
            if lifespan.phase == "start":
                lifespan.task.cancel()
            service = lifespan.lifespan.service
            if await _has_ended(lifespan, until - anyio.current_time()):
                continue
            text = "the lifespan of service {service} does not end in time: it is cancelled"
            report(WARNING, "lifespan.overrun", text, service=service)
            lifespan.task.cancel()
            if not await _has_ended(lifespan, LAST_GRACE):
                text = "the lifespan of service {service} was cancelled, but goes on: the server ends without it"
                report(WARNING, "lifespan.resists", text, service=service)
                left.append(service)
        return left

    def drop(self) -> None:
        """The process has ended: their tasks are cancelled by others, and need not wait."""
        for each in self._open:
            each.end.set()

    def errors(self) -> Iterator[LifespanError]:
        """The errors of those that have failed: the one that ended the server comes first."""
        failed = [each for each in self._open if each.error is not None]
        for each in sorted(failed, key=lambda each: list(TEXTS).index(each.phase)):
            if each.error is not None:
                yield LifespanError(each.lifespan.service, each.phase, alone(each.error))


async def _has_ended(lifespan: OpenLifespan, seconds: float) -> bool:
    with anyio.move_on_after(max(seconds, LAST_GRACE), shield=True):
        await lifespan.ended.wait()
    return lifespan.ended.is_set()
