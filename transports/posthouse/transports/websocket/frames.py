"""WebSocket frames that are sent by either side (RFC 6455 section 5.2), built as bytes.

`receive.py` parses the received ones. This module may not know what a payload means.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from .masking import mask

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

FIN: Final = 0x80
RSV1: Final = 0x40
MASKED: Final = 0x80

MAX_CONTROL_BYTES: Final = 125
"""RFC 6455 section 5.5: "All control frames MUST have a payload length of 125 bytes or less"."""

NO_STATUS: Final = 1005
"""RFC 6455 section 7.4.1: a close frame came without a code. Never sent."""

SHORT_TEXTS: Final = tuple([bytes((FIN | TEXT, size)) for size in range(MAX_CONTROL_BYTES + 1)])
"""The headers of the texts of a server whose length fits into one byte, by length."""

_MEDIUM: Final = Struct("!BBH").pack
_LONG: Final = Struct("!BBQ").pack


def frame(first: int, payload: bytes) -> bytes:
    """A whole frame of a server, unmasked. `first` is its first byte: FIN, RSV1 and the opcode."""
    return _header(first, len(payload), 0) + payload


def text_frame(payload: bytes) -> bytes:
    """The same for a text: its header is made already if it is short."""
    size = len(payload)
    return SHORT_TEXTS[size] + payload if size <= MAX_CONTROL_BYTES else frame(FIN | TEXT, payload)


def masked_frame(first: int, payload: bytes, key: bytes) -> bytes:
    """A whole frame of a client, masked with these four bytes (RFC 6455 section 5.3)."""
    return _header(first, len(payload), MASKED) + key + mask(payload, key)


def close_payload(code: int) -> bytes:
    """The body of a close frame: the code, or nothing for `NO_STATUS`."""
    return b"" if code == NO_STATUS else code.to_bytes(2, "big")


def can_close(code: int) -> bool:
    """May a close frame be sent with this code (`NO_STATUS`: without a code)? RFC 6455 section 7.4.1: 1004 has no
    meaning yet, 1006 and 1015 "MUST NOT be set as a status code in a Close control frame". Section 7.4.2: codes up to
    2999 belong to the protocol (1012 and 1013 were registered later), codes from 3000 on to anybody."""
    return code in range(1000, 1004) or code == NO_STATUS or code in range(1007, 1014) or code in range(3000, 5000)


def _header(first: int, size: int, masked: int) -> bytes:
    if size < 126:
        return bytes((first, masked | size))
    if size < 0x1_0000:
        return _MEDIUM(first, masked | 126, size)
    return _LONG(first, masked | 127, size)
