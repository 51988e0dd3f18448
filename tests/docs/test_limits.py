"""`docs/limits.md` is held equal to what it describes: fields and defaults, errors, and the close codes of the core."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec.structs import fields
from posthouse.core.values.close_reasons import CLOSE_REASONS
from posthouse.core.values.config import OBSERVABLE, Config
from posthouse.core.values.errors import ERRORS

from tools import limits

PAGE: Final = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
UNITS: Final = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
VALUES: Final[dict[str, object]] = {"off": None, "false": False, "true": True, "none": (), "x-forwarded": "x-forwarded"}


def rows(section: str) -> list[list[str]]:
    """The cells of every table row in the section of this heading, without heads and rules."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    bodies = [line for at, line in enumerate(lines) if not set(line) <= set("|-") and not _is_head(lines, at)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in bodies]


def _is_head(lines: list[str], at: int) -> bool:
    return at + 1 < len(lines) and set(lines[at + 1]) <= set("|-")


def value(text: str) -> object:
    """A default as it is written: `10,000`, `64 KiB`, `off`."""
    if text in VALUES:
        return VALUES[text]
    if ", " in text:
        return tuple(map(float, text.split(", ")))
    number, _, unit = text.partition(" ")
    return float(number.replace(",", "")) * UNITS.get(unit, 1)


def test_every_field_is_there_once_in_its_order_with_its_default() -> None:
    documented = [(row[0].split("`")[1], value(row[1])) for row in rows("Limits")]
    assert documented == [(field.name, field.default) for field in fields(Config) if field.name != "observe"]


def test_every_field_says_its_unit_and_what_a_breach_does() -> None:
    assert all(len(row) == 4 and all(row) for row in rows("Limits"))


def test_the_limits_of_policy_are_marked_and_no_others() -> None:
    marked = [row[0].split("`")[1] for row in rows("Limits") if row[0].endswith("°")]
    assert sorted(marked) == sorted(OBSERVABLE)


def test_every_field_that_may_be_off_says_so_and_no_other_does() -> None:
    optional = [field.name for field in fields(Config) if field.type in (int | None, float | None)]
    assert [row[0].split("`")[1] for row in rows("Limits") if row[1] == "off" or "may be off" in row[2]] == optional


def test_the_help_text_about_each_limit_is_drawn_from_the_page() -> None:
    assert limits.MODULE.read_text(encoding="utf-8") == limits.module(), "run: make limits"


def test_every_error_is_there_with_its_message_status_and_whether_to_retry() -> None:
    documented = [(int(row[0]), row[1], int(row[2]), row[3] == "yes") for row in rows("Error codes")]
    assert documented == [(row.code, row.message, row.http_status, row.retryable) for row in ERRORS.values()]


def test_every_close_code_of_the_gateway_is_there() -> None:
    documented = [int(row[0]) for row in rows("Close codes")]
    assert documented == sorted(documented)
    assert {reason.code for reason in CLOSE_REASONS.values()} <= set(documented)


def test_what_a_breach_is_said_to_close_with_is_what_the_gateway_closes_with() -> None:
    said = {row[0].split("`")[1]: row[3] for row in rows("Limits")}
    for limit, reason in CLOSE_REASONS.items():
        assert limit not in said or str(reason.code) in said[limit]
