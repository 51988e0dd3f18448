"""WebSocket frames as the server's codec takes them, and the texts that it makes of them."""

from __future__ import annotations

import re
import zlib
from codecs import utf_8_decode
from typing import Any

from msgspec import Struct
from posthouse.core.values.config import Config
from posthouse.transports import Ended, OpeningRequest, Send, Text, WebSocket, WebSocketClient
from posthouse.transports.codec import Binary
from posthouse.transports.websocket.deflate import deflate
from posthouse.transports.websocket.frames import BINARY, CLOSE, FIN, PING, PONG, RSV1, TEXT, frame, masked_frame
from posthouse.transports.websocket.handshake import accept_for, key_from
from posthouse.transports.websocket.masking import mask
from posthouse.transports.websocket.receive import FRAGMENT_CHARGE

from tests.fuzz.conduct import Play
from tests.fuzz.cutting import Sent, read, written
from tests.fuzz.target import Planted, Target

CONFIG = Config(max_message_bytes=300, max_fragments=4, frames_per_turn=3, control_burst=4, min_compress_bytes=20)

SCRIPTED, DEFLATES, ALLOWS_BINARY, ENDS_INPUT, CLOSES = range(5)

KEY = b"\x01\x5a\xa5\xfe"
COMPRESSED = 0x80
SIZE = 0x7F

