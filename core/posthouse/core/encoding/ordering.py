"""Sets as JSON arrays in one order, independent of hashes.

The order of a set differs from one process to the next, and nothing observable may depend on it. So every value that is
sent has its sets replaced by sorted arrays.
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
"""Types whose values contain no others. It is never iterated."""

_write = Encoder(enc_hook=write_custom).encode


def ordered(value: Any) -> Any:
    """The value with each set replaced by an array, in containers and in fields whose types may contain sets.

    The value itself is not changed. Integers and strings are sorted as such, other members by their JSON. Models encode
    themselves, in their own order. Raises any exception that the conversion of a member raises.
    """
    kind: Any = type(value)
    if kind in PLAIN:
        return value
    # Most containers hold plain values only. This check runs in C, without a Python step for each value.
    if isinstance(value, dict):
        if PLAIN.issuperset(map(type, value.values())):
            return value
        return {key: held if type(held) in PLAIN else ordered(held) for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        return value if PLAIN.issuperset(map(type, value)) else list(map(ordered, value))
    if isinstance(value, (set, frozenset)):
        return sorted_array(value)
    return _with_fields(value, _fields(kind))


def sorted_array(members: Iterable[Any]) -> list[Any]:
    """The members of a set as an array: integers and strings sorted as such, others by their JSON."""
    kinds = list(dict.fromkeys(map(type, members)))
    if kinds in ([int], [str]):
        return sorted(members)
    return [Raw(text) for text in sorted(_write(ordered(member)) for member in members)]


def _with_fields(value: Any, names: tuple[str, ...]) -> Any:
    """The value, or a copy with ordered fields if one of them contains a set."""
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
    """The fields of a Struct, a dataclass or an attrs class that may contain sets. Other types have no such fields."""
    try:
        info = inspect.type_info(kind)
    except (TypeError, ValueError, NameError, LookupError):
        return _names(kind)  # its annotations cannot be read, so any field may contain a set
    if not isinstance(info, inspect.StructType | inspect.DataclassType):
        return ()
    return tuple(field.name for field in info.fields if may_hold_sets(field.type))


def _names(kind: Any) -> tuple[str, ...]:
    if issubclass(kind, Struct):
        return tuple(kind.__struct_fields__)
    declared = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else getattr(kind, "__attrs_attrs__", ())
    return tuple(field.name for field in declared)
