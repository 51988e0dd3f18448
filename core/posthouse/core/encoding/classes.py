"""Plans of classes with members.

Reading: msgspec reads a Struct of the members that the constructor takes, and the constructor makes the instance.
Sending: exactly the declared members, taken from an instance of the class or of a subclass.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from typing import Any, get_args, get_origin

from msgspec import UNSET, UnsetType, defstruct, field
from msgspec.structs import astuple
from posthouse.core.values.errors import UsageError

from .conversion import Refused, must_be_plain
from .members import MAPPING, STRUCT, TUPLE, Member, Shape
from .plan import Compiling, Plan


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
    plan.label = _label(annotation)
    plan.cls = shape.cls
    plan.closed = shape.closed
    plan.tag = None if shape.tag is None else (shape.tag_field, shape.tag)
    members = [member for member in shape.members if (member.sent if compiling.sends else member.keyword is not None)]
    mirror = plan.wire = plan.yields = _mirror(compiling, plan.label, shape, members)
    steps: list[tuple[Member, Plan]] = []
    plan.convert = _send(plan, shape, steps) if compiling.sends else _read(shape, steps)
    where = compiling.where
    for index, member in enumerate(members):
        compiling.where = f"{where}, member {member.name!r} of {plan.label!r},"
        part = compiling.plan(member.annotation)
        steps.append((member, part))
        optional = _may_be_absent(compiling, shape, member) and not compiling.describes
        mirror.__annotations__[f"p{index}"] = part.wire | UnsetType if optional else part.wire
    compiling.where = where
    plan.members = [(member.name, part, member.required) for member, part in steps]
    if compiling.sends and shape.form is STRUCT and shape.plain and all(part.convert is None for _, part in steps):
        plan.exact = shape.cls
    if compiling.sends and shape.form is TUPLE and all(part.convert is None for _, part in steps):
        plan.convert = None
    return plan


def _label(annotation: Any) -> str:
    """The name of a class, with its type arguments."""
    arguments = ", ".join(_label(argument) for argument in get_args(annotation))
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
        return shape.omit_defaults and not member.required
    return not member.required


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
    return defstruct(
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


def _default(value: Any) -> Any:
    """A default for a Struct, which wants a factory for empty containers only."""
    return field(default=value) if isinstance(value, Hashable) else field(default_factory=lambda: value)


def _read(shape: Shape, steps: list[tuple[Member, Plan]]) -> Callable[[Any], Any]:
    make = shape.make
    keywords: list[Any] = []
    optional: list[Any] = []
    converting: list[tuple[Any, Any]] = []

    def convert(values: Any) -> Any:
        if not keywords:  # the first value: the plans of all members are complete
            keywords.extend(member.keyword for member, _ in steps)
            optional.extend(member.keyword for member, _ in steps if not member.required)
            converting.extend((member.keyword, part.convert) for member, part in steps if part.convert is not None)
        arguments = dict(zip(keywords, astuple(values), strict=True))
        for keyword in optional:
            if arguments[keyword] is UNSET:
                del arguments[keyword]
        for keyword, read in converting:
            if keyword in arguments:
                arguments[keyword] = read(arguments[keyword])
        return make(**arguments)

    return convert


def _send(plan: Plan, shape: Shape, steps: list[tuple[Member, Plan]]) -> Callable[[Any], Any]:
    cls, is_struct, label = shape.cls, shape.form is STRUCT, plan.label

    def convert(value: Any) -> Any:
        if type(value) is cls and is_struct:
            if plan.exact is not None or not any(_changes(value, member, part) for member, part in steps):
                return value
            return members_of(value)
        if shape.form is MAPPING:
            return picked(value) if isinstance(value, Mapping) else must_be_plain(value, label)
        if isinstance(value, cls):
            return members_of(value)
        if isinstance(value, Mapping):
            return from_mapping(value)
        return must_be_plain(value, label)

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


def _changes(instance: Any, member: Member, part: Plan) -> bool:
    """Would this member be sent as another value than msgspec would send?"""
    if part.convert is None:
        return False
    value = getattr(instance, member.attribute)
    if value is UNSET:
        return False
    try:
        return part.convert(value) is not value
    except Refused:
        return True


def _is_default(member: Member, value: Any) -> bool:
    if member.factory is not UNSET:
        return bool(value == member.factory())
    return member.default is not UNSET and bool(value == member.default)
