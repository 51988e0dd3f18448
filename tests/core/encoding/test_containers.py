"""Lists, tuples, sets and dicts of types that convert."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pydantic
import pytest
from msgspec import Struct, ValidationError
from posthouse.core.encoding.compiler import reading, sending
from posthouse.core.encoding.conversion import Fault, Refused
from posthouse.core.values.errors import UsageError

from tests.core.encoding.plans import read, send


@dataclasses.dataclass(frozen=True)
class Job:
    title: str
    state: str = "queued"


@dataclasses.dataclass(frozen=True)
class Secret(Job):
    password: str = "hash"


class User(Struct, frozen=True):
    name: str


class Stored(User, frozen=True):
    password: str = "hash"


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (list[Job], '[{"title":"a"}]', [Job("a")]),
        (Sequence[Job], '[{"title":"a"}]', [Job("a")]),
        (tuple[Job, ...], '[{"title":"a"}]', (Job("a"),)),
        (set[Job], '[{"title":"a"},{"title":"a"}]', {Job("a")}),
        (frozenset[Job], '[{"title":"a"}]', frozenset((Job("a"),))),
        (tuple[int, Job], '[1,{"title":"a"}]', (1, Job("a"))),
        (tuple[int, str], '[1,"a"]', (1, "a")),
        (tuple[()], "[]", ()),
        (tuple, '[1,"a"]', (1, "a")),
        (list, "[1]", [1]),
        (dict, '{"a":1}', {"a": 1}),
        (dict[str, Job], '{"a":{"title":"b"}}', {"a": Job("b")}),
        (Mapping[Path, int], '{"a":1}', {Path("a"): 1}),
        (dict[Path, Job], '{"a":{"title":"b"}}', {Path("a"): Job("b")}),
        (list[list[Job]], '[[{"title":"a"}]]', [[Job("a")]]),
    ],
)
def test_what_is_inside_is_read_as_declared(annotation: Any, text: str, expected: Any) -> None:
    found = read(annotation, text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (list[User], [User("a"), User("b")], '[{"name":"a"},{"name":"b"}]'),
        (list[User], [Stored("a")], '[{"name":"a"}]'),
        (list[User], (Stored("a"), User("b")), '[{"name":"a"},{"name":"b"}]'),
        (list[User], collections.deque([Stored("a")]), '[{"name":"a"}]'),
        (set[User], {Stored("b"), Stored("a")}, '[{"name":"a"},{"name":"b"}]'),
        (list[Job], [Secret("a")], '[{"title":"a","state":"queued"}]'),
        (
            frozenset[Job],
            frozenset((Secret("b"), Job("a"))),
            '[{"title":"a","state":"queued"},{"title":"b","state":"queued"}]',
        ),
        (tuple[int, User], (1, Stored("a")), '[1,{"name":"a"}]'),
        (tuple[int, User], [1, Stored("a")], '[1,{"name":"a"}]'),
        (dict[str, User], {"x": Stored("a")}, '{"x":{"name":"a"}}'),
        (dict[str, User], MappingProxyType({"x": Stored("a")}), '{"x":{"name":"a"}}'),
        (dict[Path, int], {Path("x"): 1}, '{"x":1}'),
        (dict[str, list[User]], {"x": [Stored("a")]}, '{"x":[{"name":"a"}]}'),
    ],
)
def test_what_is_inside_is_sent_as_declared(annotation: Any, value: Any, expected: str) -> None:
    assert send(annotation, value) == expected


@pytest.mark.parametrize("annotation", [list[User], tuple[int, User], dict[str, User], set[User]])
def test_a_value_of_another_kind_is_refused(annotation: Any) -> None:
    with pytest.raises(ValidationError, match=r"Expected `(array|object)`, got `int`"):
        send(annotation, 1)
    with pytest.raises(Refused) as caught:
        send(annotation, User("a"))
    assert caught.value.faults[0].reason in ("expected array, got User", "expected object, got User")


@pytest.mark.parametrize(
    ("annotation", "value", "fault"),
    [
        (list[User], [User("a"), Job("b")], Fault("$[1]", "expected User, got Job")),
        (tuple[int, User], (1, Job("b")), Fault("$[1]", "expected User, got Job")),
        (dict[str, list[User]], {"x": [Job("b")]}, Fault("$.x[0]", "expected User, got Job")),
        (tuple[int, User], (1,), Fault("$", "expected array of length 2, got 1")),
    ],
)
def test_a_refusal_has_the_path(annotation: Any, value: Any, fault: Fault) -> None:
    with pytest.raises(Refused) as caught:
        send(annotation, value)
    assert caught.value.faults == (fault,)


def test_a_container_of_plain_types_converts_nothing() -> None:
    for annotation in (list[int], tuple[int, str], dict[str, list[User]], set[str]):
        plan = reading(annotation, "it")
        assert (plan.wire, plan.convert) == (annotation, None)


def test_a_model_cannot_be_a_name_in_an_object() -> None:
    for compile_it in (reading, sending):
        with pytest.raises(UsageError, match=r"names in JSON objects cannot be of the type .*Url'>: use str"):
            compile_it(dict[pydantic.AnyUrl, int], "it")
