"""How `params` become arguments: what Python itself would bind, or -32602 that says which parameter and why."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Raw, Struct
from posthouse.core.service.context import Context
from posthouse.core.service.parameters import Arguments, compile_binding, innermost, read_signature, underlying
from posthouse.core.values.errors import INVALID_PARAMS, RpcError, UsageError

from tests.values import changeable

if TYPE_CHECKING:
    from decimal import Decimal

SECRET = "the words of user code"
DEFAULT: dict[str, int] = {}


class Point(Struct):
    x: int
    y: int = 0


class Refuses(Struct):
    value: int

    def __post_init__(self) -> None:
        raise RuntimeError(SECRET)


class User(pydantic.BaseModel):
    name: str


def bind(function: Callable[..., Any], params: bytes | Raw | None) -> Arguments:
    signature = read_signature(function, "m")
    return compile_binding(signature.parameters, signature.context)(params)


def refusal(function: Callable[..., Any], params: bytes | None) -> Any:
    with pytest.raises(RpcError) as caught:
        bind(function, params)
    assert caught.value.code == INVALID_PARAMS
    return caught.value.data


# Signatures of every shape. They return nothing: only what they ask for matters.


def nothing() -> None: ...
def two(a: int, b: str) -> None: ...
def optional(a: int, b: str = "b") -> None: ...
def shared(a: dict[str, int] = DEFAULT) -> None: ...
def unnamed(a: int, b: int = 2, /) -> None: ...
def unnamed_first(a: int, /, b: int, c: int = 3) -> None: ...
def all_optional(a: int = 1, /, b: int = 2, *, c: int = 3) -> None: ...
def keyword(a: int, *, b: int) -> None: ...
def optional_keyword(a: int = 1, *, b: int) -> None: ...
def rest(a: int, *more: int) -> None: ...
def points(*more: Point) -> None: ...
def named_rest(a: int, **more: int) -> None: ...
def open_ended(*args: Any, **kwargs: Any) -> None: ...
def untyped(a, b=None): ...  # type: ignore[no-untyped-def]
def structured(point: Point, user: User) -> None: ...
def awkward(self: int, cls: int, from_: int, p0: int, p1: int) -> None: ...
def bounded(a: Annotated[int, Meta(ge=0, le=9)]) -> None: ...
def refusing(value: Refuses) -> None: ...
def kept(a: Raw) -> None: ...
def with_context(context: Context, a: int, **more: int) -> None: ...
def unreachable(a: int, /, *, b: int) -> None: ...
def hidden(a: Decimal) -> None: ...
def undecodable(a: Callable[[], None]) -> None: ...
def misspelled(a: int) -> None: ...
def two_contexts(one: Context, two: Context) -> None: ...
def context_rest(*contexts: Context) -> None: ...
def context_default(context: Context = None) -> None: ...  # type: ignore[assignment]


misspelled.__annotations__["a"] = "list["


@pytest.mark.parametrize(
    ("function", "params", "expected"),
    [
        (nothing, None, ((), {})),
        (nothing, b"[]", ((), {})),
        (nothing, b"{}", ((), {})),
        (two, b'[1,"x"]', ((1, "x"), {})),
        (two, b'{"b":"x","a":1}', ((1, "x"), {})),
        (two, Raw(b'[1,"x"]'), ((1, "x"), {})),
        (two, Raw(b'{"b":"x","a":1}'), ((1, "x"), {})),
        (optional, b"[1]", ((1, "b"), {})),
        (optional, b'{"a":1}', ((1, "b"), {})),
        (optional, Raw(b'{"a":1,"b":"x"}'), ((1, "x"), {})),
        (unnamed, b"[1]", ((1, 2), {})),
        (unnamed_first, b"[1,2]", ((1, 2, 3), {})),
        (all_optional, None, ((), {})),
        (all_optional, b"[5]", ((5, 2), {})),
        (all_optional, b'{"c":5}', ((1, 2), {"c": 5})),
        (keyword, b'{"a":1,"b":2}', ((1,), {"b": 2})),
        (optional_keyword, b'{"b":2}', ((1,), {"b": 2})),
        (rest, b"[1]", ((1,), {})),
        (rest, b"[1,2,3]", ((1, 2, 3), {})),
        (rest, b'{"a":1}', ((1,), {})),
        (named_rest, b'{"a":1,"x":2,"y":3}', ((1,), {"x": 2, "y": 3})),
        (named_rest, b"[1]", ((1,), {})),
        (open_ended, None, ((), {})),
        (open_ended, b'[1,"x",null]', ((1, "x", None), {})),
        (open_ended, b'{"args":1,"kwargs":2}', ((), {"args": 1, "kwargs": 2})),
        (untyped, b'[{"any":1}]', (({"any": 1}, None), {})),
        (structured, b'[{"x":1},{"name":"ada"}]', ((Point(1), User(name="ada")), {})),
        (awkward, b"[1,2,3,4,5]", ((1, 2, 3, 4, 5), {})),
        (awkward, b'{"self":1,"cls":2,"from_":3,"p0":4,"p1":5}', ((1, 2, 3, 4, 5), {})),
        (kept, b"[1.50]", ((Raw(b"1.50"),), {})),
        (with_context, b"[1]", ((1,), {})),
    ],
)
def test_params_are_bound_by_position_and_by_name(
    function: Callable[..., Any], params: bytes | Raw | None, expected: Arguments
) -> None:
    assert bind(function, params) == expected


def test_a_default_is_the_same_object_each_time_as_in_python() -> None:
    assert bind(shared, b"[]")[0][0] is DEFAULT
    assert bind(shared, b"{}")[0][0] is DEFAULT


@pytest.mark.parametrize(
    ("function", "params", "parameter", "reason"),
    [
        (nothing, b"[1]", None, "too many: at most 0 by position"),
        (nothing, b'{"a":1}', "a", "unknown parameter"),
        (two, None, "a", "missing"),
        (two, b"[]", "a", "missing"),
        (two, b"[1]", "b", "missing"),
        (two, b'{"a":1}', "b", "missing"),
        (two, b'[1,"x",2]', None, "too many: at most 2 by position"),
        (two, b'{"a":1,"b":"x","c":3}', "c", "unknown parameter"),
        (two, b'["1","x"]', "a", "expected int, got str"),
        (two, b'{"a":1,"b":null}', "b", "expected str, got null"),
        (optional, b'[1,"x",2]', None, "too many: at most 2 by position"),
        (unnamed, b'{"a":1}', "a", "it can only be given by position"),
        (unnamed, b"{}", "a", "missing: it can only be given by position"),
        (unnamed_first, b'{"b":2}', "a", "missing: it can only be given by position"),
        (keyword, b"[1]", "b", "missing: it can only be given by name"),
        (keyword, None, "a", "missing"),
        (rest, b'{"a":1,"more":[2]}', "more", "unknown parameter"),
        (named_rest, b'{"a":1,"x":"x"}', "x", "expected int, got str"),
        (named_rest, b"[1,2]", None, "too many: at most 1 by position"),
        (bounded, b"[10]", "a", "expected int <= 9"),
        (refusing, b'[{"value":1}]', None, "refused by its type"),
        (with_context, b'{"a":1,"context":2}', "context", "unknown parameter"),
    ],
)
def test_invalid_params_are_refused_with_the_parameter_and_the_reason(
    function: Callable[..., Any], params: bytes | None, parameter: str | None, reason: str
) -> None:
    assert refusal(function, params) == {"parameter": parameter, "reason": reason}


@pytest.mark.parametrize(
    ("function", "params", "expected"),
    [
        (
            structured,
            b'[{"x":"1"},{"name":"a"}]',
            {"parameter": "point", "reason": "expected int, got str", "path": ".x"},
        ),
        (structured, b'[{"x":1},{"name":1}]', {"parameter": "user", "reason": "refused by its type"}),
        (points, b'[{"x":1},{"x":""}]', {"parameter": "more", "reason": "expected int, got str", "path": "[1].x"}),
        (rest, b"[1,2,{}]", {"parameter": "more", "reason": "expected int, got object", "path": "[1]"}),
    ],
)
def test_a_fault_inside_a_parameter_is_refused_with_its_path(
    function: Callable[..., Any], params: bytes, expected: dict[str, str]
) -> None:
    assert refusal(function, params) == expected


def test_an_error_repeats_at_most_128_characters_of_a_peers_text() -> None:
    data = refusal(nothing, json.dumps({"x" * 1000: 1}).encode())
    assert data == {"parameter": "x" * 128, "reason": "unknown parameter"}


# Signatures


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


@pytest.mark.parametrize(("name", "reason"), [("a", "it can only be given by position"), ("z", "unknown parameter")])
def test_a_positional_only_parameter_is_distinguished_from_an_unknown_one(name: str, reason: str) -> None:
    params = json.dumps({name: 1, "b": 2}).encode()
    assert refusal(unnamed_first, params) == {"parameter": name, "reason": reason}


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
        (max, "the signature of .* cannot be read"),
    ],
)
def test_an_invalid_signature_is_refused(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"method 'm':.*{message}"):
        read_signature(function, "m")


# Against Python itself

KINDS = ("a, b", "a, b=2", "a, /, b=2", "a=1, b=2", "a, *, b", "a=1, *, b=2", "a, *rest", "a, **rest", "*a, **b", "")


def python_binds(function: Callable[..., Any], params: Any) -> Any:
    """The arguments that Python binds, or None if it refuses the call."""
    try:
        return function(*params) if isinstance(params, list) else function(**params)
    except TypeError:
        return None


@given(
    st.sampled_from(KINDS),
    st.lists(st.integers(0, 9), max_size=4) | st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=3),
)
def test_it_binds_like_a_python_call(parameters: str, params: Any) -> None:
    namespace: dict[str, Any] = {}
    exec(f"def f({parameters}): return locals()", namespace)
    function = namespace["f"]
    expected = python_binds(function, params)
    try:
        args, kwargs = bind(function, json.dumps(params).encode())
    except RpcError:
        assert expected is None
    else:
        assert function(*args, **kwargs) == expected


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        max_leaves=20,
    )
)
def test_any_array_or_object_is_bound_or_refused_and_nothing_else_is_raised(value: Any) -> None:
    for params in ([value], {"a": value}, {"b": value, "a": 1}):
        for function in (two, optional, rest, named_rest, structured):
            try:
                bind(function, json.dumps(params).encode())
            except RpcError as error:
                assert error.code == INVALID_PARAMS


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.service.parameters") == []
