"""Masking in Python and in C: both do what the standard says, and the same."""

from __future__ import annotations

import runpy
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.transports.websocket import masking
from posthouse.transports.websocket.masking import LONG_PAYLOAD, mask, mask_in_python
from websockets.speedups import apply_mask

KEY = b"\x37\xfa\x21\x3d"


def test_a_payload_is_masked_as_in_the_examples_of_the_standard() -> None:
    assert mask_in_python(b"Hello", KEY) == mask(b"Hello", KEY) == bytes.fromhex("7f9f4d5158")


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, LONG_PAYLOAD - 1, LONG_PAYLOAD, LONG_PAYLOAD + 1])
def test_octet_i_is_the_xor_with_octet_i_modulo_4_of_the_key(size: int) -> None:
    payload = bytes(number % 256 for number in range(size))
    expected = bytes(octet ^ KEY[place % 4] for place, octet in enumerate(payload))
    for function in (mask, mask_in_python):
        assert function(payload, KEY) == function(memoryview(payload), KEY) == expected


@given(st.binary(max_size=2_000), st.binary(min_size=4, max_size=4))
def test_python_and_c_do_the_same_and_twice_is_nothing(payload: bytes, key: bytes) -> None:
    masked = mask_in_python(payload, key)
    assert masked == apply_mask(payload, key)
    assert mask_in_python(masked, key) == payload


def test_c_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mask is apply_mask
    missing: Any = None
    monkeypatch.setitem(sys.modules, "websockets.speedups", missing)
    alone = runpy.run_path(masking.__file__)
    assert alone["mask"] is alone["mask_in_python"]
    assert alone["mask"](b"Hello", KEY) == bytes.fromhex("7f9f4d5158")
