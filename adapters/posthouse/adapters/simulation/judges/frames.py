"""WebSocket frames by RFC 6455 section 5, and the messages in them, with permessage-deflate (RFC 7692).

`Frames` reads one direction. Nothing behind the first byte that breaks a rule is read.
"""

from __future__ import annotations

import zlib
from typing import Final, Literal

from msgspec import Struct

FIN: Final = 0x80
RSV1: Final = 0x40
RSV2_3: Final = 0x30
MASKED: Final = 0x80

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
CONTROLS: Final[dict[int, Literal["close", "ping", "pong"]]] = {CLOSE: "close", PING: "ping", PONG: "pong"}

MAX_CONTROL: Final = 125
TAIL: Final = b"\x00\x00\xff\xff"
"""The bytes that a sender removes from the end of a compressed message (RFC 7692 section 7.2.1)."""


class Received(Struct, frozen=True, gc=False):
    """A whole message, or a control frame with its payload. `wire`: the size of a message before it was inflated."""

    kind: Literal["text", "binary", "close", "ping", "pong"]
    payload: bytes
    wire: int = 0


class Frames:
    """The frames of one direction. `masked`: they must be. `deflate`: permessage-deflate was agreed. `takeover`: a
    message may refer to the one before. `closed`: a close frame was read, and nothing may follow it. `fault`: the rule
    that was broken."""

    def __init__(self, *, masked: bool, deflate: bool = False, takeover: bool = False) -> None:
        self.closed = False
        self.fault: str | None = None
        self._masked: Final = masked
        self._deflate: Final = deflate
        self._takeover: Final = takeover
        self._buffer = b""
        self._opcode: int | None = None  # of the message in progress
        self._pieces: Final[list[bytes]] = []
        self._compressed = False
        self._stream: zlib._Decompress | None = None

    @property
    def begun(self) -> bool:
        """Was a frame or a message begun, and not ended?"""
        return bool(self._buffer) or self._opcode is not None

    def read(self, data: bytes) -> list[Received]:
        """Take bytes. Returns what they end."""
        found: list[Received] = []
        if self.fault is None:
            try:
                self._read(self._buffer + data if self._buffer else data, found)
            except ValueError as error:
                self.fault = str(error)
        return found

    def _read(self, data: bytes, found: list[Received]) -> None:
        at = 0
        while at < len(data):
            if self.closed:
                raise ValueError("bytes follow a close frame")
            stop = self._frame(data, at, found)
            if stop == at:
                break
            at = stop
        self._buffer = data[at:]

    def _frame(self, data: bytes, at: int, found: list[Received]) -> int:
        """Read the frame that begins at `at`. Returns where it ends, or `at` if it is not whole."""
        if len(data) - at < 2:
            return at
        first, second = data[at], data[at + 1]
        self._check_header(first, second)
        length, body = second & 0x7F, at + 2
        if length > MAX_CONTROL:
            width, least = (2, 126) if length == 126 else (8, 1 << 16)
            if len(data) < body + width:
                return at
            length = int.from_bytes(data[body : body + width], "big")
            body += width
            # "the minimal number of bytes MUST be used to encode the length" (section 5.2)
            if length < least or length >> 63:
                raise ValueError("the length of a frame is not encoded in the fewest bytes")
        if self._masked:
            body += 4
        stop = body + length
        if stop > len(data):
            return at
        payload = data[body:stop]
        self._take(first, unmask(payload, data[body - 4 : body]) if self._masked else payload, found)
        return stop

    def _check_header(self, first: int, second: int) -> None:
        opcode, control = first & 0x0F, first & 0x08
        if bool(second & MASKED) is not self._masked:
            raise ValueError("a frame is masked" if second & MASKED else "a frame is not masked")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise ValueError("a frame has a reserved opcode")
        if first & RSV2_3:
            raise ValueError("a frame has a reserved bit")
        if first & RSV1 and (not self._deflate or control or opcode == CONTINUATION):
            # RFC 7692 section 6: only on the first frame of a message, and never on a control frame
            raise ValueError("a frame is marked as compressed, which it may not be")
        if control and (not first & FIN or second & 0x7F > MAX_CONTROL):
            raise ValueError("a control frame is fragmented, or longer than 125 bytes")
        if not control and (opcode == CONTINUATION) is (self._opcode is None):
            raise ValueError("a fragment does not belong to the message in progress")

    def _take(self, first: int, payload: bytes, found: list[Received]) -> None:
        opcode = first & 0x0F
        if opcode in CONTROLS:
            if opcode == CLOSE:
                self.closed = True
            found.append(Received(CONTROLS[opcode], payload))
            return
        if opcode != CONTINUATION:
            self._opcode = opcode
            self._compressed = bool(first & RSV1)
        self._pieces.append(payload)
        if not first & FIN:
            return
        message = b"".join(self._pieces)
        wire = len(message)
        self._pieces.clear()
        if self._compressed:
            message = self._inflate(message)
        found.append(Received("text" if self._opcode == TEXT else "binary", message, wire))
        self._opcode = None

    def _inflate(self, message: bytes) -> bytes:
        if self._stream is None or not self._takeover:
            self._stream = zlib.decompressobj(-15)
        stream = self._stream
        try:
            inflated = stream.decompress(message + TAIL)
        except zlib.error:
            raise ValueError("a compressed message is no deflate stream") from None
        if stream.eof:
            # A final block ends the stream. Another one may follow it (RFC 7692 section 7.2.3.4).
            self._stream = None
            rest = stream.unused_data.removesuffix(TAIL)
            return inflated + self._inflate(rest) if rest.strip(b"\x00") else inflated
        return inflated


def unmask(payload: bytes, key: bytes) -> bytes:
    """Mask or unmask a payload (RFC 6455 section 5.3)."""
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")
