"""What both framings of a pipe share: turns, the end of input, closing, and what is held. On both of them."""

from __future__ import annotations

import pytest
from posthouse.core.values.config import Config
from posthouse.transports.codec import Ended, Output, Pause, Resume, Send, Shut, Text
from posthouse.transports.pipes.content_length import ContentLengthFraming
from posthouse.transports.pipes.newline import NewlineFraming
from posthouse.transports.pipes.pipe import Pipe

CODECS = pytest.mark.parametrize("codec", [NewlineFraming, ContentLengthFraming])


def build(codec: type[Pipe], **limits: float) -> Pipe:
    return codec(Config.from_mapping(limits))


def take(pipe: Pipe) -> list[Output]:
    taken = pipe.output.copy()
    pipe.output.clear()
    return taken


def many(pipe: Pipe, first: int, last: int) -> bytes:
    return b"".join(pipe.frame(b"%d" % number) for number in range(first, last + 1))


def numbers(first: int, last: int) -> list[Output]:
    return [Text(b"%d" % number) for number in range(first, last + 1)]


@CODECS
def test_each_end_reads_the_frames_of_the_other(codec: type[Pipe]) -> None:
    one, other = build(codec), build(codec)
    assert one.framing == other.framing
    other.receive_data(one.frame(b'{"a":1}') + one.frame(b"[]"), 0.0)
    assert take(other) == [Text(b'{"a":1}'), Text(b"[]")]


@CODECS
def test_after_a_turn_of_messages_others_have_theirs_and_reading_pauses(codec: type[Pipe]) -> None:
    pipe = build(codec, frames_per_turn=3)
    pipe.receive_data(many(pipe, 1, 7), 1.0)
    assert take(pipe) == [*numbers(1, 3), Pause()]
    assert pipe.next_timeout() == 1.0
    pipe.handle_timeout(1.5)
    assert take(pipe) == numbers(4, 6)
    assert pipe.next_timeout() == 1.5
    pipe.handle_timeout(1.5)
    assert take(pipe) == [*numbers(7, 7), Resume()]
    assert pipe.next_timeout() is None


@CODECS
def test_exactly_a_turn_of_messages_pauses_nothing(codec: type[Pipe]) -> None:
    pipe = build(codec, frames_per_turn=3)
    pipe.receive_data(many(pipe, 1, 3), 1.0)
    assert take(pipe) == numbers(1, 3)
    assert pipe.next_timeout() is None


@CODECS
def test_bytes_that_were_on_their_way_when_reading_paused_are_kept_in_order(codec: type[Pipe]) -> None:
    pipe = build(codec, frames_per_turn=2)
    data = many(pipe, 1, 5)
    pipe.receive_data(data[:-1], 0.0)
    pipe.receive_data(data[-1:] + many(pipe, 6, 6), 0.0)
    assert take(pipe) == [*numbers(1, 2), Pause()]
    pipe.handle_timeout(0.0)
    pipe.handle_timeout(0.0)
    assert take(pipe) == numbers(3, 4)
    pipe.handle_timeout(0.0)
    assert take(pipe) == [*numbers(5, 6), Resume()]


@CODECS
def test_while_its_output_is_full_it_reads_no_more_and_has_no_deadline(codec: type[Pipe]) -> None:
    pipe = build(codec, frames_per_turn=2)
    pipe.receive_data(many(pipe, 1, 5), 0.0)
    assert pipe.next_timeout() is None
    pipe.handle_timeout(1.0)
    assert pipe.output == [*numbers(1, 2), Pause()]
    del pipe.output[:1]
    assert pipe.next_timeout() is None
    del pipe.output[:1]
    assert pipe.next_timeout() == 1.0
    pipe.handle_timeout(2.0)
    assert pipe.output == [Pause(), *numbers(3, 3)]


@CODECS
def test_it_tells_the_bytes_that_it_holds(codec: type[Pipe]) -> None:
    pipe = build(codec, frames_per_turn=1)
    one, two, three = (pipe.frame(text) for text in (b"one", b"two", b"three"))
    assert pipe.buffered == 0
    pipe.receive_data(one + two + three[:-2], 0.0)
    assert pipe.buffered == len(b"one") + len(two) + len(three) - 2
    take(pipe)
    assert pipe.buffered == len(two) + len(three) - 2
    pipe.handle_timeout(0.0)
    take(pipe)
    assert pipe.buffered == len(three) - 2
    pipe.close(1000, 0.0)
    assert pipe.buffered == 0
    partial = build(codec)
    partial.receive_data(one[:-2], 0.0)
    assert 0 < partial.buffered <= len(one) - 2
    partial.close(1000, 0.0)
    assert partial.buffered == 0


