"""An `echo` makes about as many Python calls as it did when the numbers were committed."""

from __future__ import annotations

import tomllib
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from . import python_calls
from .python_calls import COUNTS, FILE

COMMITTED: Final[dict[str, dict[str, int]]] = tomllib.loads(FILE.read_text(encoding="utf-8"))
PATHS: Final = [(path, transport) for path, transports in COUNTS.items() for transport in transports]


def grown(committed: int, counted: int) -> bool:
    """Has it grown by more than a tenth?"""
    return counted * 10 > committed * 11


@pytest.mark.parametrize(("path", "transport"), PATHS)
def test_an_echo_makes_no_more_python_calls_than_were_committed(path: str, transport: str) -> None:
    committed, counted = COMMITTED[path][transport], COUNTS[path][transport]()
    assert not grown(committed, counted), (
        f"an echo over {transport} ({path}) makes {counted} Python calls, more than a tenth above the {committed} of "
        f"{FILE.name}. Find the calls that the change has added, and whether each call needs them. If they buy "
        "something that every call is for, accept the new number: run `make calls`, and say in the commit what it buys."
    )


@pytest.mark.parametrize(("path", "transport"), PATHS)
def test_the_count_is_the_same_each_time(path: str, transport: str) -> None:
    assert COUNTS[path][transport]() == COUNTS[path][transport]()


@pytest.mark.parametrize(("committed", "counted", "too_many"), [(100, 110, False), (100, 111, True), (100, 1, False)])
def test_a_tenth_more_is_allowed_and_fewer_is_welcome(committed: int, counted: int, too_many: bool) -> None:
    assert grown(committed, counted) == too_many


@pytest.mark.parametrize(
    ("path", "transport"), [(path, kind) for path in ("switchboard", "server") for kind in ("websocket", "http")]
)
def test_measuring_calls_costs_at_most_a_twentieth_more(path: str, transport: str) -> None:
    plain, measured = COUNTS[path][transport](), COUNTS[path][f"{transport}_measured"]()
    assert measured * 100 <= plain * 105


@pytest.mark.parametrize("transport", ["websocket", "http", "stdio"])
def test_an_authenticator_that_nobody_needs_costs_at_most_three_in_a_hundred(transport: str) -> None:
    count = COUNTS["switchboard"][transport]
    assert isinstance(count, partial)
    assert count() * 100 <= count(authenticates=False) * 103


@pytest.mark.parametrize("path", ["switchboard", "asgi"])
def test_a_token_that_was_verified_a_short_time_ago_costs_at_most_15_in_a_hundred(path: str) -> None:
    assert COUNTS[path]["http_token"]() * 100 <= COUNTS[path]["http"]() * 115


def test_every_count_is_committed() -> None:
    assert {path: list(numbers) for path, numbers in COMMITTED.items()} == {
        path: list(transports) for path, transports in COUNTS.items()
    }


def test_new_numbers_are_written_in_the_same_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_calls, "COUNTS", {"path": {"transport": lambda: 7}})
    python_calls.write(tmp_path / "calls.toml")
    assert tomllib.loads((tmp_path / "calls.toml").read_text(encoding="utf-8")) == {"path": {"transport": 7}}
