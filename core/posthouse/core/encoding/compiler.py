"""The compiler of plans: one annotation, for reading or for sending."""

from __future__ import annotations

import collections.abc
import decimal
import enum
import types
from typing import Annotated, Any, Final, Literal, NewType, TypeVar, Union, get_args, get_origin

from msgspec import Meta, Raw, UnsetType, inspect, json
from posthouse.core.values.errors import UsageError

from .classes import class_plan, label
from .constraints import constraints
from .containers import container
from .conversion import Refused, check, is_path, read_custom, validates_itself, write_custom
from .members import shape_of, substitute
from .models import model
from .ordering import ordered
from .plan import EVERY_KIND, Compiling, Convert, Plan
from .unions import union

CONTAINERS: Final[dict[Any, Any]] = {
    list: list,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Collection: list,
    set: set,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
    frozenset: frozenset,
    tuple: tuple,
    dict: dict,
    collections.abc.Mapping: dict,
    collections.abc.MutableMapping: dict,
}

KINDS: Final[dict[Any, tuple[str, ...]]] = {
    UnsetType: (),
    type(None): ("null",),
    bool: ("boolean",),
    int: ("number",),
    float: ("number",),
    decimal.Decimal: ("number", "string"),
}
"""Kinds of JSON of types that are not strings."""

SCALARS: Final = (type(None), bool, int, float, str)
"""Types whose instances are sent as they are."""

FORMATS: Final = {"datetime.datetime": "date-time", "datetime.time": "time"}
"""Formats in JSON Schema that msgspec leaves out, by the names of the types."""


class Recursive:
    """The wire type of a recursive alias, for its JSON Schema: a reference to the schema of `wire`."""

    wire: Any = None


def reading(annotation: Any, where: str) -> Plan:
    """How values of this type are read. Raises UsageError if the declaration cannot hold; `where` names its place."""
    return _compiled(Compiler(where, sends=False), annotation)[0]


def sending(annotation: Any, where: str, *, by_member: bool = False) -> tuple[Plan, bool]:
    """How values of this type are sent, and whether they may contain sets. Raises UsageError, as `reading`."""
    return _compiled(Compiler(where, sends=True, by_member=by_member), annotation)


def described(annotations: list[Any], *, sends: bool) -> list[Any]:
    """The types whose JSON Schemas describe what is read, or what is sent."""
    compiler = Compiler("a method", sends=sends, describes=True)
    return [compiler.compile(annotation).wire for annotation in annotations]


def _compiled(compiler: Compiler, annotation: Any) -> tuple[Plan, bool]:
    plan = compiler.compile(annotation)
    where = compiler.where
    if not compiler.special:
        return plan, check(annotation, where)
    try:
        inspect.type_info(annotation)
    except (TypeError, ValueError, NameError, LookupError, RecursionError, NotImplementedError):
        return plan, check(plan.wire, where)  # a union, or an attrs class of a kind, that msgspec cannot read
    return plan, check(plan.wire, where) | check(annotation, where)


