"""The search for secrets in what came out, however the bytes around them were encoded.

The words that base64 and hex make of a secret are looked for as they are. Escapes, frames, masks and compression are
undone, as are encodings of such bytes: each *view* is another way to read some bytes, and views have views.
"""

from __future__ import annotations

import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from typing import Final

CANARY: Final = "KanaRi"
"""A part of secrets that no other text has: a secret that has it is found by it."""

DEPTH: Final = 4
"""How many encodings may lie around a secret."""

BLIND: Final = 64
"""Deflate is looked for at so many first bytes, and behind them where a frame begins."""

MOST: Final = 1 << 16
"""The most bytes that are inflated of one stream."""

ESCAPED: Final = re.compile(rb"\\+u00([0-9A-Fa-f]{2})|\\+([/\"])")
PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{16,}")
HEX: Final = re.compile(rb"(?:[0-9A-Fa-f]{2}[ :]?){8,}")
MASKED: Final = 0x80
SHORTEST: Final = len(CANARY)


class Search:
    """Looks for these secrets."""

    def __init__(self, secrets: Iterable[str | bytes]) -> None:
        parts = [CANARY if isinstance(secret, str) and CANARY in secret else secret for secret in secrets]
        texts = [part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part for part in parts]
        self._needles: Final = tuple(dict.fromkeys(form.lower() for text in texts for form in _forms(text)))
        self._searched: Final[dict[bytes, int]] = {}

    def finds(self, data: bytes, depth: int = DEPTH) -> bool:
        """Is one of the secrets in these bytes?"""
        if self._searched.get(data, -1) >= depth:
            return False
        lowered = data.lower()
        if any(needle in lowered for needle in self._needles):
            return True
        if depth and any(self.finds(view, depth - 1) for view in views(data) if len(view) >= SHORTEST):
            return True
        self._searched[data] = depth
        return False


def _forms(secret: bytes) -> Iterator[bytes]:
    """How a secret looks without decoding: plain, in hex, in base64, and as bytes that were taken for characters."""
    yield secret
    yield secret.decode("latin-1").encode()
    yield secret.hex().encode()
    for before in range(3):
        # The characters of base64 that do not depend on the bytes around.
        word = b64encode(bytes(before) + secret)[(before * 8 + 5) // 6 : (before + len(secret)) * 8 // 6]
        yield word
        yield word.translate(bytes.maketrans(b"+/", b"-_"))


def views(data: bytes) -> Iterator[bytes]:
    """The other ways to read these bytes."""
    for escapes in (ESCAPED, PERCENT):
        if escapes.search(data):
            yield escapes.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else found[2], data)
    for run in BASE64.findall(data):
        for start in range(4):
            yield from_base64(run[start:])
    for run in HEX.findall(data):
        digits = re.sub(rb"[ :]", b"", run)
        for start in range(2):
            piece = digits[start:]
            yield bytes.fromhex(piece[: len(piece) // 2 * 2].decode())
    if not data.isascii() or any(byte < 0x20 and byte not in b"\t\r\n" for byte in data):
        yield from binary(data)


def from_base64(run: bytes) -> bytes:
    """A run of characters of base64 or base64url, without its padding. The text has printable bytes."""
    read = b64decode(run[: len(run) // 4 * 4].translate(bytes.maketrans(b"-_", b"+/")))
    rest = run[len(run) // 4 * 4 :]
    if len(rest) > 1:
        read += b64decode(rest.translate(bytes.maketrans(b"-_", b"+/")) + b"=" * (4 - len(rest)))
    return read


def binary(data: bytes) -> Iterator[bytes]:
    """The payloads of frames at every offset, unmasked, and what inflates."""
    for start in range(len(data) - 1):
        payload = payload_at(data, start)
        if payload is not None:
            yield payload
            yield from inflated(payload)
        if start < BLIND:
            yield from inflated(data[start:])


def payload_at(data: bytes, start: int) -> bytes | None:
    """The payload of a frame that may begin here (RFC 6455 section 5.2)."""
    first, second = data[start], data[start + 1]
    at, size = start + 2, second & 0x7F
    if first & 0x30 or first & 0x0F > 2 or not size:
        return None
    if size >= 126:
        width = 2 if size == 126 else 8
        size, at = int.from_bytes(data[at : at + width]), at + width
    key = b"\0\0\0\0"
    if second & MASKED:
        key, at = data[at : at + 4], at + 4
    payload = data[at : at + size]
    if len(payload) < size or len(key) < 4:
        return None
    return bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))


def inflated(data: bytes) -> Iterator[bytes]:
    """What a stream of deflate says that begins here, with or without the head of zlib or gzip."""
    for bits in (-15, 47):
        try:
            read = zlib.decompressobj(bits).decompress(data, MOST)
        except zlib.error:
            continue
        if len(read) >= SHORTEST:
            yield read
