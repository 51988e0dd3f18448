"""A service with a method for each way to declare the type of a parameter or a result.

Most methods return their argument, so that one call shows how a type is read and how it is sent.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import KW_ONLY, InitVar, dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Generic, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from posthouse.core.service.service import Service

T = TypeVar("T")

Name = NewType("Name", str)
Percent = Annotated[float, Meta(ge=0, le=100)]
Code = Annotated[
    str, Meta(pattern="^[a-z]+[0-9]$", min_length=2, max_length=6, title="A code", description="Of parts.")
]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(Struct, frozen=True):
    """A place."""

    x: int
    y: int = 0


class Strict(Struct, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """Refuses members that it does not know."""

    first_name: str
    last_name: str = ""
    tags: set[str] = set()


class Line(Struct, array_like=True):
    """Two places, as an array."""

    begin: Point
    end: Point = Point(0)


class Circle(Struct, tag="circle", tag_field="shape"):
    """One of two tagged classes."""

    radius: float
    centre: Point | UnsetType = UNSET


class Square(Struct, tag="square", tag_field="shape"):
    """The other one."""

    side: float
    corners: frozenset[tuple[int, int]] = frozenset()


class Checked(Struct):
    """Refuses some values itself."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


class Node(Struct):
    """A class that contains itself."""

    value: int
    next: Node | None = None
    others: list[Node] = []


@dataclass
class Address:
    """A dataclass with every kind of member."""

    street: str
    number: int = 1
    lines: list[str] = field(default_factory=list)
    secret: str = field(default="none", init=False)
    scale: InitVar[int] = 1
    _: KW_ONLY
    zip: str | None = None

    def __post_init__(self, scale: int) -> None:
        self.number *= scale


@dataclass(frozen=True)
class Box(Generic[T]):
    """A generic dataclass."""

    content: T
    more: tuple[T, ...] = ()


@dataclass
class Cat:
    """Told from a dog by a member that only it has."""

    lives: int


@dataclass
class Dog:
    """Told from a cat by a member that only it has."""

    tricks: list[str]


@dataclass
class Car:
    """Told from a bike by a literal."""

    kind: Literal["car"]
    doors: int = 4


@dataclass
class Bike:
    """Told from a car by a literal."""

    kind: Literal["bike"]


class Pair(NamedTuple):
    """A named tuple."""

    left: int
    right: Point = Point(7)


class Order(TypedDict):
    """A dict with known members."""

    id: int
    note: NotRequired[str]
    places: list[Address]


class Loose(TypedDict, total=False):
    """A dict whose members may all be missing."""

    a: int
    b: set[int]


catalogue: Final = Service("catalogue", public=True)

TYPES: Final[dict[str, Any]] = {
    "int": int,
    "bounded": Annotated[int, Meta(gt=0, lt=10, multiple_of=3)],
    "percent": Percent,
    "float": float,
    "bool": bool,
    "text": str,
    "code": Code,
    "none": None,
    "bytes": bytes,
    "decimal": decimal.Decimal,
    "uuid": uuid.UUID,
    "datetime": datetime.datetime,
    "aware": Annotated[datetime.datetime, Meta(tz=True)],
    "date": datetime.date,
    "time": datetime.time,
    "duration": datetime.timedelta,
    "path": PurePosixPath,
    "literal": Literal["a", 1, None],
    "colour": Colour,
    "level": Level,
    "name": Name,
    "any": Any,
    "object": object,
    "raw": Raw,
    "optional": int | None,
    "scalar": int | str | bool | None,
    "list": list[int],
    "short": Annotated[list[str], Meta(min_length=1, max_length=2)],
    "sequence": Sequence[Point],
    "set": set[int],
    "few": Annotated[set[int], Meta(min_length=2)],
    "abstract": AbstractSet[str],
    "points": frozenset[Point],
    "tuple": tuple[int, str],
    "tuples": tuple[int, ...],
    "empty": tuple[()],
    "pairs": tuple[Address, int],
    "dict": dict[str, int],
    "by_number": dict[int, set[int]],
    "mapping": Mapping[Colour, Address],
    "point": Point,
    "strict": Strict,
    "line": Line,
    "tagged": Circle | Square,
    "tags": list[Circle | Square],
    "checked": Checked,
    "checks": list[Checked],
    "node": Node,
    "address": Address,
    "addresses": list[Address],
    "maybe_address": Address | None,
    "box": Box[int],
    "boxes": Box[Box[Address]],
    "animal": Cat | Dog,
    "animals": dict[str, Cat | Dog],
    "vehicle": Car | Bike | int,
    "pair": Pair,
    "order": Order,
    "loose": Loose,
    "deep": dict[str, list[tuple[Order, Pair | None]]],
}
"""The type of each method that returns its argument."""


def same(value: Any) -> Any:
    """Return the argument."""
    return value


for name, declared in TYPES.items():

    def returns(value: Any) -> Any:
        return same(value)

    returns.__annotations__ = {"value": declared, "return": declared}
    catalogue.method(name)(returns)


@catalogue.method
def either(
    first: int, second: Point = Point(1, 2), /, third: str = "c", *rest: Address, **named: Box[int]
) -> list[Any]:
    """Takes parameters of every kind."""
    return [first, second, third, rest, named]


@catalogue.method
def options(*, wanted: set[int], colour: Colour = Colour.RED, limit: Percent | None = None) -> dict[str, Any]:
    """Takes named parameters only."""
    return {"wanted": wanted, "colour": colour, "limit": limit}


@catalogue.method
def nothing() -> None:
    """Takes nothing."""


@catalogue.method("instead")
def dict_for_class(number: int) -> Address:
    """Returns something else than it declares, which is sent if the declared type can read it."""
    returned: Address = RETURNED[number]
    return returned


@catalogue.method("instead.all")
def others(number: int) -> list[Strict] | Circle | Address | int:
    """Returns something else than it declares."""
    returned: int = RETURNED[number]
    return returned


@catalogue.method("untyped")
def untyped(number: int) -> Any:
    """Returns anything."""
    return RETURNED[number]


RETURNED: Final[tuple[Any, ...]] = (
    {"street": "s", "number": 2},
    {"street": "s", "number": "two"},
    {"number": 2},
    Address("a", 2, ["b"], 3, zip="z"),
    Point(1),
    None,
    7,
    [Strict("a", tags={"d", "c", "b"}), {"firstName": "b"}],
    [Strict("a"), {"first_name": "b"}],
    {"a": {"id": 1, "places": [Address("x")], "extra": True}},
    {"a": {"id": 1, "places": [{"street": 7}]}},
    {"shape": "circle", "radius": 1.5},
    Circle(2.0, Point(1)),
    Pair(1, Point(2)),
    [1, [2, 3]],
    float("nan"),
    {1, 3, 2},
    object(),
    {"k": {Point(2), Point(1)}},
    Box(1, (2, 3)),
)
"""The values that the methods return which return something else than they declare."""
