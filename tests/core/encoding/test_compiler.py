"""Annotations of every kind: what is read, sent, described and refused."""

from __future__ import annotations

import collections
import datetime
import enum
import os
import uuid
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NewType, TypeVar, Union, get_args, get_origin

import annotated_types
import pydantic
import pytest
from msgspec import Meta, Raw, Struct, json
from posthouse.core.encoding import compiler
from posthouse.core.encoding.compiler import Recursive, described, reading, sending
from posthouse.core.encoding.plan import EVERY_KIND
from posthouse.core.values.errors import UsageError

from tests.core.encoding.plans import Alias, faults, read, send

UserId = NewType("UserId", int)
Bound = TypeVar("Bound", bound=int)
Either = TypeVar("Either", int, str)
Free = TypeVar("Free")


class Colour(enum.Enum):
    RED = "red"


class Leaf(Struct):
    name: str


@dataclass(frozen=True)
class Point:
    x: int


class SecretLeaf(Leaf):
    password: str = "hash"


LIST: Any = list
DICT: Any = dict


class Applied:
    """A generic alias with arguments."""

    def __init__(self, origin: Alias, *arguments: Any) -> None:
        self.__value__ = origin.__value__


JSON: Any = Alias("Json", lambda: DICT[str, JSON] | LIST[JSON] | str | int | None)
LEAVES: Any = Alias("Leaves", lambda: DICT[str, LEAVES] | LIST[Leaf])
NUMBERS: Any = Alias("Numbers", lambda: list[int])
LOOP: Any = Alias("Loop", lambda: Union[LOOP, int])


@pytest.mark.parametrize(
    "annotation",
    [int, None, Any, object, Raw, list[int], dict[str, Leaf], Colour, Literal["a"], UserId, Annotated[int, Meta(ge=1)]],
)
def test_a_type_that_msgspec_treats_as_declared_stays_as_it_is(annotation: Any) -> None:
    plan = reading(annotation, "it")
    assert (plan.wire, plan.convert) == (annotation, None)


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (JSON, '{"a":[1,{"b":null}],"c":"d"}', {"a": [1, {"b": None}], "c": "d"}),
        (NUMBERS, "[1]", [1]),
        (list[NUMBERS], "[[1]]", [[1]]),
        (Path, '"a/b"', Path("a/b")),
        (pydantic.RootModel[int], "1", pydantic.RootModel[int](1)),
        (PurePosixPath, '"a"', PurePosixPath("a")),
        (UserId, "3", 3),
        (Annotated[UserId, annotated_types.Ge(1)], "3", 3),
        (Bound, "3", 3),
        (Free, "[1]", [1]),
        (Annotated[int, annotated_types.Ge(1), "text"], "1", 1),
        (Annotated[list[Path], annotated_types.Len(1)], '["a"]', [Path("a")]),
    ],
)
def test_a_value_is_read_as_declared(annotation: Any, text: str, expected: Any) -> None:
    assert read(annotation, text) == expected


class Name(str): ...


class Number(int): ...


class Fraction(float): ...


class Data(bytes): ...


class Names(list[str]): ...


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (JSON, {"a": [1, {"b": None}]}, '{"a":[1,{"b":null}]}'),
        (LEAVES, {"a": {"b": [SecretLeaf("c")]}}, '{"a":{"b":[{"name":"c"}]}}'),
        (LEAVES, {"a": [SecretLeaf("c")], "b": []}, '{"a":[{"name":"c"}],"b":[]}'),
        (Path, Path("a"), '"a"'),
        (Path, "a", '"a"'),
        (str, Name("a"), '"a"'),
        (list[int], [Number(1)], "[1]"),
        (float, Fraction(1.5), "1.5"),
        (bytes, Data(b"a"), '"YQ=="'),
        (list[str], Names(["a"]), '["a"]'),
        (list[int], collections.deque([1]), "[1]"),
        (dict[str, int], collections.Counter("a"), '{"a":1}'),
        (Any, Path("a"), '"a"'),
        (Any, SecretLeaf("a"), '{"name":"a","password":"hash"}'),
    ],
)
def test_a_value_is_sent_as_declared(annotation: Any, value: Any, expected: str) -> None:
    assert send(annotation, value) == expected


def test_a_value_deep_inside_a_recursive_alias_is_checked() -> None:
    assert faults(JSON, '{"a":[1.5]}') != []
    with pytest.raises(Exception, match="Expected"):
        send(JSON, {"a": [1.5]})


