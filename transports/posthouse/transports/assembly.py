"""A message or a body as its pieces come in: kept without overhead however small they are, copied once when whole.

It may not know frames, compression, HTTP or limits.
"""

from __future__ import annotations

from typing import Final

PIECE: Final = 16 * 1024
"""Pieces from this size on are kept as they came; smaller ones are gathered. Also the most bytes that are inflated at a
time: what is in work beside the message itself stays small."""


class Assembly:
    """One payload. `size` is how many bytes of it there are."""

    __slots__ = ("_pieces", "_tail", "size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._tail = bytearray()
        self.size = 0

    def add(self, piece: bytes) -> None:
        """The next bytes of it."""
        # One buffer for everything would keep an eighth more than it needs; a list of everything, forty bytes for one.
        self.size += len(piece)
        if len(piece) >= PIECE and not self._tail:
            self._pieces.append(piece)
            return
        self._tail += piece
        if len(self._tail) >= PIECE:
            self._pieces.append(bytes(self._tail))
            self._tail.clear()

    def take(self) -> bytes:
        """The whole of it, copied only where there is more than one piece. There is nothing afterwards."""
        whole = len(self._pieces) == 1 and not self._tail
        payload = self._pieces[0] if whole else b"".join((*self._pieces, self._tail))
        self.clear()
        return payload

    def clear(self) -> None:
        """Forget it."""
        self._pieces.clear()
        self._tail.clear()
        self.size = 0
