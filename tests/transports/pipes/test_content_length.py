"""`Content-Length` framing: bytes in, texts out, at every split; heads that cannot be read; the limit on a message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import decode
from posthouse.core.values.config import MIB, Config
from posthouse.transports.codec import Ended, Output, Pause, Resume, Send, Shut, Text
from posthouse.transports.pipes.content_length import MAX_HEAD_BYTES, ContentLengthFraming

from .feeding import outputs_of

NOBODY = ContentLengthFraming(Config())


def headers(limit: int = 10) -> ContentLengthFraming:
    return ContentLengthFraming(Config(max_message_bytes=limit))


def feed(codec: ContentLengthFraming, *pieces: bytes, eof: bool = False) -> list[Output]:
    """The outputs for these pieces: pauses are left out."""
    return [output for output in outputs_of(codec, *pieces, eof=eof) if not isinstance(output, Pause | Resume)]


def answer(output: Output) -> tuple[int, Any]:
    """The code and the data of an error that was sent, framed, with `id: null`."""
    assert isinstance(output, Send)
    (text,) = feed(headers(1000), output.data)
    assert isinstance(text, Text)
    reply = decode(text.data)
    assert reply["id"] is None
    return reply["error"]["code"], reply["error"]["data"]


TOO_LARGE = (-32007, {"limit": "max_message_bytes", "allowed": 10})


def assert_refused(head: bytes, reason: str) -> None:
    """It is answered once, the connection ends, and nothing after it is parsed: in one piece or byte by byte."""
    whole = feed(headers(), head + b"\r\n\r\n" + NOBODY.frame(b"1"))
    assert [answer(whole[0]), *whole[1:]] == [(-32700, {"reason": reason}), Ended(1002, reason), Shut()]
    assert feed(headers(), *(bytes([byte]) for byte in head + b"\r\n\r\n1")) == whole


def test_equal_framing_is_one_name() -> None:
    assert headers().framing == "headers"


def test_a_message_is_as_long_as_its_head_says() -> None:
    assert feed(headers(), b"Content-Length: 2\r\n\r\n[]Content-Length: 3\r\n\r\n[1]") == [Text(b"[]"), Text(b"[1]")]


def test_the_length_is_in_bytes() -> None:
    assert NOBODY.frame("é".encode()) == b"Content-Length: 2\r\n\r\n\xc3\xa9"
    assert feed(headers(), NOBODY.frame("é".encode())) == [Text(b"\xc3\xa9")]


def test_an_empty_message_is_a_text_for_others_to_judge() -> None:
    assert feed(headers(), NOBODY.frame(b"") + NOBODY.frame(b"1")) == [Text(b""), Text(b"1")]


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 1",
        b"CONTENT-LENGTH:1",
        b"Content-Length: \t 1\t ",
        b"Content-Length: 0001",
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: 1",
        b"Content-Length: 1\r\nContent-Type: application/json",
        b"Content-Length: 1\r\ncontent-type: application/vscode-jsonrpc;charset=UTF8",
        b'Content-Length: 1\r\nContent-Type: text/plain; Charset = "Utf-8"; q=1',
        b"X-Trace: a:b, c\r\nContent-Length: 1\r\nX-Empty:",
    ],
)
def test_fields_come_in_any_order_and_any_case(head: bytes) -> None:
    assert feed(headers(), head + b"\r\n\r\n1") == [Text(b"1")]


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"X-Trace: 1",
        b"Content-Length:",
        b"Content-Length: -1",
        b"Content-Length: +1",
        b"Content-Length: 1.0",
        b"Content-Length: 0x1",
        b"Content-Length: 1_0",
        b"Content-Length: 1, 1",
        "Content-Length: \u0661".encode(),
        b"Content-Length: " + b"9" * 20,
        b"Content-Length: 1\r\nContent-Length: 1",
        b"Content-Length: 1\r\ncontent-length: 2",
    ],
)
def test_a_head_without_one_length_in_digits_is_refused(head: bytes) -> None:
    if head:
        assert_refused(head, "a head has one Content-Length, in digits")
    else:
        assert_refused(head, "a line of the head is not a header field")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 1\r\nContent-Type: application/json; charset=utf-16",
        b"Content-Length: 1\r\nContent-Type: a/b; charset=utf-8; charset=latin-1",
        b"Content-Length: 1\r\nContent-Type: a/b; charset=",
        b"Content-Length: 1\r\nContent-Type: a/b\r\nContent-Type: a/b",
    ],
)
def test_another_charset_is_refused(head: bytes) -> None:
    assert_refused(head, "a head has at most one Content-Type, of charset utf-8")


@pytest.mark.parametrize(
    "head",
    [
        b'{"jsonrpc":"2.0"}',
        b"Content-Length : 1",
        b"Content-Length",
        b" Content-Length: 1",
        b"Content-Length: 1\r\n folded",
        b"Content-Length: 1\r\n\tfolded: 1",
        b"Content-Length: 1\rX: 1",
        b"Content-Length: 1\r\nX: \x00",
        b"Content-Length: 1\r\nX: \x7f",
        b"Content-Length: 1\r\n: 1",
    ],
)
def test_a_line_that_is_no_field_is_refused(head: bytes) -> None:
    assert_refused(head, "a line of the head is not a header field")


@pytest.mark.parametrize(
    "head",
    [
        b"\n",
        b"Content-Length: 1\n",
        b"Content-Length: 1\n\n1",
        b"Content-Length: 1\r\n\n",
        b"Content-Length: 1\n\r\n",
        b"no field\r\nContent-Length: 1\nX: y",
        b'{"jsonrpc":"2.0"}\n',
        b"X: " + b"x" * (MAX_HEAD_BYTES - 4) + b"\n",
    ],
)
def test_a_line_of_a_head_that_ends_with_lf_alone_is_refused_at_once(head: bytes) -> None:
    reason = "the lines of a head end with CR LF, not LF alone"
    whole = feed(headers(), head)
    assert [answer(whole[0]), *whole[1:]] == [(-32700, {"reason": reason}), Ended(1002, reason), Shut()]
    for at in range(len(head)):
        if 100 < at < len(head) - 100:
            continue  # between two bytes that are equal
        assert feed(headers(), head[:at], head[at:] + b"\r\n\r\n1") == whole
    assert feed(headers(), *(bytes([byte]) for byte in head)) == whole
    assert feed(headers(), NOBODY.frame(b"\n\r") + head) == [Text(b"\n\r"), *whole]


def test_a_head_may_fill_its_limit_and_not_one_byte_more() -> None:
    def head(size: int) -> bytes:
        fixed = b"Content-Length: 1\r\nX: \r\n\r\n"
        return fixed[:-4] + b"x" * (size - len(fixed)) + fixed[-4:]

    for size in (MAX_HEAD_BYTES - 1, MAX_HEAD_BYTES):
        assert feed(headers(), head(size) + b"1") == [Text(b"1")]
        assert feed(headers(), head(size)[:100], head(size)[100:], b"1") == [Text(b"1")]
    longer = head(MAX_HEAD_BYTES + 1) + b"1"
    whole = feed(headers(), longer)
    assert [answer(whole[0]), *whole[1:]] == [
        (-32700, {"reason": "a head has at most 8192 bytes"}),
        Ended(1002, "a head has at most 8192 bytes"),
        Shut(),
    ]
    assert feed(headers(), longer[:100], longer[100:8000], longer[8000:]) == whole


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_message_may_fill_the_limit_and_one_byte_more_is_skipped_exactly(size: int) -> None:
    def cut(data: bytes) -> list[bytes]:
        return [data[at : at + size] for at in range(0, len(data), size)]

    then = NOBODY.frame(b"1")
    assert feed(headers(), *cut(NOBODY.frame(b"x" * 9) + then)) == [Text(b"x" * 9), Text(b"1")]
    assert feed(headers(), *cut(NOBODY.frame(b"x" * 10) + then)) == [Text(b"x" * 10), Text(b"1")]
    refused, text = feed(headers(), *cut(NOBODY.frame(b"x" * 11) + then))
    assert (answer(refused), text) == (TOO_LARGE, Text(b"1"))


def test_skipped_bytes_are_not_held() -> None:
    codec = headers()
    (refused,) = feed(codec, b"Content-Length: 1000\r\n\r\n")
    assert answer(refused) == TOO_LARGE
    for _ in range(10):
        assert feed(codec, b"x" * 100) == []
        assert codec.buffered == 0
    assert feed(codec, NOBODY.frame(b"1")) == [Text(b"1")]


def test_a_length_far_above_the_limit_ends_the_connection() -> None:
    (refused,) = feed(headers(), b"Content-Length: %d\r\n\r\n" % (64 * MIB))
    assert answer(refused) == TOO_LARGE
    for length in (64 * MIB + 1, 10**19 - 1):
        refused, *end = feed(headers(), b"Content-Length: %d\r\n\r\n" % length)
        assert (answer(refused), *end) == (
            TOO_LARGE,
            Ended(1009, "a message of more than 67108864 bytes was announced"),
            Shut(),
        )


@pytest.mark.parametrize("data", [b"C", b"Content-Length: 2\r\n\r\n", b"Content-Length: 2\r\n\r\n1"])
def test_an_input_that_ends_within_a_message_gets_a_parse_error(data: bytes) -> None:
    text, refused = feed(headers(), NOBODY.frame(b"1") + data, eof=True)
    assert (text, answer(refused)) == (Text(b"1"), (-32700, {"reason": "the input ended within a message"}))


def test_input_may_end_between_messages_and_in_skipped_bytes() -> None:
    assert feed(headers(), NOBODY.frame(b"1"), eof=True) == [Text(b"1")]
    assert feed(headers(), eof=True) == []
    assert len(feed(headers(), b"Content-Length: 11\r\n\r\n1", eof=True)) == 1


def test_every_split_gives_the_same_texts() -> None:
    data = b"".join(map(NOBODY.frame, (b"1", b"", b"x" * 12, b"\r\n\r\n", b"y" * 10)))
    whole = feed(headers(), data, eof=True)
    assert [output for output in whole if isinstance(output, Text)] == list(
        map(Text, (b"1", b"", b"\r\n\r\n", b"y" * 10))
    )
    assert feed(headers(), *(data[at : at + 1] for at in range(len(data))), eof=True) == whole
    for at in range(len(data)):
        assert feed(headers(), data[:at], data[at:], eof=True) == whole


BYTES = st.lists(
    st.binary(min_size=1, max_size=40)
    | st.sampled_from([b"Content-Length: ", b"Content-Type: a/b", b"7", b"\r\n", b"\r\n\r\n", b"x" * 30, b"\n"])
    | st.binary(max_size=15).map(NOBODY.frame),
    max_size=10,
)


@given(BYTES, st.integers(1, 5))
def test_no_bytes_raise_and_what_is_held_stays_within_the_limit_and_a_read(pieces: list[bytes], turn: int) -> None:
    codec = ContentLengthFraming(Config(max_message_bytes=10, frames_per_turn=turn))
    for piece in filter(None, pieces):
        codec.receive_data(piece, 0.0)
        assert codec.buffered <= MAX_HEAD_BYTES + 10 + len(piece)
        feed(codec, b"")
        assert codec.buffered <= MAX_HEAD_BYTES + 10
    codec.receive_eof(0.0)
    assert codec.at_eof or Shut() in codec.output or codec.next_timeout() is None


@given(BYTES)
def test_the_same_bytes_in_one_piece_or_many_give_the_same(pieces: list[bytes]) -> None:
    assert feed(headers(), *pieces, eof=True) == feed(headers(), b"".join(pieces), eof=True)


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_every_framed_payload_is_read_back_whole(payloads: list[bytes]) -> None:
    assert feed(headers(20), b"".join(map(NOBODY.frame, payloads))) == list(map(Text, payloads))


def test_the_messages_of_a_caller_who_is_not_authenticated_are_shorter() -> None:
    config = Config(max_message_bytes=20, max_message_bytes_unauthenticated=10, require_authentication=True)
    for length in (9, 10, 11):
        codec = ContentLengthFraming(config)
        codec.receive_data(codec.frame(b"x" * length), 0.0)
        assert [type(output) for output in codec.output] == [Text if length <= 10 else Send]
        codec.limit_messages(authenticated=True)
        codec.output.clear()
        codec.receive_data(codec.frame(b"x" * (length + 10)), 0.0)
        assert [type(output) for output in codec.output] == [Text if length <= 10 else Send]
        codec.limit_messages(authenticated=False)
        codec.output.clear()
        codec.receive_data(codec.frame(b"x" * 11), 0.0)
        assert [type(output) for output in codec.output] == [Send]
