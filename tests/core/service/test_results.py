"""Results become JSON that their declared type reads, or nothing."""

from __future__ import annotations

import dataclasses
import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, json
from posthouse.core.service.results import ResultError, answers, compile_encoding
from posthouse.core.values.errors import UsageError

SECRET = "the words of user code"


class Point(Struct):
    x: int
    y: int = 0


class Refuses(Struct):
    value: int

    def __post_init__(self) -> None:
        raise RuntimeError(SECRET)


@dataclasses.dataclass
class Size:
    width: int


class Account(pydantic.BaseModel):
    owner: str = pydantic.Field(serialization_alias="belongsTo")

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def label(self) -> str:
        return self.owner.upper()

    @pydantic.field_serializer("owner")
    def write_owner(self, owner: str) -> str:
        if owner == "nobody":
            raise KeyboardInterrupt(SECRET)
        return owner


class Opaque:
    pass


def encode(annotation: Any, result: object) -> bytes:
    return compile_encoding(annotation, "method 'm': the result")(result)


@pytest.mark.parametrize(
    ("annotation", "result", "expected"),
    [
        (Any, {"a": [1, None]}, b'{"a":[1,null]}'),
        (Any, {"a": [float("nan"), float("inf")]}, b'{"a":[null,null]}'),
        (float | None, float("nan"), b"null"),
        (int, 3, b"3"),
        (int, 2**70, b"1180591620717411303424"),
        (str, "é", '"é"'.encode()),
        (bool, True, b"true"),
        (float, 2, b"2"),
        (None, None, b"null"),
        (type(None), None, b"null"),
        (int | None, None, b"null"),
        (Literal["a", "b"], "b", b'"b"'),
        (Point, Point(1, 2), b'{"x":1,"y":2}'),
        (Point, {"x": 1}, b'{"x":1,"y":0}'),
        (list[int], (1, 2), b"[1,2]"),
        (Size, Size(4), b'{"width":4}'),
        (Any, {"b": {8, 1}, "a": 0}, b'{"b":[1,8],"a":0}'),
        (dict[int, set[str]], {2: {"b", "a"}, 1: set()}, b'{"2":["a","b"],"1":[]}'),
        (set[int], {8, 1}, b"[1,8]"),
        (set[int | None], {1, None}, b"[1,null]"),
        (Account, Account(owner="ada"), b'{"belongsTo":"ada","label":"ADA"}'),
        (list[Account], [{"owner": "ada"}], b'[{"belongsTo":"ada","label":"ADA"}]'),
    ],
)
def test_a_result_of_its_declared_type_is_encoded(annotation: Any, result: object, expected: bytes) -> None:
    assert encode(annotation, result) == expected


@pytest.mark.parametrize(
    ("annotation", "result", "reason"),
    [
        (int, "3", "the result is not as declared: expected int, got str"),
        (int, True, "the result is not as declared: expected int, got bool"),
        (str, None, "the result is not as declared: expected str, got null"),
        (None, 0, "the result is not as declared: expected null, got int"),
        (type(None), 0, "the result is not as declared: expected null, got int"),
        (float, float("nan"), "the result is not as declared: expected float, got null"),
        (list[float], [float("-inf")], "the result is not as declared: expected float, got null at $[0]"),
        (Point, {"x": "1"}, "the result is not as declared: expected int, got str at $.x"),
        (list[Point], [Point(1), {}], "the result is not as declared: object missing required field x at $[1]"),
        (list[Account], [{"owner": 1}], "the result is not as declared: input should be a valid string at $[0].owner"),
        (Refuses, {"value": 1}, "the result cannot be encoded as JSON: RuntimeError"),
        (Account, Account(owner="nobody"), "the result cannot be encoded as JSON: PydanticSerializationError"),
        (Any, Opaque(), "the result cannot be encoded as JSON: unknown type Opaque"),
        (Any, "\ud800", "the result cannot be encoded as JSON: UnicodeEncodeError"),
        (str, "\ud800", "the result cannot be encoded as JSON: UnicodeEncodeError"),
    ],
)
def test_any_other_result_is_refused_without_text_of_user_code(annotation: Any, result: object, reason: str) -> None:
    with pytest.raises(ResultError) as caught:
        encode(annotation, result)
    assert caught.value.reason == str(caught.value) == reason


@dataclasses.dataclass
class Page:
    number: int
    size: int = 20


@dataclasses.dataclass
class Pages:
    first: Page
    last: Page | None = None


MADE_BY_MSGSPEC = json.decode(b'{"number":1}', type=Page)
"""msgspec leaves a default on the class: the instance does not have it."""


