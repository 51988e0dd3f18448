"""A recogniser of WebSocket texts: what comes whole in one frame, and not compressed, is read without a parser.

Nearly every message is that. Everything else gives None, which is no verdict: wsproto may take it or refuse it. What is
recognised wsproto takes too, and reads the same.
"""

from __future__ import annotations

from typing import Final

from .frames import MAX_CONTROL_BYTES, mask

KEY: Final = 4
"""Bytes of a masking key, the last of a header that has one (RFC 6455 section 5.2)."""


def recognise_text(data: bytes, at: int, body: int, stop: int, *, masked: bool) -> bytes | None:
    """The text of the frame from `at` to `stop`, whose first byte says that it is a whole text, and whose payload
    begins at `body`. None where its header is longer or shorter than it should be, for a peer that masks or does not,
    where the payload is no UTF-8, and from 64 KiB on, whose length takes eight bytes: so much is never whole."""
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
