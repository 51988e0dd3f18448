"""Which parameter takes the Context of a call, and the mistakes in declaring one."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Annotated, Any, Generic, Optional, TypeVar, get_type_hints

import pytest
from posthouse.core.service.context import Context
from posthouse.core.service.injection import takes_context
from posthouse.core.values.errors import UsageError

State = TypeVar("State")


class Typed(Context, Generic[State]):
    """A Context with a type of its own."""


class Scope:
    """Holds another class of the same name."""

    @dataclass
    class Context:
        """A value that clients send."""

        language: str


def taken(function: Callable[..., Any]) -> bool:
    """Does the one parameter of this function take the Context?"""
    (parameter,) = signature(function).parameters.values()
    hints = get_type_hints(function, include_extras=True)
    return takes_context(parameter, hints.get(parameter.name, Any), "it")


def refused(function: Callable[..., Any]) -> str:
    with pytest.raises(UsageError) as caught:
        taken(function)
    return str(caught.value)


def test_a_context_is_declared_alone_optional_annotated_or_typed() -> None:
    def alone(c: Context) -> None: ...
    def named(*, c: Context) -> None: ...
    def optional(c: Context | None) -> None: ...
    def optional_as_before(c: Optional[Context]) -> None: ...
    def with_default(c: Context | None = None) -> None: ...
    def annotated(c: Annotated[Context, "said"]) -> None: ...
    def both(c: Annotated[Context | None, "said"] = None) -> None: ...
    def both_ways(c: Optional[Annotated[Context, "said"]] = None) -> None: ...
    def typed(c: Typed[int]) -> None: ...
    def typed_and_optional(c: Typed[int] | None = None) -> None: ...

    for function in (
        alone,
        named,
        optional,
        optional_as_before,
        with_default,
        annotated,
        both,
        both_ways,
        typed,
        typed_and_optional,
    ):
        assert taken(function), function


def test_parameters_of_clients_are_told_by_their_annotations_whatever_their_names() -> None:
    def text(context: str) -> None: ...
    def anything(context: Any) -> None: ...
    def optional(context: int | None = None) -> None: ...
    def own(context: Scope.Context) -> None: ...
    def rest(*context) -> None: ...  # type: ignore[no-untyped-def]
    def named_rest(**ctx) -> None: ...  # type: ignore[no-untyped-def]
    def unannotated(other) -> None: ...  # type: ignore[no-untyped-def]

    for function in (text, anything, optional, own, rest, named_rest, unannotated):
        assert not taken(function), function


@pytest.mark.parametrize("name", ["context", "ctx"])
def test_a_parameter_without_annotation_must_say_that_it_is_the_context_or_not(name: str) -> None:
    message = (
        f"it has no annotation: write `{name}: Context` to receive the Context of the call, or `{name}: Any` for a "
        "value that clients send"
    )
    for kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY):
        with pytest.raises(UsageError) as caught:
            takes_context(Parameter(name, kind), Any, "it")
        assert str(caught.value) == message


def test_another_class_of_the_name_is_refused_with_where_it_comes_from() -> None:
    def other(context: contextvars.Context) -> None: ...

    assert refused(other) == (
        "it is annotated with the Context of _contextvars: to receive the Context of the call, import it from "
        "posthouse.core"
    )


def test_a_context_inside_another_type_is_refused() -> None:
    def either(c: Context | int) -> None: ...
    def many(c: list[Context]) -> None: ...
    def kind(c: type[Context]) -> None: ...
    def three(c: Context | int | None) -> None: ...

    message = "it combines Context with other types: annotate it with `Context` or `Context | None`"
    assert [refused(function) for function in (either, many, kind, three)] == [message] * 4


def test_a_context_is_one_parameter() -> None:
    def rest(*c: Context) -> None: ...
    def named_rest(**c: Context | None) -> None: ...

    message = "it takes the rest of the parameters: use a single parameter for the Context"
    assert [refused(rest), refused(named_rest)] == [message] * 2


def test_only_an_optional_context_may_have_a_default_which_is_none() -> None:
    def default(c: Context = None) -> None: ...  # type: ignore[assignment]
    def other(c: Context | None = 3) -> None: ...  # type: ignore[assignment]

    message = "it has a default: remove it, or use `Context | None = None`. A call always gives it"
    assert [refused(default), refused(other)] == [message] * 2
