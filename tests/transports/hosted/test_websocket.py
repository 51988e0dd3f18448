"""A WebSocket that a host speaks: whole messages in and out, and how it ends."""

from __future__ import annotations

import pytest
from posthouse.core.values.config import Config
from posthouse.transports.codec import Binary, Ended, Send, Shut, Text
from posthouse.transports.hosted.messages import Closing
from posthouse.transports.hosted.websocket import HostedWebSocket

SMALL = Config(max_message_bytes=10)


def codec(*, binary: bool = False) -> HostedWebSocket:
    return HostedWebSocket(SMALL, binary=binary)


@pytest.mark.parametrize("text", ["{}", "x" * 9, "x" * 10, "é" * 5])
def test_a_text_within_the_limit_is_handed_on_in_utf_8(text: str) -> None:
    websocket = codec()
    websocket.receive_message(text, 0.0)
    assert websocket.output == [Text(text.encode())]
    assert websocket.buffered == len(text.encode())


def test_the_direct_way_is_for_texts_that_nothing_is_before() -> None:
    websocket = codec()
    assert websocket.receive_whole_message("{}") == Text(b"{}")
    assert websocket.receive_whole_message("x" * 11) is None
    assert websocket.output == []
    websocket.receive_message("{}", 0.0)
    assert websocket.receive_whole_message("{}") is None
    websocket = codec()
    websocket.close(1000, 0.0)
    websocket.output.clear()
    assert websocket.receive_whole_message("{}") is None


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ("x" * 11, 1009, "a message is larger than max_message_bytes"),
        ("é" * 6, 1009, "a message is larger than max_message_bytes"),
        ("\ud800", 1007, "a text is not UTF-8, or a compressed message is not a deflate stream"),
        (b"{}", 1003, "binary messages are not accepted"),
    ],
)
def test_other_messages_fail_the_websocket_and_nothing_follows(message: str | bytes, code: int, reason: str) -> None:
    websocket = codec()
    websocket.receive_message(message, 0.0)
    assert websocket.output == [Send(Closing(code)), Ended(code, reason), Shut()]
    sent = websocket.output[0]
    assert isinstance(sent, Send)
    assert isinstance(sent.data, Closing)
    assert sent.data.code == code
    websocket.receive_message("{}", 0.0)
    websocket.close(1000, 0.0)
    websocket.receive_end(1000, 0.0)
    assert len(websocket.output) == 3


def test_binary_messages_are_passed_on_where_they_are_allowed() -> None:
    websocket = codec(binary=True)
    websocket.receive_message(b"\x00\xff", 0.0)
    (text,) = websocket.output
    assert isinstance(text, Text)
    assert type(text.data) is Binary
    assert text.data == b"\x00\xff"
    websocket.receive_message(b"x" * 11, 0.0)
    assert websocket.output[1:] == [
        Send(Closing(1009)),
        Ended(1009, "a message is larger than max_message_bytes"),
        Shut(),
    ]


def test_the_server_closes_with_its_code() -> None:
    websocket = codec()
    websocket.close(1012, 0.0)
    assert websocket.output == [Send(Closing(1012)), Ended(1012), Shut()]


def test_a_peer_that_has_gone_ends_it_at_once_and_its_texts_are_dropped() -> None:
    websocket = codec()
    websocket.receive_message("{}", 0.0)
    websocket.receive_end(1001, 0.0)
    assert websocket.output == [Ended(1001), Shut(flush=False)]
    assert websocket.buffered == 0


def test_payloads_are_sent_as_they_are_and_it_has_no_deadlines() -> None:
    websocket = codec()
    assert (websocket.framing, websocket.frame(b"{}")) == ("hosted", b"{}")
    assert websocket.abnormal_code == 1006
    assert websocket.next_timeout() is None
    websocket.handle_timeout(1e9)
    assert websocket.output == []


def test_the_messages_of_a_caller_who_is_not_authenticated_are_smaller() -> None:
    websocket = HostedWebSocket(Config(max_message_bytes=20, max_message_bytes_unauthenticated=10), binary=False)
    websocket.receive_message("x" * 20, 0.0)
    websocket.limit_messages(authenticated=False)
    websocket.receive_message("x" * 10, 0.0)
    websocket.receive_message("x" * 11, 0.0)
    ended = [output for output in websocket.output if isinstance(output, Ended)]
    assert ended == [Ended(1009, "a message is larger than max_message_bytes_unauthenticated")]
    assert len([output for output in websocket.output if isinstance(output, Text)]) == 2
