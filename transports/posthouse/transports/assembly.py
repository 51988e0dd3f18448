"""A message as its pieces come in: kept without overhead however small they are, and copied once when it is whole.

It may not know frames, compression or limits.
"""

from __future__ import annotations

from typing import Final

PIECE: Final = 16 * 1024
"""The most bytes that are taken in, or inflated, at a time: what is in work beside the message itself stays small."""


class Assembly:
    """The payload of one message. `size` is how many bytes of it there are."""

    __slots__ = ("_pieces", "_tail", "size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._tail = bytearray()
        self.size = 0

    def add(self, piece: bytes) -> None:
        """The next bytes of it."""
        # One buffer for everything would keep an eighth more than it needs; a list of everything, forty bytes for one.
        self.size += len(piece)
        self._tail += piece
        if len(self._tail) >= PIECE:
            self._pieces.append(bytes(self._tail))
            self._tail.clear()

    def take(self) -> bytes:
        """The whole of it. There is nothing afterwards."""
        payload = b"".join((*self._pieces, self._tail))
        self.clear()
        return payload

    def clear(self) -> None:
        """Forget it."""
        self._pieces.clear()
        self._tail.clear()
        self.size = 0
