"""The registry of error codes, and RpcError."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.json import encode
from posthouse.core.values import errors
from posthouse.core.values.errors import (
    APPLICATION_ERROR,
    ERRORS,
    RESERVED,
    ErrorCode,
    ErrorObject,
    RpcError,
    UsageError,
    http_status,
    refusal,
)

from tests.values import changeable


def test_every_named_code_has_a_row_and_every_row_has_a_name() -> None:
    named = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    assert named == set(ERRORS)
    assert [row.code for row in ERRORS.values()] == list(ERRORS)


REGISTRY = """
-32700 400 PARSE_ERROR: Parse error
-32600 400 INVALID_REQUEST: Invalid Request
-32601 200 METHOD_NOT_FOUND: Method not found
-32602 200 INVALID_PARAMS: Invalid params
-32603 200 INTERNAL_ERROR: Internal error
-32000 200 APPLICATION_ERROR: Application error
-32006 200 TOO_MANY_SUBSCRIPTIONS: Too many subscriptions
-32007 413 REQUEST_TOO_LARGE: Request too large
-32008 200 RESPONSE_TOO_LARGE: Response too large
-32009 503 SERVER_BUSY: Server busy
-32010 413 BATCH_TOO_LARGE: Batch too large
-32011 200 BATCH_REPLY_TOO_LARGE: Batch reply too large
-32013 200 ID_IN_FLIGHT: Id already in flight
-32020 401 UNAUTHENTICATED: Unauthenticated
-32021 403 FORBIDDEN: Forbidden
-32022 401 CREDENTIALS_EXPIRED: Credentials expired
-32023 429 TOO_MANY_FAILED_AUTHENTICATIONS: Too many failed authentications
-32029 429 RATE_LIMITED: Rate limited
-32030 200 DEADLINE_EXCEEDED: Deadline exceeded
-32034 503 BROKER_UNAVAILABLE: Broker unavailable
-32035 503 STORAGE_UNAVAILABLE: Storage unavailable
-32036 200 UNKNOWN_TOPIC: Unknown topic, or not subscribed
-32040 200 UNKNOWN_SESSION: Unknown or expired session
-32043 200 SESSION_TAKEN_OVER: Session taken over elsewhere
-32050 503 DRAINING: Draining, reconnect elsewhere
-32800 200 REQUEST_CANCELLED: Request cancelled
"""


def test_every_code_has_its_number_its_status_over_http_and_its_message() -> None:
    names = {value: name for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    rows = [f"{code} {row.http_status} {names[code]}: {row.message}" for code, row in ERRORS.items()]
    assert rows == REGISTRY.strip().splitlines()
    assert (ErrorCode(0, "").http_status, ErrorCode(0, "").retryable) == (200, False)


def test_every_message_is_a_text_of_its_own() -> None:
    messages = [row.message for row in ERRORS.values()]
    assert len(set(messages)) == len(messages)
    assert all(messages)


def test_the_codes_of_the_specification_have_the_standard_messages() -> None:
    assert {code: ERRORS[code].message for code in (-32700, -32600, -32601, -32602, -32603)} == {
        -32700: "Parse error",
        -32600: "Invalid Request",
        -32601: "Method not found",
        -32602: "Invalid params",
        -32603: "Internal error",
    }


def test_only_busy_limited_late_and_draining_errors_are_retryable() -> None:
    assert sorted(code for code, row in ERRORS.items() if row.retryable) == [
        -32050,
        -32035,
        -32034,
        -32030,
        -32029,
        -32023,
        -32009,
    ]


def test_an_error_is_an_application_error_by_default() -> None:
    error = RpcError()
    assert (error.code, error.message, error.data) == (APPLICATION_ERROR, "Application error", None)


def test_a_code_of_the_table_brings_its_message() -> None:
    error = RpcError(-32601)
    assert error.message == "Method not found"
    assert str(error) == "-32601 Method not found"
    assert error.args == (-32601, "Method not found", None)


def test_a_service_has_codes_of_its_own_with_messages_and_data() -> None:
    error = RpcError(404, "No such report", {"id": 7})
    assert (error.code, error.message, error.data) == (404, "No such report", {"id": 7})
    assert RpcError(404).message == "Application error"
    assert RpcError(-32601, "Nothing of that name").message == "Nothing of that name"


@pytest.mark.parametrize("code", [-32768, -32001, -32604, -32099])
def test_a_reserved_code_without_a_row_must_belong_to_another_protocol(code: int) -> None:
    assert code in RESERVED
    with pytest.raises(UsageError, match=rf"error code {code} is reserved .* reserved=True"):
        RpcError(code)
    assert RpcError(code, "Content modified", reserved=True).code == code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("Not found",),
            "must be an integer, not 'Not found': to give only a message, use RpcError(message='Not found')",
        ),
        ((1.0,), "must be an integer, not 1.0$"),
        ((True,), "must be an integer, not True$"),
        ((None,), "must be an integer, not None$"),
        ((5, 7), "the message of an error must be a string, not 7$"),
        ((5, b"no"), "the message of an error must be a string, not b'no'$"),
    ],
)
def test_an_error_that_cannot_be_an_error_object_is_refused_when_it_is_built(
    arguments: tuple[Any, ...], said: str
) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(").replace(")", r"\)")):
        RpcError(*arguments)


def test_the_reserved_range_is_that_of_the_standard() -> None:
    assert (min(RESERVED), max(RESERVED)) == (-32768, -32000)


@pytest.mark.parametrize("code", [-32769, -31999, 0, 1])
def test_codes_beside_the_reserved_range_are_free(code: int) -> None:
    assert code not in RESERVED
    assert RpcError(code, "mine").code == code


def test_the_http_status_is_that_of_the_row_or_200() -> None:
    assert http_status(None) == 200
    assert http_status(404) == 200
    assert all(http_status(code) == row.http_status for code, row in ERRORS.items())


def test_a_refusal_says_why_and_whether_a_retry_can_help() -> None:
    busy = refusal(errors.SERVER_BUSY, limit="max_calls")
    assert (busy.code, busy.message, busy.data) == (-32009, "Server busy", {"retryable": True, "limit": "max_calls"})
    assert refusal(errors.FORBIDDEN, scopes=["a"]).data == {"scopes": ["a"]}
    assert refusal(errors.METHOD_NOT_FOUND).data is None


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.values.errors") == []


def test_an_error_is_raised_and_held_as_a_value_with_the_same_content() -> None:
    value = ErrorObject(-32001, "of another protocol", {"a": [1]})
    raised = RpcError.of(value)
    assert (raised.code, raised.message, raised.data) == (-32001, "of another protocol", {"a": [1]})
    assert raised.error_object == value
    assert ErrorObject.of(-32601) == ErrorObject(-32601, "Method not found")
    assert ErrorObject.of(-32009, {"limit": "max_calls"}) == ErrorObject(-32009, "Server busy", {"limit": "max_calls"})


def test_an_error_object_without_data_has_no_such_member() -> None:
    assert encode(ErrorObject(1, "x")) == b'{"code":1,"message":"x"}'
    assert encode(ErrorObject(1, "x", 2)) == b'{"code":1,"message":"x","data":2}'


def test_retry_after_comes_from_the_errors_data_or_its_code() -> None:
    assert ErrorObject.of(-32029, {"retry_after_ms": 2500}).retry_after == 2.5
    assert ErrorObject.of(-32029).retry_after == 1.0
    assert ErrorObject.of(-32050, {"retry_after_ms": "soon"}).retry_after == 1.0
    assert ErrorObject.of(-32602, []).retry_after is None
    assert ErrorObject(7, "of a service").retry_after is None
    assert ErrorObject(7, "of a service", {"retry_after_ms": 0}).retry_after == 0.0
    assert ErrorObject(7, "of a service", {"retry_after_ms": -1}).retry_after is None
    assert ErrorObject(7, "of a service", {"retry_after_ms": True}).retry_after is None
    assert ErrorObject(7, "of a service", {"retry_after_ms": 2**53 - 1}).retry_after == 9007199254740.991
    assert ErrorObject(7, "of a service", {"retry_after_ms": 10**400}).retry_after is None
    assert [row.code for row in ERRORS.values() if row.retry_after is not None] == [-32009, -32029, -32050]


class Unreadable:
    def __repr__(self) -> str:
        raise ValueError("unreadable")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"parameter": "a", "reason": "missing"}, "7 no: {'parameter': 'a', 'reason': 'missing'}"),
        (0, "7 no: 0"),
        ([1, None], "7 no: [1, None]"),
        ("line\n\x1b[31mred", "7 no: 'line\\n\\x1b[31mred'"),
        ([[[[[1]]]]], "7 no: [[[[[...]]]]]"),
        (list(range(100)), f"7 no: [{', '.join(map(str, range(20)))}, ...]"),
        (None, "7 no"),
    ],
)
def test_the_text_of_an_error_shows_its_data_escaped_and_shortened(data: object, text: str) -> None:
    assert str(RpcError(7, "no", data)) == text


@pytest.mark.parametrize("data", ["x" * 10**6, ["x" * 300] * 100, {str(n): "y" * 300 for n in range(100)}])
def test_the_text_of_an_error_is_short_whatever_its_data(data: object) -> None:
    assert len(str(RpcError(7, "no", data))) <= len("7 no: ") + 500


def test_the_text_of_an_error_survives_data_that_cannot_be_shown() -> None:
    assert str(RpcError(7, "no", Unreadable())).startswith("7 no: <Unreadable instance at ")


class Lazy:
    """A value that computes its class, as proxies of web frameworks do, and cannot."""

    def __getattribute__(self, name: str) -> object:
        if name == "__class__":
            raise LookupError("no request")
        return super().__getattribute__(name)


class Broken(dict[str, int]):
    def get(self, *arguments: object) -> int:
        raise LookupError("no request")


def test_data_whose_methods_raise_does_not_break_the_error() -> None:
    assert ErrorObject(7, "of a service", Lazy()).retry_after is None
    assert ErrorObject(7, "of a service", Broken(retry_after_ms=2500)).retry_after == 2.5
