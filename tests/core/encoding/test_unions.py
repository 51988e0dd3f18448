"""Unions: msgspec's own, and those of types that JSON can tell apart without a tag."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pydantic
import pytest
from msgspec import UNSET, Meta, Struct, UnsetType, ValidationError, json
from posthouse.core.encoding.compiler import described, reading, sending
from posthouse.core.encoding.conversion import Refused
from posthouse.core.encoding.unions import OneOf
from posthouse.core.values.errors import UsageError

from tests.core.encoding.plans import faults, read, send


class Cat(Struct, tag=True):
    lives: int
    friend: Cat | None = None


class Dog(Struct, tag=True):
    tricks: list[str] = []


class Lion(Cat, tag="lion"):
    password: str = "hash"


@dataclasses.dataclass
class Circle:
    radius: int


@dataclasses.dataclass
class Square:
    side: int


@dataclasses.dataclass
class Secret(Square):
    password: str = "hash"


class A(pydantic.BaseModel):
    a: int


class B(pydantic.BaseModel):
    b: int


class SubA(A):
    password: str = "hash"


class Closed(pydantic.BaseModel, extra="forbid"):
    a: int
    more: int


class Aliased(pydantic.BaseModel):
    b: int = pydantic.Field(validation_alias=pydantic.AliasChoices("b", "c"))


@dataclasses.dataclass
class Up:
    kind: Literal["up"]
    by: int


@dataclasses.dataclass
class Down:
    kind: Literal["down"]
    by: int


@dataclasses.dataclass
class Wide:
    radius: int
    more: int = 0


class Open(Struct):
    other: int = 0


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (Cat | Dog, '{"type":"Cat","lives":9}', Cat(9)),
        (Circle | None, "null", None),
        (Circle | None, '{"radius":1}', Circle(1)),
        (Circle | int | list[Circle], "3", 3),
        (Circle | int | list[Circle], '[{"radius":1}]', [Circle(1)]),
        (Circle | Square, '{"side":1}', Square(1)),
        (Circle | Square | None, "null", None),
        (A | None, "null", None),
        (A | None, '{"a":1}', A(a=1)),
        (A | B, '{"b":1}', B(b=1)),
        (A | B | int, "-3", -3),
        (A | Literal["x"], '"x"', "x"),
        (Up | Down, '{"kind":"down","by":1}', Down("down", 1)),
        (list[Circle | None] | Annotated[int, Meta(ge=1)], "[null]", [None]),
        (Path | None, '"a"', Path("a")),
        (Path | int, "3", 3),
        (pydantic.HttpUrl | None, '"http://a.b/"', pydantic.HttpUrl("http://a.b/")),
        (pydantic.RootModel[int | None] | None, "null", None),
        (dict[str, Circle] | list[int] | None, '{"x":{"radius":1}}', {"x": Circle(1)}),
    ],
)
def test_a_value_is_read_as_the_type_that_it_fits(annotation: Any, text: str, expected: Any) -> None:
    assert read(annotation, text) == expected


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Cat | Dog, Lion(9, Lion(1)), '{"type":"Cat","lives":9,"friend":{"type":"Cat","lives":1,"friend":null}}'),
        (Cat | Dog, {"type": "Dog"}, '{"type":"Dog","tricks":[]}'),
        (Circle | None, None, "null"),
        (Square | None, Secret(1), '{"side":1}'),
        (Circle | Square, Secret(1), '{"side":1}'),
        (Circle | Square, {"side": 1}, '{"side":1}'),
        (Circle | list[Square], [Secret(1)], '[{"side":1}]'),
        (A | B, SubA(a=1), '{"a":1}'),
        (A | B | int, 3, "3"),
        (A | None, SubA(a=1), '{"a":1}'),
        (A | None, None, "null"),
        (A | list[Square], (Secret(1),), '[{"side":1}]'),
        (Path | None, Path("a"), '"a"'),
        (Path | int, 3, "3"),
        (dict[str, int] | list[int] | str, {"a": 1}, '{"a":1}'),
        (list[Square] | str | int, "x", '"x"'),
        (pydantic.HttpUrl | None, pydantic.HttpUrl("http://a.b/"), '"http://a.b/"'),
        (pydantic.HttpUrl | None, "http://a.b/", '"http://a.b/"'),
        (pydantic.HttpUrl | None, None, "null"),
    ],
)
def test_a_value_is_sent_as_the_type_that_it_is(annotation: Any, value: Any, expected: str) -> None:
    assert send(annotation, value) == expected


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (A | B, '{"a":1,"b":2}', [("$", "fits more than one of A, B")]),
        (A | B, "{}", [("$", "fits none of A, B")]),
        (A | B | int, '"x"', [("$", "fits none of A, B, number")]),
        (Circle | Square, '{"radius":1,"side":1}', [("$", "fits none of Circle, Square")]),
        (Circle | int | list[Circle], '[{"radius":1},{"radius":""}]', [("$[1].radius", "expected int, got str")]),
    ],
)
def test_a_value_that_fits_none_or_several_is_refused(
    annotation: Any, text: str, expected: list[tuple[str, str]]
) -> None:
    assert faults(annotation, text) == expected


@pytest.mark.parametrize(
    ("annotation", "value", "reason"),
    [
        (Circle | Square, {"x": 1}, "expected Circle | Square, got dict"),
        (Cat | Dog, Circle(1), "expected Cat | Dog, got Circle"),
        (list[Square] | str | None, A(a=1), "expected array | string | null, got A"),
    ],
)
def test_a_value_of_another_type_is_not_sent(annotation: Any, value: Any, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        send(annotation, value)
    assert caught.value.faults[0].reason == reason


def test_a_plain_value_of_another_type_is_left_to_the_check_of_the_json() -> None:
    for annotation, value in ((list[Square] | str | None, 3), (list[Square] | str | int, 3.5), (A | B | int, "x")):
        with pytest.raises(ValidationError):
            send(annotation, value)


@pytest.mark.parametrize(
    "annotation",
    [
        A | Closed,
        Circle | Wide,
        A | dict[str, int],
        Path | str,
        pydantic.HttpUrl | str,
        A | Aliased,
        Open | A,
        pydantic.RootModel[int] | int | None,
    ],
)
def test_a_union_whose_types_json_cannot_tell_apart_is_refused(annotation: Any) -> None:
    with pytest.raises(UsageError, match=r"it has a union in which JSON cannot tell .* and .* apart: give each"):
        reading(annotation, "it")


def test_a_closed_type_tells_another_apart_by_its_surplus_member() -> None:
    @dataclasses.dataclass
    class Small:
        a: int

    assert read(Small | Closed, '{"a":1,"more":2}') == Closed(a=1, more=2)
    assert read(Closed | Small, '{"a":1}') == Small(1)


def test_a_union_of_plain_types_converts_nothing() -> None:
    assert reading(Cat | Dog, "it").convert is None
    assert reading(int | str | None, "it").wire == int | str | None
    assert sending(int | str | None, "it")[0].convert is None


def test_a_union_without_a_tag_is_described_by_its_parts() -> None:
    (own, optional) = described([Circle | Square, A | None], sends=False)
    assert issubclass(own, OneOf)
    assert [branch.__name__ for branch in own.branches] == ["Circle", "Square"]
    assert "anyOf" in json.schema(optional, schema_hook=lambda cls: {"title": cls.__name__})


class Maybe(Struct):
    """Members that may be absent."""

    a: A | UnsetType = UNSET
    side: Square | UnsetType | None = UNSET


def test_what_may_be_absent_is_described_by_what_may_be_there() -> None:
    (wire,) = described([Maybe], sends=False)
    hints = wire.__annotations__
    assert hints["p0"].declared is A
    assert get_args(hints["p1"])[1] is type(None)
    assert len(get_args(hints["p1"])) == 2
