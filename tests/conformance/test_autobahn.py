"""What is told of a run of the Autobahn suite, and the echo server that it is run against."""

from __future__ import annotations

import os

import pytest
from posthouse.core import Peer, Service, Transmit
from posthouse.transports.codec import Binary

from tests import sections
from tests.conformance.autobahn import __main__ as autobahn
from tests.conformance.autobahn.echo import CONFIG, EchoGateway


def outcome(behavior: str, closing: str = "OK") -> dict[str, str]:
    return {"behavior": behavior, "behaviorClose": closing}


ENDED = {
    "1.1.1": outcome("OK"),
    "6.4.1": outcome("NON-STRICT"),
    "9.10": outcome("FAILED"),
    "9.9": outcome("OK", "WRONG CODE"),
}


def test_cases_that_failed_or_closed_wrongly_are_listed_in_the_order_of_their_numbers() -> None:
    assert autobahn.failures(ENDED) == ["9.9: OK, closing: WRONG CODE", "9.10: FAILED, closing: OK"]


def test_cases_are_counted_by_chapter_and_behaviour() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in autobahn.table(ENDED).splitlines()]
    assert rows[0] == ["chapter", "about", "cases", "OK", "NON-STRICT", "FAILED"]
    counted = {row[0]: row[2:] for row in rows[2:]}
    assert counted["6"] == ["1", "0", "1", "0"]
    assert counted["9"] == ["2", "1", "0", "1"]
    assert counted[""] == ["4", "2", "1", "1"]


def test_every_chapter_is_run_once() -> None:
    assert sorted({pattern.split(".")[0] for pattern in autobahn.ALL}, key=int) == list(autobahn.CHAPTERS)
    assert len(dict.fromkeys(autobahn.ALL)) == len(autobahn.ALL)


def test_the_document_tells_of_all_cases() -> None:
    *_, total = sections.read(autobahn.DOCUMENT, autobahn.SECTION).splitlines()
    assert total.startswith(f"|  | **all** | {autobahn.ALL_CASES} |")


@pytest.mark.parametrize("data", [b"", b"no JSON at all", Binary(b"\x00\xff")])
def test_the_echo_server_sends_back_what_came_as_it_came(data: bytes) -> None:
    gateway = EchoGateway(Service("echo"), CONFIG, wall=0.0, entropy=os.urandom)
    connection = gateway.connect(Peer("websocket"), 0.0)
    gateway.outbox.clear()
    gateway.receive(connection, data, 0.0)
    (effect,) = gateway.outbox
    assert effect == Transmit(connection, data)
    assert isinstance(effect, Transmit)
    assert type(effect.data) is type(data)
