"""The search for secrets in what came out, however the bytes around them were encoded.

The words that base64 and hex make of a secret are looked for as they are. Escapes, frames, masks and compression are
undone, as are encodings of such bytes: each *view* is another way to read some bytes, and views have views.
"""

from __future__ import annotations

import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

CANARY: Final = "KanaRi"
"""A part of secrets that no other text has: a secret that has it is found by it."""

DEPTH: Final = 4
"""How many encodings may lie around a secret."""

BLIND: Final = 64
"""Deflate is looked for at so many first bytes, and behind them where a frame begins."""

MOST: Final = 1 << 16
"""The most bytes that are inflated of one stream."""

TOGETHER: Final = 4096
"""So many views are searched at once."""

ESCAPED: Final = re.compile(rb"\\+u00([0-9A-Fa-f]{2})|\\+([/\"])")
PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{16,}")
HEX: Final = re.compile(rb"(?:[0-9A-Fa-f]{2}[ :]?){8,}")
FRAME: Final = re.compile(rb"[\x00-\x02\x40-\x42\x80-\x82\xc0-\xc2](?=[^\x00\x80])", re.DOTALL)
"""Where a frame may begin that is no control frame, uses at most RSV1, and has a payload (RFC 6455 section 5.2)."""

MASKED: Final = 0x80
SHORTEST: Final = len(CANARY)


class Search:
    """Looks for these secrets."""

    def __init__(self, secrets: Iterable[str | bytes]) -> None:
        parts = [CANARY if isinstance(secret, str) and CANARY in secret else secret for secret in secrets]
        texts = [part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part for part in parts]
        self._needles: Final = tuple(dict.fromkeys(form.lower() for text in texts for form in _forms(text)))

    def finds(self, data: bytes) -> bool:
        """Is one of the secrets in these bytes?"""
        return self.finds_in_one((data,))

    def finds_in_one(self, texts: Iterable[bytes]) -> bool:
        """Is one of the secrets in one of these texts? All are searched together, which is faster than one by one."""
        searched: dict[bytes, int] = {}
        found = (view for text in texts for view in _all_views(text, DEPTH, searched))
        while together := b"\n".join(islice(found, TOGETHER)):
            if any(map(together.lower().__contains__, self._needles)):
                return True
        return False


def _all_views(data: bytes, depth: int, searched: dict[bytes, int]) -> Iterator[bytes]:
    """These bytes and the other ways to read them, without those that were searched as deep as this before."""
    if searched.get(data, -1) < depth:
        searched[data] = depth
        yield data
        if depth:
            for view in views(data):
                if len(view) >= SHORTEST:
                    yield from _all_views(view, depth - 1, searched)


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
    for found in FRAME.finditer(data):
        payload = payload_at(data, found.start())
        if payload is not None:
            yield payload
            yield from inflated(payload)
    for start in range(min(BLIND, len(data) - 1)):
        yield from inflated(data[start:])


def payload_at(data: bytes, start: int) -> bytes | None:
    """The payload of the frame whose first byte is here, if it is whole (RFC 6455 section 5.2)."""
    second = data[start + 1]
    at, size = start + 2, second & 0x7F
    if size >= 126:
        width = 2 if size == 126 else 8
        size, at = int.from_bytes(data[at : at + width]), at + width
    key = b"\0\0\0\0"
    if second & MASKED:
        key, at = data[at : at + 4], at + 4
    payload = data[at : at + size]
    if not payload or len(payload) < size or len(key) < 4:
        return None
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(mask)).to_bytes(size)


def inflated(data: bytes) -> Iterator[bytes]:
    """What a stream of deflate says that begins here, with or without the head of zlib or gzip."""
    for bits, begins in ((-15, begins_deflate(data)), (47, begins_zlib(data))):
        if begins:
            try:
                read = zlib.decompressobj(bits).decompress(data, MOST)
            except zlib.error:
                continue
            if len(read) >= SHORTEST:
                yield read


def begins_deflate(data: bytes) -> bool:
    """May a stream of deflate begin so? Its first block is stored with a length and the length's complement, or has
    fixed codes, or at most 286 codes of its own (RFC 1951 section 3.2)."""
    kind, codes = data[0] >> 1 & 3, data[0] >> 3
    if kind == 0:
        return int.from_bytes(data[1:3]) ^ int.from_bytes(data[3:5]) == 0xFFFF
    return kind == 1 or (kind == 2 and codes <= 286 - 257)


def begins_zlib(data: bytes) -> bool:
    """Is this the head of zlib (RFC 1950 section 2.2) or of gzip (RFC 1952 section 2.3)?"""
    head = data[:2]
    return head == b"\x1f\x8b" or (head[0] & 0x0F == 8 and int.from_bytes(head) % 31 == 0)
