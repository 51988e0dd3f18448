"""The signature of a function, read and checked once when a method is declared.

Nothing here knows methods or services.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Unpack, get_args, get_origin, get_type_hints

from msgspec import UNSET, Struct
from posthouse.core.encoding.compiler import reading
from posthouse.core.encoding.constraints import check_default
from posthouse.core.encoding.members import shape_of
from posthouse.core.encoding.plan import Plan
from posthouse.core.values.errors import UsageError

from .injection import takes_context

POSITIONAL_ONLY: Final = inspect.Parameter.POSITIONAL_ONLY
EITHER: Final = inspect.Parameter.POSITIONAL_OR_KEYWORD
REST: Final = inspect.Parameter.VAR_POSITIONAL
KEYWORD_ONLY: Final = inspect.Parameter.KEYWORD_ONLY
NAMED_REST: Final = inspect.Parameter.VAR_KEYWORD
POSITIONAL: Final = (POSITIONAL_ONLY, EITHER)


class Signature(Struct, frozen=True):
    """A function's parameters without the context, with resolved types and how these are read, and its return type.

    `context` is the name of the parameter that takes the Context, or None. `position` is its place if it must be given
    by position: it is positional-only, or other positional parameters follow it.
    """

    parameters: tuple[inspect.Parameter, ...]
    plans: tuple[Plan, ...]
    returns: Any
    context: str | None
    position: int | None


def read_signature(function: Callable[..., Any], name: str) -> Signature:
    """Read and check the signature of `function`. Raises UsageError if it is invalid."""
    hints = _hints(function, name)  # first, because it explains unknown names
    try:
        declared = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise UsageError(f"method {name!r}: the signature of {function!r} cannot be read") from None
    parameters: list[inspect.Parameter] = []
    plans: list[Plan] = []
    context: inspect.Parameter | None = None
    position = 0
    for parameter in declared.values():
        annotation = hints.get(parameter.name, Any)
        where = f"method {name!r}: parameter {parameter.name!r}"
        if takes_context(parameter, annotation, where):
            if context is not None:
                raise UsageError(f"{where} is a second Context beside {context.name!r}: remove one")
            context, position = parameter, len(parameters)
            continue
        if parameter.kind is NAMED_REST and get_origin(annotation) is Unpack:
            for named in _unpacked(annotation):
                plans.append(reading(named.annotation, f"method {name!r}: parameter {named.name!r}"))
                parameters.append(named)
            continue
        check_default(parameter.default, where)
        plans.append(reading(annotation, where))
        parameters.append(parameter.replace(annotation=annotation))
    _check_structure(parameters, name)
    returns = hints.get("return", Any)
    if context is None:
        return Signature(tuple(parameters), tuple(plans), returns, None, None)
    in_the_way = any(parameter.kind in (*POSITIONAL, REST) for parameter in parameters[position:])
    by_position = context.kind is POSITIONAL_ONLY or (context.kind is EITHER and in_the_way)
    return Signature(tuple(parameters), tuple(plans), returns, context.name, position if by_position else None)


def innermost(function: Any) -> Any:
    """The callable inside a functools.partial, or inside nested ones."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def underlying(function: Any) -> Any:
    """The function whose code runs in a call of `function`. Looks through partials and at `__call__`."""
    target = innermost(function)
    return target if inspect.isroutine(target) else type(target).__call__


def is_required(parameter: inspect.Parameter) -> bool:
    """Must a request give this parameter?"""
    return parameter.default is parameter.empty and parameter.kind not in (REST, NAMED_REST)


def _unpacked(annotation: Any) -> Iterator[inspect.Parameter]:
    """`**kwargs: Unpack[…]` of a TypedDict as parameters that are given by name.

    The default UNSET is not passed on.
    """
    shape = shape_of(get_args(annotation)[0])
    for member in () if shape is None else shape.members:
        default = inspect.Parameter.empty if member.required else UNSET
        yield inspect.Parameter(member.name, KEYWORD_ONLY, default=default, annotation=member.annotation)


def _check_structure(parameters: Iterable[inspect.Parameter], name: str) -> None:
    """Raise UsageError if no request can give all required parameters, because it gives all by position or by name."""
    required = {parameter.kind: parameter.name for parameter in parameters if is_required(parameter)}
    if POSITIONAL_ONLY in required and KEYWORD_ONLY in required:
        raise UsageError(
            f"method {name!r}: parameter {required[POSITIONAL_ONLY]!r} can only be given by position and "
            f"{required[KEYWORD_ONLY]!r} only by name: no request can give both"
        )


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    """The annotations as types, even if they are strings (`from __future__ import annotations`)."""
    try:
        return get_type_hints(underlying(function), include_extras=True)
    except NameError as error:
        raise UsageError(
            f"method {name!r}: the annotation {error.name!r} is not known in the module of its function: import it "
            "outside `if TYPE_CHECKING`, or define the type in the module, not inside a function"
        ) from None
    except (TypeError, SyntaxError, AttributeError) as error:
        raise UsageError(f"method {name!r}: an annotation cannot be read: {error}") from None
