"""Masking: every frame of a client is masked, so that its bytes cannot be chosen by a page (RFC 6455 section 5.3).

The C function of `websockets` does it where that is installed (`posthouse[fast]`). This module may not know frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from wsproto.frame_protocol import XorMaskerSimple

apply_mask: Callable[[bytes | memoryview, bytes], bytes] | None
try:
    from websockets.speedups import apply_mask
except ImportError:
    apply_mask = None

LONG_PAYLOAD: Final = 1024
"""From so many bytes on, wsproto masks faster than one operation on integers."""

number_of: Final = int.from_bytes
"""To look it up for each frame takes as long as half of what it does."""


def mask_in_python(payload: bytes | memoryview, key: bytes) -> bytes:
    """Mask or unmask: "octet i of the transformed data is the XOR of octet i of the original data with octet at
    index i modulo 4 of the masking key" """
    size = len(payload)
    if size >= LONG_PAYLOAD:
        return bytes(XorMaskerSimple(key).process(bytearray(payload)))
    repeated = (key * (size // 4 + 1))[:size]
    return (number_of(payload, "little") ^ number_of(repeated, "little")).to_bytes(size, "little")


mask: Final = mask_in_python if apply_mask is None else apply_mask
