"""User code runs here, between its interceptors, and whatever it raises stays here: its outcome is a value.

It may not know loops, tasks, threads or the gateway. Who runs a call says how to tell its own cancellation from an
error of the handler's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from posthouse.core.service.context import Context
from posthouse.core.service.method import Method, Outcome, Raised, Returned
from posthouse.core.service.parameters import Arguments
from posthouse.core.values.errors import RpcError


def outcome_of(
    method: Method, context: Context, arguments: Arguments, *, call: Callable[..., object] | None = None
) -> Outcome:
    """Run a plain function, or `call` in its place, between plain interceptors."""
    outcome: Outcome
    try:
        args, kwargs = method.with_context(intercept(method, context, arguments), context)
        outcome = Returned((call or method.function)(*args, **kwargs))
    except BaseException as error:
        outcome = Raised(error)
    return intercept_outcome(method, context, outcome)


async def awaited_outcome(
    method: Method,
    context: Context,
    arguments: Arguments,
    *,
    call: Callable[[tuple[Any, ...], dict[str, Any]], Awaitable[Outcome]],
    caught: Callable[[BaseException], Outcome],
) -> Outcome:
    """Run what awaits. `call` runs the function with its arguments; `caught` makes an outcome of what was raised.

    A cancellation gets no further either: the task ends behind this in any case.
    """
    outcome: Outcome
    try:
        for on_call in method.on_call:
            replaced = on_call(context, method, arguments)
            arguments = (await replaced if isawaitable(replaced) else replaced) or arguments
        args, kwargs = method.with_context(arguments, context)
        outcome = await call(args, kwargs)
    except BaseException as error:
        outcome = caught(error)
    for on_outcome in method.on_outcome:
        if context.cancelled:
            break
        try:
            instead = on_outcome(context, method, outcome)
            outcome = (await instead if isawaitable(instead) else instead) or outcome
        except BaseException as error:
            outcome = caught(error)
    return outcome


def intercept(method: Method, context: Context, arguments: Arguments) -> Arguments:
    """The arguments as plain interceptors leave them. Raises what they raise."""
    for on_call in method.on_call:
        replaced: Any = on_call(context, method, arguments)
        arguments = replaced or arguments
    return arguments


def intercept_outcome(method: Method, context: Context, outcome: Outcome) -> Outcome:
    """The outcome as plain interceptors leave it."""
    for on_outcome in method.on_outcome:
        try:
            replaced: Any = on_outcome(context, method, outcome)
        except BaseException as error:
            outcome = Raised(error)
        else:
            outcome = replaced or outcome
    return outcome


def proper(outcome: Outcome) -> Outcome:
    """The outcome, or what is wrong with it: interceptors are users' code too, and types are not looked at there.

    An RpcError that is alone in an exception group is what was raised: a task group of the handler's wraps it.
    """
    if isinstance(outcome, Returned):
        return outcome
    if not isinstance(outcome, Raised):
        return Raised(TypeError(f"an on_outcome returned {outcome!r}: it must be None, Returned or Raised"))
    alone: BaseException = outcome.error
    while isinstance(alone, BaseExceptionGroup) and len(alone.exceptions) == 1:
        alone = alone.exceptions[0]
    return Raised(alone) if isinstance(alone, RpcError) else outcome
