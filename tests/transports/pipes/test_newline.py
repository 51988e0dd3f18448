"""Newline-delimited JSON: bytes in, texts out, at every split; and the limit on a line."""

from __future__ import annotations

from json import dumps

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import decode
from posthouse.core.values.config import Config
from posthouse.transports.codec import Output, Send, Text
from posthouse.transports.pipes.newline import NewlineFraming

from .feeding import outputs_of


def lines(limit: int = 10) -> NewlineFraming:
    return NewlineFraming(Config(max_message_bytes=limit))


def feed(codec: NewlineFraming, *pieces: bytes, eof: bool = False) -> list[Output]:
    """The outputs for these pieces: texts and answers alone."""
    return [output for output in outputs_of(codec, *pieces, eof=eof) if isinstance(output, Text | Send)]


def too_large(limit: int = 10) -> Send:
    error = {
        "code": -32007,
        "message": "Request too large",
        "data": {"limit": "max_message_bytes", "allowed": limit},
    }
    output = feed(lines(limit), b"x" * (limit + 2))[0]
    assert isinstance(output, Send)
    assert decode(output.data) == {"jsonrpc": "2.0", "error": error, "id": None}
    assert output.data.endswith(b"}\n")
    return output


def test_equal_framing_is_one_name() -> None:
    assert lines().framing == "lines"


def test_each_line_is_a_text() -> None:
    assert feed(lines(), b'{"a":1}\n[2]\n') == [Text(b'{"a":1}'), Text(b"[2]")]


def test_a_line_may_end_as_on_windows() -> None:
    assert feed(lines(), b"1\r\n2\r\n") == [Text(b"1"), Text(b"2")]


def test_lines_without_anything_are_skipped() -> None:
    assert feed(lines(), b"\n\r\n  \t\n1\n\n") == [Text(b"1")]


def test_many_empty_lines_leave_others_their_turn() -> None:
    codec = lines()
    codec.receive_data(b"\n" * 100 + b"1\n", 0.0)
    assert (codec.buffered, codec.next_timeout()) == (38, 0.0)


def test_the_last_line_needs_no_end() -> None:
    assert feed(lines(), b"1\n2", eof=True) == [Text(b"1"), Text(b"2")]
    assert feed(lines(), b"1\n2\r", eof=True) == [Text(b"1"), Text(b"2")]
    assert feed(lines(), b"1\n ", eof=True) == [Text(b"1")]
    assert feed(lines(), b"1\n", eof=True) == [Text(b"1")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 5, 20])
def test_a_line_may_fill_the_limit_and_not_one_byte_more(end: bytes, size: int) -> None:
    def cut(data: bytes) -> list[bytes]:
        return [data[at : at + size] for at in range(0, len(data), size)]

    assert feed(lines(), *cut(b"x" * 9 + end)) == [Text(b"x" * 9)]
    assert feed(lines(), *cut(b"x" * 10 + end)) == [Text(b"x" * 10)]
    assert feed(lines(), *cut(b"x" * 11 + end)) == [too_large()]


def test_a_line_above_the_limit_is_answered_once_and_skipped_to_its_end_without_being_held() -> None:
    codec = lines()
    assert feed(codec, b"x" * 12) == [too_large()]
    for _ in range(100):
        assert feed(codec, b"x" * 12) == []
        assert codec.buffered == 0
    assert feed(codec, b"x\n1\n") == [Text(b"1")]


def test_a_last_line_above_the_limit_is_answered_once() -> None:
    assert feed(lines(), b"1\n", b"x" * 12, b"x", eof=True) == [Text(b"1"), too_large()]
    assert feed(lines(), b"x" * 10 + b"\r", eof=True) == [Text(b"x" * 10)]


def test_line_breaks_in_a_payload_become_spaces_and_its_value_stays() -> None:
    payload = b'{\r\n  "a": [1,\n 2],\r  "b": "\\n"\n}'
    frame = lines().frame(payload)
    assert frame.count(b"\n") == 1
    assert frame.endswith(b"\n")
    assert b"\r" not in frame
    assert decode(frame) == decode(payload)
    assert lines().frame(b"\r1") == b" 1\n"


def test_every_split_gives_the_same_texts() -> None:
    data = b'{"a":1}\r\n\n  [2]\n' + b"x" * 14 + b"\r\n3\r\n" + b"y" * 10 + b"\r\n4"
    whole = feed(lines(), data, eof=True)
    assert whole == [Text(b'{"a":1}'), Text(b"  [2]"), too_large(), Text(b"3"), Text(b"y" * 10), Text(b"4")]
    assert feed(lines(), *(data[at : at + 1] for at in range(len(data))), eof=True) == whole
    for at in range(len(data)):
        assert feed(lines(), data[:at], data[at:], eof=True) == whole


BYTES = st.lists(st.binary(min_size=1, max_size=40) | st.sampled_from([b"\n", b"\r\n", b"\r", b"x" * 30]), max_size=8)


@given(BYTES, st.integers(1, 5))
def test_no_bytes_raise_and_what_is_held_stays_within_the_limit_and_a_read(pieces: list[bytes], turn: int) -> None:
    codec = NewlineFraming(Config(max_message_bytes=10, frames_per_turn=turn))
    for piece in pieces:
        codec.receive_data(piece, 0.0)
        assert codec.buffered <= 10 + 1 + len(piece)
        assert codec.next_timeout() is None or not codec.output or len(codec.output) < turn
        feed(codec, b"")
        assert codec.buffered <= 10 + 1
    codec.receive_eof(0.0)
    assert codec.at_eof


@given(BYTES)
def test_the_same_bytes_in_one_piece_or_many_give_the_same(pieces: list[bytes]) -> None:
    assert feed(lines(), *pieces, eof=True) == feed(lines(), b"".join(pieces), eof=True)


VALUES = st.dictionaries(st.text(max_size=3), st.integers(-9, 9) | st.text(max_size=5), max_size=3)


@given(st.lists(VALUES, max_size=5))
def test_every_framed_payload_is_read_back_whole(values: list[dict[str, object]]) -> None:
    codec = lines(1000)
    frames = b"".join(codec.frame(dumps(value, indent=1).encode()) for value in values)
    texts = [output.data for output in feed(codec, frames) if isinstance(output, Text)]
    assert [decode(text) for text in texts] == values


@pytest.mark.parametrize("size", [1, 5, 40])
def test_the_lines_of_a_caller_who_is_not_authenticated_are_shorter(size: int) -> None:
    config = Config(max_message_bytes=20, max_message_bytes_unauthenticated=10, require_authentication=True)

    def cut(data: bytes) -> list[bytes]:
        return [data[at : at + size] for at in range(0, len(data), size)]

    for length in (9, 10, 11):
        codec = NewlineFraming(config)
        outputs = feed(codec, *cut(b"x" * length + b"\n"))
        assert [isinstance(output, Text) for output in outputs] == [length <= 10]
        codec.limit_messages(authenticated=True)
        assert feed(codec, *cut(b"x" * (length + 10) + b"\n")) == (
            [Text(b"x" * (length + 10))] if length <= 10 else [too_large(20)]
        )
        codec.limit_messages(authenticated=False)
        assert [isinstance(output, Text) for output in feed(codec, *cut(b"x" * 11 + b"\n"))] == [False]
