"""The tables: all of them in memory, some cases of each over real sockets and pipes on both event loops."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import pytest
from posthouse.core import ERRORS

from tests import sections

from . import __main__ as command
from .http_cases import STATUSES
from .places import BACKENDS, Loopback, Memory, Place
from .tables import TABLES, Check, Table
from .wires import Silence

ALL: Final = [
    pytest.param(check, transport, id=f"{table.name}-{transport}-{check.name}")
    for table in TABLES
    for transport in table.transports
    for check in table.checks
]

SOME: Final = [
    pytest.param(check, transport, id=f"{table.name}-{transport}-{check.name}")
    for table in TABLES
    for transport in table.transports
    for check in table.checks[:: max(1, len(table.checks) // 2)]
]
"""Two or three cases of each table over each of its transports."""


@pytest.mark.parametrize(("check", "transport"), ALL)
def test_in_memory_every_case_passes(check: Check, transport: str) -> None:
    assert check.fault(Memory(), transport) == ""


@pytest.fixture(scope="module", params=BACKENDS)
def loopback(request: pytest.FixtureRequest) -> Iterator[Loopback]:
    with closing(Loopback(request.param)) as place:
        yield place


@pytest.mark.parametrize(("check", "transport"), SOME)
def test_over_sockets_and_pipes_cases_of_every_table_pass(loopback: Loopback, check: Check, transport: str) -> None:
    assert check.fault(loopback, transport) == ""


def test_the_document_tells_of_the_tables_as_they_are() -> None:
    assert sections.read(command.DOCUMENT, command.SECTION) == command.count(TABLES, {})


def test_every_error_code_has_a_status_in_the_tables() -> None:
    assert set(STATUSES) - set(ERRORS) == {7}
    assert set(ERRORS) <= set(STATUSES)


def test_names_of_tables_and_of_the_cases_of_one_differ() -> None:
    names = [[table.name for table in TABLES], *([check.name for check in table.checks] for table in TABLES)]
    assert all(len(dict.fromkeys(some)) == len(some) for some in names)


# What fails is told


def see_four(place: Place, transport: str) -> int:
    return 4


def hear_nothing(place: Place, transport: str) -> int:
    raise Silence


def fail_to_connect(place: Place, transport: str) -> int:
    raise ConnectionRefusedError("refused")


CHECKS: Final = (
    Check("right", 4, see_four),
    Check("wrong", 5, see_four),
    Check("mute", 4, hear_nothing),
    Check("away", 4, fail_to_connect),
)


def test_a_case_that_fails_says_how() -> None:
    faults = [check.fault(Memory(), "HTTP") for check in CHECKS]
    assert faults == ["", "expected 5, saw 4", "the server said nothing more, and did not end", "refused"]


def test_the_command_counts_lists_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "TABLES", (Table("sums", "arithmetic", ("HTTP",), CHECKS),))
    monkeypatch.setattr(logging, "disable", lambda: None)
    assert command.main(["sums"]) == 1
    printed = capsys.readouterr()
    assert "| sums | arithmetic | HTTP | 4 | 1 | 1 | 1 |" in printed.out.splitlines()
    assert "FAILED sums, HTTP, trio: wrong: expected 5, saw 4" in printed.err.splitlines()


def test_a_table_that_there_is_not_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["sum"])
    assert ended.value.code == 2
    assert "there is no table 'sum'; there are: examples, requests" in capsys.readouterr().err
