"""The help text about limits: each field of Config, with its default, its unit and the effect of a breach."""

from __future__ import annotations

from msgspec.structs import fields
from posthouse.core.values.config import OBSERVABLE, Config
from posthouse.core.values.limits import LIMITS


def test_each_field_has_an_entry_in_its_order() -> None:
    entries = [line.split(" = ")[0].strip() for line in LIMITS.splitlines() if line[:3].strip() and " = " in line]
    marked = [f"{field.name} °" if field.name in OBSERVABLE else field.name for field in fields(Config)]
    assert entries == marked[:-1]
    assert marked[-1] == "observe"


def test_an_entry_says_default_unit_and_effect() -> None:
    assert "  max_headers = 100: header lines\n      431 and close\n" in LIMITS
