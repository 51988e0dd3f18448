"""The judge of pipes: lines and heads, their limits, and the end of the input."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
from posthouse.adapters.simulation.judges.judge import Facts, ServerEnd
from posthouse.adapters.simulation.judges.pipes import PipeJudge
from posthouse.core import Config

from .links import FACTS, end, violates

CALL = b'{"jsonrpc":"2.0","method":"a","id":%d}'
RESULT = b'{"jsonrpc":"2.0","result":0,"id":%d}'
REFUSED = b'{"jsonrpc":"2.0","error":{"code":%d,"message":"no"},"id":null}'
LIMIT = 80


def lines(*texts: bytes) -> bytes:
    return b"".join(text + b"\n" for text in texts)


def framed(*texts: bytes) -> bytes:
    return b"".join(b"Content-Length: %d\r\n\r\n%b" % (len(text), text) for text in texts)


Write = Callable[..., bytes]
every_framing = pytest.mark.parametrize("write", [lines, framed])


def judged(sent: bytes, facts: Facts = FACTS) -> PipeJudge:
    judge = PipeJudge(facts)
    judge.sent(sent)
    return judge


@every_framing
def test_answers_are_accepted_wherever_both_sides_are_cut(write: Write) -> None:
    sent, received = write(CALL % 1, CALL % 2), write(RESULT % 2, RESULT % 1)
    for cut in range(max(len(sent), len(received))):
        judge = judged(sent[:cut])
        judge.sent(sent[cut:])
        judge.sent_end()
        judge.received(received[:cut])
        judge.received(received[cut:])
        judge.server_ended(end(input_ended=0.0))
        judge.received_end()


@every_framing
def test_a_text_of_any_size_is_refused_only_above_the_limit_wherever_it_is_cut(write: Write) -> None:
    refused = write(REFUSED % -32007)
    for size in (LIMIT - 1, LIMIT, LIMIT + 1):
        sent = write((CALL % 1).ljust(size))
        for cut in range(len(sent)):
            judge = judged(sent[:cut])
            judge.sent(sent[cut:])
            if size > LIMIT:
                judge.received(refused)
            else:
                with violates("there are more errors without an id than messages"):
                    judge.received(refused)


@pytest.mark.parametrize("sent", [b"x" * (LIMIT + 1), b"Content-Length: 81\r\n\r\n"])
def test_a_message_above_the_limit_may_be_refused_before_it_is_whole(sent: bytes) -> None:
    judge = judged(sent)
    write = framed if sent.startswith(b"C") else lines
    judge.received(write(REFUSED % -32007))
    judge.sent(b"x" * LIMIT + b"\n" if write is lines else b"x" * 81)
    judge.server_ended(end(input_ended=0.0))
    judge.received_end()


@every_framing
@pytest.mark.parametrize(
    ("texts", "rule"),
    [
        ([RESULT % 2], "answering: an answer belongs to no request"),
        ([RESULT % 1, RESULT % 1], "answering: an answer belongs to no request, or is its second one"),
        ([b"{"], "answering: a text is not JSON"),
        ([REFUSED % -32700], "answering: there are more errors without an id"),
    ],
)
def test_a_text_that_breaks_a_rule_is_a_violation(write: Write, texts: list[bytes], rule: str) -> None:
    judge = judged(write(CALL % 1))
    with violates(rule):
        judge.received(write(*texts))


@pytest.mark.parametrize(
    ("sent", "received", "rule"),
    [
        (lines(CALL % 1), (RESULT % 1) + b"\r\n", "pipes: a line is no text"),
        (lines(CALL % 1), b"\n", "pipes: a line is no text"),
        (lines(CALL % 1), framed(RESULT % 1), "pipes: a line is no text"),
        (framed(CALL % 1), b"content-length: 2\r\n\r\n", "pipes: a head is not a Content-Length"),
        (framed(CALL % 1), b"Content-Length: 2\r\nA: b\r\n\r\n", "pipes: a head is not a Content-Length"),
        (framed(CALL % 1), lines(RESULT % 1) * 3, "pipes: a head is not a Content-Length"),
        (framed(CALL % 1), b"Content-Length: 034\r\n\r\n", "pipes: a head is not a Content-Length"),
        (b"", lines(RESULT % 1), "pipes: the server speaks before the client"),
    ],
)
def test_bytes_between_texts_are_a_violation(sent: bytes, received: bytes, rule: str) -> None:
    judge = judged(sent)
    with violates(rule):
        judge.received(received)


@pytest.mark.parametrize(
    "sent",
    [b"Content-Length: x\r\n\r\n", b"content-type: a\n", b"Content-Length: 9" * 600, b"Content-Length: 5\r\n\r\n{"],
)
def test_bytes_that_are_no_message_cause_one_error(sent: bytes) -> None:
    judge = judged(sent)
    judge.sent_end()
    judge.received(framed(REFUSED % -32700))
    with violates("there are more errors without an id than messages"):
        judge.received(framed(REFUSED % -32700))


@pytest.mark.parametrize("sent", [b" \r\n" + (CALL % 1), b"cont", b"C"])
def test_a_line_may_end_with_the_input(sent: bytes) -> None:
    judge = judged(sent)
    judge.sent_end()
    judge.received(lines(RESULT % 1 if b"{" in sent else REFUSED % -32700))
    judge.server_ended(end(input_ended=0.0))
    judge.received_end()


def test_blank_input_asks_for_nothing() -> None:
    judge = judged(b" \n\r\n")
    judge.sent_end()
    judge.server_ended(end(input_ended=0.0))
    judge.received_end()


@every_framing
def test_a_request_before_the_end_of_the_input_must_be_answered(write: Write) -> None:
    judge = judged(write(CALL % 1, CALL % 2))
    judge.sent_end()
    judge.received(write(RESULT % 2))
    judge.server_ended(end(at=4.9, input_ended=0.0))
    with violates("answering: a pipe ends, and a request before its end has no answer"):
        judge.received_end()


def test_a_request_needs_no_answer_if_a_head_behind_it_ends_the_connection() -> None:
    request = framed(CALL % 1)
    reached = len(request) + 1
    for head, delivered, accused in (
        (b"no head", reached, False),
        (b"no head", len(request), True),
        (b"Content-Length: 67108865", reached, False),
        (b"Content-Length: 67108864", reached, True),
    ):
        judge = judged(request)
        judge.sent(head + b"\r\n\r\n")
        judge.sent_end()
        judge.server_ended(end(input_ended=0.0, delivered=delivered))
        with violates("a request before its end has no answer") if accused else nullcontext():
            judge.received_end()


def test_a_message_above_the_limit_must_be_answered() -> None:
    judge = judged(lines(b"x" * 81))
    judge.sent_end()
    judge.server_ended(end(input_ended=0.0))
    with violates("limits: a message above the limit has no answer"):
        judge.received_end()


@pytest.mark.parametrize("ending", [None, end(), end(at=5.0, input_ended=0.0), end(input_ended=0.0, full=True)])
def test_a_request_needs_no_answer_after_the_grace_or_if_the_pipe_is_full(ending: ServerEnd | None) -> None:
    judge = judged(lines(CALL % 1))
    if ending is not None:
        judge.server_ended(ending)
    judge.received_end()


def test_a_request_needs_no_answer_during_a_shut_down_or_if_small_limits_may_close_the_pipe() -> None:
    draining = judged(lines(CALL % 1), Facts(Config(), "alice", lambda: True))
    small = judged(lines(CALL % 1), Facts(Config(max_queued_pushes=1), "alice"))
    alone = judged(lines(CALL % 1), Facts(Config(max_connections_per_user=1), "alice"))
    revoked = judged(lines(CALL % 1), Facts(Config(), "alice", shuts_out=lambda: True))
    for judge in (draining, small, alone, revoked):
        judge.server_ended(end(input_ended=0.0))
        judge.received_end()


def test_the_end_within_a_message_is_a_violation() -> None:
    judge = judged(lines(CALL % 1))
    judge.received(RESULT % 1)
    with violates("pipes: the output ends within a message"):
        judge.received_end()


def test_a_request_needs_no_answer_behind_too_many_messages_that_are_no_requests() -> None:
    for invalid, accused in ((9, True), (10, False)):
        judge = judged(lines(*[b"{"] * invalid, *(CALL % number for number in range(12))))
        judge.sent_end()
        judge.received(lines(*[REFUSED % -32700] * invalid))
        judge.server_ended(end(input_ended=0.0))
        with violates("a request before its end has no answer") if accused else nullcontext():
            judge.received_end()
