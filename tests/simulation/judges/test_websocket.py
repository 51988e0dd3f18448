"""The judge of a WebSocket: pongs, close frames, and the end of the connection."""

from __future__ import annotations

import pytest
from posthouse.adapters.simulation.judges.frames import unmask
from posthouse.adapters.simulation.judges.handshake import Agreed
from posthouse.adapters.simulation.judges.websocket import WebSocketJudge

from .links import FACTS, end, violates

KEY = b"\x01\x02\x03\x04"
CALL = b'{"jsonrpc":"2.0","method":"a","id":1}'
RESULT = b'{"jsonrpc":"2.0","result":0,"id":1}'


def masked(first: int, payload: bytes = b"") -> bytes:
    return bytes((first, 0x80 | len(payload))) + KEY + unmask(payload, KEY)


def frame(first: int, payload: bytes = b"") -> bytes:
    return bytes((first, len(payload))) + payload


def opened(*sent: bytes) -> WebSocketJudge:
    judge = WebSocketJudge(FACTS, Agreed(False, False), 100)
    for data in sent:
        judge.sent(data)
    return judge


def test_texts_pongs_and_the_echo_of_a_close_are_accepted_wherever_they_are_cut() -> None:
    received = frame(0x8A, b"1") + frame(0x81, RESULT) + frame(0x89) + frame(0x8A, b"3") + frame(0x88, b"\x03\xe8")
    for cut in range(len(received)):
        judge = opened(
            *(masked(0x89, b"1"), masked(0x81, CALL), masked(0x89, b"2"), masked(0x89, b"3")),
            masked(0x88, b"\x03\xe8bye"),
        )
        judge.received(received[:cut])
        judge.received(received[cut:])
        judge.server_ended(end())
        judge.received_end()


@pytest.mark.parametrize(
    ("received", "rule"),
    [
        (frame(0x8A, b"2") + frame(0x8A, b"1"), "websocket: a pong answers no ping, or is out of order"),
        (frame(0x8A, b"1") + frame(0x8A, b"1"), "websocket: a pong answers no ping, or is out of order"),
        (frame(0x8A, b"3"), "websocket: a pong answers no ping, or is out of order"),
        (frame(0x81, b"{"), "answering: a text is not JSON"),
        (frame(0x81, b'"\xff"'), "answering: a text is not JSON"),
        (frame(0x81, RESULT), "answering: an answer belongs to no request"),
        (frame(0x82, b"x"), "websocket: the server sent a binary message"),
        (masked(0x81, RESULT), "websocket: a frame is masked"),
        (frame(0x88, b"\x03\xe8") * 2, "websocket: bytes follow a close frame"),
        (frame(0x88, b"\x03\xe8") + frame(0x81, b"{}"), "websocket: bytes follow a close frame"),
        (frame(0x88), "websocket: a close frame has a code that may not be sent"),
        (frame(0x88, b"\x03"), "websocket: a close frame has a code that may not be sent"),
        (frame(0x88, b"\x03\xed"), "websocket: a close frame has a code that may not be sent"),
        (frame(0x88, b"\x03\xee"), "websocket: a close frame has a code that may not be sent"),
        (frame(0x88, b"\x03\xe8\xff"), "websocket: a close frame has a code that may not be sent"),
        (frame(0x88, b"\x0b\xb8"), "websocket: a close frame has a code that nobody promised"),
        (frame(0x88, b"\x03\xea"), "websocket: a client that kept the protocol was closed for breaking it"),
        (frame(0x88, b"\x03\xef"), "websocket: a client that kept the protocol was closed for breaking it"),
    ],
)
def test_a_frame_that_breaks_a_rule_is_a_violation(received: bytes, rule: str) -> None:
    judge = opened(masked(0x89, b"1"), masked(0x89, b"2"))
    with violates(rule):
        judge.received(received)


@pytest.mark.parametrize(
    "sent",
    [
        frame(0x81, CALL),
        masked(0x82, b"x"),
        masked(0x83),
        masked(0x81, b'"\xff"'),
        masked(0x88, b"\x00\x01"),
        masked(0x01, b"\xff"),
    ],
)
def test_a_client_that_breaks_the_protocol_may_be_closed_for_it(sent: bytes) -> None:
    judge = opened(sent, masked(0x81, CALL))
    judge.received(frame(0x88, b"\x03\xea"))
    judge.server_ended(end())
    judge.received_end()


def test_a_close_without_a_code_is_answered_without_one() -> None:
    judge = opened(masked(0x88), masked(0x81, CALL))
    judge.received(frame(0x88))
    with violates("bytes follow a close frame"):
        judge.received(frame(0x8A))


def test_the_server_ends_with_a_close_frame_unless_the_client_has_ended() -> None:
    judge = opened()
    with violates("websocket: the server ends the connection without a close frame"):
        judge.received_end()
    judge.sent_end()
    judge.received_end()


def test_the_end_within_a_message_is_a_violation() -> None:
    judge = opened(masked(0x81, CALL))
    judge.received(frame(0x01, RESULT))
    with violates("websocket: the output ends within a message"):
        judge.received_end()


def test_a_client_that_reads_several_pings_at_once_has_not_been_silent() -> None:
    judge = opened()
    judge.received(b"".join(frame(0x89, payload) for payload in (b"1", b"2", b"3")))
    with violates("websocket: the client answers no pings"):
        judge.received(frame(0x89, b"4"))


def test_a_client_answers_the_pings_of_the_server() -> None:
    judge = opened()
    for payload in (b"1", b"2", b"3"):
        judge.received(frame(0x89, payload))
        judge.sent(masked(0x8A, payload))
    judge.received(frame(0x89, b"4") + frame(0x89, b"5"))  # the answers may be on their way
    judge.sent(masked(0x8A, b"5"))
    judge.received(frame(0x89, b"6") + frame(0x89, b"7"))
    with violates("websocket: the client answers no pings"):
        judge.received(frame(0x89, b"8"))


@pytest.mark.parametrize("sent", [masked(0x88), frame(0x81, b"{}")])
def test_a_client_that_has_closed_or_has_broken_the_protocol_answers_no_pings(sent: bytes) -> None:
    judge = opened(sent)
    judge.received(frame(0x89) * 9)
