"""The search finds a secret in every encoding, and nothing where nothing is."""

from __future__ import annotations

import gzip
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable

import pytest
from msgspec.json import encode
from posthouse.transports.websocket.frames import FIN, RSV1, TEXT, masked_frame

from .search import CANARY, Search

SECRETS = [f"right-{CANARY}-7f3a", "another/secret+?~_", "short 8c"]


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "upper case": bytes.upper,
    "JSON escapes": lambda data: b"".join(b"\\u%04x" % byte for byte in data),
    "JSON in JSON": lambda data: encode(encode(b"".join(b"\\u%04X" % byte for byte in data).decode()).decode()),
    "percent": lambda data: b"".join(b"%%%02X" % byte for byte in data),
    "base64": b64encode,
    "base64, 1 before": lambda data: b64encode(b"a" + data),
    "base64, 2 before": lambda data: b64encode(b"ab" + data),
    "base64, cut": lambda data: b64encode(b"abc" + data)[1:],
    "base64url without padding": lambda data: urlsafe_b64encode(b"\xff\xfe" + data).rstrip(b"="),
    "base64 twice": lambda data: b64encode(b64encode(data)),
    "hex": lambda data: data.hex().encode(),
    "hex in upper case": lambda data: data.hex().upper().encode(),
    "hex, cut": lambda data: (b"a" + data).hex().encode()[1:],
    "hex with colons": lambda data: data.hex(":").encode(),
    "deflate": deflated,
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "a frame": lambda data: masked_frame(FIN | TEXT, data, b"\x81\x02\x93\xf4"),
    "a long frame": lambda data: masked_frame(FIN | TEXT, data + b"x" * 200, b"\x81\x02\x93\xf4"),
    "a compressed frame": lambda data: masked_frame(FIN | RSV1 | TEXT, deflated(data), b"\x81\x02\x93\xf4"),
    "hex of a compressed frame with base64": lambda data: (
        masked_frame(FIN | RSV1 | TEXT, deflated(b64encode(data)), b"\x81\x02\x93\xf4").hex().encode()
    ),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("around", [(b"", b""), (b'{"seen": "', b'"}'), (b"\x82\x00\x8a\x01", b"\x00\xff\x00")])
@pytest.mark.parametrize("secret", SECRETS)
def test_the_search_finds_a_secret_in_every_encoding(secret: str, encoding: str, around: tuple[bytes, bytes]) -> None:
    before, behind = around
    assert Search(SECRETS).finds(before + ENCODINGS[encoding](secret.encode()) + behind)


def test_the_search_finds_nothing_where_nothing_is() -> None:
    search = Search(SECRETS)
    assert not search.finds(b"")
    for encoding in ENCODINGS.values():
        assert not search.finds(encoding(b"a text without any bird, 0123456789abcdef"))


def test_bytes_are_secrets_too() -> None:
    secret = bytes(range(250, 256)) + bytes(range(10))
    assert Search([secret]).finds(b64encode(b"before" + secret))
    assert not Search([secret]).finds(b64encode(b"before" + secret[1:]))


def test_a_part_of_a_canary_stands_for_all_of_it() -> None:
    assert Search([f"x{CANARY}y"]).finds(f"z{CANARY}".encode())
    assert not Search(["x-another-y"]).finds(b"z-another")
