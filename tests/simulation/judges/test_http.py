"""The judge of HTTP: pipelining, half-closes, lengths, the end of a connection, and the answers to JSON-RPC."""

from __future__ import annotations

import pytest
from posthouse.adapters.simulation.judges.http import HttpJudge
from posthouse.adapters.simulation.judges.judge import Facts
from posthouse.core import Config

from .links import FACTS, end, violates

ALWAYS = b"\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
CALL = b'{"jsonrpc":"2.0","method":"a","id":%d}'
RESULT = b'{"jsonrpc":"2.0","result":0,"id":%d}'
NOTE = b'{"jsonrpc":"2.0","method":"a"}'
PLAIN = b"text/plain; charset=utf-8"
CLOSE = b"Connection: close\r\n"
FROM_APP = b"Origin: https://app.example\r\n"
ALLOWED = b"Access-Control-Allow-Origin: https://app.example\r\nVary: Origin\r\n"
GET_HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"


def post(body: bytes, fields: bytes = b"") -> bytes:
    return b"POST /rpc HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (fields, len(body), body)


def answer(body: bytes, status: bytes = b"200 OK", fields: bytes = b"", media: bytes = b"application/json") -> bytes:
    head = b"HTTP/1.1 %b%bContent-Type: %b\r\n%bContent-Length: %d\r\n\r\n" % (status, ALWAYS, media, fields, len(body))
    return head + body


