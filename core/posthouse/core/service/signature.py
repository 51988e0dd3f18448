"""The signature of a function, read and checked once when a method is declared.

One parameter may take the Context of a call: `Context`, `Context | None` and `Annotated[Context, …]` do. Nothing here
knows methods or services.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, Unpack, get_args, get_origin, get_type_hints

from msgspec import UNSET, Struct
from posthouse.core.encoding.compiler import reading
from posthouse.core.encoding.constraints import check_default
from posthouse.core.encoding.members import shape_of
from posthouse.core.encoding.plan import Plan
from posthouse.core.values.errors import UsageError

from .context import Context

POSITIONAL_ONLY: Final = inspect.Parameter.POSITIONAL_ONLY
EITHER: Final = inspect.Parameter.POSITIONAL_OR_KEYWORD
REST: Final = inspect.Parameter.VAR_POSITIONAL
KEYWORD_ONLY: Final = inspect.Parameter.KEYWORD_ONLY
NAMED_REST: Final = inspect.Parameter.VAR_KEYWORD
POSITIONAL: Final = (POSITIONAL_ONLY, EITHER)
MANY: Final = (REST, NAMED_REST)

NAMES: Final = ("context", "ctx")
"""A parameter of these names without an annotation is meant for the Context, or must say that it is not."""


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


# The Context


def takes_context(parameter: inspect.Parameter, annotation: Any, where: str) -> bool:
    """Does this parameter take the Context of the call? `annotation`: its type, resolved. Raises UsageError if that is
    impossible or unclear; `where` names the parameter."""
    if not _mentions_context(annotation):
        _check_not_meant(parameter, annotation, where)
        return False
    kind, optional = _without_none(annotation)
    if not _is_context(kind):
        raise UsageError(f"{where} combines Context with other types: annotate it with `Context` or `Context | None`")
    if parameter.kind in MANY:
        raise UsageError(f"{where} takes the rest of the parameters: use a single parameter for the Context")
    if parameter.default is not parameter.empty and not (optional and parameter.default is None):
        raise UsageError(f"{where} has a default: remove it, or use `Context | None = None`. A call always gives it")
    return True


def _check_not_meant(parameter: inspect.Parameter, annotation: Any, where: str) -> None:
    """Raise UsageError if the Context is probably meant, but the annotation does not say so."""
    if parameter.annotation is parameter.empty and parameter.name in NAMES and parameter.kind not in MANY:
        raise UsageError(
            f"{where} has no annotation: write `{parameter.name}: Context` to receive the Context of the call, or "
            f"`{parameter.name}: Any` for a value that clients send"
        )
    if isinstance(annotation, type) and annotation.__name__ == Context.__name__:
        try:
            reading(annotation, where)
        except UsageError:
            raise UsageError(
                f"{where} is annotated with the Context of {annotation.__module__}: to receive the Context of the "
                "call, import it from posthouse.core"
            ) from None


def _is_context(annotation: Any) -> bool:
    kind = get_origin(annotation) or annotation
    return isinstance(kind, type) and issubclass(kind, Context)


def _mentions_context(annotation: Any) -> bool:
    return _is_context(annotation) or any(map(_mentions_context, get_args(annotation)))


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """The type without `Annotated` and `| None`, and whether it had the latter."""
    if get_origin(annotation) is Annotated:
        return _without_none(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        others = [kind for kind in get_args(annotation) if kind is not NoneType]
        if len(others) == 1:
            return _without_none(others[0])[0], True
    return annotation, False
