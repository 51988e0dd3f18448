"""Checks of a text on its bytes, compared with the results of Python itself."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.encoding.text import CHUNK, SMALL, is_utf8, nests_deeper
from posthouse.core.values.config import MAX_PROVABLE_DEPTH


def depth(value: Any) -> int:
    """How deep a decoded value nests."""
    if isinstance(value, dict):
        return 1 + max((depth(item) for item in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth(item) for item in value), default=0)
    return 0


VALUES = st.recursive(
    st.none() | st.integers(-9, 9) | st.text('[]{}",:\\a', max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('[{"\\', max_size=3), inner, max_size=4),
    max_leaves=30,
)


@given(VALUES, st.integers(1, 6))
def test_a_text_nests_as_deep_as_its_decoded_value(value: Any, limit: int) -> None:
    assert nests_deeper(msgspec.json.encode(value), limit) == (depth(value) > limit)


@given(VALUES, st.integers(1, 6))
def test_depth_is_the_same_in_texts_too_long_to_count_brackets(value: Any, limit: int) -> None:
    text = msgspec.json.encode([value, "x" * SMALL])
    assert nests_deeper(text, limit) == (depth([value]) > limit)


@pytest.mark.parametrize("limit", [1, 2, 64, MAX_PROVABLE_DEPTH])
def test_the_limit_is_not_deeper_and_one_more_level_is(limit: int) -> None:
    for pair in (b"[]", b"{}"):
        opening, closing = pair[:1], pair[1:]
        if opening == b"{":
            opening = b'{"":'
        for padding in (b"", b" " * SMALL):
            text = padding + opening * (limit - 1) + pair + closing * (limit - 1)
            assert not nests_deeper(text, limit)
            assert nests_deeper(opening + text + closing, limit)


def test_a_depth_of_200_can_be_checked() -> None:
    assert MAX_PROVABLE_DEPTH == 200
    assert nests_deeper(b"[" * 201 + b"]" * 201, 200)


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"[]," * 1000 + b"1]",
        b"[" + b'{"a":[]},' * 1000 + b"1]",
        b'["' + b"[" * 2000 + b'"]',
        b'["' + b'\\"[' * 2000 + b'"]',
        b'["\\\\",' + b'"[\\\\",' * 2000 + b"1]",
    ],
)
def test_brackets_side_by_side_or_inside_strings_are_not_deep(text: bytes) -> None:
    assert not nests_deeper(text, 3)


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"[[]]," * 50_000 + b"1]",
        b'["' + b"\\n[" * 80_000 + b'"]',
        b'["' + b'\\"[' * 80_000,
        b'"' * 250_000 + b"[" * 80,
        b"[{" * 120_000,
        b"[" * 80 + b'"' + b"a" * 250_000,
    ],
)
def test_checking_a_text_takes_no_memory(text: bytes) -> None:
    nests_deeper(text, 64)
    tracemalloc.start()
    try:
        nests_deeper(text, 64)
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=40))
def test_is_utf8_agrees_with_python(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        assert not is_utf8(data)
    else:
        assert is_utf8(data)


@given(st.integers(0, 5), st.sampled_from(["é", "€", "𝄞"]))
def test_a_character_may_lie_across_two_chunks(before: int, character: str) -> None:
    data = b"x" * (CHUNK - before) + character.encode() * 3
    assert is_utf8(data)
    assert not is_utf8(data[:-1])
    assert not is_utf8(data + b"\xff")


def test_surrogates_and_overlong_forms_are_not_utf8() -> None:
    assert not is_utf8(b"\xed\xa0\x80")
    assert not is_utf8(b"\xc0\xaf")
    assert not is_utf8("[1]".encode("utf-16"))


def test_checking_utf8_does_not_copy_the_text() -> None:
    data = "𝄞".encode() * 250_000
    tracemalloc.start()
    try:
        assert is_utf8(data)
        assert tracemalloc.get_traced_memory()[1] < 8 * CHUNK
    finally:
        tracemalloc.stop()
