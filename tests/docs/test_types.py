"""The table of docs/types.md: what every kind of type does, as it is done."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import re
import uuid
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import annotated_types
import attrs
import pydantic
from msgspec import Meta, Struct
from posthouse.core.service.method import Method
from posthouse.core.values.errors import RpcError, UsageError

DOCUMENT = Path(__file__).parents[2] / "docs" / "types.md"


class Point(Struct):
    x: int
    y: int = 0


class Closed(Struct, forbid_unknown_fields=True):
    x: int


class Positive(Struct):
    x: int

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("the text of user code")


@dataclasses.dataclass
class Job:
    title: str
    state: str = "queued"


@dataclasses.dataclass
class Account:
    name: str
    admin: bool = dataclasses.field(default=False, init=False)


def twice(value: int) -> int:
    return value * 2


def is_even(value: int) -> bool:
    return value % 2 == 0


@attrs.define
class Place:
    _size: int = attrs.field(converter=twice)


class Options(TypedDict):
    depth: int
    name: NotRequired[str]


class Pair(NamedTuple):
    left: int
    right: int = 0


class Colour(enum.Enum):
    RED = "red"


class User(pydantic.BaseModel):
    name: str
    age: int = pydantic.Field(ge=0, default=0)


class Cat(Struct, tag=True):
    lives: int


class Dog(Struct, tag=True):
    tricks: int


@dataclasses.dataclass
class Circle:
    radius: int


@dataclasses.dataclass
class Square:
    side: int


CASES: Mapping[str, tuple[Any, str, str]] = {
    "`int`": (int, "3", '"3"'),
    "`float`": (float, "3", '"3"'),
    "`str`": (str, '"a"', "1"),
    "`bytes` (base64)": (bytes, '"YQ=="', '"?"'),
    "`Decimal`": (Decimal, '"1.50"', '"x"'),
    "`datetime`": (datetime.datetime, '"2026-01-01T00:00:00Z"', '"x"'),
    "`date`": (datetime.date, '"2026-01-01"', '"x"'),
    "`timedelta`": (datetime.timedelta, '"PT1M"', '"x"'),
    "`UUID`": (uuid.UUID, '"00000000-0000-0000-0000-000000000001"', '"x"'),
    "`Path`": (Path, '"a/b"', "1"),
    "`Enum`": (Colour, '"red"', '"green"'),
    "`Literal`": (Literal["a", 1], '"a"', '"b"'),
    "`Any`, `object`, none": (Any, '{"a":[1]}', ""),
    "`list`, `Sequence`": (list[int], "[1]", '["a"]'),
    "`set`, `frozenset` (sorted)": (set[int], "[2,1]", '["a"]'),
    "`tuple`": (tuple[int, str], '[1,"a"]', "[1]"),
    "`dict`, `Mapping`": (dict[str, int], '{"a":1}', '{"a":"b"}'),
    "`Optional[T]`": (int | None, "null", '"a"'),
    "Struct": (Point, '{"x":1,"z":9}', '{"x":"a"}'),
    "Struct, `forbid_unknown_fields`": (Closed, '{"x":1}', '{"x":1,"z":9}'),
    "Struct with `__post_init__`": (Positive, '{"x":1}', '{"x":-1}'),
    "dataclass": (Job, '{"title":"a"}', '{"title":"a","z":9}'),
    "dataclass, `init=False`": (Account, '{"name":"a"}', '{"name":"a","admin":true}'),
    "attrs class (names of its constructor, converters)": (Place, '{"size":1}', '{"_size":1}'),
    "`TypedDict`": (Options, '{"depth":1}', '{"depth":1,"z":9}'),
    "`NamedTuple`": (Pair, "[1]", "[1,2,3]"),
    "pydantic model": (User, '{"name":"a","z":9}', '{"name":"a","age":-1}'),
    "`HttpUrl` and other types of pydantic": (pydantic.HttpUrl, '"http://a.b/"', '"x"'),
    "`EmailStr` (needs `pydantic[email]`)": (pydantic.EmailStr, '"ada@example.com"', '"ada"'),
    "union of Structs with tags": (Cat | Dog, '{"type":"Dog","tricks":1}', '{"type":"Cow"}'),
    "union of classes with different members": (Circle | Square, '{"side":1}', '{"radius":1,"side":1}'),
    "`Annotated[…, msgspec.Meta(…)]`": (Annotated[int, Meta(ge=1)], "1", "0"),
    "`Annotated[…, annotated_types.Ge(…)]`": (Annotated[int, annotated_types.Ge(1)], "1", "0"),
    "`Annotated[…, pydantic.Field(…)]`": (Annotated[str, pydantic.Field(pattern="^a")], '"a"', '"b"'),
}

REFUSED: Mapping[str, Any] = {
    "`Annotated[…, pydantic.AfterValidator(…)]`": Annotated[int, pydantic.AfterValidator(twice)],
    "`Annotated[…, annotated_types.Predicate(…)]`": Annotated[int, annotated_types.Predicate(is_even)],
    "`x: int = pydantic.Field(gt=0)`": dataclasses.make_dataclass("Held", [("x", int, pydantic.Field(gt=0))]),
    "a pattern with flags": Annotated[str, pydantic.Field(pattern=re.compile("^a", re.IGNORECASE))],
    "`dict[pydantic.HttpUrl, …]`": dict[pydantic.HttpUrl, int],
    "`Path | str`": Path | str,
    "a class without members": type("Opaque", (), {}),
}


def method(annotation: Any) -> Method:
    def echo(value: Any) -> Any:
        return value

    echo.__annotations__ = {"value": annotation, "return": annotation}
    return Method.of(echo, name="echo", public=True)


def row(name: str, annotation: Any, given: str, refused: str) -> str:
    echo = method(annotation)
    (value,), _ = echo.bind(f"[{given}]".encode())
    sent = echo.encode_result(value).decode()
    said = "nothing is refused"
    if refused:
        try:
            echo.bind(f"[{refused}]".encode())
        except RpcError as error:
            data = json.loads(json.dumps(error.data))
            place = f" at `{data['path']}`" if "path" in data else ""
            said = f"`{refused}`: {data['reason']}{place}"
    return f"| {name} | `{given}` | `{sent}` | {said.replace('|', chr(92) + '|')} |"


def test_the_table_says_what_every_kind_of_type_does() -> None:
    rows = [row(name, *case) for name, case in CASES.items()]
    document = DOCUMENT.read_text(encoding="utf-8")
    assert "\n".join(rows) in document, "\n" + "\n".join(rows)


def test_what_is_refused_at_declaration_is_listed() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    for name, annotation in REFUSED.items():
        assert f"- {name}" in document, name
        try:
            method(annotation)
        except UsageError:
            continue
        raise AssertionError(name)
