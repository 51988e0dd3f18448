"""The first bytes of a pipe tell which framing it speaks, at every split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.values.config import Config
from posthouse.transports.codec import Selected, Shut, Text
from posthouse.transports.pipes.content_length import ContentLengthFraming
from posthouse.transports.pipes.detect import HEADER_START, PipeDetector
from posthouse.transports.pipes.newline import NewlineFraming

CONFIG = Config()


def select(pieces: list[bytes]) -> tuple[type, bytes] | None:
    """The codec that was selected, and all bytes that are for it; None: nothing was."""
    detector = PipeDetector(CONFIG)
    for number, piece in enumerate(pieces):
        detector.receive_data(piece, 0.0)
        assert detector.buffered < len(HEADER_START)
        if detector.output:
            (selected,) = detector.output
            assert isinstance(selected, Selected)
            assert detector.buffered == 0
            return type(selected.codec), selected.rest + b"".join(pieces[number + 1 :])
    return None


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (b'{"jsonrpc"', NewlineFraming),
        (b"[1]", NewlineFraming),
        (b"nonsense", NewlineFraming),
        (b"\xef\xbb\xbf{}", NewlineFraming),
        (b"contents", NewlineFraming),
        (b"Con{", NewlineFraming),
        (b"\x00", NewlineFraming),
        (b"Content-Length: 2\r\n\r\n{}", ContentLengthFraming),
        (b"content-type: x", ContentLengthFraming),
        (b"CONTENT-", ContentLengthFraming),
    ],
)
@pytest.mark.parametrize("space", [b"", b"\r\n \t"])
def test_the_first_bytes_tell_at_every_split(space: bytes, data: bytes, codec: type) -> None:
    whole = space + data
    assert select([whole]) == (codec, data)
    assert select([whole[i : i + 1] for i in range(len(whole))]) == (codec, data)
    for i in range(1, len(whole)):
        assert select([whole[:i], whole[i:]]) == (codec, data)


@pytest.mark.parametrize("data", [b"c", b" \r\nContent"])
def test_an_input_that_ends_within_the_name_of_a_field_is_a_line(data: bytes) -> None:
    detector = PipeDetector(CONFIG)
    detector.receive_data(data, 0.0)
    detector.receive_eof(0.0)
    detector.receive_eof(0.0)
    (selected,) = detector.output
    assert isinstance(selected, Selected)
    assert isinstance(selected.codec, NewlineFraming)
    assert (selected.codec.output, selected.codec.at_eof) == ([Text(data.strip())], True)
    assert (selected.rest, detector.buffered) == (b"", 0)


def test_an_undecided_pipe_is_idle() -> None:
    detector = PipeDetector(CONFIG)
    detector.receive_data(b"Cont", 0.0)
    detector.close_idle(0.0)
    detector.close_idle(0.0)
    assert (detector.output, detector.buffered) == ([Shut()], 0)


def test_after_its_end_it_holds_no_bytes() -> None:
    detector = PipeDetector(CONFIG)
    detector.receive_data(b"Cont", 0.0)
    detector.close(1001, 0.0)
    assert (detector.output, detector.buffered) == ([Shut()], 0)


@pytest.mark.parametrize("data", [b"", b" \r\n"])
def test_an_empty_input_is_closed(data: bytes) -> None:
    detector = PipeDetector(CONFIG)
    if data:
        detector.receive_data(data, 0.0)
    detector.receive_eof(0.0)
    detector.receive_eof(0.0)
    detector.receive_data(b"{}", 0.0)
    assert (detector.output, detector.buffered) == ([Shut()], 0)


def test_an_undecided_pipe_has_no_deadline_and_can_be_closed() -> None:
    detector = PipeDetector(CONFIG)
    detector.heartbeat(0.0)
    detector.handle_timeout(1e9)
    assert (detector.next_timeout(), detector.output) == (None, [])
    assert (detector.framing, detector.frame(b"x")) == (None, b"x")
    detector.close(1001, 0.0)
    assert detector.output == [Shut()]


@given(st.lists(st.binary(min_size=1, max_size=10), min_size=1, max_size=5))
def test_any_bytes_select_the_same_codec_however_they_are_cut(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert select(pieces) == select([whole]) == select([whole[i : i + 1] for i in range(len(whole))])
