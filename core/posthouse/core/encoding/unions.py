"""Plans of unions.

msgspec reads most unions itself, but not several objects without a tag, nor types that validate themselves. Such a
union is read by trying its types. It is refused if JSON cannot tell its types apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Raw, UnsetType, inspect, json
from posthouse.core.values.errors import UsageError

from .conversion import Refused, read_custom, validates_itself, write_custom
from .members import shape_of
from .ordering import ordered
from .plan import ARRAYS, Compiling, Plan

BEGINS = {"n": "null", "t": "boolean", "f": "boolean", '"': "string", "[": "array", "{": "object"}


class OneOf:
    """The wire type of a union that msgspec cannot describe, for its JSON Schema."""

    branches: tuple[Any, ...] = ()


def union(compiling: Compiling, arguments: tuple[Any, ...]) -> Plan:
    """The plan of a union of these types."""
    if compiling.describes and UnsetType in arguments:
        arguments = tuple(argument for argument in arguments if argument is not UnsetType)  # not in JSON
        if len(arguments) == 1:
            return compiling.plan(arguments[0])
    branches = tuple(compiling.plan(argument) for argument in arguments)
    kinds = tuple(dict.fromkeys(kind for branch in branches for kind in branch.kinds))
    plan = Plan(None, kinds=kinds)
    plan.branches = branches
    raw = any(branch.yields is Raw for branch in branches)
    optional = len(branches) == 2 and any(branch.kinds == ("null",) for branch in branches)
    native = _native(compiling, branches) if not raw or (compiling.describes and optional) else None
    if native is not None:
        plan.wire = native
        if not compiling.describes:
            _check_apart(compiling, branches, arguments)
        if any(branch.convert is not None for branch in branches):
            plan.convert = _send(branches, own=False) if compiling.sends else _read(branches)
            plan.exact = frozenset().union(*(branch.exact for branch in branches))
        return plan
    compiling.special = True
    if not (optional or compiling.describes):
        compiling.later.append(partial(_check_sound, compiling, compiling.where, branches, arguments))
    if compiling.describes:
        plan.wire = type("OneOf", (OneOf,), {"branches": tuple(branch.wire for branch in branches)})
    else:
        plan.wire = plan.yields = Raw
        compiling.later.append(partial(_make_decoders, branches))
    plan.convert = _send(branches, own=True) if compiling.sends else _read_own(branches, optional)
    return plan


def _native(compiling: Compiling, branches: tuple[Plan, ...]) -> Any:
    """The union as msgspec reads it, or None if it does not."""
    try:
        inspect.type_info(reduce(or_, (_outline(compiling, branch.wire) for branch in branches)))
        return reduce(or_, (branch.wire for branch in branches))
    except (TypeError, NameError, ValueError, RecursionError):
        return None


def _outline(compiling: Compiling, wire: Any) -> Any:
    """The wire type without the members of classes, which may not be known yet."""
    origin, arguments = get_origin(wire), get_args(wire)
    if origin in (Union, UnionType):
        return reduce(or_, (_outline(compiling, argument) for argument in arguments))
    if origin is Annotated:
        return Annotated[_outline(compiling, arguments[0]), *wire.__metadata__]
    if origin in (list, dict, tuple, set, frozenset):
        return origin[tuple(_outline(compiling, argument) for argument in arguments)]
    return compiling.outlines.get(wire, wire)


def _make_decoders(branches: tuple[Plan, ...]) -> None:
    for branch in branches:
        branch.check = json.Decoder(branch.wire, dec_hook=read_custom).decode


def _check_apart(compiling: Compiling, branches: tuple[Plan, ...], arguments: tuple[Any, ...]) -> None:
    """Raise UsageError if two types that convert are read from the same JSON."""
    for index, one in enumerate(branches):
        for other_index, other in enumerate(branches[:index]):
            shared = [kind for kind in one.kinds if kind in other.kinds and kind != "object"]
            if shared and (one.convert is not None or other.convert is not None):
                raise _ambiguous(compiling.where, arguments[other_index], arguments[index])


def _check_sound(compiling: Compiling, where: str, branches: tuple[Plan, ...], arguments: tuple[Any, ...]) -> None:
    """Raise UsageError if JSON cannot tell two types apart."""
    for index, one in enumerate(branches):
        for other_index, other in enumerate(branches[:index]):
            shared = [kind for kind in one.kinds if kind in other.kinds]
            plain = one.convert is None and other.convert is None
            if not shared or (plain and _native(compiling, (one, other)) is not None):
                continue
            if shared != ["object"] or not _differ(one, other):
                raise _ambiguous(where, arguments[other_index], arguments[index])


def _differ(one: Plan, other: Plan) -> bool:
    """Can no object fit both, or is one that does noticed by its surplus members?"""
    if one.members is None or other.members is None:
        return False
    needs_one = {name: part for name, part, required in one.members if required}
    needs_other = {name: part for name, part, required in other.members if required}
    for name, part in needs_one.items():
        if name in needs_other:
            ours, theirs = _literals(part), _literals(needs_other[name])
            if ours and theirs and not any(literal in theirs for literal in ours):
                return True
    extra_one = [name for name in needs_one if all(name != known for known, _, _ in other.members)]
    extra_other = [name for name in needs_other if all(name != known for known, _, _ in one.members)]
    return bool((extra_one and other.closed) or (extra_other and one.closed) or (extra_one and extra_other))


def _literals(part: Plan) -> tuple[Any, ...]:
    return get_args(part.wire) if get_origin(part.wire) is Literal else ()


def _ambiguous(where: str, one: Any, other: Any) -> UsageError:
    return UsageError(
        f"{where} has a union in which JSON cannot tell {one!r} and {other!r} apart: give each a required "
        "member that the other does not have, a member with a different Literal, or a tag (msgspec)"
    )


def _read(branches: tuple[Plan, ...]) -> Any:
    by_type = {branch.yields: branch.convert for branch in branches if branch.convert is not None}

    def convert(value: Any) -> Any:
        read = by_type.get(type(value))
        return value if read is None else read(value)

    return convert


def _read_own(branches: tuple[Plan, ...], optional: bool) -> Any:
    def convert(raw: Any) -> Any:
        kind = kind_of(raw)
        found: list[Any] = []
        last: BaseException | None = None
        for branch in branches:
            if kind not in branch.kinds or (kind == "null" and optional and branch.yields is Raw):
                continue
            try:
                value = branch.check(raw)
                found.append(value if branch.convert is None else branch.convert(value))
            except Exception as error:
                last = error
        if len(found) == 1:
            return found[0]
        names = ", ".join(branch.label or "/".join(branch.kinds) for branch in branches)
        fits = "more than one" if found else "none"
        raise Refused.because(f"fits {fits} of {names}") from last

    return convert


def kind_of(raw: Any) -> str:
    """The kind of a JSON value."""
    return BEGINS.get(chr(memoryview(raw)[0]), "number")


def _send(branches: tuple[Plan, ...], *, own: bool) -> Any:
    by_class = {branch.cls: branch for branch in branches if branch.cls is not None}
    objects = [branch for branch in branches if "object" in branch.kinds]
    arrays = [branch for branch in branches if "array" in branch.kinds]
    nulls = [branch for branch in branches if "null" in branch.kinds]
    others = [branch for branch in branches if branch.kinds not in (("null",), ("object",), ("array",))]
    exact = frozenset().union(*(branch.exact for branch in branches if not own))
    encode = json.Encoder(enc_hook=write_custom).encode

    def written(branch: Plan, value: Any) -> Any:
        value = value if branch.convert is None else branch.convert(value)
        if not own or type(value) is Raw:
            return value
        data = encode(ordered(value))
        branch.check(data)
        return Raw(data)

    def convert(value: Any) -> Any:
        if type(value) in exact:
            return value
        for cls in type(value).__mro__:
            branch = by_class.get(cls)
            if branch is not None and cls not in (dict, list):
                return written(branch, value)
        if isinstance(value, Mapping):
            candidates = _tagged(objects, value) or objects
        elif isinstance(value, ARRAYS):
            candidates = arrays
        elif value is None:
            candidates = nulls
        else:
            candidates = others
            if shape_of(type(value)) is not None or validates_itself(type(value)):
                raise Refused.because(f"expected {' | '.join(map(_name, branches))}, got {type(value).__qualname__}")
        if len(candidates) == 1:
            return written(candidates[0], value)
        if not own:
            return value
        for branch in candidates:
            try:
                return written(branch, value)
            except Exception:
                continue
        raise Refused.because(f"expected {' | '.join(map(_name, branches))}, got {type(value).__qualname__}")

    return convert


def _name(branch: Plan) -> str:
    return branch.label or "/".join(branch.kinds)


def _tagged(objects: list[Plan], value: Mapping[Any, Any]) -> list[Plan]:
    return [branch for branch in objects if branch.tag is not None and value.get(branch.tag[0]) == branch.tag[1]]
