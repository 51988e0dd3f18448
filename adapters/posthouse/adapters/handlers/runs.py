"""Runs of handlers: every `Invoke` gets exactly one `complete` or `fail`, after its handler ended.

A plain function runs at once. A function that awaits, or that returns something to await, is one task. A function that
blocks has a worker thread. Calls of `sequential` methods run one after another on their connection. Handlers run behind
a firewall: an exception ends its own call and nothing else.

A handler that is cancelled may await in its clean-up. One that has not ended after `cleanup_grace` is named in the log;
it keeps its slot, and the end of the server does not wait for it.
"""

from __future__ import annotations

from collections import deque
from contextvars import Context as Variables
from contextvars import copy_context
from functools import partial
from typing import Final

import anyio
from posthouse.adapters.loop.runner import Runner
from posthouse.core.jsonrpc.messages import is_encodable
from posthouse.core.service.method import Outcome, Raised, Returned
from posthouse.core.values.effects import Cancel, Invoke
from posthouse.core.values.errors import INTERNAL_ERROR, SERVER_BUSY, RpcError, refusal
from posthouse.core.values.peers import CallId, ConnectionId

from .cancellation import Cancellation
from .events import Events
from .firewall import PLAIN, InThread, Steps, Waits, drop, finish, must_wait, proper
from .run import CANCELLED, Run, Step, in_thread, job, steps_of
from .served_context import AwaitedRequests, ServedContext
from .tasks import Tasks
from .variables import take_over
from .watchdog import Watchdog
from .workers import Workers

CLEANUP_OVER: Final = "cleanup_grace"
"""The reason of the deadlines that are armed here; the key is the call."""

RESISTS: Final = "{method} was cancelled, but goes on after its clean-up time"

LAST_GRACE: Final = 0.1
"""Seconds that handlers have at least, when the time of a shut-down is over, to end without an await."""


