"""What RFC 6455 and RFC 7692 ask of the server, as tables: handshakes, and frames with what ends a connection.

Frames are masked with zeros, so that payloads are what they look like. A close code is that of the server's close
frame; the codes are those of docs/limits.md.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.core.values.config import Config
from posthouse.transports.websocket.deflate import deflate
from posthouse.transports.websocket.frames import BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RSV1, TEXT

from tests.abuse.attacker import compressed, frame

from .http_cases import HttpCase, request
from .places import ORIGIN

KEY: Final = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT: Final = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The example of RFC 6455 section 1.3."""

UPGRADE: Final = "Upgrade: websocket"
CONNECTION: Final = "Connection: Upgrade"
VERSION: Final = "Sec-WebSocket-Version: 13"


def opening(*lines: str) -> bytes:
    """An opening handshake with further lines."""
    return request("GET", "/ws", UPGRADE, CONNECTION, KEY, VERSION, *lines)


def offer(extension: str) -> bytes:
    """An opening handshake that offers an extension."""
    return opening(f"Sec-WebSocket-Extensions: {extension}")


def selected(extension: str | None) -> dict[str, str | None]:
    """Headers of an answer that selects it, or none."""
    return {"sec-websocket-extensions": extension}


OPENED: Final[dict[str, str | None]] = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-accept": ACCEPT,
    "sec-websocket-extensions": None,
    "sec-websocket-protocol": None,
}
REQUIRED: Final[dict[str, str | None]] = {"upgrade": "websocket", "sec-websocket-version": "13"}
OURS: Final = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

