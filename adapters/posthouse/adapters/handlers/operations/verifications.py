"""Runs of authenticators: every `Verify` gets exactly one `conclude`, after its function has ended.

A plain function runs at once, one that awaits in a task, one that blocks in a worker thread. They run behind a
firewall: an exception refuses the caller, is logged, and does nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextvars import Context as Variables
from functools import partial
from typing import Any, Final

import anyio
from msgspec import Struct
from posthouse.adapters.handlers.cancellation import Cancellation
from posthouse.adapters.handlers.events import Events
from posthouse.adapters.handlers.firewall import InThread, alone, drop, must_wait
from posthouse.adapters.handlers.invoked_context import CallerContext
from posthouse.adapters.handlers.run import job
from posthouse.adapters.handlers.state.states import States
from posthouse.adapters.handlers.tasks import Tasks
from posthouse.adapters.handlers.watchdog import Watchdog
from posthouse.adapters.handlers.workers import Job, Workers
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.report import WARNING, report
from posthouse.core.operations.operations import Busy, Failed, Refused
from posthouse.core.service.context import AuthContext
from posthouse.core.service.method import Outcome, Raised, Returned
from posthouse.core.values.effects import Verify, Withdraw
from posthouse.core.values.peers import Caller, Identity, OperationId

LAST_GRACE: Final = 0.1
"""Seconds that authenticators have at least to end, when the time of a shut-down is over."""


BUSY: Final = Returned(Busy())
"""The outcome of an authenticator for which there is no room in the queue of those that hash."""

NO_THREAD: Final = "every worker thread is busy"


class ServedAuthContext(CallerContext, AuthContext[Any]):
    """The context of one verification."""

    __slots__ = ("_action", "_states")

    def __init__(self, action: Verify, states: States) -> None:
        self._action: Final = action
        self._states: Final = states

    @property
    def state(self) -> Any:
        return self._states.of(self._action.authenticator.lifespan)

    @property
    def _caller(self) -> Caller:
        return self._action.caller


class Verifying(Struct, eq=False):
    """One authenticator that has not ended. `task` is set while it has a task, `job` while a worker thread runs it or
    will run it. `withdrawn`: nobody waits for it."""

    action: Verify
    variables: Variables
    task: Cancellation | None = None
    job: Job | None = None
    withdrawn: bool = False


class Verifications:
    """Performs `Verify` and `Withdraw`. Functions that block run in `workers`, those that hash in `hashing`."""

    def __init__(
        self, runner: Runner, tasks: Tasks, events: Events, watchdog: Watchdog, workers: Workers, hashing: Workers
    ) -> None:
        self._runner: Final = runner
        self._tasks: Final = tasks
        self._watchdog: Final = watchdog
        self._workers: Final = workers
        self._hashing: Final = hashing
        self._states: Final = events.states
        self._log: Final = events.log
        self._running: Final[dict[OperationId, Verifying]] = {}
        self._idle: anyio.Event | None = None

    def verify(self, action: Verify) -> None:
        authenticator = action.authenticator
        run = self._running[action.operation] = Verifying(action, self._tasks.fresh())
        context = (ServedAuthContext(action, self._states),) if authenticator.takes_context else ()
        arguments = (action.credentials, *context)
        if authenticator.blocking:
            waits = InThread(authenticator.function, arguments, {})
            run.job = job(self._runner.poller.call_soon, run.variables, waits, partial(self._thread_ended, run))
            if not self._pool_of(action).submit(run.job):
                run.job = None
                self._ended(run, BUSY if authenticator.hashing else Raised(BlockingIOError(NO_THREAD)))
            return
        self._watchdog.begins(_name(action))
        outcome: Outcome
        try:
            outcome = Returned(run.variables.run(authenticator.function, *arguments))
        except BaseException as error:
            outcome = Raised(error)
        self._returned(run, outcome)
        self._runner.end_turn_if_slow(self._watchdog.ends())

    def _pool_of(self, action: Verify) -> Workers:
        return self._hashing if action.authenticator.hashing else self._workers

    def withdraw(self, action: Withdraw) -> None:
        run = self._running.get(action.operation)
        if run is None:
            return
        run.withdrawn = True
        if run.task is not None:
            run.task.cancel()
        elif run.job is not None and self._pool_of(run.action).withdraw(run.job):
            self._ended(run, Returned(None))

    def _thread_ended(self, run: Verifying, outcome: Outcome) -> None:
        run.job = None
        self._returned(run, outcome)

    def _returned(self, run: Verifying, outcome: Outcome) -> None:
        """The function has returned or raised. Its value may have to be awaited."""
        if not isinstance(outcome, Returned) or not must_wait(outcome.value):
            self._ended(run, outcome)
        elif run.withdrawn:
            drop(outcome.value)
            self._ended(run, Returned(None))
        else:
            run.task = Cancellation()
            self._tasks.start(run.variables, partial(self._run_task, run, outcome.value), _name(run.action))

    async def _run_task(self, run: Verifying, waits: Awaitable[Any]) -> None:
        assert run.task is not None
        outcome: Outcome
        try:
            outcome = Returned(await run.task.guard(_awaited(waits)))
        except BaseException as error:
            outcome = Raised(error)
        self._ended(run, outcome)
        self._runner.flush_outbox(soon=bool(self._running))

    def _ended(self, run: Verifying, outcome: Outcome) -> None:
        if self._running.pop(run.action.operation, None) is None:
            return  # it was left behind
        conclusion = Refused() if run.withdrawn else self._conclusion(run.action, outcome)
        self._runner.board.conclude(run.action.operation, conclusion, self._runner.now())
        if self._idle is not None and not self._tasks_left():
            self._idle.set()

    def _conclusion(self, action: Verify, outcome: Outcome) -> Identity | Refused | Failed | Busy:
        if isinstance(outcome, Returned):
            value = outcome.value
            if isinstance(value, Identity) and value.user is not None:
                return value
            if value is None:
                return Refused()
            if outcome is BUSY:
                return Busy()
            if isinstance(value, Refused) and isinstance(value.why, str):
                return value
            kind = "an Identity without a user" if isinstance(value, Identity) else f"a {type(value).__name__}"
            raised: BaseException = TypeError(f"it returned {kind}: it must return an Identity with a user, or None")
        else:
            raised = alone(outcome.error)
        self._log.authenticator_failed(action.authenticator.name, raised)
        return Failed()

    # The end

    async def stop(self, seconds: float) -> list[str]:
        """Cancel the authenticators that await, and wait for them, but not longer than this. Returns the names of those
        that resist: they are left behind."""
        self._idle = anyio.Event()
        for run in self._tasks_left():
            run.withdrawn = True
            if run.task is not None:
                run.task.cancel()
        if self._tasks_left():
            with anyio.move_on_after(max(seconds, LAST_GRACE), shield=True):
                await self._idle.wait()
        left = [_name(run.action) for run in self._tasks_left()]
        for run in [run for run in self._running.values() if run.withdrawn]:
            self._ended(run, Returned(None))  # a thread may go on: nobody hears of it
        self._running.clear()
        for name in left:
            report(WARNING, "authenticator.resists", "{name} was cancelled, but goes on: the server ends", name=name)
        return left

    def _tasks_left(self) -> list[Verifying]:
        return [run for run in self._running.values() if run.task is not None]


async def _awaited(waits: Awaitable[Any]) -> Any:
    return await waits


def _name(action: Verify) -> str:
    return f"authenticator {action.authenticator.name}"
