"""Plans of lists, tuples, sets and dicts. They only convert if their parts do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Raw

from .conversion import Refused, must_be_plain
from .ordering import sorted_array
from .plan import ARRAYS, Compiling, Plan

LIST: Any = list
DICT: Any = dict
TUPLE: Any = tuple


def container(compiling: Compiling, kind: Any, arguments: tuple[Any, ...]) -> Plan:
    """The plan of a container of this kind, with its type arguments."""
    if kind is dict:
        return _dict(compiling, arguments or (Any, Any))
    if kind is tuple and arguments != () and arguments[-1] is not ...:
        return _fixed(compiling, tuple(map(compiling.plan, arguments)))
    item = compiling.plan(arguments[0] if arguments else Any)
    wire = kind[item.wire, ...] if kind is tuple else kind[item.wire]
    plan = Plan(wire, yields=kind, kinds=("array",))
    plan.item = item
    if item.convert is not None:
        if not compiling.describes and kind in (set, frozenset):
            plan.wire, plan.yields = LIST[item.wire], list
        plan.convert = _send_items(item, kind) if compiling.sends else _read_items(item, kind)
    return plan


def _read_items(item: Plan, kind: Any) -> Callable[[Any], Any]:
    read: Any = item.convert

    def convert(values: Any) -> Any:
        return kind(map(read, values))

    return convert


def _send_items(item: Plan, kind: Any) -> Callable[[Any], Any]:
    exact = item.exact
    send: Any = item.convert
    finish: Any = sorted_array if kind in (set, frozenset) else list

    def convert(values: Any) -> Any:
        if not isinstance(values, ARRAYS):
            return must_be_plain(values, "array")
        # Most lists contain instances of the declared class itself, which encode as declared. This check runs in C.
        if exact and exact.issuperset(map(type, values)):
            return values
        done: list[Any] = []
        try:
            for value in values:
                done.append(send(value))
        except Refused as refused:
            raise refused.inside(f"[{len(done)}]") from None
        return finish(done)

    return convert


def _fixed(compiling: Compiling, items: tuple[Plan, ...]) -> Plan:
    plan = Plan(TUPLE[tuple(item.wire for item in items)], yields=tuple, kinds=("array",))
    plan.items = items
    if all(item.convert is None for item in items):
        return plan

    def convert(values: Any) -> Any:
        if not isinstance(values, (list, tuple)):
            return must_be_plain(values, "array")
        if len(values) != len(items):
            raise Refused.because(f"expected array of length {len(items)}, got {len(values)}")
        done: list[Any] = []
        try:
            for item, value in zip(items, values, strict=True):
                done.append(value if item.convert is None else item.convert(value))
        except Refused as refused:
            raise refused.inside(f"[{len(done)}]") from None
        return tuple(done)

    plan.convert = convert
    return plan


def _dict(compiling: Compiling, arguments: tuple[Any, ...]) -> Plan:
    key, item = map(compiling.plan, arguments)
    if key.yields is Raw:
        raise TypeError(f"names in JSON objects cannot be of the type {arguments[0]!r}: use str")
    plan = Plan(DICT[key.wire, item.wire], yields=dict, kinds=("object",))
    plan.item = item
    if key.convert is None and item.convert is None:
        return plan

    def convert(values: Any) -> Any:
        if not isinstance(values, Mapping):
            return must_be_plain(values, "object")
        done: dict[Any, Any] = {}
        for name, value in values.items():
            try:
                held = value if item.convert is None else item.convert(value)
            except Refused as refused:
                raise refused.inside(f".{name}") from None
            done[name if key.convert is None else key.convert(name)] = held
        return done

    plan.convert = convert
    return plan