MOST_WIRE = 2 * (300 + 300 // 8 + 64) + 4 * FRAGMENT_CHARGE
"""A message, what of it is not parsed, and the charge for its fragments."""

FAILURES = (1002, 1003, 1007, 1008, 1009)


class Told(Struct):
    """What a plain reader of whole frames makes of the bytes. `code`: how it ended; 0: it did not. `partial`: more
    came than whole frames, and whether that fails already is not for it to say."""

    texts: list[bytes]
    pings: list[bytes]
    code: int = 0
    partial: bool = False


def run(data: bytes) -> None:
    """Any bytes behind the handshake become messages within their limit, answers to pings, and at most one end.

    A peer's bytes lead to `Text`, `Heard`, pongs, one close frame, and one `Ended`: with the peer's own code, or 1002,
    1003, 1007, 1008 or 1009 by what it broke. No text follows the end, and what is held is bounded. A plain reader of
    whole frames sees the same texts, the same pings and whether it failed; pieces say the same as the whole; and what
    the codec frames the client's codec reads as what it was. Texts that are handed on directly are the same texts.

    Bytes are the wire's own, or with the option `SCRIPTED` a list of (first byte, size, payload) that is masked here:
    else hardly a frame that the fuzzer makes would have anything but noise in it.
    """
    sent = read(data)
    if sent.option(SCRIPTED):
        sent = Sent(sent.options, sent.sizes, masked(sent.wire))
    said = play(sent)
    assert said == play(sent.whole()), "pieces mean something else than the whole"
    assert said == play(sent, direct=True), "the direct way means something else"
    assert said == play(sent.whole(), direct=True), "the direct way means something else in one piece"
    compare(said, told(sent.wire, sent))


def masked(script: bytes) -> bytes:
    """The frames of a script."""
    frames = []
    at = 0
    while at + 1 < len(script):
        first, size = script[at], script[at + 1]
        payload = script[at + 2 : at + 2 + (size & SIZE)]
        at += 2 + (size & SIZE)
        if size & COMPRESSED:
            payload = deflate(payload)
        frames.append(masked_frame(first, payload, KEY))
    return b"".join(frames)


def play(sent: Sent, *, direct: bool = False) -> list[Any]:
    """What the codec says, and what it hands on directly."""
    codec = WebSocket(CONFIG, deflate=sent.option(DEFLATES), binary=sent.option(ALLOWS_BINARY), now=0.0)
    stage = Play(codec, most_text=CONFIG.max_message_bytes, most_held=MOST_WIRE, direct=direct)
    if sent.option(CLOSES):
        codec.close(1001, 0.0)
    stage.feed(sent.pieces())
    if sent.option(ENDS_INPUT):
        stage.end_input()
    said = list(stage.conduct.meaning)
    assert not any(isinstance(output, Text) for output in said) or not sent.option(CLOSES), "a text behind our close"
    stage.leave()
    assert stage.conduct.ended, "it is shut and was never ended"
    writes = [output.data for output in stage.conduct.meaning if isinstance(output, Send)]
    assert not any(written[0] == FIN | CLOSE for written in writes[:-1]), "something is sent behind our close frame"
    for output in said:
        if isinstance(output, Text):
            read_back(codec, output.data, deflates=sent.option(DEFLATES))
    return said


def compare(said: list[Any], wanted: Told) -> None:
    """The codec's word against the plain reader's."""
    texts = [output.data for output in said if isinstance(output, Text)]
    ends = [output.code for output in said if isinstance(output, Ended)]
    writes = b"".join(output.data for output in said if isinstance(output, Send))
    failed = bool(ends) and ends[0] in FAILURES and ends[0] != wanted.code
    assert texts == wanted.texts, "these are not the texts that were sent"
    pongs = [frame(FIN | PONG, ping) for ping in wanted.pings]
    answered = b"".join(pongs)
    if not said or not writes.startswith(frame(FIN | CLOSE, b"\x03\xe9")):
        assert writes.startswith(answered), "a ping within the burst is not answered, or out of order"
    if wanted.code:
        assert ends == [wanted.code], f"it ended with {ends}, not {wanted.code}"
    else:
        assert not failed or wanted.partial, "it failed, and nothing was wrong"


def told(wire: bytes, sent: Sent) -> Told:
    """What whole frames say, one after the other, by RFC 6455 section 5 and the limits."""
    result = Told([], [])
    closing = sent.option(CLOSES)
    message, opcode, compressed, fragments, controls = b"", 0, False, 0, 0
    at = 0
    while at < len(wire):
        header = re.compile(rb"(?s)(.)(?:[\x80-\xfd]|\xfe(..)|\xff(.{8}))(.{4})").match(wire, at)
        if header is None:
            return unfinished(result, ends=sent.option(ENDS_INPUT))
        first, extended = header[1][0], header[2] or header[3]
        size = int.from_bytes(extended, "big") if extended else wire[at + 1] & SIZE
        payload = mask(wire[header.end() : header.end() + size], header[4])
        kind, final = first & 0x0F, bool(first & FIN)
        minimal = not extended or size >= (126 if len(extended) == 2 else 1 << 16)
        bits = first & 0x70
        legal = minimal and kind in (0, TEXT, BINARY, CLOSE, PING, PONG) and size < 1 << 63
        if bits and not (bits == RSV1 and sent.option(DEFLATES) and kind in (TEXT, BINARY)):
            legal = False
        if kind >= CLOSE:
            legal = legal and final and size <= 125
        elif legal:
            legal = (kind == 0) == (fragments > 0)
        if kind >= CLOSE and size <= 125 and len(payload) < size:
            # A control frame is looked at when it is whole.
            return unfinished(result, ends=sent.option(ENDS_INPUT))
        if not legal:
            result.code = 1002
            return result
        if kind >= CLOSE:
            at = header.end() + size
            if kind == CLOSE:
                result.code = close_code(payload)
                return result
            controls += 1
            if controls > 2 * CONFIG.control_burst:
                result.code = 1008
                return result
            if kind == PING and controls <= CONFIG.control_burst and not closing:
                result.pings.append(payload)
            continue
        if kind:
            message, opcode, compressed = b"", kind, bool(bits)
            if kind == BINARY and not sent.option(ALLOWS_BINARY):
                result.code = 1003
                return result
        fragments += 1
        most = CONFIG.max_message_bytes
        if fragments > CONFIG.max_fragments:
            result.code = 1008
            return result
        if len(message) + size > (most + most // 8 + 64 if compressed else most):
            result.code = 1009
            return result
        message += payload
        at = header.end() + size
        if len(payload) < size:
            # Enough may be here to say that it is no text; that is for the codec to know.
            result.partial = True
            return unfinished(result, ends=sent.option(ENDS_INPUT))
        if not final:
            if compressed or (opcode == TEXT and not begins_text(message)):
                code, _ = judged(message, opcode, compressed=compressed, final=False)
                if code:
                    result.code = code
                    return result
            continue
        fragments = 0
        result.code, text = judged(message, opcode, compressed=compressed, final=True)
        if result.code:
            return result
        if not closing:
            result.texts.append(text)
    return unfinished(result, ends=sent.option(ENDS_INPUT), whole=True)


def unfinished(result: Told, *, ends: bool, whole: bool = False) -> Told:
    """The bytes ended, and perhaps the input."""
    result.partial = result.partial or not whole
    if ends and not result.partial:
        result.code = 1006
    return result


def close_code(payload: bytes) -> int:
    """The code with which the codec ends for a close frame's payload (RFC 6455 section 7.4)."""
    if not payload:
        return 1005
    if len(payload) == 1:
        return 1002
    code = int.from_bytes(payload[:2], "big")
    if not (1000 <= code <= 1003 or 1007 <= code <= 1013 or 3000 <= code <= 4999):
        return 1002
    try:
        payload[2:].decode("utf-8")
    except UnicodeDecodeError:
        return 1007
    return code


def begins_text(message: bytes) -> bool:
    """Could these bytes be the beginning of UTF-8? (Two of a surrogate's three could, says Python.)"""
    try:
        utf_8_decode(message, "strict", False)
    except UnicodeDecodeError:
        return False
    return True


def judged(message: bytes, opcode: int, *, compressed: bool, final: bool) -> tuple[int, bytes]:
    """The code with which a message fails, or 0 and what it says; with `final` False, of its beginning."""
    failure = 0
    if compressed:
        message, failure = inflated(message, final=final)
    well = opcode == BINARY or (begins_text(message) and (not final or bool(failure) or is_text(message)))
    if not well:
        return 1007, b""
    return failure, message


def is_text(message: bytes) -> bool:
    """Is it UTF-8?"""
    try:
        message.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def inflated(wire: bytes, *, final: bool) -> tuple[bytes, int]:
    """What zlib alone makes of it, as far as the limit goes; and the code with which it fails there, or 0."""
    rest = wire + (b"\x00\x00\xff\xff" if final else b"")
    made, streams, most = b"", 0, CONFIG.max_message_bytes
    while rest:
        streams += 1
        if streams > CONFIG.max_fragments:
            return made, 1008
        inflater = zlib.decompressobj(-15)
        try:
            made += inflater.decompress(rest, most + 1 - len(made))
        except zlib.error:
            return beginning(rest, made), 1007
        if len(made) > most:
            return made, 1009
        rest = inflater.unused_data
    return made, 0


def beginning(rest: bytes, made: bytes) -> bytes:
    """What could be inflated before zlib gave up, byte by byte."""
    inflater = zlib.decompressobj(-15)
    try:
        for byte in rest:
            made += inflater.decompress(bytes((byte,)))
    except zlib.error:
        pass
    return made


OPENED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
ANSWER = OPENED + b"Sec-WebSocket-Accept: %b\r\n%b\r\n"
AGREED = b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"


def read_back(codec: WebSocket, text: bytes, *, deflates: bool) -> None:
    """What the server frames the client reads."""
    client = WebSocketClient(CONFIG, OpeningRequest(b"a", deflate=deflates), entropy=bytes, now=0.0)
    client.receive_data(ANSWER % (accept_for(key_from(bytes(16))), AGREED if deflates else b""), 0.0)
    assert client.opened is not None
    client.output.clear()
    client.receive_data(codec.frame(text), 0.0)
    assert [output for output in client.output if isinstance(output, Text | Ended)] == [Text(text)]
    assert isinstance(text, Binary) == any(isinstance(getattr(out, "data", b""), Binary) for out in client.output)


def scripted(*frames: tuple[int, bytes], compress: bool = False) -> bytes:
    """A script of these frames."""
    return b"".join(bytes((first, len(data) | COMPRESSED * compress)) + data for first, data in frames)


TARGET = Target(
    name="frames",
    run=run,
    seeds=(
        written(scripted((FIN | TEXT, b"[]"), (FIN | PING, b"p"), (FIN | CLOSE, b"\x03\xe8")), SCRIPTED),
        written(
            scripted((TEXT, b"ab\xc3"), (FIN | PING, b""), (0, b"\xa9"), (FIN, b"c"), (FIN | PONG, b"")),
            SCRIPTED,
            sizes=b"\x03\x01\x07",
        ),
        written(scripted((RSV1 | FIN | TEXT, b"abc" * 20), compress=True), SCRIPTED, DEFLATES),
        written(
            scripted((RSV1 | BINARY, b"\xf3\x48\xcd"), (FIN, b"\xc9\xc9\x07\0")), SCRIPTED, DEFLATES, ALLOWS_BINARY
        ),
        written(masked_frame(FIN | TEXT, b"x" * 200, b"\0\0\0\0"), ENDS_INPUT, sizes=b"\x40\x01\0"),
        written(masked_frame(FIN | TEXT, b"x" * 301, b"\0\0\0\0"), CLOSES),
    ),
    tokens=(
        b"\x81\x02[]",
        b"\x01\x01a",
        b"\x00\x01b",
        b"\x80\x01c",
        b"\x89\x01p",
        b"\x8a\x00",
        b"\x88\x02\x03\xe8",
        b"\x88\x00",
        b"\x88\x02\x0f\xa0",
        b"\xc1\x83abc",
        b"\x41\x83abc",
        b"\x82\x01x",
        b"\x81\xfe\x00\x7e",
        b"\x81\xff\x00\x00\x00\x00\x00\x00\x01\x2c",
        b"\x81\xfe\x01\x2d",
        b"\x81\x82\0\0\0\0[]",
        b"\xc3",
        b"\xa9",
        b"\xed\xa0\x80",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\xff\xff\xff\xff",
    ),
    boundary=re.compile(rb"(?s)[\x00-\x02\x80-\x82\x88-\x8a\xc1\x41]."),
    planted=Planted(
        what="a continuation without a message is accepted after a compressed message",
        file="transports/posthouse/transports/websocket/receive.py",
        before="if (opcode == CONTINUATION) is not (self._fragments > 0):",
        after="if (opcode == CONTINUATION) is not (self._fragments > 0) and not self._compressed:",
    ),
    max_len=900,
)
