"""The firewall: user code runs here, between its interceptors. Its outcome is a value, so nothing it raises escapes.

This module does not know loops, tasks, threads or the gateway. Its caller says how to tell its own cancellation from an
error of the handler.
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
    """Run a plain function between plain interceptors. `call` replaces the function."""
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
    """Run a function that awaits. `call` runs it with its arguments; `caught` turns an exception into an outcome.

    A cancellation is caught too: the task ends after this in any case.
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
    """The arguments after plain interceptors. Raises what they raise."""
    for on_call in method.on_call:
        replaced: Any = on_call(context, method, arguments)
        arguments = replaced or arguments
    return arguments


def intercept_outcome(method: Method, context: Context, outcome: Outcome) -> Outcome:
    """The outcome after plain interceptors."""
    for on_outcome in method.on_outcome:
        try:
            replaced: Any = on_outcome(context, method, outcome)
        except BaseException as error:
            outcome = Raised(error)
        else:
            outcome = replaced or outcome
    return outcome


def proper(outcome: Outcome) -> Outcome:
    """The outcome, or an error if it is not one: interceptors are user code, so their results are checked here.

    An RpcError that is alone in an exception group is taken out of it: a task group of the handler has wrapped it.
    """
    if isinstance(outcome, Returned):
        return outcome
    if not isinstance(outcome, Raised):
        return Raised(TypeError(f"an on_outcome returned {outcome!r}: it must be None, Returned or Raised"))
    alone: BaseException = outcome.error
    while isinstance(alone, BaseExceptionGroup) and len(alone.exceptions) == 1:
        alone = alone.exceptions[0]
    return Raised(alone) if isinstance(alone, RpcError) else outcome
