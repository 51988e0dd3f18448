"""The members of a class: as its constructor takes them, and as its instances hold them."""

from __future__ import annotations

import dataclasses
from dataclasses import KW_ONLY, InitVar, field
from typing import Any, ClassVar, Generic, NamedTuple, NotRequired, Required, TypedDict, TypeVar

import attrs
import pytest
from msgspec import UNSET, Struct
from posthouse.core.encoding.members import MAPPING, OBJECT, STRUCT, TUPLE, Member, shape_of

from tests.values import changeable

T = TypeVar("T")
U = TypeVar("U")


class Renamed(Struct, rename="camel", forbid_unknown_fields=True, tag_field="kind", tag="r", omit_defaults=True):
    first_name: str
    tags: list[str] = []
    age: int = 3


class Guarded(Struct):
    value: int

    def __post_init__(self) -> None: ...


@dataclasses.dataclass
class Account:
    limit: ClassVar[int] = 9
    name: str
    seed: InitVar[int]
    _: KW_ONLY
    admin: bool = field(default=False, init=False)
    tags: list[str] = field(default_factory=list)


@attrs.define
class Place:
    _secret: int
    why: str = attrs.field(alias="reason", default="x")
    tags: list[str] = attrs.Factory(list)
    size: int = attrs.Factory(lambda self: self._secret, takes_self=True)
    made: int = attrs.field(init=False, default=0)


Untyped = attrs.make_class("Untyped", {"value": attrs.field(type=int), "other": attrs.field()})


class Options(TypedDict, total=False):
    depth: Required[int]
    name: str


class More(TypedDict):
    depth: NotRequired[int]
    name: str


class Pair(NamedTuple):
    left: int
    right: str = "r"


@dataclasses.dataclass
class Box(Generic[T]):
    item: T
    items: list[T]
    start: InitVar[T]


@dataclasses.dataclass
class Twice(Box[list[U]], Generic[U]):
    other: U


@dataclasses.dataclass
class Ints(Box[int]):
    more: str


def members(annotation: Any) -> tuple[Member, ...]:
    shape = shape_of(annotation)
    assert shape is not None
    return shape.members


def types(annotation: Any) -> dict[str, Any]:
    return {member.name: member.annotation for member in members(annotation)}


def test_a_struct_keeps_its_configuration() -> None:
    shape = shape_of(Renamed)
    assert shape is not None
    assert (shape.form, shape.closed, shape.plain, shape.tag, shape.tag_field, shape.omit_defaults) == (
        STRUCT,
        True,
        True,
        "r",
        "kind",
        True,
    )
    assert shape.members == (
        Member("firstName", "first_name", str, "first_name", True),
        Member("tags", "tags", list[str], "tags", False, factory=list),
        Member("age", "age", int, "age", False, default=3),
    )


def test_a_struct_that_checks_itself_is_not_plain() -> None:
    shape = shape_of(Guarded)
    assert shape is not None
    assert not shape.plain
    assert not shape.closed


def test_a_dataclass_has_what_its_constructor_takes_and_what_it_holds() -> None:
    shape = shape_of(Account)
    assert shape is not None
    assert (shape.form, shape.closed) == (OBJECT, True)
    assert shape.members == (
        Member("name", "name", str, "name", True),
        Member("seed", "seed", int, "seed", True, False),
        Member("admin", "admin", bool, None, False, default=False),
        Member("tags", "tags", list[str], "tags", False, factory=list),
    )


def test_an_attrs_class_has_the_names_of_its_constructor() -> None:
    shape = shape_of(Place)
    assert shape is not None
    assert (shape.form, shape.closed) == (OBJECT, True)
    assert shape.members == (
        Member("secret", "_secret", int, "secret", True),
        Member("reason", "why", str, "reason", False, default="x"),
        Member("tags", "tags", list[str], "tags", False, factory=list),
        Member("size", "size", int, "size", False),
        Member("made", "made", int, None, False, default=0),
    )
    assert types(Untyped) == {"value": int, "other": Any}


def test_a_typed_dict_has_required_and_other_keys() -> None:
    shape = shape_of(Options)
    assert shape is not None
    assert (shape.form, shape.closed) == (MAPPING, True)
    assert [(member.name, member.annotation, member.required) for member in members(Options)] == [
        ("depth", int, True),
        ("name", str, False),
    ]
    assert [(member.name, member.required) for member in members(More)] == [("depth", False), ("name", True)]


def test_a_named_tuple_has_its_fields_in_order() -> None:
    shape = shape_of(Pair)
    assert shape is not None
    assert (shape.form, shape.array_like) == (TUPLE, True)
    assert members(Pair) == (
        Member("left", "left", int, "left", True),
        Member("right", "right", str, "right", False, default="r"),
    )


def test_type_variables_are_replaced_by_arguments() -> None:
    assert types(Box[int]) == {"item": int, "items": list[int], "start": int}
    assert types(Ints) == {"item": int, "items": list[int], "start": int, "more": str}
    assert types(Twice[str]) == {"item": list[str], "items": list[list[str]], "start": list[str], "other": str}
    assert types(Box) == {"item": T, "items": list[Any], "start": T}


@pytest.mark.parametrize("annotation", [int, Any, list[int], dict, tuple, None, int | None])
def test_other_types_have_no_members(annotation: Any) -> None:
    assert shape_of(annotation) is None


def test_an_absent_default_is_unset() -> None:
    assert (members(Pair)[0].default, members(Pair)[0].factory) == (UNSET, UNSET)


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.encoding.members") == []