class Compiler(Compiling):
    """Makes the plan of one annotation."""

    def __init__(self, where: str, *, sends: bool, describes: bool = False, by_member: bool = False) -> None:
        super().__init__(where, sends=sends, describes=describes, by_member=by_member)
        self._aliases: dict[Any, Plan | None] = {}
        self._recursive: dict[Any, type[Recursive]] = {}

    def compile(self, annotation: Any) -> Plan:
        """The whole plan."""
        try:
            plan = self.plan(annotation)
            for finish in self.later:
                finish()
            json.Decoder(plan.wire, dec_hook=read_custom)
        except (TypeError, ValueError, NameError, AttributeError, SyntaxError, RecursionError) as error:
            raise UsageError(f"{self.where} has the type {annotation!r}, which JSON cannot carry: {error}") from None
        if not self.special and not self.describes and not self.sends:
            plan.wire, plan.convert = annotation, None
        return plan

    def plan(self, annotation: Any) -> Plan:
        """The plan of a part."""
        origin = get_origin(annotation)
        if annotation is None:
            return self._leaf(type(None))
        if origin is Annotated:
            return self._annotated(annotation)
        if origin in (Union, types.UnionType):
            return union(self, get_args(annotation))
        if isinstance(annotation, TypeVar):
            return self.plan(annotation.__bound__ or Any)
        if isinstance(annotation, NewType):
            return self.plan(annotation.__supertype__)
        if hasattr(origin or annotation, "__value__"):
            return self._alias(annotation, origin)
        cls = origin or annotation
        if cls in CONTAINERS:
            return container(self, CONTAINERS[cls], get_args(annotation))
        if validates_itself(cls):
            return model(self, annotation)
        shape = shape_of(annotation)
        return self._leaf(annotation) if shape is None else class_plan(self, annotation, shape)

    def _annotated(self, annotation: Any) -> Plan:
        inner, *metadata = get_args(annotation)
        metas = constraints(tuple(metadata), self.where)
        plan = self.plan(inner)
        if list(metas) != metadata:
            self.special = True
        least = max((meta.min_length or 0 for meta in metas), default=0)
        is_set = CONTAINERS.get(get_origin(inner)) in (set, frozenset)
        for meta in metas:
            plan = _with_wire(plan, Annotated[plan.wire, meta])
        if least and is_set and plan.yields is list and not self.sends:
            plan.convert = _counting(plan.convert, least)
        return plan

    def _alias(self, annotation: Any, origin: Any) -> Plan:
        """A `type` alias. A recursive one is read step by step: its inner values stay JSON text at first."""
        if annotation in self._aliases:
            return self._aliases[annotation] or self._recursion(annotation)
        self._aliases[annotation] = None
        try:
            inspect.type_info(annotation)
        except (TypeError, RecursionError):
            self.special = True
        value = annotation.__value__
        if origin is not None:
            value = substitute(value, dict(zip(origin.__type_params__, get_args(annotation), strict=True)))
        plan = self.plan(value)
        if annotation in self._recursive:
            named = self._recursive[annotation]
            named.wire, plan = plan.wire, _with_wire(plan, named)
        self._aliases[annotation] = plan
        return plan

    def _recursion(self, annotation: Any) -> Plan:
        self.special = True
        if self.describes:
            if annotation not in self._recursive:
                space = {"__module__": annotation.__module__}
                self._recursive[annotation] = type(label(annotation), (Recursive,), space)
            return Plan(self._recursive[annotation])
        decoders: list[Any] = []
        write = json.Encoder(enc_hook=write_custom).encode

        def read(raw: Any) -> Any:
            whole = self._aliases[annotation]
            assert whole is not None
            if not decoders:
                decoders.append(json.Decoder(whole.wire, dec_hook=read_custom).decode)
            value = decoders[0](raw)
            return value if whole.convert is None else whole.convert(value)

        def send(value: Any) -> Any:
            whole = self._aliases[annotation]
            assert whole is not None
            data = write(ordered(value if whole.convert is None else whole.convert(value)))
            if not decoders:
                decoders.append(json.Decoder(whole.wire, dec_hook=read_custom).decode)
            decoders[0](data)
            return Raw(data)

        return Plan(Raw, send if self.sends else read, yields=Raw)

    def _leaf(self, annotation: Any) -> Plan:
        if is_path(annotation):
            self.special = True
            convert: Convert = _path_text if self.sends else annotation
            plan = Plan(str, convert, yields=str, kinds=("string",))
            plan.cls = annotation
            return plan
        if self.describes and isinstance(annotation, type):
            form = FORMATS.get(f"{annotation.__module__}.{annotation.__qualname__}")
            if form is not None:
                return Plan(Annotated[annotation, Meta(extra_json_schema={"format": form})], kinds=("string",))
        plan = Plan(annotation, kinds=_kinds(annotation))
        if annotation in SCALARS:
            plan.exact = frozenset((annotation,))
        return plan


def _with_wire(plan: Plan, wire: Any) -> Plan:
    """The plan with constraints on its wire type."""
    other = Plan(wire)
    vars(other).update(vars(plan), wire=wire)
    return other


def _counting(convert: Any, least: int) -> Convert:
    """The conversion of an array into a set that must have so many members: equal ones count once."""

    def counted(values: Any) -> Any:
        done = convert(values)
        if len(done) < least:
            raise Refused.because(f"expected array of length >= {least}")
        return done

    return counted


def _path_text(value: Any) -> Any:
    return value.__fspath__() if is_path(type(value)) else value


def _kinds(annotation: Any) -> tuple[str, ...]:
    if annotation in (Any, object, Raw):
        return EVERY_KIND
    if get_origin(annotation) is Literal:
        return tuple(dict.fromkeys(kind for value in get_args(annotation) for kind in _kinds(type(value))))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return tuple(dict.fromkeys(kind for member in annotation for kind in _kinds(type(member.value))))
    return KINDS.get(annotation, ("string",))
