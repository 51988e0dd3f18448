"""The check of texts that come in pieces, held to Python's own decoder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.transports.websocket.utf8 import Utf8

EURO = "€".encode()


def verdict(pieces: list[bytes]) -> int | None:
    """The first piece that is refused, or None."""
    utf8 = Utf8()
    for index, piece in enumerate(pieces):
        if not utf8.accepts(piece, last=index == len(pieces) - 1):
            return index
    return None


@pytest.mark.parametrize(
    ("pieces", "refused"),
    [
        ([b"plain", b"text"], None),
        ([b""], None),
        ([EURO], None),
        ([b"a" + EURO[:1], EURO[1:2], EURO[2:], b"z"], None),
        ([EURO[:2], b"", EURO[2:]], None),
        ([b"a", b"\xff", b"z"], 1),
        ([EURO[:2], b"plain", b"z"], 1),
        ([EURO[:2], b""], 1),
        ([EURO[:2]], 0),
        ([b"\xed\xa0", b"\x80", b""], 1),  # a surrogate: Python's decoder waits for its third byte
        ([b"\xc0", b"\x80"], 0),
    ],
)
def test_a_fault_is_found_in_the_piece_that_has_it(pieces: list[bytes], refused: int | None) -> None:
    assert verdict(pieces) == refused


@given(st.one_of(st.binary(max_size=12), st.text(max_size=8).map(str.encode)), st.lists(st.integers(0, 30), max_size=4))
def test_the_verdict_does_not_depend_on_how_the_text_was_cut(text: bytes, cuts: list[int]) -> None:
    places = sorted({0, *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[at:end] for at, end in zip(places, [*places[1:], len(text)], strict=True)]
    try:
        text.decode()
        valid = True
    except UnicodeDecodeError:
        valid = False
    assert (verdict(pieces) is None) is valid