class Runs:
    """Performs `Invoke` and `Cancel`."""

    def __init__(
        self,
        runner: Runner,
        tasks: Tasks,
        events: Events,
        requests: AwaitedRequests,
        watchdog: Watchdog,
        workers: Workers,
    ) -> None:
        self._runner: Final = runner
        self._board: Final = runner.board
        self._now: Final = runner.now
        self._call_soon: Final = runner.poller.call_soon
        self._tasks: Final = tasks
        self._fresh: Final = tasks.fresh
        self._events: Final = events
        self._requests: Final = requests
        self._states: Final = events.states
        self._watchdog: Final = watchdog
        self._workers: Final = workers
        self._runs: Final[dict[CallId, Run]] = {}
        self._queues: Final[dict[ConnectionId, deque[Run]]] = {}
        self._idle: anyio.Event | None = None
        runner.on_due[CLEANUP_OVER] = self._cleanup_over

    def invoke(self, invoke: Invoke) -> None:
        """Run a plain function at once, and let others begin."""
        method = invoke.method
        if method.awaits or method.blocking:
            self._start(invoke)
            return
        self._watchdog.begins(method.name)
        variables = self._fresh()
        if method.on_call or method.on_outcome:
            context = ServedContext(invoke, self._runner, self._requests, self._states)
            self._continue_inline(invoke, context, variables, steps_of(invoke, context, method.function))
        else:
            args, kwargs, given = invoke.args, invoke.kwargs, None
            if method.context_parameter is not None:
                given = ServedContext(invoke, self._runner, self._requests, self._states)
                args, kwargs = method.with_context((args, kwargs), given)
            try:
                result = variables.run(method.function, *args, **kwargs)
            except BaseException as error:
                self._report(invoke, given, Raised(error))
            else:
                if type(result) in PLAIN or not must_wait(result):
                    if given is None:
                        self._board.complete(invoke.call, result, self._now())
                    else:
                        given.ended = True
                        given.replied = self._board.complete(invoke.call, result, self._now())
                else:
                    context = given or ServedContext(invoke, self._runner, self._requests, self._states)
                    parts = steps_of(invoke, context, lambda *args, **kwargs: result)
                    self._continue_inline(invoke, context, variables, parts)
        self._runner.end_turn_if_slow(self._watchdog.ends())

    def _continue_inline(self, invoke: Invoke, context: ServedContext, variables: Variables, parts: Steps) -> None:
        try:
            waits = variables.run(parts.send, None)
        except StopIteration as end:
            self._report(invoke, context, end.value)
        else:
            run = self._runs[invoke.call] = Run(invoke, context, variables, parts)
            self._wait(run, waits)

    # Functions that wait

    def _start(self, invoke: Invoke) -> None:
        method = invoke.method
        context = ServedContext(invoke, self._runner, self._requests, self._states)
        parts: Steps | None = None
        if method.awaits or method.on_call or method.on_outcome:
            call = partial(in_thread, method.function) if method.blocking else method.function
            parts = steps_of(invoke, context, call)
        run = self._runs[invoke.call] = Run(invoke, context, self._fresh(), parts)
        if not method.sequential:
            self._begin(run)
        elif invoke.caller.connection in self._queues:
            run.queued = True
            self._queues[invoke.caller.connection].append(run)
        else:
            self._queues[invoke.caller.connection] = deque([run])
            self._advance(invoke.caller.connection)

    def _begin(self, run: Run) -> bool:
        """Give it to a task or a thread, or run it here. False: it has ended already."""
        run.queued = False
        method = run.invoke.method
        if method.awaits:
            self._start_task(run, None)
            return True
        if run.steps is None:
            args, kwargs = method.with_context((run.invoke.args, run.invoke.kwargs), run.context)
            return self._wait(run, InThread(method.function, args, kwargs))
        return self._continue(run, run.steps.send, None)

    def _continue(self, run: Run, step: Step, value: object) -> bool:
        """Run plain functions of this call, up to the first thing to wait for. False: the call has ended."""
        try:
            waits = run.variables.run(step, value)
        except StopIteration as end:
            self._ended(run, end.value)
            return False
        return self._wait(run, waits)

    def _wait(self, run: Run, waits: Waits) -> bool:
        """Wait for this in a task or a thread, and then go on. False: the call has ended."""
        if not isinstance(waits, InThread):
            self._start_task(run, waits)
            return True
        run.job = job(self._call_soon, run.variables, waits, partial(self._thread_ended, run))
        if self._workers.submit(run.job):
            return True
        run.job = None
        if run.steps is not None:
            return self._continue(run, run.steps.throw, _busy())
        self._ended(run, Raised(_busy()))
        return False

    def _advance(self, connection: ConnectionId) -> None:
        """Begin the next call of this connection's queue, when the one before has ended."""
        queue = self._queues[connection]
        while queue:
            if self._begin(queue.popleft()):
                return
        del self._queues[connection]

    def _advance_after(self, run: Run) -> None:
        if run.invoke.method.sequential and self._idle is None:
            self._advance(run.invoke.caller.connection)

    def cancel(self, action: Cancel) -> None:
        run = self._runs.get(action.call)
        if run is None:
            return
        self._cancel(run)
        withdrawn = run.job is not None and self._workers.withdraw(run.job)
        if withdrawn:
            run.job = None
        if run.queued:
            self._queues[run.invoke.caller.connection].remove(run)
            self._ended(run, CANCELLED)
        elif withdrawn and run.task is None:
            self._thread_ended(run, CANCELLED)
        else:
            run.cleanup = self._runner.arm(self._board.config.cleanup_grace, CLEANUP_OVER, run.invoke.call)

    def _cancel(self, run: Run) -> None:
        run.context.ended = True
        if run.task is not None:
            run.task.cancel()

    def _cleanup_over(self, key: int) -> None:
        run = self._runs.get(CallId(key))
        if run is not None:
            self._name(run, f"{RESISTS}: it keeps its slot until it ends")

    def _name(self, run: Run, text: str) -> None:
        """Name a handler that resists, once."""
        if run.named:
            return
        run.named = True
        self._events.log.resists(run.invoke, text)

    # The end

    async def stop(self, seconds: float) -> list[str]:
        """Cancel the handlers that await, and wait for their clean-up, but not longer than this. Returns the names of
        those that resist: they are left behind, and their calls have ended."""
        self._idle = anyio.Event()
        for run in list(self._runs.values()):
            self._cancel(run)
        if self._resisting():
            with anyio.move_on_after(max(seconds, LAST_GRACE), shield=True):
                await self._idle.wait()
        left = self._resisting()
        for run in left:
            self._name(run, f"{RESISTS}: the server ends without it")
        self._runs.clear()
        return [run.invoke.method.name for run in left]

    def _resisting(self) -> list[Run]:
        return [run for run in self._runs.values() if _resists(run)]

    # Functions that await

    def _start_task(self, run: Run, waits: Waits | None) -> None:
        run.task = Cancellation()
        if self._idle is not None:
            run.context.ended = True
        self._tasks.start(run.variables, partial(self._run_task, run, waits), run.invoke.method.name)

    async def _run_task(self, run: Run, waits: Waits | None) -> None:
        assert run.task is not None and run.steps is not None
        outcome: Outcome | None = None
        if run.context.ended:
            drop(waits)
        else:
            outcome = await run.task.guard(finish(run.steps, waits, partial(self._wait_for_thread, run)))
        self._ended(run, outcome or CANCELLED)
        self._advance_after(run)
        self._runner.flush_outbox(soon=bool(self._runs))  # others may end now, too

    async def _wait_for_thread(self, run: Run, waits: InThread) -> object:
        """Run a blocking function between interceptors that await. The task waits: a thread cannot be stopped."""
        outcomes: list[Outcome] = []
        done = anyio.Event()

        def ended(outcome: Outcome) -> None:
            outcomes.append(outcome)
            done.set()

        variables = copy_context()
        run.job = job(self._call_soon, variables, waits, ended)
        if not self._workers.submit(run.job):
            run.job = None
            raise _busy()
        try:
            await done.wait()
        except BaseException:
            if run.job is not None and not self._workers.withdraw(run.job):
                await done.wait()
            raise
        finally:
            run.job = None
        take_over(variables)
        (outcome,) = outcomes
        if isinstance(outcome, Raised):
            raise outcome.error
        return outcome.value

    # Functions that block

    def _thread_ended(self, run: Run, outcome: Outcome) -> None:
        run.job = None
        if run.context.ended:
            if run.steps is not None:
                run.steps.close()
            self._ended(run, CANCELLED)
        elif run.steps is None:
            if isinstance(outcome, Returned) and must_wait(outcome.value):
                result = outcome.value
                run.steps = steps_of(run.invoke, run.context, lambda *args, **kwargs: result)
                if self._continue(run, run.steps.send, None):
                    return
            else:
                self._ended(run, outcome)
        elif isinstance(outcome, Returned):
            if self._continue(run, run.steps.send, outcome.value):
                return
        elif self._continue(run, run.steps.throw, outcome.error):
            return
        self._advance_after(run)

    # Ends

    def _ended(self, run: Run, outcome: Outcome) -> None:
        if self._runs.pop(run.invoke.call, None) is None:
            return  # it was left behind
        if run.cleanup is not None:
            self._runner.timers.disarm(run.cleanup)
        self._report(run.invoke, run.context, outcome)
        if self._idle is not None and not any(map(_resists, self._runs.values())):
            self._idle.set()

    def _report(self, invoke: Invoke, context: ServedContext | None, outcome: Outcome) -> None:
        if context is not None:
            context.ended = True
        outcome = proper(outcome)
        if isinstance(outcome, Returned):
            replied = self._board.complete(invoke.call, outcome.value, self._now())
            if context is not None:
                context.replied = replied
        else:
            self._fail(invoke, outcome.error)

    def _fail(self, invoke: Invoke, error: BaseException) -> None:
        if isinstance(error, RpcError):
            if error.data is not None and not is_encodable(error.data):
                self._events.log.data_lost(invoke.method.name, error.code)
            self._board.fail(invoke.call, error, self._now())
            return
        incident = self._runner.system.entropy(6).hex()
        self._events.explain(incident, error)
        self._board.fail(invoke.call, RpcError(INTERNAL_ERROR, data={"incident": incident}), self._now())


def _resists(run: Run) -> bool:
    return run.task is not None and run.job is None  # a thread is not waited for


def _busy() -> RpcError:
    return RpcError.of(refusal(SERVER_BUSY, limit="max_blocking_queue"))
