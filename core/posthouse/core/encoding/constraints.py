"""Constraints in `Annotated`, of msgspec, annotated_types and pydantic, as msgspec's own.

They are recognised by the names of their classes, so that nothing needs to be installed or imported. A constraint that
msgspec cannot express is refused: nothing that is declared is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec import Meta
from posthouse.core.values.errors import UsageError

LIBRARIES: Final = ("annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing")

BOUNDS: Final[dict[str, dict[str, str]]] = {
    "Gt": {"gt": "gt"},
    "Ge": {"ge": "ge"},
    "Lt": {"lt": "lt"},
    "Le": {"le": "le"},
    "Interval": {"gt": "gt", "ge": "ge", "lt": "lt", "le": "le"},
    "MultipleOf": {"multiple_of": "multiple_of"},
    "MinLen": {"min_length": "min_length"},
    "MaxLen": {"max_length": "max_length"},
    "Len": {"min_length": "min_length", "max_length": "max_length"},
}
"""Constraints of annotated_types: the attributes of each, and the arguments of Meta with the same meaning."""

DESCRIBE: Final = ("annotation", "title", "description", "examples", "deprecated", "repr")
"""Arguments of `pydantic.Field` that constrain nothing."""

SAME: Final = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern", "strict")
"""Arguments of `pydantic.Field` that become its metadata."""

FIELDS: Final = ("FieldInfo", "ModelPrivateAttr", "Field", "_CountingAttr")
"""What `field` or `Field` of pydantic, msgspec, dataclasses and attrs return: only their own classes read it."""

OWNERS: Final = ("pydantic", "msgspec", "dataclasses", "attr")


def constraints(metadata: tuple[Any, ...], where: str) -> list[Meta]:
    """The Metas for the metadata of an `Annotated`. Raises UsageError for metadata that cannot be enforced."""
    return [meta for item in metadata for meta in _metas(item, where)]


def check_default(default: Any, where: str) -> None:
    """Raise UsageError for a default that is a declaration of a library: its rules would not hold."""
    for kind in type(default).__mro__:
        library = kind.__module__.partition(".")[0]
        if kind.__name__ in FIELDS and library in OWNERS:
            raise UsageError(
                f"{where} has a field of {library} as its default, so its rules would not hold: write constraints "
                "as `Annotated[int, Field(gt=0)]`, and the default itself after the `=`"
            )


def _metas(item: Any, where: str) -> Iterator[Meta]:
    kind = type(item)
    if isinstance(item, Meta):
        yield item
        return
    library = kind.__module__.partition(".")[0]
    if item is None or isinstance(item, str):
        return  # text for readers
    if library in LIBRARIES and (name := kind.__name__) in READERS:
        yield from READERS[name](item, where)
    elif library in LIBRARIES and name in BOUNDS:
        bounds = {ours: getattr(item, theirs) for theirs, ours in BOUNDS[name].items()}
        bounds = {name: bound for name, bound in bounds.items() if bound is not None}
        if name in ("MinLen", "Len") and bounds.get("min_length") == 0:
            del bounds["min_length"]
        if bounds:
            yield _meta(bounds, item, where)
    elif library in LIBRARIES and hasattr(kind, "__iter__"):
        for part in item:  # a group of constraints
            yield from _metas(part, where)
    else:
        raise _refusal(item, where)


def _meta(arguments: dict[str, Any], item: Any, where: str) -> Meta:
    try:
        return Meta(**arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where} has the constraint {item!r}, which is invalid: {error}") from None


def _refusal(item: Any, where: str) -> UsageError:
    return UsageError(
        f"{where} has {item!r} in its Annotated, which Posthouse cannot enforce: use msgspec.Meta, or check the value "
        "in a model or in `__post_init__`"
    )


def _field(item: Any, where: str) -> Iterator[Meta]:
    """pydantic.Field."""
    for name in item._attributes_set:
        if name not in DESCRIBE and name not in SAME:
            raise _refusal(item, where)
    for part in item.metadata:
        yield from _metas(part, where)
    if item.title is not None or item.description is not None:
        yield Meta(title=item.title, description=item.description)


def _general(item: Any, where: str) -> Iterator[Meta]:
    """pydantic's own constraints, as a dict. Only `pattern` is known to msgspec."""
    given = {name: value for name, value in vars(item).items() if value is not None}
    pattern = given.pop("pattern", None)
    if pattern is not None:
        if getattr(pattern, "flags", 0) & ~re.UNICODE:
            raise _refusal(item, where)  # msgspec's patterns are text
        yield _meta({"pattern": getattr(pattern, "pattern", pattern)}, item, where)
    if given not in ({}, {"strict": True}):
        raise _refusal(item, where)


def _timezone(item: Any, where: str) -> Iterator[Meta]:
    """annotated_types.Timezone: `...` asks for any timezone, None for none."""
    if item.tz is not None and item.tz is not ...:
        raise _refusal(item, where)
    yield Meta(tz=item.tz is not None)


def _nothing(item: Any, where: str) -> Iterator[Meta]:
    """Documentation."""
    yield from ()


READERS: Final[dict[str, Callable[[Any, str], Iterator[Meta]]]] = {
    "FieldInfo": _field,
    "_PydanticGeneralMetadata": _general,
    "PydanticGeneralMetadata": _general,
    "Strict": _general,
    "Timezone": _timezone,
    "DocInfo": _nothing,
    "Doc": _nothing,
}
"""Other metadata by the name of its class."""
