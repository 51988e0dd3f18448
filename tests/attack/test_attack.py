"""Some attacks on a running server, and what is told of them."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests import sections
from tests.abuse.rows import ROWS

from . import __main__ as command
from .field import ATTACKS, Attack, Failed, Field, Terms, place_of, reference_server
from .good import GoodClient
from .peer import PATIENCE, Place

BY_NUMBER = {row.number: row for row in ROWS}
QUICK = (13, 30, 31, 32, 33, 44)
"""Rows that share a server, and take no time."""


def test_every_row_that_takes_real_sockets_is_attacked_or_waits() -> None:
    assert sorted(ATTACKS) == [row.number for row in command.attacked_rows() if row.met]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The good client waits as long as it takes: here other tests run beside it."""
    monkeypatch.setattr("tests.attack.good.TOO_LATE", PATIENCE)


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    with reference_server(Terms()) as field:
        yield field


@pytest.mark.parametrize("number", QUICK)
def test_a_row_that_takes_no_time_is_met_by_a_running_server(field: Field, number: int) -> None:
    outcome = command.try_out(ATTACKS[number], BY_NUMBER[number], field)
    assert (outcome.verdict, outcome.seen) == (command.MET, documented()[number][3])
    assert outcome.worst


def documented() -> dict[int, list[str]]:
    """The rows of the document, by their numbers: their cells."""
    lines = sections.read(command.DOCUMENT, command.SECTION).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {int(row[0]): row for row in cells[2:]}


def test_the_document_tells_of_every_attack_as_it_is() -> None:
    rows = documented()
    assert list(rows) == [row.number for row in command.attacked_rows() if row.met]
    for number, (_, sends, required, _, verdict) in rows.items():
        assert required == BY_NUMBER[number].meets
        assert (sends, verdict) == (ATTACKS[number].sends, command.MET)


def test_the_document_leaves_out_what_waits_for_a_missing_feature() -> None:
    waiting, tried = BY_NUMBER[56], BY_NUMBER[1]
    told = command.table(
        [command.Outcome(waiting, "–", "–", "waits for clients"), command.Outcome(tried, "a", "b", "met")]
    )
    assert told.splitlines()[2:] == [f"| 1 | a | {tried.meets} | b | met |"]


# What is not met, is told so


def breaks(field: Field) -> str:
    raise Failed("it fell over")


def passes(field: Field) -> str:
    return "it stands"


def attack(run: Callable[[Field], str], *, own: bool = False) -> Attack:
    return Attack(1, "words", run, Terms(), own, True)


def test_a_row_is_not_met_when_the_server_fails_it(field: Field) -> None:
    outcome = command.try_out(attack(breaks), BY_NUMBER[1], field)
    assert (outcome.verdict, outcome.seen) == (command.NOT_MET, "Failed: it fell over")


def test_a_row_is_not_met_when_the_good_client_notices(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.attack.good.TOO_LATE", -1.0)
    outcome = command.try_out(attack(passes), BY_NUMBER[1], field)
    assert outcome.verdict == command.NOT_MET
    assert re.fullmatch(r"it stands; but the good client: it waited for \d\.\d s", outcome.seen)


def test_a_server_of_another_is_not_tried_with_what_takes_ours(field: Field) -> None:
    row, elsewhere = BY_NUMBER[1], Field(field.place)
    assert command.try_out(attack(passes, own=True), row, elsewhere).verdict == command.NOT_TRIED
    told = str(command.try_out(attack(passes), row, elsewhere))
    assert told == f"| 1 | words | {row.meets} | it stands | {command.MET} |"


def test_the_command_attacks_the_server_of_a_url(field: Field, capsys: pytest.CaptureFixture[str]) -> None:
    before = command.DOCUMENT.read_bytes()
    url = f"http://{field.place.host}:{field.place.port}"
    assert command.main(["--row", "31", "--row", "33", url]) == 0
    printed = capsys.readouterr().out
    assert "| 421 and closed, three times | met |" in printed
    assert "| takes our reference server | not tried |" in printed
    assert command.DOCUMENT.read_bytes() == before


def test_a_good_client_that_is_not_served_says_so() -> None:
    with closing(socket.socket()) as deaf:
        deaf.bind(("127.0.0.1", 0))
        with GoodClient(Place("127.0.0.1", deaf.getsockname()[1], b"localhost")) as good:
            pass
    assert good.fault.startswith("ConnectionRefusedError")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--row", "2"], "there is no attack for row 2; there are: 1, 8, 13,"),
        (["https://127.0.0.1:8000"], "it must be http://HOST:PORT"),
        (["http://127.0.0.1:8000/rpc"], "it must be http://HOST:PORT"),
        (["http://192.0.2.1:8000"], "192.0.2.1 is not this machine: say --i-own-this-server if you may attack it"),
        (["http://127.0.0.1:99999"], "Port out of range"),
    ],
)
def test_what_cannot_be_attacked_is_refused_with_a_reason(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_an_address_is_read_with_the_name_that_the_server_goes_by() -> None:
    assert place_of("http://[::1]:8000/") == ("::1", 8000, b"[::1]:8000")
    assert place_of("http://localhost") == ("localhost", 80, b"localhost")
