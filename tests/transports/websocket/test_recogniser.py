"""What is recognised as a plain text wsproto takes too, and reads the same; all else is left to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.transports.websocket.frames import FIN, MASKED, PING, PONG, TEXT, frame, masked_frame
from posthouse.transports.websocket.recogniser import TextPieces, read_text, recognise_control, recognise_text
from wsproto.connection import Connection, ConnectionType
from wsproto.events import Ping, Pong, TextMessage

KEY = b"\x01\x82\x03\xf4"


def recognised(wire: bytes, size: int, *, masked: bool) -> bytes | None:
    """What is recognised of a frame with a payload of this size, wherever it stands."""
    texts = [
        recognise_text(
            before + wire + behind, len(before), len(before + wire) - size, len(before + wire), masked=masked
        )
        for before, behind in ((b"", b""), (b"abc", b"xyz"))
    ]
    assert texts[0] == texts[1]
    return texts[0]


def parsed(wire: bytes, *, masked: bool) -> bytes | None:
    """The text that wsproto reads, if it does."""
    connection = Connection(ConnectionType.SERVER if masked else ConnectionType.CLIENT)
    connection.receive_data(wire)
    text = ""
    for event in connection.events():
        if not isinstance(event, TextMessage):
            return None
        text += event.data
    return text.encode()


SIZES = (0, 1, 3, 4, 5, 125, 126, 127, 1_023, 1_024, 65_535, 65_536)


@pytest.mark.parametrize("size", SIZES)
def test_a_plain_text_is_read(size: int) -> None:
    text = (b"0123456789" * 7_000)[:size]
    assert recognised(frame(FIN | TEXT, text), size, masked=False) == text
    assert recognised(masked_frame(FIN | TEXT, text, KEY), size, masked=True) == text


def test_the_payload_of_a_plain_frame_is_read_where_it_stands() -> None:
    wire = masked_frame(FIN | TEXT, "grün".encode(), KEY)
    assert read_text(b"abc" + wire + b"xyz", 9, 14, True) == "grün".encode()
    assert read_text(wire, 6, 9, True) is None, "it is cut inside a character"
    assert read_text(b"\x81\x02hiho", 2, 4, False) == b"hi"


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_with_the_wrong_masking_is_left_to_wsproto(size: int) -> None:
    assert recognised(frame(FIN | TEXT, b"x" * size), size, masked=True) is None
    assert recognised(masked_frame(FIN | TEXT, b"x" * size, KEY), size, masked=False) is None


@pytest.mark.parametrize(("size", "written"), [(1, 2), (125, 2), (1, 8), (125, 8), (126, 8), (65_535, 8)])
@pytest.mark.parametrize("masked", [False, True])
def test_a_length_that_is_not_minimal_is_left_to_wsproto(size: int, written: int, masked: bool) -> None:
    header = bytes((FIN | TEXT, (126 if written == 2 else 127) | (MASKED if masked else 0)))
    wire = header + size.to_bytes(written, "big") + (KEY if masked else b"") + b"x" * size
    assert recognised(wire, size, masked=masked) is None
    assert parsed(wire, masked=masked) is None


@pytest.mark.parametrize("text", [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"])
def test_invalid_utf_8_is_left_to_wsproto(text: bytes) -> None:
    assert recognised(frame(FIN | TEXT, text), len(text), masked=False) is None
    assert recognised(masked_frame(FIN | TEXT, text, KEY), len(text), masked=True) is None


@given(st.one_of(st.text().map(str.encode), st.binary()), st.binary(min_size=4, max_size=4), st.booleans())
def test_wsproto_reads_every_recognised_text_in_the_same_way(text: bytes, key: bytes, masked: bool) -> None:
    wire = masked_frame(FIN | TEXT, text, key) if masked else frame(FIN | TEXT, text)
    assert recognised(wire, len(text), masked=masked) == parsed(wire, masked=masked)


@pytest.mark.parametrize("first", [FIN | PING, FIN | PONG])
@pytest.mark.parametrize("size", [0, 1, 4, 125])
def test_wsproto_reads_every_recognised_control_frame_in_the_same_way(first: int, size: int) -> None:
    payload = (b"0123456789" * 13)[:size]
    for masked, wire in ((False, frame(first, payload)), (True, masked_frame(first, payload, KEY))):
        end = len(wire)
        assert recognise_control(b"ab" + wire + b"x", 2, end + 2 - size, end + 2, masked=masked) == payload
        assert recognise_control(wire, 0, end - size, end, masked=not masked) is None
        connection = Connection(ConnectionType.SERVER if masked else ConnectionType.CLIENT)
        connection.receive_data(wire)
        (event,) = connection.events()
        assert isinstance(event, Ping if first == FIN | PING else Pong)
        assert bytes(event.payload) == payload


def collected(wire: bytes, body: int, cuts: list[int], *, masked: bool) -> bytes | None:
    """What is read of a frame that comes in pieces, or None if it is refused."""
    pieces = TextPieces(wire[body - len(KEY) : body] if masked else None)
    ends = sorted({*(body + cut for cut in cuts if body + cut < len(wire)), len(wire)})
    begin = body
    for end in ends:
        if not pieces.add(memoryview(wire[begin:end]), last=end == len(wire)):
            return None
        assert pieces.size == end - body
        begin = end
    return pieces.take()


@given(
    st.one_of(st.text(min_size=1).map(str.encode), st.binary(min_size=1)),
    st.lists(st.integers(1, 100), max_size=5),
    st.binary(min_size=4, max_size=4),
    st.booleans(),
)
def test_wsproto_reads_pieces_in_the_same_way(text: bytes, cuts: list[int], key: bytes, masked: bool) -> None:
    wire = masked_frame(FIN | TEXT, text, key) if masked else frame(FIN | TEXT, text)
    assert collected(wire, len(wire) - len(text), cuts, masked=masked) == parsed(wire, masked=masked)


def test_bad_utf_8_is_refused_with_the_first_bad_piece() -> None:
    pieces = TextPieces(None)
    assert pieces.add(memoryview(b"fine\xf4"), last=False)
    assert not pieces.add(memoryview(b"\x90"), last=False)
