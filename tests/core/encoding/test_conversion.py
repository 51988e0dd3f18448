"""Which types may be declared, and what is said of values that do not fit them."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import pathlib
from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest
from msgspec import Meta, Struct, ValidationError
from posthouse.core.encoding.conversion import (
    Fault,
    Refused,
    check,
    describe,
    is_model,
    is_path,
    may_hold_sets,
    must_be_plain,
    pydantic_faults,
    read_custom,
    validates_itself,
    write_custom,
)
from posthouse.core.values.errors import UsageError
from pydantic_core import PydanticCustomError

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


Item = TypeVar("Item")


class Frozen(Struct, Generic[Item], frozen=True):
    item: Item
    next: Frozen[Item] | None = None


class Same(Struct, eq=False):
    items: list[int]


class Hashed(Struct):
    items: list[int]

    def __hash__(self) -> int:
        return len(self.items)


class HashedToo(Hashed):
    more: int = 0


class Alike(Struct, frozen=True):
    value: int

    __hash__ = None  # type: ignore[assignment]


class FrozenUser(pydantic.BaseModel, frozen=True):
    name: str


class Pair(NamedTuple):
    name: str
    items: list[int]


@dataclasses.dataclass(frozen=True)
class FrozenPoint:
    x: int


@pytest.mark.parametrize(
    ("annotation", "sets"),
    [
        (int, False),
        (Any, True),
        (object, True),
        (msgspec.Raw, False),
        (None, False),
        (Literal["a", 1], False),
        (Tree, False),
        (Point, False),
        (Place, False),
        (Options, False),
        (Colour, False),
        (datetime.datetime, False),
        (dict[str, tuple[int, ...]] | None, False),
        (set[int], True),
        (list[frozenset[str]], True),
        (User, False),
        (Team, False),
        (tuple[Team, set[int]], True),
    ],
)
def test_check_tells_whether_a_type_contains_sets(annotation: Any, sets: bool) -> None:
    assert check(annotation, "it") is sets
    assert may_hold_sets(msgspec.inspect.type_info(annotation)) is sets


@pytest.mark.parametrize("annotation", [Opaque, list[Opaque], Callable[[int], int], Opaque | None])
def test_a_type_that_cannot_be_read_is_refused_with_its_place(annotation: Any) -> None:
    with pytest.raises(UsageError, match=r"parameter 'x' has the type .*, which JSON cannot carry"):
        check(annotation, "parameter 'x'")


@pytest.mark.parametrize(
    ("item", "name"),
    [
        (list[int], "list"),
        (dict[str, int], "dict"),
        (set[int], "set"),
        (bytearray, "bytearray"),
        (msgspec.Raw, "Raw"),
        (Options, "Options"),
        (Strict, "Strict"),
        (Alike, "Alike"),
        (Point, "Point"),
        (Place, "Place"),
        (User, "User"),
        (Pair, "list"),
        (Frozen[list[int]], "list"),
        (tuple[int, list[int]], "list"),
        (tuple[tuple[Strict, ...], ...], "Strict"),
        (int | list[int], "list"),
    ],
)
def test_a_set_of_values_without_a_hash_is_refused(item: Any, name: str) -> None:
    for annotation in (set[item], frozenset[item], dict[str, list[set[item]]], set[frozenset[item]]):
        with pytest.raises(UsageError) as caught:
            check(annotation, "parameter 'x'")
        assert str(caught.value) == (
            f"parameter 'x' has the type {annotation!r}, but {name!r} has no hash: use a list instead of the "
            "set, or a tuple, a frozenset or a frozen class inside the set"
        )


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (int | str | None, b'[1,"a",null]'),
        (tuple[int, ...], b"[[1]]"),
        (frozenset[str], b'[["a"]]'),
        (Frozen[int], b'[{"item":1,"next":{"item":2}}]'),
        (FrozenPoint, b'[{"x":1}]'),
        (FrozenUser, b'[{"name":"Ada"}]'),
        (Hashed, b'[{"items":[1]}]'),
        (HashedToo, b'[{"items":[1]}]'),
        (Same, b'[{"items":[1]}]'),
        (memoryview, b'["aaaa"]'),
        (Colour, b'["red"]'),
        (datetime.date, b'["1815-12-10"]'),
        (Any, b"[1]"),
        (object, b"[1]"),
    ],
)
def test_a_set_of_hashable_values_can_be_declared_and_read(item: Any, text: bytes) -> None:
    check(set[item], "it")
    assert msgspec.json.decode(text, type=set[item], dec_hook=read_custom)


def test_a_union_that_json_cannot_tell_apart_is_refused() -> None:
    with pytest.raises(UsageError, match="contains multiple Struct types"):
        check(Tree | Strict, "it")


def test_models_are_recognised_by_their_methods() -> None:
    assert is_model(User)
    assert not is_model(Opaque)
    assert not is_model(User(Name="Ada"))


def test_a_model_is_read_and_written_by_its_aliases() -> None:
    user = read_custom(User, {"Name": "Ada", "born": "1815-12-10"})
    assert user.born == datetime.date(1815, 12, 10)
    assert write_custom(user) == {"Name": "Ada", "born": "1815-12-10"}


def test_an_object_is_read_as_it_is() -> None:
    value = {"any": 1}
    assert read_custom(object, value) is value


def test_a_value_of_an_unknown_type_cannot_be_written() -> None:
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
def test_an_invalid_value_is_described_by_its_path_and_declared_type(
    data: bytes, annotation: Any, expected: Fault
) -> None:
    found = fault(data, annotation)
    assert found.reason == expected.reason
    assert found.path == expected.path.removeprefix("key in ")


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_text_of_user_code_is_dropped(number: int) -> None:
    found = fault(b'{"inner": [{"value": %d}]}' % number, Holder)
    assert found.reason == "refused by its type"
    assert found.path == ("$.inner[0]" if number < 2 else "$")


def test_text_of_a_model_is_dropped() -> None:
    found = fault(b'{"members": [{"Name": ["the", "words"]}]}', Team)
    assert found == Fault("$.members[0]", "refused by its type")


def test_a_validation_error_raised_by_user_code_is_not_repeated() -> None:
    def raises(cls: type, value: Any) -> Any:
        raise ValidationError(SECRET)

    with pytest.raises(ValidationError) as caught:
        msgspec.json.decode(b"1", type=User, dec_hook=raises)
    assert describe(caught.value) == Fault("$", "refused by its type")


def test_invalid_json_is_described_without_its_text() -> None:
    assert fault(b"[1", list[int]) == Fault("$", "refused by its type")


def test_a_refusal_leads_to_the_place() -> None:
    refused = Refused.because("no").inside("[1]").inside(".a")
    assert refused.faults == (Fault("$.a[1]", "no"),)


class Name(str): ...


@pytest.mark.parametrize(
    ("value", "plain"),
    [(Name("a"), "a"), (pathlib.PurePosixPath("a/b"), "a/b"), (collections.deque([1]), [1])],
)
def test_a_value_that_msgspec_does_not_write_is_made_plain(value: Any, plain: Any) -> None:
    found = write_custom(value)
    assert (found, type(found)) == (plain, type(plain))


def test_only_plain_values_are_left_to_the_check_of_the_json() -> None:
    for value in (None, 1, "a", [1], {"a": 1}):
        assert must_be_plain(value, "User") is value
    with pytest.raises(Refused) as caught:
        must_be_plain(Opaque(), "User")
    assert caught.value.faults == (Fault("$", "expected User, got Opaque"),)


def test_types_that_validate_themselves_and_paths_are_recognised() -> None:
    assert validates_itself(User)
    assert validates_itself(pydantic.HttpUrl)
    assert validates_itself(PydanticPoint)
    assert not validates_itself(Point)
    assert not validates_itself(list[int])
    assert is_path(pathlib.Path)
    assert not is_path(str)
    assert not is_path(pathlib.Path())


@pydantic.dataclasses.dataclass
class PydanticPoint:
    x: int


@pydantic.dataclasses.dataclass(config=pydantic.ConfigDict(extra="forbid"))
class Sealed:
    x: int


class Chosen(pydantic.BaseModel, extra="forbid"):
    values: list[int]

    @pydantic.field_validator("values")
    @classmethod
    def check(cls, values: list[int]) -> list[int]:
        if not values:
            raise ValueError(SECRET)
        if values == [0]:
            raise PydanticCustomError("own", "the words of user code")
        return values


@pytest.mark.parametrize(
    ("value", "faults"),
    [
        ({"values": []}, (Fault("$.values", "refused by a validator"),)),
        ({"values": [0]}, (Fault("$.values", "refused by a validator"),)),
        ({"values": [None]}, (Fault("$.values[0]", "input should be a valid integer"),)),
        ({"values": [1], "x": 1}, (Fault("$", "object contains unknown field x"),)),
        ({}, (Fault("$", "object missing required field values"),)),
    ],
)
def test_pydantics_faults_are_described_without_text_of_user_code(value: Any, faults: tuple[Fault, ...]) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Chosen.model_validate(value)
    assert pydantic_faults(caught.value) == faults


def test_a_word_in_capitals_keeps_them() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        pydantic.TypeAdapter(pydantic.HttpUrl).validate_json("1")
    assert pydantic_faults(caught.value) == (Fault("$", "URL input should be a string or URL"),)


def test_an_unknown_member_of_a_dataclass_of_pydantic_is_described_as_of_a_model() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        pydantic.TypeAdapter(Sealed).validate_json('{"x":1,"y":2}')
    assert pydantic_faults(caught.value) == (Fault("$", "object contains unknown field y"),)


def test_at_most_16_faults_of_pydantic_are_described() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Chosen.model_validate({"values": [None] * 100})
    assert len(pydantic_faults(caught.value)) == 16


def test_another_exception_is_no_fault_of_pydantic() -> None:
    assert pydantic_faults(ValueError(SECRET)) == ()
    assert pydantic_faults(ValidationError(SECRET)) == ()


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.encoding.conversion") == []
