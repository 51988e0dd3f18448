"""Plans of classes with members.

Reading: msgspec reads a Struct of the members that the constructor takes, and the constructor makes the instance.
Sending: exactly the declared members, taken from an instance of the class or of a subclass.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Mapping
from dataclasses import is_dataclass
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from msgspec import UNSET, UnsetType, defstruct, field
from msgspec.structs import astuple
from posthouse.core.values.errors import UsageError

from .constraints import check_default
from .conversion import Refused, must_be_plain
from .members import MAPPING, OBJECT, STRUCT, TUPLE, Member, Shape
from .plan import Compiling, Convert, Plan

EITHER: Final = inspect.Parameter.POSITIONAL_OR_KEYWORD


def class_plan(compiling: Compiling, annotation: Any, shape: Shape) -> Plan:
    """The plan of a class."""
    known = compiling.classes.get(annotation)
    if known is not None:
        return known
    if shape.form not in (STRUCT, TUPLE) or not shape.plain:
        compiling.special = True
    if shape.form not in (MAPPING, TUPLE, STRUCT):
        _check_constructor(compiling, shape)
    plan = compiling.classes[annotation] = Plan(None, kinds=("array",) if shape.array_like else ("object",))
    plan.label = label(annotation)
    plan.cls = shape.cls
    plan.closed = shape.closed
    plan.tag = None if shape.tag is None else (shape.tag_field, shape.tag)
    members = [member for member in shape.members if (member.sent if compiling.sends else member.keyword is not None)]
    mirror = plan.wire = plan.yields = _mirror(compiling, plan.label, shape, members)
    steps: list[tuple[Member, Plan]] = []
    plan.convert = _later(plan)
    where = compiling.where
    for index, member in enumerate(members):
        compiling.where = f"{where}, member {member.name!r} of {plan.label!r},"
        check_default(member.default, compiling.where)
        part = compiling.plan(member.annotation)
        steps.append((member, part))
        optional = _may_be_absent(compiling, shape, member) and not compiling.describes
        mirror.__annotations__[f"p{index}"] = part.wire | UnsetType if optional else part.wire
    compiling.where = where
    plan.members = [(member.name, part, member.required) for member, part in steps]
    as_is = all(part.convert is None for _, part in steps)
    if not compiling.sends:
        if shape.form is STRUCT and not compiling.describes and _is_native(steps):
            plan.wire, plan.yields, plan.convert = annotation, shape.cls, None
        else:
            plan.convert = _read(shape, steps)
    elif shape.form is TUPLE and as_is:
        plan.convert = None
    else:
        whole = _is_sent_whole(shape, by_member=compiling.by_member)
        plan.exact = frozenset((shape.cls,) if as_is and whole else ())
        plan.convert = _send(plan, shape, steps, whole=whole)
    return plan


def _later(plan: Plan) -> Convert:
    """The conversion of a class inside itself, while its plan is being made."""

    def convert(value: Any) -> Any:
        own: Any = plan.convert
        return own(value)

    return convert


def _is_native(steps: list[tuple[Member, Plan]]) -> bool:
    """Does msgspec read each member as it is declared?"""
    return all(part.convert is None and part.wire == member.annotation for member, part in steps)


def _is_sent_whole(shape: Shape, *, by_member: bool) -> bool:
    """Does msgspec send all members of an instance, and nothing else? Of a dataclass it sends those that are on the
    instance; a default may be on the class only, and then the check of the JSON misses it."""
    if shape.form is STRUCT:
        return True
    plain = is_dataclass(shape.cls) and not hasattr(shape.cls, "__attrs_attrs__") and not by_member
    return plain and all(member.keyword is not None and member.sent for member in shape.members)


def label(annotation: Any) -> str:
    """The name of a class or an alias, with its type arguments."""
    arguments = ", ".join(label(argument) for argument in get_args(annotation))
    name = getattr(get_origin(annotation) or annotation, "__name__", str(annotation))
    return f"{name}[{arguments}]" if arguments else name


def _check_constructor(compiling: Compiling, shape: Shape) -> None:
    """Raise UsageError unless the constructor takes the members that it must take."""
    try:
        inspect.signature(shape.cls).bind(**{m.keyword: None for m in shape.members if m.keyword is not None})
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{compiling.where} has the type {shape.cls.__qualname__!r}, whose constructor does not take its members: "
            f"{error}: let the decorator make `__init__`"
        ) from None


def _may_be_absent(compiling: Compiling, shape: Shape, member: Member) -> bool:
    if compiling.sends and shape.form is not MAPPING and not compiling.describes:
        return _may_be_unset(member.annotation) or (shape.omit_defaults and not member.required)
    return not member.required


def _may_be_unset(annotation: Any) -> bool:
    """May an instance have UNSET there? It is left out of the JSON."""
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return any(map(_may_be_unset, get_args(annotation)))
    return annotation is UnsetType


def _mirror(compiling: Compiling, name: str, shape: Shape, members: list[Member]) -> Any:
    """A Struct of the members as they are in JSON. Its annotations are filled in later."""
    fields: list[Any] = []
    for index, member in enumerate(members):
        own = f"p{index}"
        if not _may_be_absent(compiling, shape, member):
            fields.append((own, Any))
        elif compiling.describes and member.default is not UNSET:
            fields.append((own, Any, _default(member.default)))
        elif compiling.describes and member.factory is not UNSET:
            fields.append((own, Any, field(default_factory=member.factory)))
        else:
            fields.append((own, Any, UNSET))
    doc = shape.cls.__doc__ if shape.form not in (MAPPING,) else None
    if doc and doc.startswith(f"{shape.cls.__name__}("):
        doc = None  # a dataclass's own
    mirror = defstruct(
        name,
        fields,
        module=shape.cls.__module__,
        namespace={"__doc__": doc, "__qualname__": shape.cls.__qualname__ if shape.form is not MAPPING else name},
        rename={f"p{index}": member.name for index, member in enumerate(members)},
        tag=shape.tag,
        tag_field=shape.tag_field,
        array_like=shape.array_like,
        kw_only=not shape.array_like,
        forbid_unknown_fields=shape.closed and (compiling.describes or not compiling.sends),
        eq=False,
        gc=False,
    )
    compiling.outlines[mirror] = defstruct(
        name, [], tag=shape.tag, tag_field=shape.tag_field, array_like=shape.array_like
    )
    return mirror


def _default(value: Any) -> Any:
    """A default for a Struct, which wants a factory for empty containers only."""
    return field(default=value) if isinstance(value, Hashable) else field(default_factory=lambda: value)


def _read(shape: Shape, steps: list[tuple[Member, Plan]]) -> Convert:
    """Call the constructor with the values of the mirror. UNSET: the client left it out."""
    make = shape.make
    keywords: list[Any] = [member.keyword for member, _ in steps]
    # What Python itself would give the constructor, if it takes these members in this order.
    taken = inspect.signature(shape.cls).parameters.values() if shape.form in (OBJECT, TUPLE) else ()
    first = {parameter.name: parameter.default for parameter in taken if parameter.kind is EITHER}
    in_order = [*first][: len(keywords)] == keywords and all(
        member.required or first[keyword] is not inspect.Parameter.empty
        for keyword, (member, _) in zip(keywords, steps, strict=True)
    )
    changing: list[tuple[int, Convert | None, Any]] = [
        (place, part.convert, first[keywords[place]] if in_order else UNSET)
        for place, (member, part) in enumerate(steps)
        if part.convert is not None or not member.required
    ]

    def convert_plain(values: Any) -> Any:
        return make(*astuple(values))

    def convert_in_order(values: Any) -> Any:
        return make(*changed(values))

    def convert_by_name(values: Any) -> Any:
        given = zip(keywords, changed(values), strict=True)
        return make(**{keyword: value for keyword, value in given if value is not UNSET})

    def changed(values: Any) -> list[Any]:
        done = [*astuple(values)]
        for place, read, default in changing:
            value = done[place]
            if value is UNSET:
                done[place] = default
            elif read is not None:
                done[place] = read(value)
        return done

    if not in_order:
        return convert_by_name
    return convert_in_order if changing else convert_plain


def _send(plan: Plan, shape: Shape, steps: list[tuple[Member, Plan]], *, whole: bool) -> Convert:
    cls, name = shape.cls, plan.label
    changing: list[tuple[str, Convert]] = [(m.attribute, part.convert) for m, part in steps if part.convert is not None]

    def convert(value: Any) -> Any:
        if type(value) is cls and whole and (not changing or is_as_declared(value)):
            return value
        if shape.form is MAPPING:
            return picked(value) if isinstance(value, Mapping) else must_be_plain(value, name)
        if isinstance(value, cls):
            return members_of(value)
        if isinstance(value, Mapping):
            return from_mapping(value)
        return must_be_plain(value, name)

    def is_as_declared(instance: Any) -> bool:
        """Would each member be sent as msgspec sends it?"""
        try:
            for attribute, send in changing:
                value = getattr(instance, attribute)
                if value is not UNSET and send(value) is not value:
                    return False
        except Refused:
            return False
        return True

    def members_of(instance: Any) -> Any:
        done: dict[str, Any] = {}
        if plan.tag is not None:
            done[plan.tag[0]] = plan.tag[1]
        for member, part in steps:
            value = getattr(instance, member.attribute)
            if value is UNSET or (shape.omit_defaults and _is_default(member, value)):
                if shape.array_like:
                    done[member.name] = value
                continue
            done[member.name] = converted(part, member.name, value)
        return list(done.values()) if shape.array_like else done

    def picked(values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            member.name: converted(part, member.name, values[member.name])
            for member, part in steps
            if member.name in values
        }

    def from_mapping(values: Mapping[str, Any]) -> Any:
        """A dict in place of an instance: the constructor makes the instance, with its defaults and its checks."""
        if any(member.required and member.keyword and member.name not in values for member, _ in steps):
            return dict(values)  # the check of the JSON says what is missing
        taken = {m.keyword: values[m.name] for m in shape.members if m.keyword is not None and m.name in values}
        return members_of(cls(**taken))

    def converted(part: Plan, name: str, value: Any) -> Any:
        if part.convert is None:
            return value
        try:
            return part.convert(value)
        except Refused as refused:
            raise refused.inside(f".{name}") from None

    return convert


def _is_default(member: Member, value: Any) -> bool:
    if member.factory is not UNSET:
        return bool(value == member.factory())
    return member.default is not UNSET and bool(value == member.default)
