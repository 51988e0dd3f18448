"""Is a text UTF-8? Texts come in pieces, and a fault is found in the piece that has it (RFC 6455 section 8.1).

It may not know frames or compression.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from typing import Final

DECODER: Final = getincrementaldecoder("utf-8")


class Utf8:
    """Checks one text."""

    __slots__ = ("_decoder", "_within")

    def __init__(self) -> None:
        self._decoder: Final = DECODER()
        self._within = False  # the last piece ended within a character

    def accepts(self, piece: bytes | bytearray, *, last: bool = False) -> bool:
        """May the text go on with this piece, or end with it if it is the `last`?"""
        if not self._within and piece.isascii():
            return True  # most pieces: nothing is decoded
        try:
            self._decoder.decode(piece, last)
        except UnicodeDecodeError:
            return False
        self._within = bool(self._decoder.getstate()[0])
        return True
