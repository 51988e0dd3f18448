"""A message or a body while its pieces come in: kept without overhead for small pieces, copied once when whole.

It may not know frames, compression, HTTP or limits.
"""

from __future__ import annotations

from typing import Final

PIECE: Final = 16 * 1024
"""Pieces of at least this size are kept as they are; smaller ones are collected. At most so many bytes are inflated at
a time, to keep the memory beside the message small."""


class Assembly:
    """One payload. `size` is its number of bytes so far."""

    __slots__ = ("_pieces", "_tail", "size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._tail = bytearray()
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Append a piece."""
        # A single buffer would allocate an eighth too much; a list of all pieces would take forty bytes for each byte.
        self.size += len(piece)
        if len(piece) >= PIECE and not self._tail:
            self._pieces.append(piece)
            return
        self._tail += piece
        if len(self._tail) >= PIECE:
            self._pieces.append(bytes(self._tail))
            self._tail.clear()

    def take(self) -> bytes:
        """Return the whole payload and forget it. It is copied only if there is more than one piece."""
        whole = len(self._pieces) == 1 and not self._tail
        payload = self._pieces[0] if whole else b"".join((*self._pieces, self._tail))
        self.clear()
        return payload

    def clear(self) -> None:
        """Forget the payload."""
        self._pieces.clear()
        self._tail.clear()
        self.size = 0
