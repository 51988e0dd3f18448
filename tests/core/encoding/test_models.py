"""Types that validate themselves: from JSON, and sent as the declared type."""

from __future__ import annotations

import dataclasses
import datetime
import sys
import uuid
from typing import Any, Generic, TypeVar

import pydantic
import pytest
from msgspec import Struct, json
from posthouse.core.encoding.compiler import described, reading
from posthouse.core.encoding.conversion import Fault, Refused
from posthouse.core.encoding.models import Described, adapter_of
from posthouse.core.encoding.plan import EVERY_KIND
from posthouse.core.values.errors import UsageError

from tests.core.encoding.plans import faults, read, send

T = TypeVar("T")


class User(pydantic.BaseModel):
    name: str
    age: int = pydantic.Field(ge=0, default=0)


class Stored(User):
    password: str = "hash"


class Strict(pydantic.BaseModel, strict=True):
    when: datetime.datetime
    id: uuid.UUID
    pair: tuple[int, int]


class Team(Struct):
    members: list[User]
    lead: User | None = None


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]


@pydantic.dataclasses.dataclass
class Size:
    width: int = pydantic.Field(ge=0)


class Checked(pydantic.BaseModel):
    value: int

    @pydantic.field_validator("value")
    @classmethod
    def check(cls, value: int) -> int:
        if value < 0:
            raise ValueError("the words of user code")
        return value


class ByName(pydantic.BaseModel, populate_by_name=True):
    value: int = pydantic.Field(alias="a")


class ByPath(pydantic.BaseModel):
    value: int = pydantic.Field(validation_alias=pydantic.AliasPath("a", 0))


NO_EMAIL = "fits none of EmailStr, null"

Ints = pydantic.RootModel[list[int]]


@dataclasses.dataclass
class Contact:
    email: pydantic.EmailStr
    other: pydantic.EmailStr | None = None


class Duck:
    """A model with the methods of pydantic's, and without pydantic."""

    def __init__(self, value: int) -> None:
        self.value = value

    @classmethod
    def model_validate(cls, obj: Any) -> Duck:
        return cls(obj["value"])

    @classmethod
    def model_json_schema(cls, *, ref_template: str = "", mode: Any = "validation") -> dict[str, Any]:
        return {"title": mode}

    def model_dump(self, *, mode: str = "", by_alias: bool = True) -> Any:
        return {"value": self.value}


class Unlike(Duck):
    @classmethod
    def model_json_schema(cls, *, ref_template: str = "", mode: Any = "validation") -> dict[str, Any]:
        return {"type": "array"}


class Unschooled(Duck):
    @classmethod
    def model_json_schema(cls, *, ref_template: str = "", mode: Any = "validation") -> dict[str, Any]:
        raise TypeError("no schema")


