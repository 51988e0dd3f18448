"""Why a WebSocket is failed: each reason has its own sentence, and a close code that the standard gives it."""

from __future__ import annotations

from posthouse.core.values.config import Config
from posthouse.transports.websocket import failures
from posthouse.transports.websocket.failures import BY_CODE, TOO_LARGE, TOO_LARGE_UNAUTHENTICATED, Failed, too_large

from tests.values import changeable

ROWS = {
    "PROTOCOL_ERROR": Failed(1002, "a frame breaks the WebSocket protocol"),
    "BINARY_REFUSED": Failed(1003, "binary messages are not accepted"),
    "INVALID_DATA": Failed(1007, "a text is not UTF-8, or a compressed message is not a deflate stream"),
    "TOO_MANY_FRAGMENTS": Failed(1008, "a message has more than max_fragments frames"),
    "TOO_MANY_STREAMS": Failed(1008, "a compressed message has more than max_fragments deflate streams"),
    "TOO_MANY_CONTROLS": Failed(1008, "control frames came faster than control_rate and control_burst allow"),
    "TOO_SLOW": Failed(1008, "a message was not finished within message_timeout"),
    "TOO_LARGE": Failed(1009, "a message is larger than max_message_bytes"),
    "TOO_LARGE_UNAUTHENTICATED": Failed(1009, "a message is larger than max_message_bytes_unauthenticated"),
    "INFLATES_TOO_MUCH": Failed(1009, "a message inflates to more than max_inflate_ratio times its size"),
}


def test_each_rule_has_its_code_and_a_sentence_of_its_own() -> None:
    found = {name: value for name, value in vars(failures).items() if isinstance(value, Failed)}
    assert found == ROWS


def test_what_the_parser_finds_is_told_by_its_code() -> None:
    assert BY_CODE == {1002: failures.PROTOCOL_ERROR, 1007: failures.INVALID_DATA}


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.websocket.failures") == []


def test_a_message_that_is_too_large_breaks_the_limit_of_its_caller() -> None:
    config = Config(max_message_bytes=20, max_message_bytes_unauthenticated=10)
    assert (too_large(20, config), too_large(10, config)) == (TOO_LARGE, TOO_LARGE_UNAUTHENTICATED)
