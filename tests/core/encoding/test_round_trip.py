"""Generated types: what a client sends and a handler returns is what is declared, and nothing else."""

from __future__ import annotations

import dataclasses
import datetime
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import annotated_types
import attrs
import pydantic
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, defstruct

from tests.core.encoding.plans import faults, read, send

Typed = tuple[Any, Any, Any]
"""A type, the JSON that a client sends, and the JSON that comes back."""

DEFAULT = "the default"

PLAIN: st.SearchStrategy[Typed] = st.one_of(
    st.integers(-(2**53), 2**53).map(lambda value: (int, value, value)),
    st.text(max_size=5).map(lambda value: (str, value, value)),
    st.booleans().map(lambda value: (bool, value, value)),
    st.none().map(lambda value: (None, value, value)),
    st.sampled_from(
        [
            (Path, "a/b", "a/b"),
            (uuid.UUID, str(uuid.UUID(int=1)), str(uuid.UUID(int=1))),
            (datetime.datetime, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
            (Annotated[int, annotated_types.Ge(1)], 1, 1),
            (Annotated[str, pydantic.Field(pattern="^a")], "ab", "ab"),
            (Literal["a", 1], "a", "a"),
        ]
    ),
)


def typed_dict(kind: Any) -> Any:
    """A TypedDict with a member of this type."""

    class Options(TypedDict):
        inner: int
        other: NotRequired[str]

    Options.__annotations__["inner"] = kind
    return Options


def row(kind: Any) -> Any:
    """A NamedTuple with a member of this type."""

    class Row(NamedTuple):
        inner: int
        second: int

    Row.__annotations__["inner"] = kind
    return Row


def classes(inner: Typed, given_default: bool) -> list[Typed]:
    """A class of each kind, with a member of the inner type and one with a default."""
    kind, sent, back = inner
    more = {"other": "x"} if given_default else {}
    value = {"inner": sent, **more}
    expected = {"inner": back, "other": DEFAULT, **more}
    fields: list[Any] = [("inner", kind), ("other", str, DEFAULT)]
    plain = dataclasses.make_dataclass("D", [("inner", kind), ("other", str, dataclasses.field(default=DEFAULT))])
    hidden = dataclasses.make_dataclass(
        "H", [("inner", kind), ("other", str, DEFAULT), ("made", int, dataclasses.field(default=7, init=False))]
    )
    attributes = {"inner": attrs.field(type=kind), "other": attrs.field(type=str, default=DEFAULT)}
    options = typed_dict(kind)
    sealed = dataclasses.make_dataclass(
        "K", [("inner", kind), ("other", str, DEFAULT)], frozen=True, slots=True, kw_only=True
    )
    return [
        (sealed, value, expected),
        (defstruct("G", fields, namespace={"__post_init__": lambda self: None}), value, expected),
        (defstruct("T", fields, tag=True, frozen=True), {"type": "T", **value}, {"type": "T", **expected}),
        (defstruct("L", fields, array_like=True), list(expected.values()), list(expected.values())),
        (row(kind), [sent, 1], [back, 1]),
        (defstruct("S", fields, forbid_unknown_fields=True), value, expected),
        (plain, value, expected),
        (hidden, value, {**expected, "made": 7}),
        (attrs.make_class("A", attributes), value, expected),
        (options, value, {"inner": back, **more}),
    ]


def containers(inner: Typed) -> list[Typed]:
    kind, sent, back = inner
    held: Any = kind
    return [
        (list[held], [sent, sent], [back, back]),
        (tuple[held, int], [sent, 1], [back, 1]),
        (dict[str, held], {"a": sent}, {"a": back}),
        (Sequence[held], [sent], [back]),
        (Mapping[str, held], {"a": sent}, {"a": back}),
        (held | None if kind is not None else int | None, None, None),
        (held | None if kind is not None else int | None, sent, back),
    ]


def deeper(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    return st.one_of(
        inner.flatmap(lambda typed: st.sampled_from(containers(typed))),
        st.tuples(inner, st.booleans()).flatmap(lambda pair: st.sampled_from(classes(*pair))),
    )


TYPES = st.recursive(PLAIN, deeper, max_leaves=4)


@given(TYPES)
def test_what_a_client_sends_and_a_handler_returns_is_what_is_declared(typed: Typed) -> None:
    annotation, sent, back = typed
    text = json.dumps(sent)
    assert faults(annotation, text) == []
    assert json.loads(send(annotation, read(annotation, text))) == back


@given(TYPES)
def test_json_in_place_of_instances_is_completed_alike(typed: Typed) -> None:
    annotation, sent, back = typed
    assert json.loads(send(annotation, sent)) == back


def places(sent: Any, path: str = "$") -> list[str]:
    """The paths of all values inside this JSON that contain no others."""
    if isinstance(sent, dict):
        return [place for name, part in sent.items() for place in places(part, f"{path}.{name}")]
    if isinstance(sent, list):
        return [place for index, part in enumerate(sent) for place in places(part, f"{path}[{index}]")]
    return [path]


def spoiled(sent: Any, wrong: list[str], path: str = "$") -> Any:
    """This JSON with 1.5, which no type here takes, at these paths."""
    if isinstance(sent, dict):
        return {name: spoiled(part, wrong, f"{path}.{name}") for name, part in sent.items()}
    if isinstance(sent, list):
        return [spoiled(part, wrong, f"{path}[{index}]") for index, part in enumerate(sent)]
    return 1.5 if path in wrong else sent


@given(TYPES, st.data())
def test_every_fault_is_found_at_its_path(typed: Typed, data: st.DataObject) -> None:
    annotation, sent, _ = typed
    wrong = data.draw(st.lists(st.sampled_from(places(sent)), unique=True, min_size=1, max_size=3))
    found = faults(annotation, json.dumps(spoiled(sent, wrong)))
    assert sorted(path for path, _ in found) == sorted(wrong)


def with_secrets(value: Any) -> Any:
    """The value with each instance replaced by one of a subclass that has one more member."""
    if type(value) in (list, tuple):
        return type(value)(map(with_secrets, value))
    if isinstance(value, dict):
        return {name: with_secrets(held) for name, held in value.items()}
    if not hasattr(value, "inner"):
        return value
    kind: Any = type(value)
    if isinstance(value, Struct):
        sub: Any = defstruct("Sub", [("password", str, "secret")], bases=(kind,))
    elif attrs.has(kind):
        sub = attrs.make_class("Sub", {"password": attrs.field(type=str, default="secret")}, bases=(kind,))
    elif issubclass(kind, tuple):
        sub = type("Sub", (kind,), {"password": "secret"})
        return sub(with_secrets(value[0]), value[1])
    else:
        frozen = kind.__dataclass_params__.frozen
        sub = dataclasses.make_dataclass("Sub", [("password", str, "secret")], bases=(kind,), frozen=frozen)
    return sub(inner=with_secrets(value.inner), other=value.other)


@given(TYPES)
def test_members_of_subclasses_are_never_sent(typed: Typed) -> None:
    annotation, sent, back = typed
    value = with_secrets(read(annotation, json.dumps(sent)))
    assert json.loads(send(annotation, value)) == back


@given(st.dictionaries(st.sampled_from("abc"), st.integers(), max_size=3))
def test_pydantic_models_are_sent_as_declared(more: dict[str, int]) -> None:
    base = pydantic.create_model("Base", value=(int, 1))
    fields: dict[str, Any] = {name: (int, value) for name, value in more.items()}
    sub = pydantic.create_model("Sub", __base__=base, **fields)
    assert send(list[base], [sub()]) == '[{"value":1}]'  # type: ignore[valid-type]
