"""A search for canaries: secrets with a recognisable part, however the bytes around them were encoded.

Each view of some bytes is another way to read them: a decoding of a part, or the text that a frame, a mask or a
compressor hides. Views of views are looked at, too.
"""

from __future__ import annotations

import re
import zlib
from base64 import b64decode
from collections.abc import Iterator
from functools import cache
from typing import Final

CANARY: Final = "KanaRi"
"""The part of every secret that no other text has."""

DEPTH: Final = 4
"""How many encodings may lie around a secret."""

MOST: Final = 1 << 16
"""Deflate is looked for at every offset of so many bytes at most: of more, where a frame begins."""

ESCAPED: Final = re.compile(rb"\\+u00([0-9A-Fa-f]{2})|\\+([/\"])")
PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{8,}")
HEX: Final = re.compile(rb"(?:[0-9A-Fa-f]{2}[ :]?){6,}")
MASKED: Final = 0x80
SHORTEST: Final = len(CANARY)


@cache
def has_canary(data: bytes, depth: int = DEPTH) -> bool:
    """Is there a canary in these bytes?"""
    if CANARY.encode() in data or CANARY.lower().encode() in data.lower():
        return True
    return depth > 0 and any(has_canary(view, depth - 1) for view in views(data) if len(view) >= SHORTEST)


def views(data: bytes) -> Iterator[bytes]:
    """The other ways to read these bytes."""
    for pattern in (ESCAPED, PERCENT):
        if pattern.search(data):
            yield pattern.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else found[2], data)
    for run in BASE64.findall(data):
        for start in range(4):
            yield from from_base64(run[start:])
    for run in HEX.findall(data):
        digits = re.sub(rb"[ :]", b"", run)
        for start in range(2):
            piece = digits[start:]
            yield bytes.fromhex(piece[: len(piece) // 2 * 2].decode())
    if not data.isascii() or any(byte < 0x20 and byte not in b"\t\r\n" for byte in data):
        yield from binary(data)


def from_base64(run: bytes) -> Iterator[bytes]:
    """A run of characters of base64 or base64url, without its padding. The text has printable bytes."""
    read = b64decode(run[: len(run) // 4 * 4].translate(bytes.maketrans(b"-_", b"+/")))
    rest = run[len(run) // 4 * 4 :]
    if len(rest) > 1:
        read += b64decode(rest.translate(bytes.maketrans(b"-_", b"+/")) + b"=" * (4 - len(rest)))
    yield read


def binary(data: bytes) -> Iterator[bytes]:
    """The payloads of frames at every offset, unmasked, and what inflates."""
    for start in range(len(data) - 1):
        payload = payload_at(data, start)
        if payload is not None:
            yield payload
            yield from inflated(payload)
        if len(data) <= MOST:
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