@pytest.mark.parametrize(
    ("annotation", "text", "fault"),
    [
        (Annotated[int, annotated_types.Ge(1)], "0", ("$", "expected int >= 1")),
        (Annotated[list[Path], annotated_types.Len(1)], "[]", ("$", "expected array of length >= 1")),
        (Annotated[str, pydantic.Field(pattern="^a")], '"b"', ("$", "expected str matching regex '^a'")),
        (Path, "1", ("$", "expected str, got int")),
        (Annotated[set[Point], annotated_types.MinLen(2)], '[{"x":1},{"x":1}]', ("$", "expected array of length >= 2")),
    ],
)
def test_a_declared_constraint_holds(annotation: Any, text: str, fault: tuple[str, str]) -> None:
    assert faults(annotation, text) == [fault]


def test_a_set_that_is_large_enough_is_read() -> None:
    annotation = Annotated[set[Point], annotated_types.MinLen(2)]
    assert read(annotation, '[{"x":1},{"x":2},{"x":1}]') == {Point(1), Point(2)}


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (LOOP, "a union in which JSON cannot tell"),
        (Annotated[Leaf, annotated_types.Ge(1)], "cannot carry: Can only set `ge` on a numeric type"),
        (Annotated[list[Leaf], annotated_types.Predicate(bool)], "which Posthouse cannot enforce"),
        (Either, "constraints are currently unsupported"),
        (type("Opaque", (), {}), "JSON cannot carry: use a Struct"),
        (dict[pydantic.HttpUrl, int], "names in JSON objects cannot be of the type .*HttpUrl'>: use str"),
        (os.PathLike, "JSON cannot carry: use a Struct"),
    ],
)
def test_a_declaration_that_cannot_hold_is_refused(annotation: Any, text: str) -> None:
    for compile_it in (reading, sending):
        with pytest.raises(UsageError, match=f"parameter 'x' has .*{text}"):
            compile_it(annotation, "parameter 'x'")


@pytest.mark.parametrize(
    ("annotation", "sets"),
    [(int, False), (set[int], True), (list[Path], False), (dict[str, set[Path]], True), (JSON, False), (Any, True)],
)
def test_it_tells_whether_values_may_contain_sets(annotation: Any, sets: bool) -> None:
    assert sending(annotation, "it")[1] is sets


@pytest.mark.parametrize(
    ("annotation", "kinds"),
    [
        (int, ("number",)),
        (None, ("null",)),
        (bool, ("boolean",)),
        (Decimal, ("number", "string")),
        (uuid.UUID, ("string",)),
        (Literal["a", 1, None], ("string", "number", "null")),
        (Colour, ("string",)),
        (Any, EVERY_KIND),
        (dict[str, int], ("object",)),
        (tuple[int, ...], ("array",)),
        (int | None, ("number", "null")),
    ],
)
def test_a_plan_knows_the_kinds_of_json(annotation: Any, kinds: tuple[str, ...]) -> None:
    assert reading(annotation, "it").kinds == kinds


def test_times_have_their_format_in_a_schema() -> None:
    wires = described([datetime.datetime, datetime.time, datetime.date, list[datetime.datetime | None]], sends=False)
    schemas = [json.schema(wire) for wire in wires]
    assert [schema.get("format") for schema in schemas[:3]] == ["date-time", "time", "date"]
    assert schemas[3]["items"]["anyOf"][0] == {"type": "string", "format": "date-time"}


def test_a_recursive_alias_is_described_by_a_reference_to_itself() -> None:
    wire, again, other = described([JSON, JSON, LEAVES], sends=True)
    assert wire is again
    assert (wire.__name__, wire.__module__) == ("Json", Alias.__module__)
    assert wire.wire == DICT[str, wire] | LIST[wire] | str | int | None
    assert other.__name__ == "Leaves"
    assert Recursive.wire is None


def test_an_alias_that_is_used_twice_is_described_and_read_alike_each_time() -> None:
    assert described([NUMBERS, NUMBERS], sends=False) == [list[int], list[int]]
    assert read(tuple[NUMBERS, NUMBERS], "[[1],[2]]") == ([1], [2])
    plan = reading(tuple[NUMBERS, NUMBERS], "it")
    assert plan.convert is None


def test_a_generic_alias_is_read_with_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    # What Python 3.12 makes of `type Pairs[T] = dict[str, T]` in `Pairs[int]`.
    pairs = Alias("Pairs", lambda: dict[str, Free], Free)  # type: ignore[valid-type]
    applied = Applied(pairs, Path)
    monkeypatch.setattr(compiler, "get_origin", lambda it: pairs if it is applied else get_origin(it))
    monkeypatch.setattr(compiler, "get_args", lambda it: (Path,) if it is applied else get_args(it))
    assert read(applied, '{"a":"b"}') == {"a": Path("b")}
