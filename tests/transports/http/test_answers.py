"""Answers as bytes: the headers that all have, and none that breaks out of its line."""

from __future__ import annotations

import pytest
from posthouse.core.values.close_reasons import (
    CLOSE_REASONS,
    DRAINING,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_USER,
    CloseReason,
)
from posthouse.core.values.errors import (
    ERRORS,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    REQUEST_TOO_LARGE,
    SERVER_BUSY,
    ErrorObject,
    UsageError,
)
from posthouse.transports.http.answers import (
    CONTINUE,
    JSON,
    REASONS,
    TEXT,
    UNKNOWN,
    Answer,
    ResponseOptions,
    cors_lines,
    exchange_answer,
    field_lines,
    not_admitted_answer,
    read_fields,
    refusal_answer,
    result_answer,
    retry_line,
    switching_head,
)
from posthouse.transports.refusal import Refusal

from tests.values import changeable

PLAIN = ResponseOptions(persistent=True, bodiless=False, lines=b"")


STATUS_LINES = """
200 OK
204 No Content
400 Bad Request
401 Unauthorized
403 Forbidden
404 Not Found
405 Method Not Allowed
408 Request Timeout
411 Length Required
413 Content Too Large
414 URI Too Long
415 Unsupported Media Type
417 Expectation Failed
421 Misdirected Request
426 Upgrade Required
429 Too Many Requests
431 Request Header Fields Too Large
500 Internal Server Error
501 Not Implemented
503 Service Unavailable
505 HTTP Version Not Supported
"""


def test_each_status_has_the_reason_that_its_standard_gives_it() -> None:
    lines = [b"%d %b" % row for row in REASONS.items()]
    assert lines == STATUS_LINES.strip().encode().splitlines()


def test_the_constants_of_answers_are_literally_these() -> None:
    assert CONTINUE == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (JSON, TEXT) == (b"application/json", b"text/plain; charset=utf-8")
    assert ResponseOptions(persistent=False, bodiless=False, lines=b"") == UNKNOWN


def test_the_id_of_a_request_is_the_last_line_of_its_answer() -> None:
    named = ResponseOptions(True, False, b"C: d\r\n").naming("a-b")
    assert named == ResponseOptions(True, False, b"C: d\r\nX-Request-Id: a-b\r\n")
    assert named.naming(None) is named
    assert ResponseOptions(False, True, b"").naming("1") == ResponseOptions(False, True, b"X-Request-Id: 1\r\n")


def test_an_answer_has_its_type_its_length_and_cache_control() -> None:
    assert Answer(200, b"{}").write(PLAIN, close=False) == (
        b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n",
        b"{}",
    )


@pytest.mark.parametrize("status", [*REASONS])
@pytest.mark.parametrize("close", [False, True])
def test_all_answers_have_the_headers_that_all_must_have(status: int, close: bool) -> None:
    head, _ = Answer(status, b"x", TEXT, b"A: b\r\n").write(UNKNOWN, close=close)
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 %d %b" % (status, REASONS[status])
    assert b"Cache-Control: no-store" in lines
    assert b"X-Content-Type-Options: nosniff" in lines
    assert (b"Connection: close" in lines) is close
    assert (b"WWW-Authenticate: Bearer" in lines) is (status == 401)
    assert (b"Content-Length: 1" in lines) is (status != 204)
    assert b"A: b" in lines
    assert head.endswith(b"\r\n\r\n")
    assert head.count(b"\r\n\r\n") == 1


def test_an_answer_without_content_has_no_length_and_no_body() -> None:
    assert Answer(204).data == b""
    assert Answer(204).write(ResponseOptions(True, False, b"C: d\r\n"), close=False) == (
        b"HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nC: d\r\n\r\n",
        b"",
    )


def test_a_head_is_answered_with_the_length_and_without_the_body() -> None:
    head, body = Answer(200, b"{}").write(ResponseOptions(True, True, b""), close=False)
    assert (b"Content-Length: 2\r\n" in head, body) == (True, b"")


def test_an_answer_of_the_gateway_has_the_status_of_its_error_code() -> None:
    assert exchange_answer(None, None, None) == Answer(204)
    assert exchange_answer(b"{}", None, None) == Answer(200, b"{}")
    assert exchange_answer(b"{}", METHOD_NOT_FOUND, None) == Answer(200, b"{}")
    assert exchange_answer(b"{}", PARSE_ERROR, None) == Answer(400, b"{}")
    assert exchange_answer(b"{}", SERVER_BUSY, 0.5) == Answer(503, b"{}", JSON, b"Retry-After: 1\r\n")


