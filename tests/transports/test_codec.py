"""What codecs say are values; every one of them is told apart by its type."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
from posthouse.core import Config, UsageError
from posthouse.core.values.close_reasons import MAX_CONNECTIONS
from posthouse.transports.codec import (
    ABNORMAL,
    DISCARD_BYTES,
    DISCARD_SECONDS,
    Answered,
    Binary,
    Codec,
    Ended,
    Output,
    Send,
    Shut,
    message_limit,
)
from posthouse.transports.http.server import Http1
from posthouse.transports.pipes.content_length import ContentLengthFraming
from posthouse.transports.pipes.detect import PipeDetector
from posthouse.transports.pipes.newline import NewlineFraming
from posthouse.transports.websocket.server import WebSocket

from tests.values import changeable


def test_outputs_are_values_that_cannot_change() -> None:
    output = Send(b"x")
    assert output == Send(b"x")
    with pytest.raises(AttributeError):
        output.data = b"y"  # type: ignore[misc]


def test_shut_flushes_by_default() -> None:
    assert Shut().flush


def test_abnormal_is_the_reserved_code_1006() -> None:
    assert ABNORMAL == 1006


def test_a_codec_discards_64_kib_and_two_seconds_at_most_before_it_closes() -> None:
    assert (DISCARD_BYTES, DISCARD_SECONDS) == (65_536, 2.0)


def test_a_binary_payload_equals_bytes_and_keeps_its_type() -> None:
    assert Binary(b"x") == b"x"
    assert type(Binary(b"x")) is Binary


def test_every_output_of_the_union_has_a_docstring() -> None:
    assert all(kind.__doc__ for kind in get_args(Output))


@pytest.mark.parametrize(
    "codec", [Http1, WebSocket, NewlineFraming, ContentLengthFraming, PipeDetector], ids=lambda codec: codec.__name__
)
def test_every_codec_has_what_the_protocol_asks(codec: type) -> None:
    for name in vars(Codec):
        if not name.startswith("_"):
            assert hasattr(codec, name), name


class Plain(Codec):
    """A codec with the verbs that it must have, and no other."""

    def __init__(self) -> None:
        self.output: list[Output] = []

    buffered = 0

    def receive_data(self, data: bytes, now: float) -> None: ...
    def receive_eof(self, now: float) -> None: ...
    def close(self, code: int, now: float) -> None: ...
    def next_timeout(self) -> float | None:
        return None

    def handle_timeout(self, now: float) -> None: ...


def test_the_inherited_verbs_do_nothing() -> None:
    codec = Plain()
    assert (codec.framing, codec.frame(b"x")) == (None, b"x")
    codec.close_idle(0.0)
    codec.shed(0.0)
    codec.heartbeat(0.0)
    codec.limit_messages(authenticated=False)
    codec.pause_output()
    codec.resume_output(0.0)
    codec.drain()
    assert codec.output == []
    assert (codec.at_eof, codec.abnormal_code) == (False, None)
    assert codec.accept(0.0) is codec
    assert not codec.receive_whole(b"{}", 0.0)
    assert codec.answer_whole(b"{}", None, 0.0) is None


@pytest.mark.parametrize(
    "verb",
    [
        lambda codec: codec.answer(b"{}", None, None, 0.0),
        lambda codec: codec.respond(200, b"{}", 0.0),
        lambda codec: codec.refuse(MAX_CONNECTIONS, 0.0),
        lambda codec: codec.admit(0.0),
        lambda codec: codec.proceed(0.0),
    ],
)
def test_a_codec_that_reads_no_requests_cannot_answer_one(verb: Callable[[Codec], None]) -> None:
    with pytest.raises(UsageError, match="Plain has no "):
        verb(Plain())


def test_a_connection_that_ended_by_itself_broke_no_rule() -> None:
    assert Ended(1000) == Ended(1000, None)


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.codec") == []


def test_an_answer_is_no_refusal_unless_it_says_so() -> None:
    assert (Answered(200).reason, Answered(200).rejected_value, Answered(200).client) == (None, None, None)


def test_a_caller_who_is_not_authenticated_sends_smaller_messages_and_never_larger_ones() -> None:
    config = Config(max_message_bytes=20, max_message_bytes_unauthenticated=10)
    assert (message_limit(config, authenticated=True), message_limit(config, authenticated=False)) == (20, 10)
    config = Config(max_message_bytes=20, max_message_bytes_unauthenticated=30)
    assert (message_limit(config, authenticated=True), message_limit(config, authenticated=False)) == (20, 20)
