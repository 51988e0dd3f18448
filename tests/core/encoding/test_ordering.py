"""Sets leave as arrays in one order, wherever they are, and everything else as it is."""

from __future__ import annotations

import dataclasses
import enum
import subprocess
import sys
from typing import Any, NamedTuple

import attrs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, json
from posthouse.core.encoding.ordering import ordered


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Frozen(Struct, frozen=True):
    x: Any
    y: int = 0


class Renamed(Struct, rename="camel", tag=True):
    of_all: Any

    def __post_init__(self) -> None:
        assert not isinstance(self.of_all, list)


@dataclasses.dataclass(frozen=True)
class Record:
    x: Any
    y: int = 0


@attrs.frozen
class Place:
    x: Any


class Pair(NamedTuple):
    x: Any
    y: int = 0


@dataclasses.dataclass
class Unreadable:
    x: Nowhere  # type: ignore[name-defined] # noqa: F821


class UnreadableStruct(Struct):
    x: Nowhere  # type: ignore[name-defined] # noqa: F821


@attrs.define
class UnreadablePlace:
    x: Nowhere  # type: ignore[name-defined] # noqa: F821


class Said(pydantic.BaseModel, frozen=True):
    word: str


class Opaque:
    x = frozenset((2, 1))


def test_hash_order_differs_from_sorted_order() -> None:
    assert list({8, 1}) == [8, 1]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({10, 9, 1}, b"[1,9,10]"),
        ({Said(word="b"), Said(word="a")}, b'[{"word":"a"},{"word":"b"}]'),
        (frozenset("ba"), b'["a","b"]'),
        (set(), b"[]"),
        ({None, "a", 1, 0.5}, b'["a",0.5,1,null]'),
        ({Colour.RED, Colour.BLUE}, b'["blue","red"]'),
        ({Frozen(2), Frozen(1)}, b'[{"x":1,"y":0},{"x":2,"y":0}]'),
        ({frozenset("b"), frozenset("ca")}, b'[["a","c"],["b"]]'),
        ({"b": {8, 1}, "a": 0}, b'{"b":[1,8],"a":0}'),
        ({2: {"b", "a"}, 1: ""}, b'{"2":["a","b"],"1":""}'),
        ([{8, 1}, ({8, 1},)], b"[[1,8],[[1,8]]]"),
        (Pair({8, 1}), b"[[1,8],0]"),
        (Frozen({8, 1}), b'{"x":[1,8],"y":0}'),
        (Renamed({8, 1}), b'{"type":"Renamed","ofAll":[1,8]}'),
        (Record({8, 1}), b'{"x":[1,8],"y":0}'),
        (Place({8, 1}), b'{"x":[1,8]}'),
        (Unreadable({8, 1}), b'{"x":[1,8]}'),
        (UnreadableStruct({8, 1}), b'{"x":[1,8]}'),
        (UnreadablePlace({8, 1}), b'{"x":[1,8]}'),
    ],
)
def test_a_set_becomes_an_array_in_one_order(value: Any, expected: bytes) -> None:
    before = repr(value)
    assert json.encode(ordered(value)) == expected
    assert repr(value) == before


@pytest.mark.parametrize(
    "value", [None, 1, "x", {"b": 1, "a": 2}, [1, "x"], (1,), Frozen(1), Record("x"), Place(None), Colour.RED, Opaque()]
)
def test_a_value_without_sets_is_returned_unchanged(value: Any) -> None:
    assert ordered(value) is value


def test_a_deleted_field_is_ignored() -> None:
    record = Renamed({2, 1})
    del record.of_all
    assert ordered(record) is record


def test_hashing_decides_nothing() -> None:
    program = (
        "from msgspec.json import encode; from posthouse.core.encoding.ordering import ordered\n"
        "names = [str(n) for n in range(50)]\n"
        "print(encode(ordered([set(names), {(n, None) for n in names}, {frozenset(names[:n]) for n in range(9)}])))"
    )
    printed = [
        subprocess.run([sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True)
        for seed in ("1", "2")
    ]
    assert printed[0].stdout == printed[1].stdout != b""


plain = st.none() | st.booleans() | st.integers() | st.text()
values = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(values)
def test_json_stays_as_it_is(value: Any) -> None:
    assert json.encode(ordered(value)) == json.encode(value)
