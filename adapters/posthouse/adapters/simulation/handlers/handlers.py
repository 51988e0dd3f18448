"""Handlers on the virtual clock: they run the functions of the service, and report how these end.

By default they do so as in the server. The core must also tolerate the ends that `HandlerFaults` describe.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context as VariablesOfCall
from functools import partial
from math import inf
from typing import Any, Final

import anyio
from msgspec import Struct
from posthouse.adapters.handlers.cancellation import Cancellation
from posthouse.adapters.handlers.firewall import InThread, Steps, Waits, drop, finish, must_wait, proper, steps
from posthouse.adapters.handlers.state.states import States
from posthouse.adapters.handlers.variables import Variables
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.schedule import ProcessClock
from posthouse.core.service.method import Method, Outcome, Raised, Returned
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Cancel, Invoke
from posthouse.core.values.errors import INTERNAL_ERROR, REQUEST_CANCELLED, RpcError, UsageError
from posthouse.core.values.peers import CallId, ConnectionId
from posthouse.transports.switchboard.switchboard import Switchboard

from .context import Sender, SimulatedContext
from .hooks import Hooks
from .tasks import Tasks

CANCELLED: Final = Raised(RpcError(REQUEST_CANCELLED))
"""The outcome of a handler that was cancelled. Its call has an outcome already, so no client sees this one."""

STOP_SECONDS: Final = 0.001
"""Seconds from `Cancel` to the report of a handler that has returned already."""


class HandlerFaults(Struct, frozen=True):
    """How often handlers fail, in a thousand. Raises UsageError for invalid values.

    Their ends are reported `late`, by up to `max_delay` seconds, `never` before the world heals, or `twice`. They fail
    where they would have returned a result (`raises`), or go on when they are cancelled (`ignores_cancel`).
    """

    late: int = 0
    never: int = 0
    twice: int = 0
    raises: int = 0
    ignores_cancel: int = 0
    max_delay: float = 1.0

    def __post_init__(self) -> None:
        for name in ("late", "never", "twice", "raises", "ignores_cancel"):
            if not 0 <= getattr(self, name) <= 1000:
                raise UsageError(f"{name} {getattr(self, name)} must be from 0 to 1000: it is how often in a thousand")
        if not 0 <= self.max_delay < inf:
            raise UsageError(f"max_delay {self.max_delay} must be finite seconds, 0 or more")


class InjectedError(Exception):
    """The exception that a handler raises only because of `HandlerFaults.raises`."""


class Run(Struct, eq=False):
    """One call whose handler's end has not been reported. `outcome` is there once the function has ended.

    `beginning`: the handler is being started and may end before the start returns.
    """

    invoke: Invoke
    context: SimulatedContext
    variables: VariablesOfCall
    steps: Steps
    task: Cancellation | None = None
    outcome: Outcome | None = None
    began: bool = False
    beginning: bool = False


class Handlers:
    """Performs `Invoke` and `Cancel` for one process, `Resolve` through its `sender` and `Emit` through its `hooks`.

    `keep_incident` is called with each exception of a handler, and the incident id that its caller gets.
    """

    def __init__(
        self,
        board: Switchboard,
        service: Service,
        clock: ProcessClock,
        stream: Stream,
        faults: HandlerFaults,
        keep_incident: Callable[[str, BaseException], None],
    ) -> None:
        self.faults = faults
        self._keep_incident: Final = keep_incident
        self._board: Final = board
        self._clock: Final = clock
        self._stream: Final = stream
        self._tasks: Final = Tasks(clock)
        self._variables: Final = Variables()
        self.sender: Final = Sender(board, clock, self._tasks.loop)
        self.states: Final = States()
        self.hooks: Final = Hooks(service, self._tasks.start, self.states, self.sender.notify)
        self._runs: Final[dict[CallId, Run]] = {}
        self._queues: Final[dict[ConnectionId, deque[Run]]] = {}  # of sequential methods
        self._withheld: Final[dict[CallId, Callable[[], None]]] = {}  # the reports of handlers that have ended
        self._not_stopping: Final[dict[CallId, Run]] = {}  # cancelled, but going on

    @property
    def running(self) -> list[Invoke]:
        """The calls whose handlers' ends have not been reported."""
        return [run.invoke for run in self._runs.values()]

    # Start

    def start(self, begin: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start a task of the application, with context variables of its own."""
        self._variables.fresh().run(self._tasks.start, begin())

    def invoke(self, action: Invoke) -> None:
        """Run the handler of a call."""
        context = SimulatedContext(action, self.sender, self.states)
        parts = steps(
            action.method,
            context,
            (action.args, action.kwargs),
            call=partial(self._call, action.method),
            caught=partial(_caught, context),
        )
        run = self._runs[action.call] = Run(action, context, self._variables.fresh(), parts)
        if action.method.sequential:
            self._queues.setdefault(action.caller.connection, deque()).append(run)
            self._start_next(action.caller.connection)
        else:
            self._start(run)

    def _start_next(self, connection: ConnectionId) -> None:
        """Start the first handler of the queue, and those behind it while they end at once."""
        queue = self._queues[connection]
        while queue and not queue[0].began:
            self._start(queue[0])
        if not queue:
            self._queues.pop(connection, None)

    def _start(self, run: Run) -> None:
        run.began = run.beginning = True
        if run.invoke.method.awaits:
            self._start_task(run, None)
        elif run.context.ended:
            self._ended(run, CANCELLED)
        else:
            try:
                waits = run.variables.run(next, run.steps)
            except StopIteration as end:
                self._ended(run, end.value)
            else:
                self._start_task(run, waits)
        run.beginning = False

    def _start_task(self, run: Run, waits: Waits | None) -> None:
        run.task = Cancellation()
        run.variables.run(self._tasks.start, self._run_task(run, run.task, waits))

    async def _run_task(self, run: Run, task: Cancellation, waits: Waits | None) -> None:
        outcome: Outcome | None = None
        if run.context.ended:
            drop(waits)
        else:
            outcome = await task.guard(finish(run.steps, waits, _not_in_a_thread))
        self._ended(run, outcome or CANCELLED)

    def _call(self, method: Method, *args: Any, **kwargs: Any) -> object:
        result = method.function(*args, **kwargs)
        if must_wait(result):
            return self._awaited(result)
        self._inject_error()
        return result

    async def _awaited(self, waits: Any) -> object:
        result = await waits
        self._inject_error()
        return result

    def _inject_error(self) -> None:
        """Raise instead of returning a result, as often as the faults say."""
        if self._stream.happens(self.faults.raises):
            raise InjectedError

    # End

    def _ended(self, run: Run, outcome: Outcome) -> None:
        if run.invoke.call not in self._runs:
            return  # the process has ended
        faults, stream = self.faults, self._stream
        run.outcome = outcome
        if stream.happens(faults.never):
            self._withheld[run.invoke.call] = partial(self._report, run, outcome)
        elif stream.happens(faults.late):
            self._clock.after(faults.max_delay * stream.choose(1000) / 1000, partial(self._report, run, outcome))
        else:
            self._report(run, outcome)

    def _report(self, run: Run, outcome: Outcome) -> None:
        """Report the end of a handler, unless that was done. As often as the faults say, plan a second report."""
        call = run.invoke.call
        if self._runs.pop(call, None) is None:
            return
        self._withheld.pop(call, None)
        self._not_stopping.pop(call, None)
        run.context.ended = True
        run.context.replied = self._send_outcome(run, outcome) and isinstance(outcome, Returned)
        if self._stream.happens(self.faults.twice):
            delay = self.faults.max_delay * self._stream.choose(1000) / 1000
            self._clock.after(delay, partial(self._report_again, run))
        if run.invoke.method.sequential:
            self._queues[run.invoke.caller.connection].remove(run)
            if not run.beginning:
                self._start_next(run.invoke.caller.connection)

    def _send_outcome(self, run: Run, outcome: Outcome) -> bool:
        outcome, now = proper(outcome), self._clock.now
        if isinstance(outcome, Returned):
            return self._board.complete(run.invoke.call, outcome.value, now)
        if isinstance(outcome.error, RpcError):
            return self._board.fail(run.invoke.call, outcome.error, now)
        incident = self._stream.entropy(6).hex()
        self._keep_incident(incident, outcome.error)
        return self._board.fail(run.invoke.call, RpcError(INTERNAL_ERROR, data={"incident": incident}), now)

    def _report_again(self, run: Run) -> None:
        if self._send_outcome(run, Returned(None)):
            raise Violation("calls: the second end of a handler was accepted")

    def cancel(self, action: Cancel) -> None:
        """Stop a handler, unless the faults say that it ignores this."""
        run = self._runs.get(action.call)
        if run is None:
            return
        run.context.ended = True
        if not run.began:
            self._report(run, CANCELLED)  # it waits in a queue, and need not start
        elif self._stream.happens(self.faults.ignores_cancel):
            self._not_stopping[action.call] = run
        else:
            self._stop(run)

    def _stop(self, run: Run) -> None:
        if run.task is not None:
            self._tasks.loop.call_soon(run.task.cancel)
        elif run.outcome is not None:
            self._clock.after(STOP_SECONDS, partial(self._report, run, CANCELLED))

    def heal(self) -> None:
        """End all faults: from now on handlers end as they should, and those that were withheld are reported."""
        self.faults = HandlerFaults()
        for report in list(self._withheld.values()):
            report()
        for run in self._not_stopping.values():
            self._stop(run)
        self._not_stopping.clear()

    # The process

    def turn(self) -> None:
        """Run tasks until all of them wait. Raises exceptions of the core that a handler ran into."""
        self._tasks.turn()
        if self.sender.failed is not None:
            raise self.sender.failed

    def close(self) -> None:
        """The process has ended: stop every task."""
        self._runs.clear()
        self._withheld.clear()
        self.sender.close()
        self.hooks.close()
        self._tasks.close()


def _caught(context: SimulatedContext, error: BaseException) -> Outcome:
    ours = context.ended and isinstance(error, anyio.get_cancelled_exc_class())
    return CANCELLED if ours else Raised(error)


async def _not_in_a_thread(waits: InThread) -> object:
    raise AssertionError("blocking functions run at once")
