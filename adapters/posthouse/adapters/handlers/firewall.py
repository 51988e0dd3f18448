"""The firewall: user code runs here, between its interceptors. Its outcome is a value, so nothing it raises escapes.

This module does not know loops, tasks, threads or the gateway. Its caller awaits what must be awaited, and says how to
tell its own cancellation from an error of the handler.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from inspect import isawaitable
from types import GeneratorType
from typing import Any, Final

from msgspec import Struct
from posthouse.core.service.method import Method, Outcome, Raised, Returned
from posthouse.core.service.parameters import Arguments
from posthouse.core.values.errors import RpcError

from .invoked_context import InvokedContext

PLAIN: Final = frozenset((type(None), bool, int, float, str, bytes, list, dict, tuple))
"""Types of results that need not be awaited: a look here is faster than `must_wait`."""


class InThread(Struct, frozen=True):
    """A call that the caller of `steps` makes in a thread."""

    function: Callable[..., object]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


Waits = Awaitable[Any] | InThread

Steps = Generator[Waits, Any, Outcome]
"""The parts of one call, between its awaits. It yields what must be awaited, is sent the result, and returns the
outcome."""


def must_wait(value: object) -> bool:
    """Must this be awaited, or be called in a thread? How a function was written does not tell: a decorator, a lambda
    or an object may return the coroutine of another one. Only the type is looked at: a value may compute its
    `__class__`, and that may raise."""
    kind = type(value)
    if kind in PLAIN:
        return False
    return kind is InThread or issubclass(kind, Awaitable) or (kind is GeneratorType and isawaitable(value))


def steps(
    method: Method,
    context: InvokedContext,
    arguments: Arguments,
    *,
    call: Callable[..., object],
    caught: Callable[[BaseException], Outcome],
) -> Steps:
    """Run a function between its interceptors. `call` runs it; `caught` turns an exception into an outcome.

    A cancellation is caught too: the task ends after this in any case.
    """
    outcome: Outcome
    try:
        for on_call in method.on_call:
            replaced: Any = on_call.function(context.seen_with(on_call.lifespan), method, arguments)
            if must_wait(replaced):
                replaced = yield replaced
            arguments = replaced or arguments
        args, kwargs = method.with_context(arguments, context)
        result: Any = call(*args, **kwargs)
        while must_wait(result):
            result = yield result
        outcome = Returned(result)
    except BaseException as error:
        outcome = caught(error)
    for on_outcome in method.on_outcome:
        if context.cancelled:
            break
        try:
            instead: Any = on_outcome.function(context.seen_with(on_outcome.lifespan), method, outcome)
            if must_wait(instead):
                instead = yield instead
            outcome = instead or outcome
        except BaseException as error:
            outcome = caught(error)
    return outcome


async def finish(steps: Steps, waits: Waits | None, in_thread: Callable[[InThread], Awaitable[object]]) -> Outcome:
    """Await everything that is left of a call. `waits` is what its steps have yielded; None: they have not begun."""
    try:
        waits = next(steps) if waits is None else waits
        while True:
            try:
                result = await (in_thread(waits) if isinstance(waits, InThread) else waits)
            except BaseException as error:
                waits = steps.throw(error)
            else:
                waits = steps.send(result)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome


def drop(waits: object) -> None:
    """Do not await this after all. A coroutine that is not closed would cause a warning."""
    if isinstance(waits, Coroutine):
        waits.close()


def proper(outcome: Outcome) -> Outcome:
    """The outcome, or an error if it is not one: interceptors are user code, so their results are checked here.

    An RpcError that is alone in an exception group is taken out of it: a task group of the handler has wrapped it.
    """
    if type(outcome) is Returned:
        return outcome
    if type(outcome) is not Raised:
        kind = type(outcome).__qualname__
        return Raised(TypeError(f"an on_outcome returned a value of type {kind}: it must be None, Returned or Raised"))
    error = alone(outcome.error)
    return Raised(error) if isinstance(error, RpcError) else outcome


def alone(error: BaseException) -> BaseException:
    """The exception inside an exception group that has no other: a task group has wrapped it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
