"""The table of abuses is whole, and so is what is tested of it: held against the names of all tests in the tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .rows import ROWS, Row

TESTS = Path(__file__).parents[1]
LIMITS = TESTS.parent / "docs" / "limits.md"

DEFINED = re.compile(r"^ *(?:async )?def (\w+)", re.MULTILINE)
NUMBERED = re.compile(r"test_rows?_(\d+(?:_and_\d+)*)_")
TITLE = "## What abuse meets"


def numbers(name: str) -> tuple[int, ...]:
    """The rows that a test names."""
    found = NUMBERED.match(name)
    return () if found is None else tuple(int(number) for number in found[1].split("_and_"))


def names(folder: Path) -> list[str]:
    """The functions of all test files in a folder."""
    return [
        name
        for file in sorted(folder.glob("**/test_*.py"))
        if "node_modules" not in file.parts
        for name in DEFINED.findall(file.read_text(encoding="utf-8"))
    ]


def rows_of(folder: Path) -> set[int]:
    """The rows that the tests of a folder name."""
    return {number for name in names(folder) for number in numbers(name)}


PURE = rows_of(TESTS / "abuse")
LOOPBACK = rows_of(TESTS / "adapters")


def test_a_name_says_its_rows() -> None:
    assert numbers("test_row_06_a_head") == (6,)
    assert numbers("test_rows_15_and_16_and_17_a_breach") == (15, 16, 17)
    assert numbers("test_row_01_64_handlers") == (1,)
    assert numbers("test_a_row_6_of_them") == ()


def test_every_row_has_one_number_and_they_are_in_order() -> None:
    assert [row.number for row in ROWS] == sorted({row.number for row in ROWS})


@pytest.mark.parametrize("row", [row for row in ROWS if row.met], ids=lambda row: str(row.number))
def test_a_row_that_is_met_has_tests(row: Row) -> None:
    assert row.number in PURE, f"no test in tests/abuse is named for row {row.number}: {row.abuse}"
    if row.loopback:
        assert row.number in LOOPBACK, f"no test in tests/adapters is named for row {row.number}: {row.abuse}"


def test_no_test_names_a_row_that_there_is_not() -> None:
    assert rows_of(TESTS) <= {row.number for row in ROWS}


def test_the_documentation_shows_the_table() -> None:
    _, found, after = LIMITS.read_text(encoding="utf-8").partition(f"\n{TITLE}\n")
    assert found, f"docs/limits.md has no section {TITLE!r}"
    section = after.partition("\n## ")[0]
    shown = [line for line in section.splitlines() if re.match(r"\| \d", line)]
    assert shown == [str(row) for row in ROWS if row.met]
    reserved = re.search(r"^Reserved rows: ([\d, ]+)\.", section, re.MULTILINE)
    assert reserved
    assert [int(number) for number in reserved[1].split(", ")] == [row.number for row in ROWS if not row.met]