HANDSHAKES: Final = (
    HttpCase("the example of the standard", opening(), 101, OPENED),
    HttpCase(
        "names in any case, in lists",
        request("GET", "/ws", "upgrade: h2c, WebSocket", "connection: keep-alive, UPGRADE", KEY, VERSION),
        101,
        OPENED,
    ),
    HttpCase(
        "our subprotocol among others",
        opening("Sec-WebSocket-Protocol: chat, posthouse.v1.json"),
        101,
        {"sec-websocket-protocol": "posthouse.v1.json"},
    ),
    HttpCase("no subprotocol of ours", opening("Sec-WebSocket-Protocol: chat"), 101, {"sec-websocket-protocol": None}),
    HttpCase("compression", offer("permessage-deflate"), 101, selected(OURS)),
    HttpCase(
        "compression with a window of the client's",
        offer("permessage-deflate; client_max_window_bits"),
        101,
        selected(OURS),
    ),
    HttpCase(
        "compression with the whole window",
        offer("permessage-deflate; server_max_window_bits=15"),
        101,
        selected(f"{OURS}; server_max_window_bits=15"),
    ),
    HttpCase(
        "a smaller window is declined", offer("permessage-deflate; server_max_window_bits=9"), 101, selected(None)
    ),
    HttpCase("unknown parameters are declined", offer("permessage-deflate; x=1"), 101, selected(None)),
    HttpCase(
        "the first offer that can be met", offer("permessage-deflate; x=1, permessage-deflate"), 101, selected(OURS)
    ),
    HttpCase("an unknown extension", offer("x-unknown"), 101, selected(None)),
    HttpCase("an origin that may", opening(f"Origin: {ORIGIN}"), 101, OPENED),
    HttpCase("another origin", opening("Origin: https://evil.example"), 403),
    HttpCase("the origin null", opening("Origin: null"), 403),
    HttpCase("another host", opening().replace(b"localhost", b"evil.example"), 421),
    HttpCase("no upgrade", request("GET", "/ws"), 426, REQUIRED, kept=True),
    HttpCase("no connection option", request("GET", "/ws", UPGRADE, KEY, VERSION), 426, REQUIRED, kept=True),
    HttpCase("another version", opening().replace(b": 13", b": 8"), 426, REQUIRED, kept=True),
    HttpCase("no version", request("GET", "/ws", UPGRADE, CONNECTION, KEY), 426, REQUIRED, kept=True),
    HttpCase("HTTP/1.0", opening().replace(b"HTTP/1.1", b"HTTP/1.0"), 426, REQUIRED),
    HttpCase("no key", request("GET", "/ws", UPGRADE, CONNECTION, VERSION), 400),
    HttpCase("a key that is too short", opening().replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ="), 400),
    HttpCase("two keys", opening(KEY), 400),
    HttpCase("an extension that is malformed", offer("permessage-deflate; ="), 400),
    HttpCase("a subprotocol that is malformed", opening("Sec-WebSocket-Protocol: a b"), 400),
    HttpCase("a POST", opening().replace(b"GET", b"POST"), 405, {"allow": "GET"}, kept=True),
)
"""Opening handshakes: RFC 6455 sections 4 and 9.1, RFC 7692 section 7.1."""


class FrameCase(Struct, frozen=True):
    """`sent` frames, and the texts, pongs and close frame that come back: each its first byte and payload. `ends`: the
    server closes; what came is then all there is, else what comes before the answer to a last call."""

    name: str
    sent: bytes
    frames: tuple[tuple[int, bytes], ...]
    ends: bool = False
    limits: Config = Config()
    deflate: bool = False


ECHO: Final = b'{"jsonrpc":"2.0","method":"echo","params":["Hello"],"id":1}'
REPLY: Final = (FIN | TEXT, b'{"jsonrpc":"2.0","result":"Hello","id":1}')
PACKED: Final = deflate(ECHO)


def pong(payload: bytes) -> tuple[int, bytes]:
    """A pong."""
    return (FIN | PONG, payload)


FRAMES: Final = (
    FrameCase("a text", frame(ECHO), (REPLY,)),
    FrameCase(
        "a text that is masked",
        bytes((FIN | TEXT, 0x80 | len(ECHO)))
        + b"\1\2\3\4"
        + bytes(byte ^ (1, 2, 3, 4)[at % 4] for at, byte in enumerate(ECHO)),
        (REPLY,),
    ),
    FrameCase("fragments", frame(ECHO[:9], TEXT) + frame(ECHO[9:], FIN | CONTINUATION), (REPLY,)),
    FrameCase("empty fragments", frame(b"", TEXT) + frame(ECHO, 0) + frame(b"", FIN), (REPLY,)),
    FrameCase("a ping", frame(b"here", FIN | PING), (pong(b"here"),)),
    FrameCase("a ping without a payload", frame(b"", FIN | PING), (pong(b""),)),
    FrameCase("a ping of 125 bytes", frame(b"x" * 125, FIN | PING), (pong(b"x" * 125),)),
    FrameCase(
        "a ping between fragments",
        frame(ECHO[:9], TEXT) + frame(b"now", FIN | PING) + frame(ECHO[9:], FIN | CONTINUATION),
        (pong(b"now"), REPLY),
    ),
    FrameCase("a pong that nobody asked for", frame(b"", FIN | PONG), ()),
    FrameCase("a compressed text", compressed(PACKED), (REPLY,), deflate=True),
    FrameCase("a text that is not, where it may", frame(ECHO), (REPLY,), deflate=True),
    FrameCase(
        "a ping between compressed fragments",
        frame(PACKED[:9], RSV1 | TEXT) + frame(b"now", FIN | PING) + frame(PACKED[9:], FIN | CONTINUATION),
        (pong(b"now"), REPLY),
        deflate=True,
    ),
    FrameCase(
        "data behind a final block, as in the standard's example",
        compressed(bytes.fromhex("f348cdc9c90700") + b"\0"),
        ((FIN | TEXT, b'{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}'),),
        deflate=True,
    ),
)
"""Frames as they may be: RFC 6455 sections 5 and 6, RFC 7692 sections 7.2 and 7.2.3."""


def closed(name: str, sent: bytes, code: int, limits: Config = Config(), *, deflate: bool = False) -> FrameCase:
    """A case that the server ends, with this code and nothing before it."""
    return FrameCase(name, sent, ((FIN | CLOSE, code.to_bytes(2)),), True, limits, deflate)


def closing(payload: bytes) -> bytes:
    """A client's close frame."""
    return frame(payload, FIN | CLOSE)


BAD: Final = frame(b"no JSON")

CLOSES: Final = (
    closed("1000: the client's is answered", closing(b"\x03\xe8"), 1000),
    closed("1000: with a reason", closing(b"\x03\xe8bye"), 1000),
    closed("1000: nothing is said for long", b"", 1000, Config(idle_timeout=0.05)),
    closed("3000: a code of a library's is answered", closing(b"\x0b\xb8"), 3000),
    closed("4999: a code of an application's is answered", closing(b"\x13\x87"), 4999),
    FrameCase("no code is answered with none", closing(b""), ((FIN | CLOSE, b""),), True),
    closed("1002: a code that none may send", closing(b"\x03\xed"), 1002),
    closed("1002: a code that there is not", closing(b"\x00\x01"), 1002),
    closed("1002: half a code", closing(b"\x03"), 1002),
    closed("1002: no mask", bytes((FIN | TEXT, len(ECHO))) + ECHO, 1002),
    closed("1002: a reserved bit", frame(ECHO, FIN | 0x20 | TEXT), 1002),
    closed("1002: compressed without having agreed on it", compressed(PACKED), 1002),
    closed("1002: a compressed continuation", frame(b"", RSV1 | TEXT) + frame(b"", FIN | RSV1), 1002, deflate=True),
    closed("1002: a compressed ping", frame(b"", FIN | RSV1 | PING), 1002, deflate=True),
    closed("1002: an opcode that there is not", frame(b"", FIN | 0x3), 1002),
    closed("1002: a control opcode that there is not", frame(b"", FIN | 0xB), 1002),
    closed("1002: a continuation of nothing", frame(ECHO, FIN | CONTINUATION), 1002),
    closed("1002: a text within a text", frame(b"1", TEXT) + frame(b"2"), 1002),
    closed("1002: a fragmented ping", frame(b"", PING), 1002),
    closed("1002: a ping of 126 bytes", frame(b"x" * 126, FIN | PING), 1002),
    closed("1002: a length written too long", bytes((FIN | TEXT, 0xFE, 0, 1)) + b"\0\0\0\0x", 1002),
    closed("1003: binary", frame(ECHO, FIN | BINARY), 1003),
    closed("1007: no UTF-8", frame(b"\xff"), 1007),
    closed("1007: half a character", frame(b'"\xc3', FIN | TEXT), 1007),
    closed("1007: half a character in a fragment that is not the last", frame(b"\xc3", TEXT) + frame(b"(", FIN), 1007),
    closed("1007: a reason that is no UTF-8", closing(b"\x03\xe8\xff"), 1007),
    closed("1007: what is no deflate", compressed(b"\xff" * 9), 1007, deflate=True),
    closed("1008: too many fragments", frame(b"", TEXT) + frame(b"", 0) * 1_024, 1008),
    closed("1008: a message that does not end", frame(b"1", TEXT), 1008, Config(message_timeout=0.05)),
    closed("1008: a flood of pongs", frame(b"", FIN | PONG) * 3, 1008, Config(control_burst=1)),
    closed("1009: announced", bytes((FIN | TEXT, 0xFF)) + (1 << 40).to_bytes(8) + b"\0\0\0\0", 1009),
    closed("1009: too big", frame(b" " * 101), 1009, Config(max_message_bytes=100)),
    closed(
        "1009: too big in fragments", frame(b" " * 99, TEXT) + frame(b"  ", FIN), 1009, Config(max_message_bytes=100)
    ),
    closed("1009: too big when inflated", compressed(deflate(b" " * 2_000_000)), 1009, deflate=True),
    closed("1009: inflated a thousandfold", compressed(deflate(b" " * 500_000)), 1009, deflate=True),
    closed("4101: no sign of life", b"", 4101, Config(heartbeat_interval=0.05, heartbeat_timeout=0.05)),
    FrameCase(
        "4400: too many invalid messages",
        BAD * 3,
        (
            *[(FIN | TEXT, b'{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}')] * 3,
            (FIN | CLOSE, (4400).to_bytes(2)),
        ),
        True,
        Config(max_bad_messages=2),
    ),
)
"""What ends a WebSocket: RFC 6455 sections 5.5.1, 7.4 and 8.1, and the limits."""