@pytest.mark.parametrize(
    ("reason", "status", "error"),
    [(DRAINING, 503, -32050), (MAX_CONNECTIONS, 503, -32009), (MAX_CONNECTIONS_PER_USER, 429, -32029)],
)
def test_a_caller_who_is_not_admitted_gets_retry_after(reason: CloseReason, status: int, error: int) -> None:
    answer = not_admitted_answer(reason, None, in_json=True)
    assert (answer.status, answer.media, answer.fields) == (status, JSON, b"Retry-After: 1\r\n")
    assert b'"code":%d' % error in answer.data
    assert answer.data.endswith(b',"id":null}')
    answer = not_admitted_answer(reason, None, in_json=False)
    assert (answer.status, answer.media, answer.fields) == (status, TEXT, b"Retry-After: 1\r\n")
    assert answer.data == b"%b\n" % ERRORS[error].message.encode()
    answer = not_admitted_answer(reason, 60_000, in_json=True)
    assert (answer.status, answer.fields) == (status, b"Retry-After: 60\r\n")
    assert b'"data":{"retryable":true,"retry_after_ms":60000}' in answer.data


def test_a_result_is_written_at_once_as_any_answer_is() -> None:
    options = ResponseOptions(persistent=True, bodiless=False, lines=b"X-Request-Id: 7\r\n")
    head, data = exchange_answer(b"[1]", None, None).write(options, close=False)
    assert result_answer(b"[1]", options) == head + data


def test_a_refusal_says_why_in_words() -> None:
    answer = refusal_answer(Refusal(405, "No.", ((b"Allow", b"GET"),)))
    assert answer == Answer(405, b"No.\n", TEXT, b"Allow: GET\r\n")


def test_a_refusal_with_an_error_says_it_in_json() -> None:
    answer = refusal_answer(Refusal(413, "No.", error=ErrorObject.of(REQUEST_TOO_LARGE)))
    assert answer.media == JSON
    assert b'"code":-32007' in answer.data
    assert answer.data.endswith(b',"id":null}')


def test_only_a_page_of_an_allowed_origin_may_read_its_answer() -> None:
    assert cors_lines(b"https://a") == (
        b"Access-Control-Allow-Origin: https://a\r\nAccess-Control-Expose-Headers: Retry-After, X-Request-Id\r\n"
        b"Vary: Origin\r\n"
    )


def test_switching_writes_what_the_handshake_says() -> None:
    head = switching_head(((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")))
    assert head == b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


@pytest.mark.parametrize(("seconds", "line"), [(None, b""), (1, b"1"), (1.2, b"2"), (0.0, b"0")])
def test_a_wait_is_rounded_up_to_seconds(seconds: float | None, line: bytes) -> None:
    assert retry_line(seconds) == (b"Retry-After: %b\r\n" % line if line else b"")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"A", b"b\r\nEvil: 1"),
        (b"A", b"b\n"),
        (b"A", b"b\r"),
        (b"A", b"b\x00"),
        (b"A", b"\x7f"),
        (b"A\r\n", b"b"),
        (b"A:", b"b"),
        (b"", b"b"),
    ],
)
def test_34_a_header_that_would_break_out_of_its_line_is_not_written(name: bytes, value: bytes) -> None:
    with pytest.raises(UsageError, match="cannot be sent"):
        field_lines(((b"X", b"y"), (name, value)))


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.http.answers") == []


def test_a_refusal_for_a_cookie_that_does_not_count_clears_it() -> None:
    cleared = b"Set-Cookie: __Host-posthouse=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict\r\n"
    for in_json in (True, False):
        answer = not_admitted_answer(CLOSE_REASONS["stale_cookie"], None, in_json=in_json)
        assert (answer.status, answer.fields) == (401, cleared)


# For a host that writes heads by itself


def test_the_fields_of_a_written_head_are_read_back() -> None:
    options = ResponseOptions(persistent=True, bodiless=False, lines=b"X-Request-Id: a: b\r\n")
    head, _ = Answer(200, b"{}", fields=b"Retry-After: 1\r\n").write(options, close=True)
    assert read_fields(head) == (
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"connection", b"close"),
        (b"content-type", b"application/json"),
        (b"content-length", b"2"),
        (b"retry-after", b"1"),
        (b"x-request-id", b"a: b"),
    )
    head, _ = Answer(204).write(UNKNOWN, close=False)
    assert read_fields(head) == ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
