"""permessage-deflate (RFC 7692) with a cap, never with context takeover: no state outlives a message.

Inflating is an extension of wsproto that hides the inflated bytes from wsproto: they go piece by piece into the
message's `Assembly`, and each piece is bounded before it is made. The handshake decides whether the extension is used.
"""

from __future__ import annotations

import zlib
from typing import Final

from posthouse.core.values.config import KIB, Config
from posthouse.transports.assembly import PIECE, Assembly
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from .failures import INFLATES_TOO_MUCH, INVALID_DATA, TOO_MANY_STREAMS, Failed, too_large
from .utf8 import Utf8

RATIO_FREE: Final = 64 * KIB
"""The ratio is not checked for messages that inflate to at most so many bytes."""

TAIL: Final = b"\x00\x00\xff\xff"
"""RFC 7692 section 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message"."""

WINDOW_BITS: Final = -15
"""A raw deflate stream with the largest window, which inflates streams made with any window."""

_PLAIN: Final = RsvBits(False, False, False)
_MAY_BE_COMPRESSED: Final = RsvBits(True, False, False)


def deflate(payload: bytes) -> bytes:
    """Compress one message (RFC 7692 section 7.2.1). Pure."""
    compressor = zlib.compressobj(wbits=WINDOW_BITS)
    return compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)[: -len(TAIL)]


def wire_limit(size: int) -> int:
    """How many bytes a compressed message of `size` bytes may take, with the worst compressor."""
    return size + size // 8 + 64


class Inflater(Extension):
    """Inflates the compressed messages of one connection into `message`; to wsproto they look empty.

    A message has at most so many bytes as `most` says when it begins. `failure` says why a message was failed: it is
    larger than that, or above 64 KiB larger than `max_inflate_ratio` times its compressed size; it is no deflate
    stream, or a text that is not UTF-8; or it consists of more than `max_fragments` deflate streams. The ratio is
    checked after fixed numbers of inflated bytes, not after each read, so that the verdict is the same at every split.
    """

    name = "permessage-deflate"

    def __init__(self, config: Config, message: Assembly) -> None:
        self._config = config
        self._limit = self.most = config.max_message_bytes
        self._ratio = config.max_inflate_ratio
        self._max_streams = config.max_fragments
        self._message = message
        self.failure: Failed | None = None
        self._active = False
        self._compressed = False
        self._utf8: Utf8 | None = None
        self._stream: zlib._Decompress | None = None
        self._streams = 0
        self._taken = 0
        self._made = 0

    def enabled(self) -> bool:
        """The handshake agreed on it, else it was not built."""
        return True

    def offer(self) -> bool | str:
        """Never called: wsproto makes no handshake here."""
        return True

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """A frame begins. Control frames may come between the frames of a message and do not change it."""
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
        """A piece of a frame's payload."""
        if not self._active:
            return data
        failure = self._inflate(data)
        return b"" if failure is None else self._fail(failure)

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> bytes | CloseReason | None:
        """A frame ended. With `fin`, unless it was a control frame, its message ended too."""
        if not (self._active and fin):
            return None
        taken = self._taken
        failure = self._inflate(TAIL) or self._end(taken)
        return None if failure is None else self._fail(failure)

    def _fail(self, failure: Failed) -> CloseReason:
        self.failure = failure
        return CloseReason(failure.code)

    def _begin(self, opcode: Opcode) -> None:
        self._utf8 = Utf8() if opcode is Opcode.TEXT else None
        self._streams = self._taken = self._made = 0
        self._limit = self.most

    def _end(self, taken: int) -> Failed | None:
        self._compressed = False
        self._stream = None
        if self._made > max(RATIO_FREE, self._ratio * taken):
            return INFLATES_TOO_MUCH
        return self._checked(b"", final=True)

    def _inflate(self, data: bytes) -> Failed | None:
        """Inflate all of `data`, at most a piece at a time. Returns why the message fails, or None."""
        more = False
        while data or more:
            if self._stream is None:
                if self._streams >= self._max_streams:
                    return TOO_MANY_STREAMS
                self._streams += 1
                self._stream = zlib.decompressobj(WINDOW_BITS)
            stream = self._stream
            room = min(PIECE - self._made % PIECE, self._limit + 1 - self._made)
            try:
                piece = stream.decompress(data, room)
            except zlib.error:
                return INVALID_DATA
            rest = stream.unused_data if stream.eof else stream.unconsumed_tail
            self._taken += len(data) - len(rest)
            data = rest
            # A stream that filled its room may have more output without more input.
            more = len(piece) == room and not stream.eof
            if stream.eof:
                # RFC 7692 section 7.2.3.4: a block with BFINAL set may be followed by another stream.
                self._stream = None
            if piece and (failure := self._keep(piece)) is not None:
                return failure
        return None

    def _keep(self, piece: bytes) -> Failed | None:
        self._made += len(piece)
        failure = self._checked(piece)
        if failure is not None:
            return failure
        if self._made > self._limit:
            return too_large(self._limit, self._config)
        if self._made % PIECE == 0 and self._made > max(RATIO_FREE, self._ratio * self._taken):
            return INFLATES_TOO_MUCH
        self._message.add(piece)
        return None

    def _checked(self, piece: bytes, *, final: bool = False) -> Failed | None:
        if self._utf8 is None or self._utf8.accepts(piece, last=final):
            return None
        return INVALID_DATA