def nothing(fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 204 No Content%b%b\r\n" % (ALWAYS, fields)


def refused(code: int, id: bytes = b"null") -> bytes:
    return b'{"jsonrpc":"2.0","error":{"code":%d,"message":"no"},"id":%b}' % (code, id)


def test_pipelined_requests_are_answered_in_order_wherever_the_bytes_are_cut() -> None:
    sent = post(CALL % 1) + post(NOTE) + post(CALL % 2, CLOSE)
    received = answer(RESULT % 1) + nothing() + answer(RESULT % 2, fields=CLOSE)
    for cut in range(len(received)):
        judge = HttpJudge(FACTS)
        judge.sent(sent)
        judge.sent_end()
        judge.received(received[:cut])
        judge.received(received[cut:])
        judge.server_ended(end())
        judge.received_end()


def test_answers_in_another_order_are_a_violation() -> None:
    judge = HttpJudge(FACTS)
    judge.sent(post(CALL % 1) + post(CALL % 2))
    with violates("answering: a response has other ids than its request"):
        judge.received(answer(RESULT % 2))


@pytest.mark.parametrize(
    ("sent", "received", "rule"),
    [
        (b"", answer(b"{}"), "http: a response answers no request"),
        (post(NOTE), nothing() + nothing(), "http: a response answers no request"),
        (post(NOTE, CLOSE), nothing(), "http: the last response does not say that it is the last"),
        (post(NOTE), nothing(CLOSE) + b"H", "http: bytes follow the last answer"),
        (post(NOTE), b"HTTP/1.1 204 No Content\r\n\r\n", "http: a response lacks a field that is promised"),
        (post(NOTE), b"HTTP/1.1 100 Continue\r\n\r\n", "http: a 100 .Continue. that was not asked for"),
        (post(NOTE, b"Expect: 100-continue\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n" * 2, "http: a 100 .Continue."),
        (post(NOTE, b"X-Request-Id: me\r\n"), nothing(), "http: a response does not have the X-Request-Id"),
        (post(NOTE), nothing(b"X-Request-Id: me\r\n"), "http: a response does not have the X-Request-Id"),
        (post(NOTE)[:-1], nothing(), "http: a request was answered before it was whole"),
        (post(CALL % 1), nothing(), "http: a request was not answered with JSON"),
        (
            post(CALL % 1),
            answer(b"no\n", media=b"text/plain; charset=utf-8"),
            "http: a request was not answered with JSON",
        ),
        (GET_HEALTH, answer(b"no\n", b"404 Not Found", b"", PLAIN), "http: a server does not tell its health"),
        (post(NOTE, FROM_APP), nothing(ALLOWED.replace(b"app", b"evil")), "http: an answer names another origin"),
        (post(NOTE), nothing(ALLOWED), "http: an answer names another origin"),
        (post(NOTE, FROM_APP), nothing(ALLOWED[: ALLOWED.index(b"Vary")]), "http: an answer for one origin does not"),
        (post(NOTE, FROM_APP), nothing(), "http: a page that may call cannot read its answer"),
        (post(CALL % 1), answer(b"{"), "answering: a text is not JSON"),
        (post(CALL % 1), answer(b"{}"), "answering: a message is not JSON-RPC: it is not an object with the version"),
        (post(CALL % 1), answer(CALL % 1), "answering: a message is not JSON-RPC: it is a request"),
        (post(CALL % 1), answer(b"[%b]" % (RESULT % 1)), "answering: a response has other ids"),
        (post(b"[%b]" % (CALL % 1)), answer(RESULT % 1), "answering: a response has other ids"),
        (post(CALL % 1), answer(refused(-32601, b"1"), b"404 Not Found"), "http: the status does not match the error"),
        (post(CALL % 1), answer(refused(-32600)), "http: the status does not match the error"),
        (
            post(b"[%b,%b]" % (CALL % 1, CALL % 2)),
            answer(b"[%b,%b]" % (RESULT % 2, RESULT % 1)),
            "answering: a response has other ids",
        ),
    ],
)
def test_a_response_that_breaks_a_rule_is_a_violation(sent: bytes, received: bytes, rule: str) -> None:
    judge = HttpJudge(FACTS)
    judge.sent(sent)
    with violates(rule):
        judge.received(received)


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (post(CALL % 1), answer(refused(-32601, b"1"))),
        (post(CALL % 1), answer(refused(-32009), b"503 Service Unavailable", b"Retry-After: 1\r\n")),
        (post(b"[%b]" % (CALL % 1)), answer(b"[%b]" % (RESULT % 1))),
        (post(b"[%b,7]" % (CALL % 1)), answer(b"[%b,%b]" % (RESULT % 1, refused(-32600)))),
        (post(b"{"), answer(refused(-32700), b"400 Bad Request")),
        (post(b" "), answer(refused(-32700), b"400 Bad Request")),
        (post(CALL % 1), answer(b"no\n", b"403 Forbidden", CLOSE, b"text/plain; charset=utf-8")),
        (
            post(CALL % 1, b"X-Request-Id: me\r\n"),
            answer(b"no\n", b"431 Request Header Fields Too Large", CLOSE, b"text/plain; charset=utf-8"),
        ),
        (post(NOTE, b"Expect: 100-continue\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n" + nothing()),
        (post(NOTE)[:-1], answer(b"no\n", b"408 Request Timeout", CLOSE, b"text/plain; charset=utf-8")),
        (b"POST /r", answer(b"no\n", b"408 Request Timeout", CLOSE, b"text/plain; charset=utf-8")),
        (b"\x16\x03\r\n\r\n", answer(b"no\n", b"400 Bad Request", CLOSE, b"text/plain; charset=utf-8")),
        (b"HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n" + post(NOTE), answer(b"{}")[:-2] + nothing()),
        (GET_HEALTH, answer(b"{}")),
        (post(NOTE, FROM_APP), nothing(ALLOWED)),
        (post(NOTE, b"Origin: http://a\r\n"), nothing()),
        (GET_HEALTH.replace(b"GET", b"PUT"), answer(b"no\n", b"405 Method Not Allowed", b"Allow: GET\r\n", PLAIN)),
    ],
)
def test_a_response_that_breaks_no_rule_is_accepted(sent: bytes, received: bytes) -> None:
    judge = HttpJudge(FACTS)
    judge.sent(sent)
    judge.received(received)
    judge.server_ended(end())
    judge.received_end()


def test_a_request_before_a_half_close_must_be_answered() -> None:
    judge = HttpJudge(FACTS)
    judge.sent(post(CALL % 1) + post(CALL % 2))
    judge.sent_end()
    judge.received(answer(RESULT % 1))
    judge.server_ended(end(at=3.0, input_ended=1.0))
    with violates("http: the connection ends, and a request has no answer"):
        judge.received_end()


def test_a_request_needs_no_answer_if_its_client_may_be_closed_for_its_rate() -> None:
    judge = HttpJudge(Facts(Config(call_rate=1.0), "alice"))
    judge.sent(post(CALL % 1))
    judge.server_ended(end())
    judge.received_end()


def test_a_drain_may_leave_a_request_that_was_not_begun_without_an_answer() -> None:
    judge = HttpJudge(Facts(FACTS.config, "alice", lambda: True))
    judge.sent(post(CALL % 1))
    judge.server_ended(end())
    judge.received_end()


def test_a_request_that_has_not_arrived_or_is_too_late_needs_no_answer() -> None:
    for ending in (
        end(delivered=len(post(CALL % 1)) - 1),
        end(at=6.0, input_ended=1.0),
    ):
        judge = HttpJudge(FACTS)
        judge.sent(post(CALL % 1))
        judge.server_ended(ending)
        judge.received_end()


@pytest.mark.parametrize("received", [answer(RESULT % 1)[:-1], answer(RESULT % 1)[:20]])
def test_a_connection_that_ends_within_a_response_is_a_violation(received: bytes) -> None:
    judge = HttpJudge(FACTS)
    judge.sent(post(CALL % 1))
    judge.received(received)
    judge.server_ended(end())
    with violates("http: the connection ends within a response"):
        judge.received_end()
