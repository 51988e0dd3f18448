"""Which types may be declared, and what is said of values that do not fit them."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from msgspec import Meta, Struct, ValidationError
from posthouse.core.conversion import Fault, check, describe, is_model, may_hold_sets, read_custom, write_custom
from posthouse.core.errors import UsageError

from tests.values import changeable

SECRET = "the words of user code"


class Tree(Struct):
    name: str
    children: list[Tree] = []


class Strict(Struct):
    age: Annotated[int, Meta(ge=0)]
    tags: dict[str, list[int]] = {}


class Refuses(Struct):
    value: int

    def __post_init__(self) -> None:
        raise {0: ValueError, 1: TypeError, 2: KeyError}.get(self.value, KeyboardInterrupt)(SECRET)


class Holder(Struct):
    inner: list[Refuses]


@dataclasses.dataclass
class Point:
    x: int
    y: int


@attrs.define
class Place:
    name: str


class Options(TypedDict, total=False):
    depth: int


class Colour(enum.Enum):
    RED = "red"


class User(pydantic.BaseModel):
    name: str = pydantic.Field(alias="Name")
    born: datetime.date | None = None


class Team(Struct):
    members: list[User]


class Opaque:
    pass


@pytest.mark.parametrize(
    ("annotation", "models", "sets"),
    [
        (int, False, False),
        (Any, False, True),
        (object, False, True),
        (msgspec.Raw, False, False),
        (None, False, False),
        (Literal["a", 1], False, False),
        (Tree, False, False),
        (Point, False, False),
        (Place, False, False),
        (Options, False, False),
        (Colour, False, False),
        (datetime.datetime, False, False),
        (dict[str, tuple[int, ...]] | None, False, False),
        (set[int], False, True),
        (list[frozenset[str]], False, True),
        (User, True, False),
        (Team, True, False),
        (tuple[Team, set[int]], True, True),
    ],
)
def test_types_are_known_with_whether_they_hold_models_and_sets(annotation: Any, models: bool, sets: bool) -> None:
    assert check(annotation, "it") == (models, sets)
    assert may_hold_sets(msgspec.inspect.type_info(annotation)) is sets


@pytest.mark.parametrize("annotation", [Opaque, list[Opaque], Callable[[int], int], Opaque | None])
def test_a_type_that_cannot_be_read_is_refused_with_its_place(annotation: Any) -> None:
    with pytest.raises(UsageError, match=r"parameter 'x' has the type .*, which JSON cannot carry"):
        check(annotation, "parameter 'x'")


def test_a_union_that_json_cannot_tell_apart_is_refused() -> None:
    with pytest.raises(UsageError, match="contains multiple Struct types"):
        check(Tree | Strict, "it")


def test_models_are_known_by_what_they_can_do() -> None:
    assert is_model(User)
    assert not is_model(Opaque)
    assert not is_model(User(Name="Ada"))


def test_a_model_reads_and_writes_itself_by_its_aliases() -> None:
    user = read_custom(User, {"Name": "Ada", "born": "1815-12-10"})
    assert user.born == datetime.date(1815, 12, 10)
    assert write_custom(user) == {"Name": "Ada", "born": "1815-12-10"}


def test_an_object_is_read_as_it_is() -> None:
    value = {"any": 1}
    assert read_custom(object, value) is value


def test_what_is_no_model_cannot_be_written() -> None:
    with pytest.raises(NotImplementedError):
        write_custom(Opaque())


def fault(data: bytes, annotation: Any) -> Fault:
    try:
        msgspec.json.decode(data, type=annotation, dec_hook=read_custom)
    except BaseException as error:
        return describe(error)
    raise AssertionError("it was read")


@pytest.mark.parametrize(
    ("data", "annotation", "expected"),
    [
        (b'"x"', int, Fault("$", "expected int, got str")),
        (b'{"age": "x"}', Strict, Fault("$.age", "expected int, got str")),
        (b'{"age": -1}', Strict, Fault("$.age", "expected int >= 0")),
        (b'{"age": 1, "tags": {"a": [1, null]}}', Strict, Fault("$.tags[...][1]", "expected int, got null")),
        (b"{}", Strict, Fault("$", "object missing required field age")),
        (b'{"name": "a", "children": [{"name": 1}]}', Tree, Fault("$.children[0].name", "expected str, got int")),
        (b'{"a": 1}', dict[int, int], Fault("key in $", "expected int, got str")),
        (b'"green"', Colour, Fault("$", "invalid enum value 'green'")),
    ],
)
def test_what_does_not_fit_is_described_by_its_path_and_the_declaration(
    data: bytes, annotation: Any, expected: Fault
) -> None:
    found = fault(data, annotation)
    assert found.reason == expected.reason
    assert found.path == expected.path.removeprefix("key in ")


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_words_of_user_code_are_dropped_whatever_it_raises(number: int) -> None:
    found = fault(b'{"inner": [{"value": %d}]}' % number, Holder)
    assert found.reason == "refused by its type"
    assert found.path == ("$.inner[0]" if number < 2 else "$")


def test_words_of_a_model_are_dropped() -> None:
    found = fault(b'{"members": [{"Name": ["the", "words"]}]}', Team)
    assert found == Fault("$.members[0]", "refused by its type")


def test_a_validation_error_that_user_code_raised_itself_is_not_repeated() -> None:
    def raises(cls: type, value: Any) -> Any:
        raise ValidationError(SECRET)

    with pytest.raises(ValidationError) as caught:
        msgspec.json.decode(b"1", type=User, dec_hook=raises)
    assert describe(caught.value) == Fault("$", "refused by its type")


def test_text_that_is_no_json_is_described_without_its_words() -> None:
    assert fault(b"[1", list[int]) == Fault("$", "refused by its type")


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.conversion") == []
