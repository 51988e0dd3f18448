"""A recogniser of WebSocket frames: an uncompressed text in one frame, a ping and a pong are read without a parser.

Nearly every frame is one. For any other frame the result is None: wsproto decides whether it is valid. wsproto
accepts every recognised frame and reads it in the same way.
"""

from __future__ import annotations

from typing import Final

from posthouse.transports.assembly import Assembly

from .frames import MAX_CONTROL_BYTES
from .masking import mask
from .utf8 import Utf8

KEY: Final = 4
"""Bytes of a masking key, at the end of a header (RFC 6455 section 5.2)."""


def is_plain(header: int, size: int, *, masked: bool) -> bool:
    """Does a frame with so many bytes have a header of so many bytes?"""
    # RFC 6455 section 5.2: "the minimal number of bytes MUST be used to encode the length".
    least = 2 if size <= MAX_CONTROL_BYTES else 4 if size < 0x1_0000 else 10
    return header == least + (KEY if masked else 0)


def recognise_text(data: bytes, at: int, body: int, stop: int, *, masked: bool) -> bytes | None:
    """The text of the frame from `at` to `stop`. Its first byte says that it is a whole text, its payload begins at
    `body`. None if the header has another length than it should have with or without a mask, or if the payload is not
    UTF-8."""
    if not is_plain(body - at, stop - body, masked=masked):
        return None
    return read_text(data, body, stop, masked)


def read_text(data: bytes, body: int, stop: int, masked: bool) -> bytes | None:
    """The text that is the payload of a plain frame, from `body` to `stop`. None if it is not UTF-8."""
    text = data[body:stop]
    if masked:
        text = mask(text, data[body - KEY : body])
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            return None
    return text


def recognise_control(data: bytes, at: int, body: int, stop: int, *, masked: bool) -> bytes | None:
    """The payload of the whole ping or pong from `at` to `stop`, which begins at `body`. None if the header has another
    length than it should have with or without a mask."""
    if not is_plain(body - at, stop - body, masked=masked):
        return None
    payload = data[body:stop]
    return mask(payload, data[body - KEY : body]) if masked else payload


class TextPieces:
    """The payload of a plain text whose frame comes in pieces. `key` unmasks it; None: it is not masked."""

    __slots__ = ("_key", "_text", "_utf8")

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        self._utf8: Final = Utf8()
        self._text: Final = Assembly()

    @property
    def size(self) -> int:
        """The number of bytes so far."""
        return self._text.size

    def add(self, piece: memoryview, *, last: bool) -> bool:
        """Unmask the next piece. False: the text is not UTF-8."""
        key = self._key
        if key is None:
            text = bytes(piece)
        else:
            text = mask(piece, key)
            turned = len(piece) % 4
            self._key = key[turned:] + key[:turned]
        self._text.add(text)
        return self._utf8.accepts(text, last=last)

    def take(self) -> bytes:
        """The whole text."""
        return self._text.take()
