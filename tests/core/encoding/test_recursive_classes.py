"""Classes that contain themselves are read, sent and checked as declared at every depth."""

import json
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Optional, TypedDict

import annotated_types
import attrs
import pytest
from msgspec import Struct
from posthouse.core.encoding.compiler import described

from tests.core.encoding.plans import faults, read, send

Positive = Annotated[int, annotated_types.Ge(1)]


@dataclass
class Link:
    value: Positive
    next: Optional["Link"] = None


@dataclass
class Secret(Link):
    password: str = "hunter2"


@dataclass
class First:
    next: Optional["First"]
    value: Positive


@dataclass
class Odd:
    value: Positive
    next: Optional["Even"] = None


@dataclass
class Even:
    value: Positive
    next: Odd | None = None


@dataclass
class Either:
    value: Positive
    next: "Either | list[Either] | None" = None


@dataclass
class Named:
    value: Positive
    next: "dict[str, Named | None] | None" = None


@attrs.define
class Attributes:
    value: Positive
    next: "Attributes | None" = None


class Mapped(TypedDict):
    value: Positive
    next: "Mapped | None"


class Annotating(Struct):
    value: Positive
    next: "Annotating | None" = None


class Tagged(Struct, tag=True):
    value: Positive
    next: "Tagged | Other | None" = None


class Other(Struct, tag=True):
    value: Positive
    next: "Tagged | Other | None" = None


class Row(NamedTuple):
    value: Positive
    next: "Row | None"


@dataclass
class Leaf:
    number: int


@dataclass
class Sum:
    left: "Sum | Leaf"
    right: "Leaf | Sum"


OBJECTS: list[Any] = [Link, First, Odd, Either, Attributes, Mapped, Annotating]


def chain(*values: Any, **more: Any) -> str:
    """A list of linked objects, as JSON. The last has more members."""
    node: Any = None
    for value in reversed(values):
        node = {"value": value, "next": node, **more}
        more = {}
    return json.dumps(node, separators=(",", ":"))


def values_of(node: Any) -> list[Any]:
    """The values of linked instances, which must be instances of their classes."""
    found = []
    while node is not None:
        found.append(node["value"] if type(node) is dict else node.value)
        node = node["next"] if type(node) is dict else node.next
    return found


@pytest.mark.parametrize("cls", OBJECTS)
def test_instances_inside_instances_are_made_by_their_classes(cls: Any) -> None:
    node = read(cls, chain(1, 2, 3))
    assert values_of(node) == [1, 2, 3]
    if cls is not Mapped:
        assert type(node.next) is (Even if cls is Odd else cls)
        assert type(node.next.next) is cls
    assert json.loads(send(cls, node)) == json.loads(chain(1, 2, 3))


@pytest.mark.parametrize("cls", OBJECTS)
def test_a_constraint_holds_at_every_depth(cls: Any) -> None:
    assert ("$.next.next.value", "expected int >= 1") in faults(cls, chain(1, 2, 0))
    assert ("$.next.next.value", "expected int, got str") in faults(cls, chain(1, 2, "x"))


@pytest.mark.parametrize("cls", [cls for cls in OBJECTS if cls is not Annotating])
def test_an_unknown_member_is_refused_at_every_depth(cls: Any) -> None:
    assert faults(cls, chain(1, 2, 3, z=9)) == [("$.next.next", "object contains unknown field z")]


@pytest.mark.parametrize("cls", OBJECTS)
def test_a_result_that_breaks_a_constraint_inside_is_not_sent(cls: Any) -> None:
    node = read(cls, chain(1, 2, 3))
    if cls is Mapped:
        node["next"]["next"]["value"] = 0
    else:
        node.next.next.value = 0
    with pytest.raises(Exception, match=r"int.* >= 1.*next\.next\.value"):
        send(cls, node)


def test_members_of_subclasses_inside_are_not_sent() -> None:
    assert send(Link, Link(1, Secret(2, Secret(3)))) == chain(1, 2, 3)


def test_an_object_or_a_list_of_objects_inside_is_told_apart() -> None:
    assert read(Either, '{"value":1,"next":[{"value":2}]}') == Either(1, [Either(2)])
    assert faults(Either, '{"value":1,"next":[{"value":0}]}') == [("$.next[0].value", "expected int >= 1")]


def test_objects_inside_objects_with_any_names_are_read() -> None:
    assert read(Named, '{"value":1,"next":{"a":{"value":2},"b":null}}') == Named(1, {"a": Named(2), "b": None})
    assert faults(Named, '{"value":1,"next":{"a":{"value":0}}}') == [("$.next.a.value", "expected int >= 1")]


def test_tagged_structs_inside_are_read_by_their_tags() -> None:
    text = '{"type":"Tagged","value":1,"next":{"type":"Other","value":2,"next":null}}'
    assert read(Tagged, text) == Tagged(1, Other(2))
    assert send(Tagged, Tagged(1, Other(2))) == text
    wrong = text.replace("2", "0")
    assert faults(Tagged, wrong) == [("$.next.value", "expected int >= 1")]


def test_named_tuples_inside_are_read() -> None:
    assert read(Row, "[1,[2,null]]") == Row(1, Row(2, None))
    assert faults(Row, "[1,[0,null]]") == [("$[1][0]", "expected int >= 1")]


def test_a_union_of_a_class_with_itself_is_told_apart_by_members_that_come_later() -> None:
    text = '{"left":{"number":1},"right":{"left":{"number":2},"right":{"number":3}}}'
    assert read(Sum, text) == Sum(Leaf(1), Sum(Leaf(2), Leaf(3)))
    assert send(Sum, Sum(Leaf(1), Sum(Leaf(2), Leaf(3)))) == text
    assert faults(Sum, text.replace("3", '"x"')) == [("$.right", "fits none of Leaf, Sum")]


@pytest.mark.parametrize("cls", [*OBJECTS, Tagged, Row, Sum])
@pytest.mark.parametrize("sends", [True, False])
def test_a_schema_can_be_made(cls: Any, sends: bool) -> None:
    assert len(described([cls], sends=sends)) == 1