@CODECS
def test_at_the_end_of_input_answers_may_take_the_grace_and_not_longer(codec: type[Pipe]) -> None:
    pipe = build(codec, stdio_grace=5.0)
    pipe.receive_data(pipe.frame(b"1"), 0.0)
    assert not pipe.at_eof
    pipe.receive_eof(10.0)
    assert take(pipe) == numbers(1, 1)
    assert pipe.at_eof
    assert pipe.next_timeout() == 15.0
    pipe.handle_timeout(14.999)
    assert take(pipe) == []
    pipe.handle_timeout(15.0)
    assert take(pipe) == [Ended(None), Shut()]
    assert pipe.next_timeout() is None


@CODECS
def test_at_eof_is_true_only_when_all_messages_before_it_were_handed_on(codec: type[Pipe]) -> None:
    pipe = build(codec, frames_per_turn=2)
    pipe.receive_data(many(pipe, 1, 3), 0.0)
    pipe.receive_eof(1.0)
    assert take(pipe) == [*numbers(1, 2), Pause()]
    assert not pipe.at_eof
    assert pipe.next_timeout() == 1.0
    pipe.handle_timeout(1.0)
    assert take(pipe) == [*numbers(3, 3), Resume()]
    assert pipe.at_eof
    assert pipe.next_timeout() == 6.0


@CODECS
def test_a_message_that_the_end_of_input_cuts_short_is_read_or_answered(codec: type[Pipe]) -> None:
    pipe = build(codec)
    pipe.receive_data(pipe.frame(b"12")[:-1], 0.0)
    pipe.receive_eof(0.0)
    (output,) = take(pipe)
    assert isinstance(output, Text if codec is NewlineFraming else Send)


@CODECS
def test_closing_writes_nothing_and_flushes_the_sent_bytes(codec: type[Pipe]) -> None:
    pipe = build(codec)
    pipe.receive_eof(0.0)
    pipe.close(1000, 1.0)
    assert take(pipe) == [Ended(1000), Shut(flush=True)]
    assert pipe.next_timeout() is None


@CODECS
def test_after_its_end_every_input_is_ignored(codec: type[Pipe]) -> None:
    pipe = build(codec)
    pipe.close(1012, 0.0)
    take(pipe)
    pipe.receive_data(pipe.frame(b"1"), 1.0)
    pipe.receive_eof(2.0)
    pipe.close(1000, 3.0)
    pipe.handle_timeout(100.0)
    assert (take(pipe), pipe.buffered, pipe.next_timeout()) == ([], 0, None)


@CODECS
def test_a_pipe_is_not_asked_for_signs_of_life(codec: type[Pipe]) -> None:
    pipe = build(codec)
    pipe.heartbeat(0.0)
    assert (take(pipe), pipe.next_timeout()) == ([], None)


@CODECS
def test_a_message_may_take_as_long_as_a_person_types(codec: type[Pipe]) -> None:
    pipe = build(codec)
    frame = pipe.frame(b"12")
    pipe.receive_data(frame[:-2], 0.0)
    assert pipe.next_timeout() is None
    pipe.handle_timeout(1e9)
    pipe.receive_data(frame[-2:], 1e9)
    assert take(pipe) == numbers(12, 12)


@CODECS
def test_a_message_above_the_limit_is_answered_once_and_the_next_is_read(codec: type[Pipe]) -> None:
    pipe = build(codec, max_message_bytes=10)
    pipe.receive_data(pipe.frame(b"x" * 12) + pipe.frame(b"1"), 0.0)
    refused, text = take(pipe)
    assert isinstance(refused, Send)
    data = b'{"limit":"max_message_bytes","allowed":10}'
    error = b'{"code":-32007,"message":"Request too large","data":%b}' % data
    assert refused.data == pipe.frame(b'{"jsonrpc":"2.0","error":%b,"id":null}' % error)
    assert text == Text(b"1")


@CODECS
def test_a_pipe_is_never_idle(codec: type[Pipe]) -> None:
    pipe = build(codec)
    pipe.close_idle(0.0)
    assert take(pipe) == []


def test_a_message_that_ends_the_connection_ends_its_turn() -> None:
    pipe = build(ContentLengthFraming)
    pipe.receive_data(b"\r\n\r\n" + pipe.frame(b"1"), 0.0)
    outputs = take(pipe)
    error = b'{"code":-32700,"message":"Parse error","data":{"reason":"a line of the head is not a header field"}}'
    assert outputs[0] == Send(b'Content-Length: 136\r\n\r\n{"jsonrpc":"2.0","error":%b,"id":null}' % error)
    assert outputs[1:] == [Ended(1002, "a line of the head is not a header field"), Shut()]
    assert pipe.buffered == 0


@CODECS
def test_the_error_for_a_caller_who_is_not_authenticated_names_its_own_limit(codec: type[Pipe]) -> None:
    pipe = codec(Config(max_message_bytes_unauthenticated=10, require_authentication=True))
    pipe.receive_data(pipe.frame(b"x" * 12), 0.0)
    (refused,) = take(pipe)
    assert isinstance(refused, Send)
    assert b'"data":{"limit":"max_message_bytes_unauthenticated","allowed":10}' in refused.data
