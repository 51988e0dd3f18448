"""One call whose handler has not ended: what stops it, what it waits for, and the steps that are left of it.

This module does not know how a task or a thread is started.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context as Variables
from functools import partial
from typing import Any, Final

import anyio
from posthouse.adapters.loop.named import call_in_thread
from posthouse.core.service.method import Outcome, Raised, Returned
from posthouse.core.values.effects import Invoke
from posthouse.core.values.errors import REQUEST_CANCELLED, RpcError
from posthouse.core.values.timers import Timer

from .cancellation import Cancellation
from .firewall import InThread, Steps, Waits, steps
from .served_context import ServedContext

CANCELLED: Final = Raised(RpcError(REQUEST_CANCELLED))
"""The outcome of a handler that was stopped. Its call has been answered already, so this is not sent."""

Step = Callable[[Any], Waits]
"""Continues the steps of a call with a result or an error. Raises StopIteration with the outcome."""


class Run:
    """One call whose handler has not ended. `task` is set while it has a task, `job` while a worker thread runs it or
    will run it, `queued` while it waits for an earlier call of a sequential method. `steps` is None if there is nothing
    but a function for a thread. `named`: the log has named it, because it resists."""

    __slots__ = ("cleanup", "context", "invoke", "job", "named", "queued", "steps", "task", "variables")

    def __init__(self, invoke: Invoke, context: ServedContext, variables: Variables, steps: Steps | None) -> None:
        self.invoke: Final = invoke
        self.context: Final = context
        self.variables: Final = variables
        self.steps = steps
        self.task: Cancellation | None = None
        self.job: Callable[[], None] | None = None
        self.queued = False
        self.named = False
        self.cleanup: Timer | None = None


def in_thread(function: Callable[..., object], *args: Any, **kwargs: Any) -> InThread:
    return InThread(function, args, kwargs)


def steps_of(invoke: Invoke, context: ServedContext, call: Callable[..., object]) -> Steps:
    return steps(invoke.method, context, (invoke.args, invoke.kwargs), call=call, caught=partial(_caught, context))


def job(
    call_soon: Callable[[Callable[[], None]], object],
    variables: Variables,
    waits: InThread,
    ended: Callable[[Outcome], None],
) -> Callable[[], None]:
    """The work of a thread: call the function, and have the loop call `ended` with the outcome."""

    def work() -> None:
        outcome: Outcome
        try:
            outcome = Returned(variables.run(call_in_thread, waits.function, waits.args, waits.kwargs))
        except BaseException as error:
            outcome = Raised(error)
        call_soon(partial(ended, outcome))

    return work


def _caught(context: ServedContext, error: BaseException) -> Outcome:
    """Tell a cancellation of this call, or of the whole server, from one that a handler raises by itself."""
    if isinstance(error, GeneratorExit) and context.ended:
        return CANCELLED  # the steps of an abandoned call were dropped, perhaps after the end of the event loop
    ours = context.ended and isinstance(error, anyio.get_cancelled_exc_class())
    return CANCELLED if ours else Raised(error)
