"""A recogniser of WebSocket texts: an uncompressed text in one whole frame is read without a parser.

Nearly every message is one. For any other frame the result is None: wsproto decides whether it is valid. wsproto
accepts every recognised frame and reads it in the same way.
"""

from __future__ import annotations

from typing import Final

from .frames import MAX_CONTROL_BYTES, mask

KEY: Final = 4
"""Bytes of a masking key, at the end of a header (RFC 6455 section 5.2)."""


def recognise_text(data: bytes, at: int, body: int, stop: int, *, masked: bool) -> bytes | None:
    """The text of the frame from `at` to `stop`. Its first byte says that it is a whole text, its payload begins at
    `body`. None if the header has another length than it should have with or without a mask, if the payload is not
    UTF-8, and from 64 KiB on, where the length takes eight bytes: such a frame is never whole in one read."""
    size = stop - body
    # RFC 6455 section 5.2: "the minimal number of bytes MUST be used to encode the length".
    header = 2 if size <= MAX_CONTROL_BYTES else 4
    if body - at != header + (KEY if masked else 0):
        return None
    text = data[body:stop]
    if masked:
        text = mask(text, data[body - KEY : body])
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            return None
    return text
