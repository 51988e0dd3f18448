"""Compressed messages that are much more than they seem, or nothing at all."""

from __future__ import annotations

import zlib
from typing import Final

BLANKS: Final = b" " * 500_000


def deflated(times: int) -> bytes:
    """The payload of one compressed message: so many times half a megabyte of blanks."""
    compressor = zlib.compressobj(wbits=-15)
    pieces = [compressor.compress(BLANKS) for _ in range(times)]
    return b"".join((*pieces, compressor.flush(zlib.Z_SYNC_FLUSH))).removesuffix(b"\0\0\xff\xff")


INFLATING: Final[dict[str, tuple[bytes, int]]] = {
    "a bomb": (deflated(200), 1009),
    "a small bomb": (deflated(1), 1009),
    "garbage": (b"\xff" * 100, 1007),
}
"""Payloads, and the close code that each must meet."""
