"""One compressed message, under the cap: what is inflated, and what it may cost."""

from __future__ import annotations

import re
import zlib

from msgspec import Struct
from posthouse.core.values.config import Config
from posthouse.transports.codec import Binary, Text
from posthouse.transports.websocket.deflate import RATIO_FREE, TAIL, deflate, wire_limit
from posthouse.transports.websocket.failures import Failed
from posthouse.transports.websocket.frames import BINARY, FIN, RSV1, TEXT, masked_frame
from posthouse.transports.websocket.receive import Receiver

from tests.fuzz.cutting import Sent, read, written
from tests.fuzz.target import Planted, Target

SMALL = Config(max_message_bytes=1_000, max_fragments=3)
LARGE = Config(max_message_bytes=150_000, max_inflate_ratio=20, max_fragments=3)
"""The second has room for what the ratio is about: it counts from 64 KiB on."""

IS_TEXT, IS_LARGE, REPEATS, COMPRESSES = range(4)

KEY = b"\x01\x5a\xa5\xfe"
TIMES = 512

CODES = (1007, 1008, 1009)


class Inflated(Struct, frozen=True):
    """What zlib alone makes of a message, never more than a byte above the limit; whether it is deflate to its end,
    and of how many streams."""

    made: bytes
    valid: bool
    streams: int


def run(data: bytes) -> None:
    """Any bytes as the payload of a compressed message become that message, or one failure.

    It is 1007 for what is no deflate stream, or no UTF-8 where a text is; 1008 for more streams than `max_fragments`;
    1009 for more than `max_message_bytes`, or than `max_inflate_ratio` times the wire past 64 KiB. zlib alone, bounded,
    says the same; so do pieces and the whole; no more is held than the limit and a piece. What our own `deflate` makes
    becomes what it was.

    Options make the payload of what the fuzzer gives: compress it, or repeat it first, else no bomb is ever found.
    """
    sent = read(data)
    config = LARGE if sent.option(IS_LARGE) else SMALL
    payload = sent.wire * TIMES if sent.option(REPEATS) else sent.wire
    if sent.option(COMPRESSES) or sent.option(REPEATS):
        payload = deflate(payload)
    verdict = received(sent, payload, config)
    assert verdict == received(sent.whole(), payload, config), "pieces mean something else than the whole"
    if len(payload) > wire_limit(config.max_message_bytes):
        assert verdict == 1009
        return
    compare(verdict, inflated(payload, config), sent, config, len(payload))


def received(sent: Sent, payload: bytes, config: Config) -> bytes | int:
    """What the receiving half makes of it: the message, or the code of its failure."""
    receiver = Receiver(config, deflate=True, binary=True)
    first = FIN | RSV1 | (TEXT if sent.option(IS_TEXT) else BINARY)
    events = []
    for piece in Sent(0, sent.sizes, masked_frame(first, payload, KEY)).pieces():
        events += receiver.turn(piece)
        assert receiver.buffered <= config.max_message_bytes + 1 + 128 + 16 * 1024, "more is held than may be"
        if events:
            break
    assert len(events) == 1, "there is one message, and this many events"
    assert not receiver.in_progress
    event = events[0]
    if isinstance(event, Failed):
        assert event.code in CODES, "a failure that no payload can earn"
        return event.code
    assert isinstance(event, Text)
    assert isinstance(event.data, Binary) != sent.option(IS_TEXT)
    return bytes(event.data)


def inflated(payload: bytes, config: Config) -> Inflated:
    """zlib by itself, stream by stream."""
    rest, made, streams, most = payload + TAIL, b"", 0, config.max_message_bytes
    while rest and len(made) <= most:
        streams += 1
        inflater = zlib.decompressobj(-15)
        try:
            made += inflater.decompress(rest, most + 1 - len(made))
        except zlib.error:
            return Inflated(made, False, streams)
        rest = inflater.unused_data
    return Inflated(made, True, streams)


def compare(verdict: bytes | int, alone: Inflated, sent: Sent, config: Config, wire: int) -> None:
    """The verdict against what zlib says."""
    ratio = max(RATIO_FREE, config.max_inflate_ratio * (wire + len(TAIL)))
    large = len(alone.made) > config.max_message_bytes
    is_text = not sent.option(IS_TEXT) or decodes(alone.made)
    if isinstance(verdict, bytes):
        assert alone.valid, "it is no deflate stream"
        assert verdict == alone.made, "it was inflated to something else"
        assert not large, "it is larger than its limit"
        assert is_text, "it is no text"
        assert alone.streams <= config.max_fragments, "it has more streams than it may"
        assert len(verdict) <= ratio, "it grew more than it may"
    elif verdict == 1007:
        assert not alone.valid or not is_text, "there is nothing wrong with it"
    elif verdict == 1008:
        assert alone.streams > config.max_fragments, "it has no more streams than it may"
    else:
        # In the middle of a message its ratio may be worse than at its end.
        assert large or len(alone.made) > RATIO_FREE, "it is not large"


def decodes(data: bytes) -> bool:
    """Is it UTF-8?"""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


TARGET = Target(
    name="deflate",
    run=run,
    seeds=(
        written(deflate(b"Hello" * 9), IS_TEXT, sizes=b"\x07\x01\x02"),
        written(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", IS_TEXT),
        written(b"\x4b\x4c\x4a\x06\x00\x4b\x4c\x4a\x06\x00\x4b\x4c\x4a\x06\x00", sizes=b"\x03\x03\x03"),
        written(b"abc\xc3\xa9" * 30, IS_TEXT, COMPRESSES),
        written(b"x" * 150, IS_LARGE, REPEATS, sizes=b"\x40\0\0"),
        written(bytes(range(150)), IS_LARGE, REPEATS),
        written(b"xy", REPEATS),
    ),
    tokens=(
        b"\xf3\x48\xcd\xc9\xc9\x07\x00",
        b"\x4b\x4c\x4a\x06\x00",
        b"\x00\x00\x00\xff\xff",
        b"\x00\x00\xff\xff",
        b"\x01\x00\x00\xff\xff",
        b"\x01\x03\x00\xfc\xff\xc3\xa9!",
        b"\x03\x00",
        b"\x63\x00\x00",
        b"\xc3",
        b"\xa9",
        b"x" * 64,
        deflate(bytes(20_000)),
        deflate(b"xy" * 600),
    ),
    boundary=re.compile(rb"\x00|\xff|\x06"),
    planted=Planted(
        what="a text may end in the middle of a character",
        file="transports/posthouse/transports/websocket/deflate.py",
        before='return self._checked(b"", final=True)',
        after="return None",
    ),
    max_len=600,
)
