"""Messages put together from pieces of any size."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.transports.assembly import PIECE, Assembly


@given(st.lists(st.binary(max_size=8)))
def test_the_pieces_are_the_message(pieces: list[bytes]) -> None:
    message = Assembly()
    for piece in pieces:
        message.add(piece)
    assert message.size == sum(map(len, pieces))
    assert message.take() == b"".join(pieces)
    assert (message.size, message.take()) == (0, b"")


@given(st.lists(st.integers(1, PIECE * 2), max_size=12))
def test_pieces_of_all_sizes_are_joined_in_order(sizes: list[int]) -> None:
    pieces = Assembly()
    expected = b"".join(bytes([n]) * size for n, size in enumerate(sizes))
    for n, size in enumerate(sizes):
        pieces.add(bytes([n]) * size)
    assert pieces.size == len(expected)
    assert pieces.take() == expected


def test_one_large_piece_is_the_message_itself() -> None:
    message = Assembly()
    piece = bytes(PIECE)
    message.add(piece)
    assert message.take() is piece


def test_clear_forgets_the_payload() -> None:
    message = Assembly()
    message.add(bytes(PIECE))
    message.add(b"rest")
    message.clear()
    message.add(b"new")
    assert (message.size, message.take()) == (3, b"new")


@pytest.mark.parametrize("piece", [1, 1000, PIECE, 4 * PIECE])
def test_it_costs_the_message_and_its_copy_and_hardly_more(piece: int) -> None:
    size = 8 * PIECE
    chunk = bytes(piece)
    tracemalloc.start()
    try:
        message = Assembly()
        for _ in range(0, size, piece):
            message.add(chunk)
        held = tracemalloc.get_traced_memory()[0]
        payload = message.take()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(payload) >= size
    assert held <= len(payload) * 1.15 + PIECE
    assert peak <= 2 * len(payload) + 2 * PIECE
