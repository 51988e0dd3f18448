"""How `params` become arguments: what Python itself would bind, or -32602 that says which parameter and why."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict, Unpack

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Raw, Struct
from posthouse.core.service.context import Context
from posthouse.core.service.parameters import Arguments, compile_binding
from posthouse.core.service.signature import read_signature
from posthouse.core.values.errors import INVALID_PARAMS, RpcError

from tests.values import changeable

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
    return compile_binding(signature)(params)


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
        (rest, b'{"a":1,"more":[2]}', "more", "unknown parameter"),
        (named_rest, b'{"a":1,"x":"x"}', "x", "expected int, got str"),
        (named_rest, b"[1,2]", None, "too many: at most 1 by position"),
        (bounded, b"[10]", "a", "expected int <= 9"),
        (refusing, b'[{"value":1}]', "value", "refused by Refuses"),
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
        (
            structured,
            b'[{"x":1},{"name":1}]',
            {"parameter": "user", "reason": "input should be a valid string", "path": ".name"},
        ),
        (points, b'[{"x":1},{"x":""}]', {"parameter": "more", "reason": "expected int, got str", "path": "[1].x"}),
        (rest, b"[1,2,{}]", {"parameter": "more", "reason": "expected int, got object", "path": "[1]"}),
    ],
)
def test_a_fault_inside_a_parameter_is_refused_with_its_path(
    function: Callable[..., Any], params: bytes, expected: dict[str, str]
) -> None:
    assert refusal(function, params) == expected


@dataclasses.dataclass
class Job:
    title: str
    state: str = "queued"


class Wanted(TypedDict):
    depth: int
    job: NotRequired[Job]


def jobs(job: Job, count: int) -> None: ...
def optional_job(job: Job | None = None, *more: Job, path: Path = Path("x")) -> None: ...
def single(job: Job) -> None: ...
def single_optional(path: Path = Path("x")) -> None: ...
def all_optional_jobs(
    a: int = 1, job: Job | None = None, path: Path = Path("x"), size: tuple[int, ...] = ()
) -> None: ...
def unpacked(a: int = 0, **wanted: Unpack[Wanted]) -> None: ...


@pytest.mark.parametrize(
    ("function", "params", "expected"),
    [
        (jobs, b'[{"title":"a"},1]', ((Job("a"), 1), {})),
        (jobs, b'{"count":1,"job":{"title":"a"}}', ((Job("a"), 1), {})),
        (optional_job, None, ((), {})),
        (optional_job, b"[]", ((None,), {})),
        (optional_job, b'[{"title":"a"},{"title":"b"}]', ((Job("a"), Job("b")), {})),
        (optional_job, b"{}", ((None,), {"path": Path("x")})),
        (optional_job, b'{"path":"y"}', ((None,), {"path": Path("y")})),
        (single, b'[{"title":"a"}]', ((Job("a"),), {})),
        (single, b'{"job":{"title":"a"}}', ((Job("a"),), {})),
        (single_optional, None, ((), {})),
        (single_optional, b"[]", ((Path("x"),), {})),
        (single_optional, b'{"path":"y"}', ((Path("y"),), {})),
        (all_optional_jobs, None, ((), {})),
        (all_optional_jobs, b"{}", ((1, None, Path("x"), ()), {})),
        (all_optional_jobs, b"[2]", ((2, None, Path("x"), ()), {})),
        (all_optional_jobs, b'[2,{"title":"a"},"y",[3]]', ((2, Job("a"), Path("y"), (3,)), {})),
        (all_optional_jobs, b'{"path":"y","job":{"title":"a"}}', ((1, Job("a"), Path("y"), ()), {})),
        (unpacked, b'{"depth":1}', ((0,), {"depth": 1})),
        (unpacked, b'{"depth":1,"job":{"title":"a"}}', ((0,), {"depth": 1, "job": Job("a")})),
    ],
)
def test_types_that_convert_are_bound_and_defaults_are_not_converted(
    function: Callable[..., Any], params: bytes | None, expected: Arguments
) -> None:
    assert bind(function, params) == expected


@pytest.mark.parametrize(
    ("function", "params", "faults"),
    [
        (jobs, None, [("job", "missing", None), ("count", "missing", None)]),
        (
            jobs,
            b'[{"title":1},""]',
            [("job", "expected str, got int", ".title"), ("count", "expected int, got str", None)],
        ),
        (unpacked, b'{"depth":"","x":1}', [("depth", "expected int, got str", None), ("x", "unknown parameter", None)]),
    ],
)
def test_every_fault_of_types_that_convert_is_said(
    function: Callable[..., Any], params: bytes | None, faults: list[tuple[str | None, str, str | None]]
) -> None:
    data = refusal(function, params)
    assert [(fault["parameter"], fault["reason"], fault.get("path")) for fault in data["faults"]] == faults


@pytest.mark.parametrize(
    ("function", "params", "expected"),
    [
        (single, None, {"parameter": "job", "reason": "missing"}),
        (single, b"[]", {"parameter": "job", "reason": "missing"}),
        (single, b'{"job":{"title":1}}', {"parameter": "job", "reason": "expected str, got int", "path": ".title"}),
        (single_optional, b"[1]", {"parameter": "path", "reason": "expected str, got int"}),
        (all_optional_jobs, b"[1,2]", {"parameter": "job", "reason": "expected object | null, got int"}),
        (
            all_optional_jobs,
            b'[1,null,"y",[],5]',
            {"parameter": None, "reason": "too many: at most 4 by position"},
        ),
    ],
)
def test_the_fault_of_a_type_that_converts_is_said(
    function: Callable[..., Any], params: bytes | None, expected: dict[str, str | None]
) -> None:
    assert refusal(function, params) == expected


def test_params_that_are_no_json_inside_are_refused() -> None:
    assert refusal(two, b'{"\\q":1}') == {"parameter": None, "reason": "refused by its type"}


def test_an_error_repeats_at_most_128_characters_of_a_peers_text() -> None:
    data = refusal(nothing, json.dumps({"x" * 1000: 1}).encode())
    assert data == {"parameter": "x" * 128, "reason": "unknown parameter"}


@pytest.mark.parametrize(("name", "reason"), [("a", "it can only be given by position"), ("z", "unknown parameter")])
def test_a_positional_only_parameter_is_distinguished_from_an_unknown_one(name: str, reason: str) -> None:
    params = json.dumps({name: 1, "b": 2}).encode()
    data = refusal(unnamed_first, params)
    assert (data["parameter"], data["reason"]) == (name, reason)


@pytest.mark.parametrize(
    ("function", "params", "faults"),
    [
        (two, None, [("a", "missing", None), ("b", "missing", None)]),
        (two, b"[]", [("a", "missing", None), ("b", "missing", None)]),
        (
            two,
            b'["x",2,3]',
            [
                ("a", "expected int, got str", None),
                ("b", "expected str, got int", None),
                (None, "too many: at most 2 by position", None),
            ],
        ),
        (keyword, None, [("a", "missing", None), ("b", "missing", None)]),
        (
            keyword,
            b'["x"]',
            [("a", "expected int, got str", None), ("b", "missing: it can only be given by name", None)],
        ),
        (
            unnamed_first,
            b'{"z":1,"b":2}',
            [("z", "unknown parameter", None), ("a", "missing: it can only be given by position", None)],
        ),
        (
            points,
            b'[{"x":""},{"y":""}]',
            [
                ("more", "expected int, got str", "[0].x"),
                ("more", "object missing required field x", "[1]"),
                ("more", "expected int, got str", "[1].y"),
            ],
        ),
        (
            named_rest,
            b'{"x":"","y":""}',
            [("a", "missing", None), ("x", "expected int, got str", None), ("y", "expected int, got str", None)],
        ),
    ],
)
def test_every_fault_of_a_call_is_said(
    function: Callable[..., Any], params: bytes | None, faults: list[tuple[str | None, str, str | None]]
) -> None:
    data = refusal(function, params)
    assert [(fault["parameter"], fault["reason"], fault.get("path")) for fault in data["faults"]] == faults
    assert {**data["faults"][0], "faults": data["faults"]} == data


def test_a_call_is_refused_with_at_most_16_faults() -> None:
    for function, params in ((rest, ["x"] * 100), (named_rest, {f"x{n}": "" for n in range(100)})):
        assert len(refusal(function, json.dumps(params).encode())["faults"]) == 16


def test_a_fault_in_an_earlier_copy_of_a_member_is_described_without_its_place() -> None:
    assert refusal(two, b'{"a":"","a":1,"b":""}') == {"parameter": None, "reason": "refused by its type"}


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
