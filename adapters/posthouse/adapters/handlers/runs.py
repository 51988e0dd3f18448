"""Runs of handlers: every `Invoke` gets exactly one `complete` or `fail`, after its handler ended.

A plain function runs at once. A function that awaits is one task inside one cancel scope. A function that blocks has a
worker thread. Calls of `sequential` methods run one after another on their connection. Handlers run behind a firewall:
an exception ends its own call and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from inspect import isawaitable
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.report import WARNING, report
from posthouse.core.jsonrpc.messages import is_encodable
from posthouse.core.service.method import Outcome, Raised, Returned
from posthouse.core.service.parameters import Arguments
from posthouse.core.values.effects import Cancel, Invoke
from posthouse.core.values.errors import INTERNAL_ERROR, REQUEST_CANCELLED, SERVER_BUSY, RpcError, refusal
from posthouse.core.values.peers import CallId, ConnectionId

from .events import Events, is_ours
from .firewall import awaited_outcome, intercept, intercept_outcome, outcome_of, proper
from .served_context import AwaitedRequests, ServedContext
from .watchdog import Watchdog
from .workers import Workers

CANCELLED: Final = Raised(RpcError(REQUEST_CANCELLED))
"""The outcome of a handler that was stopped. Its call has been answered already, so this is not sent."""


class Run:
    """One call whose handler has not ended. `scope` is set while it has a task, `job` while a worker thread runs it or
    will run it, `queued` while it waits for an earlier call of a sequential method."""

    __slots__ = ("context", "invoke", "job", "queued", "scope")

    def __init__(self, invoke: Invoke, context: ServedContext) -> None:
        self.invoke: Final = invoke
        self.context: Final = context
        self.scope: anyio.CancelScope | None = None
        self.job: Callable[[], None] | None = None
        self.queued = False


class Runs:
    """Performs `Invoke` and `Cancel`. The tasks of handlers are in `group`."""

    def __init__(
        self,
        runner: Runner,
        group: TaskGroup,
        events: Events,
        requests: AwaitedRequests,
        watchdog: Watchdog,
        workers: Workers,
    ) -> None:
        self._runner: Final = runner
        self._board: Final = runner.board
        self._now: Final = runner.now
        self._group: Final = group
        self._events: Final = events
        self._requests: Final = requests
        self._watchdog: Final = watchdog
        self._workers: Final = workers
        self._runs: Final[dict[CallId, Run]] = {}
        self._queues: Final[dict[ConnectionId, deque[Run]]] = {}

    def invoke(self, invoke: Invoke) -> None:
        method = invoke.method
        if not (method.awaits or method.blocking):
            self._run_inline(invoke)
            return
        run = Run(invoke, ServedContext(invoke, self._runner, self._requests))
        self._runs[invoke.call] = run
        if not method.sequential:
            self._begin(run)
        elif invoke.caller.connection in self._queues:
            run.queued = True
            self._queues[invoke.caller.connection].append(run)
        else:
            self._queues[invoke.caller.connection] = deque([run])
            self._advance(invoke.caller.connection)

    def _begin(self, run: Run) -> bool:
        """Give it to a task or a thread. False: it has ended already."""
        run.queued = False
        if not run.invoke.method.awaits:
            return self._begin_blocking(run)
        self._group.start_soon(self._run_task, run, name=run.invoke.method.name)
        return True

    def _advance(self, connection: ConnectionId) -> None:
        """Begin the next call of this connection's queue, when the one before has ended."""
        queue = self._queues[connection]
        while queue:
            if self._begin(queue.popleft()):
                return
        del self._queues[connection]

    def cancel(self, action: Cancel) -> None:
        run = self._runs.get(action.call)
        if run is None:
            return
        run.context.ended = True
        if run.scope is not None:
            run.scope.cancel()
        if run.queued:
            self._queues[run.invoke.caller.connection].remove(run)
            self._ended(run, CANCELLED)
        elif run.job is not None and self._workers.withdraw(run.job):
            self._thread_ended(run, CANCELLED)

    # Plain functions

    def _run_inline(self, invoke: Invoke) -> None:
        method = invoke.method
        self._watchdog.begins(method.name)
        if method.on_call or method.on_outcome or method.context_parameter is not None:
            context = ServedContext(invoke, self._runner, self._requests)
            self._report(invoke, context, outcome_of(method, context, (invoke.args, invoke.kwargs)))
        else:
            try:
                result = method.function(*invoke.args, **invoke.kwargs)
            except BaseException as error:
                self._fail(invoke, error)
            else:
                self._board.complete(invoke.call, result, self._now())
        self._watchdog.ends()
        self._runner.end_turn_if_slow()

    # Functions that await

    async def _run_task(self, run: Run) -> None:
        outcome: Outcome = CANCELLED
        if not run.context.ended:
            with anyio.CancelScope() as run.scope:
                outcome = await self._guarded(run)
            run.scope = None
        self._ended(run, outcome)
        if run.invoke.method.sequential:
            self._advance(run.invoke.caller.connection)
        self._runner.flush_outbox()

    async def _guarded(self, run: Run) -> Outcome:
        method = run.invoke.method

        async def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
            if method.blocking:
                return await self._in_thread(run, args, kwargs)
            result = method.function(*args, **kwargs)
            return Returned(await result if isawaitable(result) else result)

        arguments: Arguments = run.invoke.args, run.invoke.kwargs
        return await awaited_outcome(method, run.context, arguments, call=call, caught=partial(self._caught, run))

    def _caught(self, run: Run, error: BaseException) -> Outcome:
        """Tell a cancellation of this call, or of the whole server, from one that a handler raises by itself."""
        if not is_ours(error):
            return Raised(error)
        run.context.ended = True
        return CANCELLED

    async def _in_thread(self, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
        """Run a blocking function between interceptors that await. The task waits: a thread cannot be stopped."""
        outcomes: list[Outcome] = []
        done = anyio.Event()

        def ended(outcome: Outcome) -> None:
            outcomes.append(outcome)
            done.set()

        job = self._job(run, args, kwargs, ended)
        if not self._workers.submit(job):
            raise _busy()
        try:
            await done.wait()
        except anyio.get_cancelled_exc_class():
            if self._workers.withdraw(job):
                raise
            if not self._group.cancel_scope.cancel_called:
                with anyio.CancelScope(shield=True):
                    await done.wait()
            raise
        return outcomes[0]

    # Functions that block

    def _begin_blocking(self, run: Run) -> bool:
        method = run.invoke.method
        try:
            arguments = intercept(method, run.context, (run.invoke.args, run.invoke.kwargs))
            args, kwargs = method.with_context(arguments, run.context)
            run.job = self._job(run, args, kwargs, partial(self._thread_ended, run))
            if not self._workers.submit(run.job):
                raise _busy()
        except BaseException as error:
            run.job = None
            self._ended(run, intercept_outcome(method, run.context, Raised(error)))
            return False
        return True

    def _job(
        self, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any], ended: Callable[[Outcome], None]
    ) -> Callable[[], None]:
        function, call_soon = run.invoke.method.function, self._runner.poller.call_soon

        def work() -> None:
            outcome: Outcome
            try:
                outcome = Returned(function(*args, **kwargs))
            except BaseException as error:
                outcome = Raised(error)
            call_soon(partial(ended, outcome))

        return work

    def _thread_ended(self, run: Run, outcome: Outcome) -> None:
        run.job = None
        if not run.context.ended:
            outcome = intercept_outcome(run.invoke.method, run.context, outcome)
        self._ended(run, outcome)
        if run.invoke.method.sequential:
            self._advance(run.invoke.caller.connection)

    # Ends

    def _ended(self, run: Run, outcome: Outcome) -> None:
        del self._runs[run.invoke.call]
        self._report(run.invoke, run.context, outcome)

    def _report(self, invoke: Invoke, context: ServedContext, outcome: Outcome) -> None:
        context.ended = True
        outcome = proper(outcome)
        if isinstance(outcome, Returned):
            self._board.complete(invoke.call, outcome.value, self._now())
        else:
            self._fail(invoke, outcome.error)

    def _fail(self, invoke: Invoke, error: BaseException) -> None:
        if isinstance(error, RpcError):
            if error.data is not None and not is_encodable(error.data):
                text = "sent an error without its data: the data cannot be encoded as JSON"
                report(WARNING, "error.data_lost", text, method=invoke.method.name, code=error.code)
            self._board.fail(invoke.call, error, self._now())
            return
        incident = self._runner.clock.entropy(6).hex()
        self._events.explain(incident, error)
        self._board.fail(invoke.call, RpcError(INTERNAL_ERROR, data={"incident": incident}), self._now())


def _busy() -> RpcError:
    return RpcError.of(refusal(SERVER_BUSY, limit="max_blocking_queue"))
