"""A plan that says nothing takes every value as it is."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.encoding.plan import EVERY_KIND, Compiling, Plan


class Echoing(Compiling):
    def plan(self, annotation: Any) -> Plan:
        return Plan(annotation)


def test_a_plan_converts_nothing_by_default() -> None:
    plan = Plan(int)
    assert (plan.wire, plan.convert, plan.kinds) == (int, None, EVERY_KIND)


def test_a_compilation_starts_without_special_types() -> None:
    compiling = Echoing("it", sends=True)
    assert (compiling.where, compiling.sends, compiling.describes, compiling.special) == ("it", True, False, False)
    assert compiling.plan(int).wire is int


def test_a_compilation_is_abstract() -> None:
    with pytest.raises(TypeError):
        Compiling("it", sends=True)  # type: ignore[abstract]
