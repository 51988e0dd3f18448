"""All faults of one value, found by reading its parts one by one after it could not be read as a whole."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, Literal

from msgspec import Raw
from msgspec.json import Decoder

from .conversion import MAX_FAULTS, MAX_PARTS, REFUSED, Fault, Refused, describe, pydantic_faults, read_custom
from .plan import Plan

_items = Decoder(list[Raw]).decode
_members = Decoder(dict[str, Raw]).decode


def reader(plan: Plan) -> Callable[[Any], Any]:
    """A function that reads one value. It raises any exception, which `explain` puts into words."""
    decode = Decoder(plan.wire, dec_hook=read_custom).decode
    convert = plan.convert
    return decode if convert is None else lambda raw: convert(decode(raw))


def explain(plan: Plan, raw: bytes | Raw, path: str = "$") -> list[Fault]:
    """Why this JSON cannot be read, at most `MAX_FAULTS` times. Empty if it can be read."""
    if plan.check is None:
        plan.check = Decoder(plan.wire, dec_hook=read_custom).decode
    try:
        value = plan.check(raw)
    except BaseException as error:
        return (_inside(plan, raw, path) or [_described(plan, error, path)])[:MAX_FAULTS]
    try:
        if plan.convert is not None:
            plan.convert(value)
    except BaseException as error:
        return (_inside(plan, raw, path) or _refused(plan, error, path))[:MAX_FAULTS]
    return []


def _inside(plan: Plan, raw: bytes | Raw, path: str) -> list[Fault]:
    """The faults of the parts."""
    first = memoryview(raw)[0]
    if plan.branches:
        kind = {0x5B: "array", 0x7B: "object"}.get(first)
        fitting = [branch for branch in plan.branches if kind in branch.kinds]
        if kind == "object" and len(fitting) > 1:
            fitting = _tagged(fitting, raw)
        return _inside(fitting[0], raw, path) if len(fitting) == 1 else []
    found: list[Fault] = []
    if plan.kinds not in (("array",), ("object",)) or plan.wire is Raw:
        return []
    try:
        if first == 0x5B and plan.kinds == ("array",):
            fixed = plan.items or tuple(part for _, part, _ in plan.members or ())
            parts = [(f"{path}[{index}]", part) for index, part in enumerate(_items(raw)[:MAX_PARTS])]
            for index, (where, part) in enumerate(parts):
                inner = fixed[index] if index < len(fixed) else plan.item
                if inner is not None and len(found) < MAX_FAULTS:
                    found += explain(inner, part, where)
        elif first == 0x7B and plan.kinds == ("object",):
            members = _members(raw)
            if plan.item is not None:
                for name, part in islice(members.items(), MAX_PARTS):
                    if len(found) < MAX_FAULTS:
                        found += explain(plan.item, part, f"{path}.{name}")
            else:
                found = _of_members(plan, members, path)
    except Exception:
        return []
    return found


def _tagged(branches: list[Plan], raw: bytes | Raw) -> list[Plan]:
    """The branches whose tag this object has."""
    try:
        given = _members(raw)
        return [
            branch
            for branch in branches
            if branch.tag is not None and branch.tag[0] in given and not explain(_of_tag(branch), given[branch.tag[0]])
        ]
    except Exception:
        return []


def _of_tag(plan: Plan) -> Plan:
    """The plan of the member that says which class it is."""
    return Plan(Literal[plan.tag[1]])


def _of_members(plan: Plan, given: dict[str, Raw], path: str) -> list[Fault]:
    found: list[Fault] = []
    known: dict[str, None] = {}
    if plan.tag is not None:
        known[plan.tag[0]] = None
        if plan.tag[0] in given:
            found += explain(_of_tag(plan), given[plan.tag[0]], f"{path}.{plan.tag[0]}")
    for name, part, required in plan.members or ():
        known[name] = None
        if name in given:
            found += explain(part, given[name], f"{path}.{name}")
        elif required:
            found.append(Fault(path, f"object missing required field {name}"))
    if plan.closed:
        found += [Fault(path, f"object contains unknown field {name}") for name in given if name not in known]
    return found


def _described(plan: Plan, error: BaseException, path: str) -> Fault:
    """The fault that msgspec, or a class that msgspec made, found."""
    fault = describe(error)
    own = fault.reason == REFUSED and fault.path == "$" and plan.label
    return Fault(path + fault.path[1:], f"refused by {plan.label}" if own else fault.reason)


def _refused(plan: Plan, error: BaseException, path: str) -> list[Fault]:
    """The faults of a value that its type refused. Texts of user code are dropped."""
    faults = error.faults if isinstance(error, Refused) else pydantic_faults(error)
    reason = f"refused by {plan.label}" if plan.label else REFUSED
    return [Fault(path + fault.path[1:], fault.reason) for fault in faults or (Fault("$", reason),)]