def test_a_strict_model_is_read_from_json() -> None:
    found = read(Strict, '{"when":"2026-01-01T00:00:00Z","id":"00000000-0000-0000-0000-000000000001","pair":[1,2]}')
    assert (found.when.year, found.id.int, found.pair) == (2026, 1, (1, 2))


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (User, Stored(name="a"), '{"name":"a","age":0}'),
        (User, {"name": "a", "password": "x"}, '{"name":"a","age":0}'),
        (list[User], [Stored(name="a")], '[{"name":"a","age":0}]'),
        (
            Team,
            Team([Stored(name="a")], Stored(name="b")),
            '{"members":[{"name":"a","age":0}],"lead":{"name":"b","age":0}}',
        ),
        (Page[User], Page[User](items=[Stored(name="a")]), '{"items":[{"name":"a","age":0}]}'),
        (Size, Size(3), '{"width":3}'),
        (Ints, Ints([1]), "[1]"),
        (Duck, Duck(3), '{"value":3}'),
        (pydantic.HttpUrl, pydantic.HttpUrl("http://a.b/"), '"http://a.b/"'),
        (pydantic.HttpUrl, "http://a.b/", '"http://a.b/"'),
        (pydantic.HttpUrl | None, "http://a.b/", '"http://a.b/"'),
        (pydantic.HttpUrl | None, None, "null"),
        (pydantic.EmailStr, "ada@example.com", '"ada@example.com"'),
        (list[pydantic.EmailStr | None], ["ada@example.com", None], '["ada@example.com",null]'),
        (Contact, Contact("ada@example.com"), '{"email":"ada@example.com","other":null}'),
        (pydantic.ByteSize | None, pydantic.ByteSize(3), "3"),
        (Duck | None, Duck(3), '{"value":3}'),
    ],
)
def test_a_value_is_sent_as_its_declared_type(annotation: Any, value: Any, expected: str) -> None:
    assert send(annotation, value) == expected


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (Page[User], '{"items":[{"name":"a"}]}'),
        (Size, '{"width":3}'),
        (Duck, '{"value":3}'),
        (Duck | None, '{"value":3}'),
        (Ints, "[1]"),
        (Contact, '{"email":"ada@example.com","other":"bob@example.com"}'),
        (pydantic.ByteSize | None, "3"),
    ],
)
def test_what_is_sent_is_read_again(annotation: Any, text: str) -> None:
    value = read(annotation, text)
    assert json.encode(json.decode(send(annotation, read(annotation, send(annotation, value))))) == json.encode(
        json.decode(send(annotation, value))
    )


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (
            User,
            '{"name":1,"age":-1}',
            [("$.name", "input should be a valid string"), ("$.age", "input should be greater than or equal to 0")],
        ),
        (Team, '{"members":[{"name":"a"},{"name":2}]}', [("$.members[1].name", "input should be a valid string")]),
        (Size, '{"width":-1}', [("$.width", "input should be greater than or equal to 0")]),
        (Checked, '{"value":-1}', [("$.value", "refused by a validator")]),
        (pydantic.HttpUrl, '"x"', [("$", "input should be a valid URL, relative URL without a base")]),
        (pydantic.EmailStr, '"x"', [("$", "refused by a validator")]),
        (Contact, '{"email":"x","other":1}', [("$.email", "refused by a validator"), ("$.other", NO_EMAIL)]),
        (Duck, "{}", [("$", "refused by Duck")]),
    ],
)
def test_each_fault_has_its_path_and_its_rule(annotation: Any, text: str, expected: list[tuple[str, str]]) -> None:
    assert faults(annotation, text) == expected


def test_a_value_that_the_model_refuses_is_not_sent() -> None:
    with pytest.raises(Refused) as caught:
        send(list[User], [{"name": 1}])
    assert caught.value.faults == (Fault("$[0].name", "input should be a valid string"),)
    with pytest.raises(Refused) as caught:
        send(Duck, {})
    assert caught.value.faults == (Fault("$", "refused by its type"),)


def test_a_type_that_pydantic_refuses_is_refused_at_declaration() -> None:
    class Unknown:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            raise TypeError("no")

    with pytest.raises(UsageError, match=r"it has the type .* which JSON cannot carry: pydantic refuses it: no"):
        reading(Unknown, "it")


def test_an_address_is_refused_at_declaration_without_the_package_that_checks_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "email_validator", None)
    monkeypatch.setattr(pydantic.networks, "email_validator", None)
    words = r"^it has the type .*EmailStr.*pydantic refuses it: email-validator is not installed, run `pip install"
    with pytest.raises(UsageError, match=words):
        reading(pydantic.EmailStr, "it")


@pytest.mark.parametrize(
    ("annotation", "kinds"),
    [
        (User, ("object",)),
        (Ints, EVERY_KIND),
        (Duck, EVERY_KIND),
        (Unlike, ("array",)),
        (pydantic.HttpUrl, ("string",)),
        (pydantic.ByteSize, ("string", "number")),
        (pydantic.ImportString, ("string",)),
        (Unschooled, EVERY_KIND),
    ],
)
def test_the_kinds_of_json_that_a_type_takes_are_those_of_its_schema(annotation: Any, kinds: tuple[str, ...]) -> None:
    assert reading(annotation, "it").kinds == kinds


def test_a_model_with_several_names_for_a_member_is_read_by_pydantic() -> None:
    for model, text in ((ByName, '{"value":1}'), (ByPath, '{"a":[1]}')):
        assert reading(model, "it").members is None
        assert read(model, text).value == 1


def test_a_schema_of_a_model_names_it() -> None:
    (wire,) = described([User], sends=False)
    assert (wire.declared, wire.__name__, wire.__module__) == (User, "User", __name__)


def test_a_schema_stands_for_the_declared_type() -> None:
    assert adapter_of(Duck).json_schema(ref_template="", mode="serialization") == {"title": "serialization"}
    assert Described.declared is None
