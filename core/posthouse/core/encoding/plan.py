"""Plans: how values of a declared type are read from JSON and sent as JSON, compiled once at declaration.

msgspec reads and writes what it treats as declared. Other types get a *wire* type, which msgspec reads in their place,
and a function that converts its values. For reading it calls constructors, so that defaults, converters and validators
do their work. For sending it picks exactly the declared members. A type that needs none of this has itself as the wire
type, and no function.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Final

Convert = Callable[[Any], Any]

EVERY_KIND: Final = ("null", "boolean", "number", "string", "array", "object")
ARRAYS: Final = (list, tuple, set, frozenset, deque)


class Plan:
    """How values of one type are read, or sent.

    `wire` is the type that msgspec reads. `convert` turns its value into the declared one, or for sending the returned
    value into one that encodes; None: nothing to do. `yields` is the type of the wire's values. `kinds` are the kinds
    of JSON. The other attributes say what is inside, to explain faults: `members` of an object, the `item` of an array
    or of an object with any names, `items` of a tuple, `branches` of a union. Instances of the class `exact` are sent
    as they are. `check` reads one value; it is made when it is first needed.
    """

    def __init__(
        self, wire: Any, convert: Convert | None = None, *, yields: Any = None, kinds: tuple[str, ...] = EVERY_KIND
    ) -> None:
        self.wire = wire
        self.convert = convert
        self.yields = yields
        self.kinds = kinds
        self.cls: Any = None
        self.label = ""
        self.check: Any = None
        self.exact: frozenset[Any] = frozenset()
        self.members: list[tuple[str, Plan, bool]] | None = None
        self.closed = False
        self.tag: Any = None
        self.item: Plan | None = None
        self.items: tuple[Plan, ...] = ()
        self.branches: tuple[Plan, ...] = ()


class Compiling(ABC):
    """One annotation while its plan is made. `sends`: for sending. `describes`: for its JSON Schema only. `by_member`:
    the members of dataclasses are read one by one, although msgspec could send the instances.

    `special` is True once a type was found that msgspec alone does not treat as declared. `classes` are the plans of
    classes so far: classes may be recursive. msgspec must not look into the wire type of a class before all members are
    known, because it remembers them: `outlines` are empty Structs to look at instead, and `later` are the steps that
    need the wire types of all classes.
    """

    def __init__(self, where: str, *, sends: bool, describes: bool = False, by_member: bool = False) -> None:
        self.where = where
        self.sends = sends
        self.describes = describes
        self.by_member = by_member
        self.special = False
        self.classes: dict[Any, Plan] = {}
        self.outlines: dict[Any, Any] = {}
        self.later: list[Callable[[], None]] = []

    @abstractmethod
    def plan(self, annotation: Any) -> Plan:
        """The plan of a part of the annotation."""
