"""Sets as JSON: in one order, whatever their hashes are.

A set is iterated in an order that differs from one process to the next, and nothing observable may depend on that. So
what leaves has its sets replaced by arrays. Nothing here knows methods or calls.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from copy import copy
from functools import lru_cache
from typing import Any, Final

from msgspec import Raw, Struct, inspect
from msgspec.json import Encoder
from msgspec.structs import force_setattr

from .conversion import may_hold_sets, write_custom

PLAIN: Final = frozenset((str, int, float, bool, type(None), Raw))
"""Types of values that hold no others. Only asked whether a type is among them."""

_write = Encoder(enc_hook=write_custom).encode


def ordered(value: Any) -> Any:
    """The value with an array in place of each set in it, in containers and in fields whose types allow for sets.

    It changes nothing in place. Numbers and texts are sorted as such, other members by their JSON. Objects that write
    themselves (models) are left to their own order. Raises what the conversion of a member raises.
    """
    kind: Any = type(value)
    if kind in PLAIN:
        return value
    # Most containers hold nothing but plain values: to see that takes no step of the interpreter for each.
    if isinstance(value, dict):
        if PLAIN.issuperset(map(type, value.values())):
            return value
        return {key: held if type(held) in PLAIN else ordered(held) for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        return value if PLAIN.issuperset(map(type, value)) else list(map(ordered, value))
    if isinstance(value, (set, frozenset)):
        return _array(value)
    return _with_fields(value, _fields(kind))


def _array(members: Iterable[Any]) -> list[Any]:
    kinds = list(dict.fromkeys(map(type, members)))
    if kinds in ([int], [str]):
        return sorted(members)
    return [Raw(text) for text in sorted(_write(ordered(member)) for member in members)]


def _with_fields(value: Any, names: tuple[str, ...]) -> Any:
    """A copy with its fields ordered, where one of them holds a set."""
    changed: dict[str, Any] = {}
    for name in names:
        held = getattr(value, name, None)
        if (other := ordered(held)) is not held:
            changed[name] = other
    if not changed:
        return value
    value = copy(value)
    put = force_setattr if isinstance(value, Struct) else object.__setattr__  # frozen or not
    for name, other in changed.items():
        put(value, name, other)
    return value


@lru_cache(1024)
def _fields(kind: type) -> tuple[str, ...]:
    """The fields of a Struct, a dataclass or an attrs class that may hold sets; of any other type none."""
    try:
        info = inspect.type_info(kind)
    except (TypeError, ValueError, NameError):
        return _names(kind)  # its annotations cannot be read, which takes nothing from what it holds
    if not isinstance(info, inspect.StructType | inspect.DataclassType):
        return ()
    return tuple(field.name for field in info.fields if may_hold_sets(field.type))


def _names(kind: Any) -> tuple[str, ...]:
    if issubclass(kind, Struct):
        return tuple(kind.__struct_fields__)
    declared = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else getattr(kind, "__attrs_attrs__", ())
    return tuple(field.name for field in declared)
