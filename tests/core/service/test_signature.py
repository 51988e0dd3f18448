"""A signature is read once: its types, its context, and the mistakes that a declaration can make."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    NotRequired,
    Optional,
    TypedDict,
    TypeVar,
    Unpack,
    get_type_hints,
)

import pydantic
import pytest
from posthouse.core.service.context import Context
from posthouse.core.service.parameters import Arguments, compile_binding
from posthouse.core.service.signature import innermost, read_signature, takes_context, underlying
from posthouse.core.values.errors import UsageError

from tests.values import changeable

if TYPE_CHECKING:
    from decimal import Decimal


def bind(function: Callable[..., Any], params: bytes) -> Arguments:
    return compile_binding(read_signature(function, "m"))(params)


class Wanted(TypedDict):
    depth: int
    name: NotRequired[str]


def two(a: int, b: str) -> None: ...
def untyped(a, b=None): ...  # type: ignore[no-untyped-def]
def unpacked(a: int, **wanted: Unpack[Wanted]) -> None: ...
def unpacks_nothing(**wanted: Unpack[int]) -> None: ...  # type: ignore[misc]
def unreachable(a: int, /, *, b: int) -> None: ...
def hidden(a: Decimal) -> None: ...
def undecodable(a: Callable[[], None]) -> None: ...
def misspelled(a: int) -> None: ...
def two_contexts(one: Context, two: Context) -> None: ...
def context_rest(*contexts: Context) -> None: ...
def context_untyped(a: int, context) -> None: ...  # type: ignore[no-untyped-def]
def context_default(context: Context = None) -> None: ...  # type: ignore[assignment]


misspelled.__annotations__["a"] = "list["


class Own(Context[str]): ...


def test_a_context_may_name_the_type_of_its_state() -> None:
    def typed(a: int, context: Context[dict[str, int]]) -> None: ...
    def own(context: Own) -> None: ...

    assert read_signature(typed, "m").context == "context"
    assert [parameter.name for parameter in read_signature(typed, "m").parameters] == ["a"]
    assert read_signature(own, "m").context == "context"


def test_the_context_is_not_a_parameter_and_is_given_by_keyword_if_possible() -> None:
    def last(a: int, context: Context) -> None: ...
    def only_named(a: int, *more: int, context: Context) -> None: ...
    def first(context: Context, a: int) -> None: ...
    def unnamed_context(a: int, context: Context, /) -> None: ...
    def before_rest(context: Context, *more: int) -> None: ...

    found = {f.__name__: read_signature(f, "m") for f in (last, only_named, first, unnamed_context, before_rest)}
    assert {name: (signature.context, signature.position) for name, signature in found.items()} == {
        "last": ("context", None),
        "only_named": ("context", None),
        "first": ("context", 0),
        "unnamed_context": ("context", 1),
        "before_rest": ("context", 0),
    }
    assert [parameter.name for parameter in found["first"].parameters] == ["a"]


def test_a_function_without_a_context_has_no_context_position() -> None:
    signature = read_signature(two, "m")
    assert (signature.context, signature.position) == (None, None)


def test_types_are_resolved_and_missing_annotations_are_any() -> None:
    signature = read_signature(untyped, "m")
    assert [parameter.annotation for parameter in signature.parameters] == [Any, Any]
    assert signature.returns is Any
    assert read_signature(two, "m").returns is type(None)


class Adder:
    """An object that is called, and whose method is."""

    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, a: int) -> int:
        return a + self.by

    def add(self, a: int) -> int:
        return a + self.by


def test_partials_objects_with_call_and_bound_methods_are_looked_through() -> None:
    partial = functools.partial(functools.partial(two, 1), b="x")
    assert innermost(partial) is two
    assert underlying(partial) is two
    adder = Adder(1)
    assert underlying(adder) is Adder.__call__
    assert underlying(functools.partial(adder)) is Adder.__call__
    assert bind(adder, b"[1]") == bind(adder.add, b'{"a":1}') == ((1,), {})
    assert bind(partial, b"{}") == ((), {"b": "x"})
    assert bind(functools.partial(two, 1), b'["x"]') == (("x",), {})


def field_default(a: int = pydantic.Field(gt=0)) -> None: ...


class LateAnnotations:
    """Its annotations cannot be evaluated, as Python 3.14 finds out late."""

    def __call__(self, value: int) -> None: ...


LateAnnotations.__call__.__annotations__["value"] = "Missing"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (unreachable, "parameter 'a' can only be given by position and 'b' only by name: no request can give both"),
        (hidden, "the annotation 'Decimal' is not known in the module of its function"),
        (undecodable, "parameter 'a' has the type .* which JSON cannot carry"),
        (misspelled, "an annotation cannot be read"),
        (two_contexts, "parameter 'two' is a second Context beside 'one': remove one"),
        (context_rest, "parameter 'contexts' takes the rest of the parameters: use a single parameter for the Context"),
        (context_default, "parameter 'context' has a default: remove it"),
        (context_untyped, "parameter 'context' has no annotation: write `context: Context`"),
        (field_default, "parameter 'a' has a field of pydantic as its default, so its rules would not hold"),
        (LateAnnotations(), "the annotation 'Missing' is not known in the module of its function"),
        (max, "the signature of .* cannot be read"),
    ],
)
def test_an_invalid_signature_is_refused(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"method 'm':.*{message}"):
        read_signature(function, "m")


def test_a_typed_dict_is_unpacked_into_parameters_that_are_given_by_name() -> None:
    signature = read_signature(unpacked, "m")
    assert [(p.name, p.kind.description, p.annotation) for p in signature.parameters] == [
        ("a", "positional or keyword", int),
        ("depth", "keyword-only", int),
        ("name", "keyword-only", str),
    ]
    assert bind(unpacked, b'{"a":1,"depth":2}') == ((1,), {"depth": 2})
    assert read_signature(unpacks_nothing, "m").parameters == ()


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.service.signature") == []


# The Context

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
