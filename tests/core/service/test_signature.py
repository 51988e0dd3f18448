"""A signature is read once: its types, its context, and the mistakes that a declaration can make."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, Unpack

import pydantic
import pytest
from posthouse.core.service.context import Context
from posthouse.core.service.parameters import Arguments, compile_binding
from posthouse.core.service.signature import innermost, read_signature, underlying
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
