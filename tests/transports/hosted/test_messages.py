"""What hosted connections send: bytes that say more."""

from __future__ import annotations

from posthouse.transports.hosted.messages import Accepted, Closing, Response, answer_response, result_response
from posthouse.transports.http.answers import UNKNOWN, Answer, ResponseOptions


def test_a_response_is_its_body_with_a_status_and_fields() -> None:
    response = Response(b"{}", 404, ((b"a", b"b"),))
    assert (response, len(response), response.status, response.fields) == (b"{}", 2, 404, ((b"a", b"b"),))


def test_the_begin_and_the_end_of_a_websocket_have_no_bytes() -> None:
    assert (Accepted("chat"), Accepted("chat").subprotocol, Accepted(None).subprotocol) == (b"", "chat", None)
    assert (Closing(1000), Closing(1000).code) == (b"", 1000)


def test_a_response_has_the_fields_of_its_answer() -> None:
    response = answer_response(Answer(503, b"{}"), UNKNOWN, close=True)
    assert (response, response.status) == (b"{}", 503)
    assert response.fields == (
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"connection", b"close"),
        (b"content-type", b"application/json"),
        (b"content-length", b"2"),
    )


def test_a_result_has_the_same_fields_as_any_answer() -> None:
    named = ResponseOptions(persistent=True, bodiless=False, lines=b"Vary: Origin\r\nX-Request-Id: a\r\n")
    for options in (UNKNOWN, named):
        result, answer = result_response(b"[1]", options), answer_response(Answer(200, b"[1]"), options, close=False)
        assert (result, result.status, result.fields) == (answer, 200, answer.fields)
