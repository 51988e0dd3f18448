"""permessage-deflate (RFC 7692) with a cap, never with context takeover: no state outlives a message.

Inflating is an extension of wsproto's that keeps what it makes out of wsproto's way: it goes piece by piece into the
message's `Assembly`, bounded before it is made. Whether the extension was agreed is the handshake's.
"""

from __future__ import annotations

import zlib
from codecs import IncrementalDecoder, getincrementaldecoder
from typing import Final

from posthouse.core.values.config import KIB, Config
from posthouse.transports.assembly import PIECE, Assembly
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

RATIO_FREE: Final = 64 * KIB
"""A message may inflate to so many bytes whatever its ratio."""

TAIL: Final = b"\x00\x00\xff\xff"
"""RFC 7692 section 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message"."""

WINDOW_BITS: Final = -15
"""A raw deflate stream with the largest window: it inflates what was deflated with any."""

_PLAIN: Final = RsvBits(False, False, False)
_MAY_BE_COMPRESSED: Final = RsvBits(True, False, False)


def deflate(payload: bytes) -> bytes:
    """Compress one message (RFC 7692 section 7.2.1). Pure."""
    compressor = zlib.compressobj(wbits=WINDOW_BITS)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]


def wire_limit(size: int) -> int:
    """How many bytes a compressed message of `size` bytes may take: the worst that a compressor makes of it."""
    return size + size // 8 + 64


class Inflater(Extension):
    """Inflates the compressed messages of one connection into `message`; to wsproto they look empty.

    Fails a message with 1009 when it is larger than `max_message_bytes`, or than `max_inflate_ratio` times what came
    past 64 KiB; with 1007 when it is no deflate stream, or a text that is no UTF-8; with 1008 when it consists of more
    than `max_fragments` deflate streams. The ratio is looked at wherever so many bytes were made, not wherever a read
    ended: the verdict is the same at every split.
    """

    name = "permessage-deflate"

    def __init__(self, config: Config, message: Assembly) -> None:
        self._limit = config.max_message_bytes
        self._ratio = config.max_inflate_ratio
        self._max_streams = config.max_fragments
        self._message = message
        self._active = False
        self._compressed = False
        self._utf8: IncrementalDecoder | None = None
        self._stream: zlib._Decompress | None = None
        self._streams = 0
        self._taken = 0
        self._made = 0

    def enabled(self) -> bool:
        """It was agreed in the handshake, else it would not be here."""
        return True

    def offer(self) -> bool | str:
        """Not asked: wsproto makes no handshake here."""
        return True

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """A frame begins. Control frames may come between the frames of a message, and leave it alone."""
        if opcode.iscontrol():
            self._active = False
            return _PLAIN
        if opcode is Opcode.CONTINUATION:
            # "It MUST NOT be set [...] on other than the first fragment" (RFC 7692 section 6.1).
            self._active = self._compressed
            return _PLAIN
        self._active = self._compressed = rsv.rsv1
        if rsv.rsv1:
            self._begin(opcode)
        return _MAY_BE_COMPRESSED

    def frame_inbound_payload_data(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes | CloseReason:
        """Some of a frame's payload."""
        if not self._active:
            return data
        return self._inflate(data) or b""

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> bytes | CloseReason | None:
        """A frame ended; with `fin`, and if it was no control frame, its message too."""
        if not (self._active and fin):
            return None
        taken = self._taken
        return self._inflate(TAIL) or self._end(taken)

    def _begin(self, opcode: Opcode) -> None:
        self._utf8 = getincrementaldecoder("utf-8")() if opcode is Opcode.TEXT else None
        self._streams = self._taken = self._made = 0

    def _end(self, taken: int) -> CloseReason | None:
        self._compressed = False
        self._stream = None
        if self._made > max(RATIO_FREE, self._ratio * taken):
            return CloseReason.MESSAGE_TOO_BIG
        return self._checked(b"", final=True)

    def _inflate(self, data: bytes) -> CloseReason | None:
        """Inflate all of `data`, at most a piece at a time. Why the message fails, or None."""
        more = False
        while data or more:
            if self._stream is None:
                if self._streams >= self._max_streams:
                    return CloseReason.POLICY_VIOLATION
                self._streams += 1
                self._stream = zlib.decompressobj(WINDOW_BITS)
            stream = self._stream
            room = min(PIECE - self._made % PIECE, self._limit + 1 - self._made)
            try:
                piece = stream.decompress(data, room)
            except zlib.error:
                return CloseReason.INVALID_FRAME_PAYLOAD_DATA
            rest = stream.unused_data if stream.eof else stream.unconsumed_tail
            self._taken += len(data) - len(rest)
            data = rest
            # A stream that filled its room may have more to give without more to take.
            more = len(piece) == room and not stream.eof
            if stream.eof:
                # RFC 7692 section 7.2.3.4: a block with BFINAL set may be followed by another stream.
                self._stream = None
            if piece and (failure := self._keep(piece)) is not None:
                return failure
        return None

    def _keep(self, piece: bytes) -> CloseReason | None:
        self._made += len(piece)
        failure = self._checked(piece)
        if failure is not None:
            return failure
        if self._made > self._limit:
            return CloseReason.MESSAGE_TOO_BIG
        if self._made % PIECE == 0 and self._made > max(RATIO_FREE, self._ratio * self._taken):
            return CloseReason.MESSAGE_TOO_BIG
        self._message.add(piece)
        return None

    def _checked(self, piece: bytes, *, final: bool = False) -> CloseReason | None:
        if self._utf8 is not None:
            try:
                self._utf8.decode(piece, final)
            except UnicodeDecodeError:
                return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        return None