@pytest.mark.parametrize(
    ("annotation", "result", "expected"),
    [
        (Page, MADE_BY_MSGSPEC, b'{"number":1,"size":20}'),
        (Page | None, MADE_BY_MSGSPEC, b'{"number":1,"size":20}'),
        (list[Page], [Page(2, 3), MADE_BY_MSGSPEC], b'[{"number":2,"size":3},{"number":1,"size":20}]'),
        (Pages, Pages(MADE_BY_MSGSPEC), b'{"first":{"number":1,"size":20},"last":null}'),
        (Pages, json.decode(b'{"first":{"number":1}}', type=Pages), b'{"first":{"number":1,"size":20},"last":null}'),
    ],
    ids=["a result", "of a union", "in a list", "in another", "both"],
)
def test_a_default_that_only_the_class_of_an_instance_has_is_sent(
    annotation: Any, result: object, expected: bytes
) -> None:
    assert "size" not in vars(MADE_BY_MSGSPEC)
    assert compile_encoding(annotation, "a result")(result) == expected


def test_a_result_that_holds_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ResultError):
        encode(Any, circle)


def test_a_type_that_json_cannot_carry_is_refused_at_declaration() -> None:
    with pytest.raises(UsageError, match="method 'm': the result has the type 'Opaque'"):
        compile_encoding(Opaque, "method 'm': the result")


def test_sets_are_encoded_in_an_order_independent_of_hashes() -> None:
    program = (
        "from posthouse.core.service.results import compile_encoding\n"
        "from typing import Any\n"
        "names = {str(n) for n in range(50)}\n"
        "print(compile_encoding(set[str], 'it')(names), compile_encoding(Any, 'it')([names]))"
    )
    printed = [
        subprocess.run([sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True)
        for seed in ("1", "2")
    ]
    assert printed[0].stdout == printed[1].stdout != b""


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(), st.lists, max_leaves=20))
def test_an_encoded_value_decodes_to_the_same_value(value: object) -> None:
    assert json.decode(encode(Any, value)) == value


class Flaky(Struct):
    """It refuses every other value."""

    value: int

    def __post_init__(self) -> None:
        self.value += next(TRIES)
        if self.value % 2:
            raise ValueError(SECRET)


TRIES = itertools.count(1)

PORT = Annotated[int, pydantic.Field(le=65535)]


@pytest.mark.parametrize(
    ("annotation", "data", "expected"),
    [
        (Any, b'{"x":[1]}', {"x": [1]}),
        (int, b"1", 1),
        (Point, b'{"x":1}', Point(1)),
        (Size, b'{"width":1}', Size(1)),
        (list[Size], b'[{"width":1}]', [Size(1)]),
        (Account, b'{"owner":"ada"}', Account(owner="ada")),
        (PORT, b"80", 80),
        (Path, b'"a"', Path("a")),
    ],
)
def test_an_answer_is_read_like_a_parameter(annotation: Any, data: bytes, expected: Any) -> None:
    assert answers(annotation)("question", data) == expected


@pytest.mark.parametrize(
    ("annotation", "data", "reasons"),
    [
        (int, b'"1"', "expected int, got str"),
        (Size, b'{"width":"1"}', "expected int, got str at $.width"),
        (
            Size,
            b'{"admin":true}',
            "object missing required field width; object contains unknown field admin",
        ),
        (list[Point], b'[{"x":1},{"x":""}]', "expected int, got str at $[1].x"),
        (PORT, b"65536", "expected int <= 65535"),
        (Refuses, b'{"value":1}', "refused by Refuses"),
        (Flaky, b'{"value":0}', "refused by its type"),
        (Size, b'{"width":1,"%b":1}' % (b"x" * 300), "object contains unknown field " + "x" * 226),
    ],
)
def test_the_faults_of_an_answer_are_said(annotation: Any, data: bytes, reasons: str) -> None:
    with pytest.raises(ResultError) as caught:
        answers(annotation)("question", data)
    assert caught.value.reason == f"the caller's result of 'question' is not of the declared type: {reasons}"
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("annotation", "name"), [(Opaque, "'Opaque'"), ([int], "[<class 'int'>]")])
def test_an_answer_of_a_type_that_json_cannot_carry_is_the_callers_mistake(annotation: Any, name: str) -> None:
    with pytest.raises(UsageError, match=rf"^the result_type of Context\.call has the type {re.escape(name)}"):
        answers(annotation)


def test_the_type_of_an_answer_is_compiled_once() -> None:
    assert answers(list[Point]) is answers(list[Point])
