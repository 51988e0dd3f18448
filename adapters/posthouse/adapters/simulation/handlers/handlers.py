"""Handlers on the virtual clock: users' functions, and what may become of what they return.

By default they are run and reported as a server does it. By their manners their ends are reported late, never, twice or
after `Cancel`, or they raise: what the core must be proof against.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from inspect import isawaitable
from typing import Any, Final, ParamSpec, TypeVar

import anyio
from posthouse.adapters.handlers.firewall import awaited_outcome, outcome_of, proper
from posthouse.adapters.handlers.invoked_context import InvokedContext
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.schedule import Clock
from posthouse.core.service.method import Method, Outcome, Raised, Returned
from posthouse.core.service.parameters import Arguments
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Cancel, Invoke, Resolve
from posthouse.core.values.errors import INTERNAL_ERROR, REQUEST_CANCELLED, ErrorObject, RpcError, UsageError
from posthouse.core.values.peers import CallId, ConnectionId, OutgoingId
from posthouse.transports.switchboard.switchboard import Switchboard

from .hooks import Hooks
from .manners import HONEST, HandlerFaults, Spoiled
from .tasks import Tasks

P = ParamSpec("P")
T = TypeVar("T")

CANCELLED: Final = Raised(RpcError(REQUEST_CANCELLED))
"""The outcome of a handler that was stopped: its call has been answered, so nobody sees it."""

REMEMBERED: Final = 1000
"""So many exceptions of handlers are remembered, by their incidents."""

SOON: Final = 0.001
"""Seconds in which a handler that is told to stop does."""


class SimulatedContext(InvokedContext):
    """The context of a simulated call."""

    __slots__ = ("_handlers",)

    def __init__(self, invoke: Invoke, handlers: Handlers) -> None:
        super().__init__(invoke)
        self._handlers: Final = handlers

    def notify(self, method: str, params: Any = None) -> bool:
        """Send a notification to the caller. False: it is gone, or cannot be pushed to."""
        handlers = self._handlers
        return handlers.say(handlers.board.notify, self.connection, method, params, handlers.schedule.now)

    def send_progress(self, value: object) -> bool:
        """Send this value of progress. False: it was not sent."""
        handlers = self._handlers
        return handlers.say(handlers.board.progress, self.call_id, value, handlers.schedule.now)

    async def ask(self, method: str, params: object, timeout: float) -> bytes:
        """Ask the caller, and wait for the result as JSON. Raises RpcError."""
        return await self._handlers.ask(self.connection, method, params, timeout)


class Run:
    """One call whose handler's end has not been reported. `outcome` is there when it has ended; `beginning`: what it
    does at once is being done."""

    __slots__ = ("began", "beginning", "context", "invoke", "outcome", "scope")

    def __init__(self, invoke: Invoke, context: SimulatedContext) -> None:
        self.invoke: Final = invoke
        self.context: Final = context
        self.scope: anyio.CancelScope | None = None
        self.outcome: Outcome | None = None
        self.began = False
        self.beginning = False


class Handlers:
    """Performs `Invoke`, `Cancel` and `Resolve` for one process, and by its `hooks` `Emit`."""

    def __init__(
        self, board: Switchboard, service: Service, schedule: Clock, stream: Stream, manners: HandlerFaults
    ) -> None:
        self.board: Final = board
        self.schedule: Final = schedule
        self.manners = manners
        self.hooks: Final = Hooks(service, self._start)
        self._stream: Final = stream
        self._tasks: Tasks | None = None
        self._runs: Final[dict[CallId, Run]] = {}
        self._never: Final[dict[CallId, Run]] = {}
        self._stubborn: Final[dict[CallId, Run]] = {}
        self.incidents: Final[dict[str, BaseException]] = {}
        self._lines: Final[dict[ConnectionId, deque[Run]]] = {}
        self._asking: Final[dict[OutgoingId, Any]] = {}
        self.failed: Exception | None = None

    @property
    def running(self) -> list[Invoke]:
        """The calls whose handlers' ends have not been reported."""
        return [run.invoke for run in self._runs.values()]

    # Beginning

    def invoke(self, action: Invoke) -> None:
        """Run it."""
        run = self._runs[action.call] = Run(action, SimulatedContext(action, self))
        if action.method.sequential:
            self._lines.setdefault(action.caller.connection, deque()).append(run)
            self._advance(action.caller.connection)
        else:
            self._begin(run)

    def _advance(self, connection: ConnectionId) -> None:
        """Begin the next in line, and those behind it while they end at once."""
        line = self._lines[connection]
        while line and not line[0].began:
            self._begin(line[0])
        if not line:
            self._lines.pop(connection, None)

    def _begin(self, run: Run) -> None:
        run.began = run.beginning = True
        method = run.invoke.method
        if method.awaits:
            self._start(self._run_task(run))
        elif run.context.ended:
            self._ended(run, CANCELLED)
        else:
            arguments: Arguments = run.invoke.args, run.invoke.kwargs
            self._ended(run, outcome_of(method, run.context, arguments, call=partial(self._call_plain, method)))
        run.beginning = False

    async def _run_task(self, run: Run) -> None:
        outcome: Outcome = CANCELLED
        if not run.context.ended:
            with anyio.CancelScope() as run.scope:
                outcome = await awaited_outcome(
                    run.invoke.method,
                    run.context,
                    (run.invoke.args, run.invoke.kwargs),
                    call=partial(self._call, run),
                    caught=partial(self._caught, run),
                )
            run.scope = None
        self._ended(run, outcome)

    def _call_plain(self, method: Method, *args: Any, **kwargs: Any) -> object:
        result = method.function(*args, **kwargs)
        self._spoil()
        return result

    async def _call(self, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
        result = run.invoke.method.function(*args, **kwargs)
        outcome = Returned(await result if isawaitable(result) else result)
        self._spoil()
        return outcome

    def _spoil(self) -> None:
        """By its manners it raises, whatever it was to return."""
        if self.manners is not HONEST and self._stream.happens(self.manners.raising):
            raise Spoiled

    def _caught(self, run: Run, error: BaseException) -> Outcome:
        if isinstance(error, anyio.get_cancelled_exc_class()) and run.context.ended:
            return CANCELLED
        return Raised(error)

    # Ending

    def _ended(self, run: Run, outcome: Outcome) -> None:
        if run.invoke.call not in self._runs:
            return  # the process is gone
        manners, stream = self.manners, self._stream
        if manners is HONEST:
            self._report(run, outcome)
            return
        run.outcome = outcome
        if stream.happens(manners.never):
            self._never[run.invoke.call] = run
        elif stream.happens(manners.late):
            self.schedule.after(manners.lateness * stream.choose(1000) / 1000, partial(self._report, run, run.outcome))
        else:
            self._report(run, run.outcome)

    def _report(self, run: Run, outcome: Outcome) -> None:
        """Its end, once; and by its manners once more, when nobody may listen any longer."""
        call = run.invoke.call
        if self._runs.pop(call, None) is None:
            return
        self._never.pop(call, None)
        self._stubborn.pop(call, None)
        run.context.ended = True
        self._tell(run, outcome)
        if self.manners is not HONEST and self._stream.happens(self.manners.twice):
            self.schedule.after(self.manners.lateness * self._stream.choose(1000) / 1000, partial(self._again, run))
        if run.invoke.method.sequential:
            self._lines[run.invoke.caller.connection].remove(run)
            if not run.beginning:
                self._advance(run.invoke.caller.connection)

    def _tell(self, run: Run, outcome: Outcome) -> bool:
        outcome, now = proper(outcome), self.schedule.now
        if isinstance(outcome, Returned):
            return self.board.complete(run.invoke.call, outcome.value, now)
        if isinstance(outcome.error, RpcError):
            return self.board.fail(run.invoke.call, outcome.error, now)
        incident = self._stream.entropy(6).hex()
        self.incidents[incident] = outcome.error
        if len(self.incidents) > REMEMBERED:
            del self.incidents[next(iter(self.incidents))]
        return self.board.fail(run.invoke.call, RpcError(INTERNAL_ERROR, data={"incident": incident}), now)

    def _again(self, run: Run) -> None:
        if self._tell(run, Returned(None)):
            raise Violation("calls: a handler's end counts once")

    def cancel(self, action: Cancel) -> None:
        """Stop it, in its manner."""
        run = self._runs.get(action.call)
        if run is None:
            return
        run.context.ended = True
        if not run.began:
            self._report(run, CANCELLED)  # it waits for its turn, and need not have it
        elif self._stream.happens(self.manners.stubborn):
            self._stubborn[action.call] = run
        else:
            self._stop(run)

    def _stop(self, run: Run) -> None:
        if run.scope is not None and self._tasks is not None:
            self._tasks.loop.call_soon(run.scope.cancel)
        elif run.outcome is not None:
            self.schedule.after(SOON, partial(self._report, run, CANCELLED))

    def heal(self) -> None:
        """From now on they are honest, and those that would never have ended do."""
        self.manners = HONEST
        for run in list(self._never.values()):
            self._report(run, CANCELLED if run.outcome is None else run.outcome)
        for run in self._stubborn.values():
            self._stop(run)
        self._stubborn.clear()

    # What handlers say

    def say(self, input: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Tell the board, from within user code. What comes out of it, but for misuse, is no business of a handler's,
        whose firewall would swallow it: it is remembered in `failed`."""
        try:
            return input(*arguments, **named)
        except UsageError:
            raise
        except Exception as error:
            self.failed = self.failed or error
            raise

    async def ask(self, to: ConnectionId, method: str, params: object, timeout: float) -> bytes:
        """Ask the client. The result as JSON. Raises RpcError."""
        tasks = self._awaiting()
        request = self.say(self.board.request, to, method, params, self.schedule.now, timeout=timeout)
        future = self._asking[request] = tasks.loop.create_future()
        try:
            outcome = await future
        finally:
            if self._asking.pop(request, None) is not None:
                self.say(self.board.abandon, request, self.schedule.now)
        if isinstance(outcome, ErrorObject):
            raise RpcError.of(outcome)
        return bytes(outcome)

    def resolve(self, action: Resolve) -> None:
        """The client has answered, or will not."""
        future = self._asking.pop(action.request, None)
        if future is not None and not future.done():
            future.set_result(action.outcome)

    # Tasks

    def _awaiting(self) -> Tasks:
        if self._tasks is None:
            self._tasks = Tasks(self.schedule)
        return self._tasks

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._awaiting().start(coroutine)

    def turn(self) -> None:
        """Let tasks run until they wait. Raises what went wrong under a handler, or in a task of ours."""
        if self._tasks is not None:
            self._tasks.turn()
        if self.failed is not None:
            raise self.failed

    def close(self) -> None:
        """The process is gone."""
        self._runs.clear()
        self._never.clear()
        self._asking.clear()
        self.hooks.close()
        if self._tasks is not None:
            self._tasks.close()
