"""Which parameter of a function takes the Context of a call, and what is wrong with one that seems to.

`Context`, `Context | None` and `Annotated[Context, …]` take it. Nothing here knows methods or services.
"""

from __future__ import annotations

from inspect import Parameter
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from posthouse.core.encoding.compiler import reading
from posthouse.core.values.errors import UsageError

from .context import Context

NAMES: Final = ("context", "ctx")
"""A parameter of these names without an annotation is meant for the Context, or must say that it is not."""

REST: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def takes_context(parameter: Parameter, annotation: Any, where: str) -> bool:
    """Does this parameter take the Context of the call? `annotation`: its type, resolved. Raises UsageError if that is
    impossible or unclear; `where` names the parameter."""
    if not _mentions_context(annotation):
        _check_not_meant(parameter, annotation, where)
        return False
    kind, optional = _without_none(annotation)
    if not _is_context(kind):
        raise UsageError(f"{where} combines Context with other types: annotate it with `Context` or `Context | None`")
    if parameter.kind in REST:
        raise UsageError(f"{where} takes the rest of the parameters: use a single parameter for the Context")
    if parameter.default is not parameter.empty and not (optional and parameter.default is None):
        raise UsageError(f"{where} has a default: remove it, or use `Context | None = None`. A call always gives it")
    return True


def _check_not_meant(parameter: Parameter, annotation: Any, where: str) -> None:
    """Raise UsageError if the Context is probably meant, but the annotation does not say so."""
    if parameter.annotation is parameter.empty and parameter.name in NAMES and parameter.kind not in REST:
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
