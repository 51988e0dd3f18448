"""The members of classes that services declare: Structs, dataclasses, attrs classes, TypedDicts, NamedTuples.

A class is described as its constructor takes it and as its instances hold it. Nothing here reads or writes values.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, NotRequired, Required, TypeVar, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, UNSET, Struct, structs

STRUCT: Final = "struct"
OBJECT: Final = "object"
MAPPING: Final = "mapping"
TUPLE: Final = "tuple"
"""The forms of a class: a Struct, a dataclass or attrs class, a TypedDict, a NamedTuple."""


class Member(Struct, frozen=True):
    """One member of a class. `name` is its name in JSON, `attribute` its name on an instance.

    `keyword` is the constructor's name for it, None if the constructor does not take it. `sent`: instances hold it.
    `default` and `factory` are UNSET if there is none.
    """

    name: str
    attribute: str
    annotation: Any
    keyword: str | None
    required: bool
    sent: bool = True
    default: Any = UNSET
    factory: Any = UNSET


class Shape(Struct, frozen=True):
    """A class with its members, in order. `closed`: other members are refused.

    `plain`: msgspec itself makes its instances exactly as the constructor does.
    """

    cls: Any
    form: str
    members: tuple[Member, ...]
    closed: bool
    plain: bool
    make: Callable[..., Any]
    tag: Any = None
    tag_field: str | None = None
    array_like: bool = False
    omit_defaults: bool = False


def shape_of(annotation: Any) -> Shape | None:
    """The shape of a class, with its type arguments, or None for other types. Raises if annotations are invalid."""
    cls = get_origin(annotation) or annotation
    if not isinstance(cls, type):
        return None
    if issubclass(cls, Struct):
        return _struct(annotation, cls)
    if hasattr(cls, "__attrs_attrs__"):
        return Shape(cls, OBJECT, tuple(_of_attrs(cls, _hints(annotation, cls))), True, False, cls)
    if dataclasses.is_dataclass(cls):
        return Shape(cls, OBJECT, tuple(_of_dataclass(cls, _hints(annotation, cls))), True, False, cls)
    if issubclass(cls, dict) and hasattr(cls, "__total__"):
        return Shape(dict, MAPPING, tuple(_of_typed_dict(cls, _hints(annotation, cls))), True, False, dict)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _named_tuple(annotation, cls)
    return None


def _struct(annotation: Any, cls: Any) -> Shape:
    config = cls.__struct_config__
    members = tuple(
        Member(field.encode_name, field.name, field.type, field.name, field.required, True, *_defaults(field))
        for field in structs.fields(annotation)
    )
    return Shape(
        cls,
        STRUCT,
        members,
        config.forbid_unknown_fields,
        not hasattr(cls, "__post_init__"),
        cls,
        config.tag,
        config.tag_field,
        config.array_like,
        config.omit_defaults,
    )


def _defaults(field: Any) -> tuple[Any, ...]:
    return tuple(UNSET if value is NODEFAULT else value for value in (field.default, field.default_factory))


def _of_dataclass(cls: Any, hints: dict[str, Any]) -> Iterator[Member]:
    for name, field in cls.__dataclass_fields__.items():
        kind = field._field_type.name
        if kind == "_FIELD_CLASSVAR":
            continue
        only_taken = kind == "_FIELD_INITVAR"
        hint = hints[name]
        yield Member(
            name,
            name,
            hint.type if isinstance(hint, dataclasses.InitVar) else hint,
            name if field.init else None,
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
            not only_taken,
            UNSET if field.default is dataclasses.MISSING else field.default,
            UNSET if field.default_factory is dataclasses.MISSING else field.default_factory,
        )


def _of_attrs(cls: Any, hints: dict[str, Any]) -> Iterator[Member]:
    for field in cls.__attrs_attrs__:
        takes_self = getattr(field.default, "takes_self", None)  # an attrs Factory has it
        required = type(field.default).__name__ == "_Nothing" or repr(field.default) == "NOTHING"
        yield Member(
            field.alias,
            field.name,
            hints.get(field.name, Any if field.type is None else field.type),
            field.alias if field.init else None,
            required,
            True,
            UNSET if required or takes_self is not None else field.default,
            field.default.factory if takes_self is False else UNSET,
        )


def _of_typed_dict(cls: Any, hints: dict[str, Any]) -> Iterator[Member]:
    for name, hint in hints.items():
        # `__required_keys__` ignores these two if annotations are strings.
        if get_origin(hint) in (Required, NotRequired):
            yield Member(name, name, get_args(hint)[0], name, get_origin(hint) is Required)
        else:
            yield Member(name, name, hint, name, name in cls.__required_keys__)


def _named_tuple(annotation: Any, cls: Any) -> Shape:
    hints = _hints(annotation, cls)
    defaults = cls._field_defaults
    members = tuple(
        Member(name, name, hints.get(name, Any), name, name not in defaults, True, defaults.get(name, UNSET))
        for name in cls._fields
    )
    return Shape(cls, TUPLE, members, True, True, cls, array_like=True)


def _hints(annotation: Any, cls: Any) -> dict[str, Any]:
    """The annotations of a class as types. Type variables are replaced by the arguments of generic classes."""
    hints = get_type_hints(cls, include_extras=True)
    known: dict[Any, Any] = {}
    _collect(annotation, cls, known)
    return {name: substitute(hint, known) for name, hint in hints.items()}


def _collect(annotation: Any, cls: Any, known: dict[Any, Any]) -> None:
    for variable, argument in zip(getattr(cls, "__parameters__", ()), get_args(annotation), strict=False):
        known[variable] = substitute(argument, known)
    for base in getattr(cls, "__orig_bases__", ()):
        origin = get_origin(base)
        if isinstance(origin, type) and origin is not Generic:
            _collect(base, origin, known)


def substitute(hint: Any, known: dict[Any, Any]) -> Any:
    """The hint with type variables replaced."""
    if isinstance(hint, TypeVar):
        return known.get(hint, hint)
    if isinstance(hint, dataclasses.InitVar):
        return substitute(hint.type, known)
    variables = () if isinstance(hint, type) and not isinstance(hint, types.GenericAlias) else hint_parameters(hint)
    return hint[tuple(known.get(variable, Any) for variable in variables)] if variables else hint


def hint_parameters(hint: Any) -> tuple[Any, ...]:
    """The type variables that are free in a hint."""
    found = getattr(hint, "__parameters__", ())
    return found if isinstance(found, tuple) else ()
