"""How an input of a fuzzer is read: four bytes of choices, and behind them what a peer sends.

    options, size, size, size, what is sent …

The sizes say where it is cut: so many bytes come in one piece, then so many, then so many, and again; 0 is all the
rest. Every input means something, so that whatever the fuzzer makes is worth its time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

CHOICES: Final = 4
"""Bytes in front of what is sent."""

WHOLE: Final = b"\0\0\0"
"""The sizes of what comes in one piece."""


class Sent(Struct, frozen=True):
    """What a peer sends, where that is cut, and eight choices that a target gives a meaning to."""

    options: int
    sizes: bytes
    wire: bytes

    def option(self, number: int) -> bool:
        """Is this one of the eight choices taken?"""
        return self.options >> number & 1 == 1

    def pieces(self) -> Iterator[bytes]:
        """What is sent, cut where the sizes say."""
        at = turn = 0
        while at < len(self.wire):
            size = self.sizes[turn % len(self.sizes)] or len(self.wire)
            yield self.wire[at : at + size]
            at += size
            turn += 1

    def whole(self) -> Sent:
        """The same in one piece."""
        return Sent(self.options, WHOLE, self.wire)


def read(data: bytes) -> Sent:
    """An input of the fuzzer. One that is too short for choices has none."""
    head = data[:CHOICES].ljust(CHOICES, b"\0")
    return Sent(head[0], head[1:], data[CHOICES:])


def written(wire: bytes, *options: int, sizes: bytes = WHOLE) -> bytes:
    """The input that is read as this: for seeds."""
    return bytes((sum(1 << option for option in options),)) + sizes + wire
