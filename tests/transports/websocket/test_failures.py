"""Why a WebSocket is failed: each reason has its own sentence, and a close code that the standard gives it."""

from __future__ import annotations

import pytest
from posthouse.transports.websocket import failures
from posthouse.transports.websocket.failures import BY_CODE, Failed

from tests.values import changeable

CODES = {
    "PROTOCOL_ERROR": 1002,
    "BINARY_REFUSED": 1003,
    "INVALID_DATA": 1007,
    "TOO_MANY_FRAGMENTS": 1008,
    "TOO_MANY_STREAMS": 1008,
    "TOO_MANY_CONTROLS": 1008,
    "TOO_SLOW": 1008,
    "TOO_LARGE": 1009,
    "INFLATES_TOO_MUCH": 1009,
}


@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_a_failure_has_the_code_of_its_rule(name: str, code: int) -> None:
    assert getattr(failures, name).code == code


def test_every_failure_has_a_reason_of_its_own() -> None:
    found = {name: value for name, value in vars(failures).items() if isinstance(value, Failed)}
    assert list(found) == list(CODES)
    assert len({failed.reason for failed in found.values()}) == len(found)


def test_what_the_parser_finds_is_told_by_its_code() -> None:
    assert BY_CODE == {1002: failures.PROTOCOL_ERROR, 1007: failures.INVALID_DATA}


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.websocket.failures") == []
