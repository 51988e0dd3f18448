"""The receiving half of a WebSocket: frames into whole messages, pings, pongs and the peer's close, within every limit.

A plain text, a ping and a pong are read without a parser; `wsproto.connection.Connection` parses everything else. This
module looks at each frame's header first, so that the parser is only fed frames that are accepted, at most `PIECE`
bytes at a time. It may not know time, answers, or how a connection ends.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.core.values.config import Config
from posthouse.transports.assembly import PIECE, Assembly
from posthouse.transports.codec import Binary, Text, message_limit
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from .deflate import Inflater, wire_limit
from .failures import BINARY_REFUSED, BY_CODE, INVALID_DATA, PROTOCOL_ERROR, TOO_MANY_FRAGMENTS, Failed, too_large
from .frames import BINARY, CONTINUATION, FIN, MASKED, MAX_CONTROL_BYTES, PING, PONG, RSV1, TEXT
from .recogniser import KEY, TextPieces, is_plain, read_text, recognise_control, recognise_text

FRAGMENT_CHARGE: Final = 128
"""Each frame of an unfinished message adds so many bytes to `buffered`, beside its own."""

WHOLE_TEXT: Final = FIN | TEXT
"""The first byte of a text in one frame, not compressed. Most frames are that."""

CONTROLS: Final[dict[int, type[Ping | Pong]]] = {FIN | PING: Ping, FIN | PONG: Pong}
"""The events of control frames that every connection has, by their first byte."""

SHORT: Final = 2
"""The shortest header of a frame, in bytes."""


class PeerClosed(Struct, frozen=True, gc=False):
    """The peer's close frame, with its code (1005: it gave none). Nothing follows."""

    code: int


Event = Text | Ping | Pong | PeerClosed | Failed


class Receiver:
    """The receiving half of one connection. `client`: it is the client's half, whose peer does not mask.

    `turn` takes bytes and returns events, from at most `frames_per_turn` frames and about as many inflated bytes as a
    message may have. While `backlog` is true there is more to parse, and `turn()` goes on. `in_progress`: a message or
    a frame has begun and not ended. `restarted`: it began in the last turn. `over`: nothing more is parsed.
    """

    __slots__ = (
        "_allows_binary",
        "_buffer",
        "_client",
        "_compressed",
        "_config",
        "_connection",
        "_deflate",
        "_fragments",
        "_inflater",
        "_left",
        "_limit",
        "_message",
        "_most",
        "_room",
        "_short",
        "_text",
        "_wire",
        "backlog",
        "in_progress",
        "over",
        "restarted",
    )

    def __init__(self, config: Config, *, client: bool = False, deflate: bool, binary: bool) -> None:
        self._config = config
        self._client = client
        self._deflate = deflate
        self._allows_binary = binary
        # Built for the first frame that needs a parser: idle connections and those with plain texts never do.
        self._connection: Connection | None = None
        self._message: Assembly | None = None
        self._text: TextPieces | None = None  # of the current data frame, if the parser is not needed
        self._inflater: Inflater | None = None
        self.limit_messages(authenticated=client or not config.require_authentication)
        self._buffer = b""
        self._left = 0  # bytes of the current data frame that are still to come
        self._fragments = 0  # frames of the current message so far, and bytes that they announced
        self._wire = 0
        self._limit = 0  # bytes that this message may have
        self._compressed = False
        self._room = 0  # bytes of messages that this turn may still produce
        self.backlog = False
        self.in_progress = False
        self.restarted = False
        self.over = False

    @property
    def buffered(self) -> int:
        """The bytes that it holds, with the charge for fragments."""
        assembled = 0 if self._message is None else self._message.size
        if self._text is not None:
            assembled += self._text.size
        return len(self._buffer) + assembled + self._fragments * FRAGMENT_CHARGE

    def limit_messages(self, *, authenticated: bool) -> None:
        """Limit the messages that begin from now on."""
        self._most = message_limit(self._config, authenticated=authenticated)
        self._short = -1 if self._client else min(MAX_CONTROL_BYTES, self._most)
        if self._inflater is not None:
            self._inflater.most = self._most

    def whole_texts(self, data: bytes) -> list[Text]:
        """The texts that these bytes are, if they are whole plain frames of one turn, and nothing was received before.
        Empty: nothing has changed; ask `turn`."""
        texts: list[Text] = []
        if self.in_progress or self.backlog:
            return texts
        size = len(data) - SHORT - KEY
        if 0 <= size <= self._short and data[0] == WHOLE_TEXT and data[1] == MASKED | size:  # one short text
            text = read_text(data, SHORT + KEY, SHORT + KEY + size, True)
            return texts if text is None else [Text(text)]
        config, masked = self._config, not self._client
        at, end = 0, len(data)
        while end - at >= SHORT and data[at] == WHOLE_TEXT:
            second = data[at + 1]
            if (second >= MASKED) is not masked:
                break
            length = second & 0x7F
            body = at + (SHORT + KEY if masked else SHORT)
            if length > MAX_CONTROL_BYTES:
                extended = 2 if length == 126 else 8
                length = int.from_bytes(data[at + SHORT : at + SHORT + extended], "big")
                body += extended
                if not is_plain(body - at, length, masked=masked):
                    break
            stop = body + length
            if stop > end or length > self._most:
                break
            text = read_text(data, body, stop, masked)
            if text is None:
                break
            texts.append(Text(text))
            if stop == end:
                return texts
            if len(texts) == config.frames_per_turn:
                break
            at = stop
        return []

    def keep(self, data: bytes) -> None:
        """Keep bytes that came during a backlog."""
        self._buffer += data

    def abandon(self) -> None:
        """Forget everything, and ignore further bytes."""
        self.over = True
        self.backlog = self.in_progress = False
        self._buffer = b""
        self._fragments = self._left = 0
        self._connection = self._inflater = self._message = self._text = None

    def rest(self) -> None:
        """Between messages, forget the parser: it takes 2 KiB, and is built again when a frame needs it."""
        if not self.in_progress and not self.backlog:
            self._connection = self._inflater = self._message = None

    def turn(self, data: bytes = b"") -> list[Event]:
        """Parse held bytes and `data`, as far as one turn goes."""
        events: list[Event] = []
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        frames = self._config.frames_per_turn
        self._room = self._most
        self.backlog = self.restarted = False
        at = 0
        end = len(data)
        while at < end and not self.over:
            if self._left:
                stop = min(at + self._left, end)
                if self._text is None:
                    stop = min(stop, at + PIECE)
                    self._left -= stop - at
                    self._feed(data[at:stop], events)
                else:
                    self._left -= stop - at
                    self._collect(self._text, memoryview(data)[at:stop], events)
            elif frames == 0 or self._room < 0:
                self.backlog = True
                break
            else:
                stop = self._frame(data, at, end, events)
                if stop == at:
                    break
                frames -= 1
            at = stop
            if not self._fragments:
                self.restarted = True
        if self.over:
            self.abandon()
        else:
            if at < end:
                self._buffer = data[at:]
            self.in_progress = at < end or self._fragments > 0
        return events

    def _frame(self, data: bytes, at: int, end: int, events: list[Event]) -> int:
        """Begin the frame whose header is at `at`. Returns where its available bytes end, or `at` if more bytes are
        needed: the whole header, or a whole control frame."""
        if end - at < SHORT:
            return at
        first, second = data[at], data[at + 1]
        length = second & 0x7F
        body = at + SHORT
        if length > MAX_CONTROL_BYTES:
            extended = 2 if length == 126 else 8
            length = int.from_bytes(data[body : body + extended], "big")
            body += extended
        if second & MASKED:
            body += 4
        if body > end:
            return at
        stop = body + length
        if first == WHOLE_TEXT and not self._fragments and stop <= end and length <= self._most:
            text = recognise_text(data, at, body, stop, masked=not self._client)
            if text is None:
                self._feed(data[at:stop], events)
            else:
                events.append(Text(text))
            return stop
        opcode = first & 0x0F
        if opcode & 0x8:
            if length > MAX_CONTROL_BYTES:
                stop = body  # the parser refuses it because of its length
            elif stop > end:
                return at
            elif first in CONTROLS:
                payload = recognise_control(data, at, body, stop, masked=not self._client)
                if payload is not None:
                    events.append(CONTROLS[first](payload))
                    return stop
        else:
            failed = self._judge(first, opcode, length)
            if failed is not None:
                self._refuse(data[at:body], failed, events)
                return body
            whole = stop
            stop = min(stop, end)
            if first == WHOLE_TEXT and is_plain(body - at, length, masked=not self._client):
                self._left = whole - stop
                self._text = TextPieces(None if self._client else data[body - KEY : body])
                self._collect(self._text, memoryview(data)[body:stop], events)
                return stop
            stop = min(stop, body + PIECE)
            self._left = whole - stop
        self._feed(data[at:stop], events)
        return stop

    def _collect(self, text: TextPieces, piece: memoryview, events: list[Event]) -> None:
        """Take the next piece of a text that needs no parser."""
        if not text.add(piece, last=not self._left):
            # RFC 6455 section 8.1: an endpoint "MUST _Fail the WebSocket Connection_".
            events.append(INVALID_DATA)
            self.over = True
        elif not self._left:
            self._text = None
            self._fragments = 0
            self._room -= text.size
            events.append(Text(text.take()))

    def _judge(self, first: int, opcode: int, length: int) -> Failed | None:
        """Why a data frame with this header is refused, or None."""
        config = self._config
        if (opcode == CONTINUATION) is not (self._fragments > 0):
            # The parser would say so only after its extensions have read the payload.
            return PROTOCOL_ERROR
        if opcode != CONTINUATION:
            if opcode == BINARY and not self._allows_binary:
                return BINARY_REFUSED
            self._wire = 0
            self._limit = self._most
            self._compressed = self._deflate and first & RSV1 != 0
        self._fragments += 1
        if self._fragments > config.max_fragments:
            return TOO_MANY_FRAGMENTS
        self._wire += length
        limit = self._limit
        if self._wire > (wire_limit(limit) if self._compressed else limit):
            return too_large(limit, config)
        return None

    def _refuse(self, header: bytes, failed: Failed, events: list[Event]) -> None:
        """Refuse a frame. Its header goes to the parser nevertheless: a breach of the protocol takes precedence."""
        seen: list[Event] = []
        self._feed(header, seen)
        events.append(PROTOCOL_ERROR if PROTOCOL_ERROR in seen else failed)
        self.over = True

    def _feed(self, piece: bytes, events: list[Event]) -> None:
        """Give the parser this piece of one frame, and append the resulting events."""
        connection = self._connection
        if connection is None:
            connection = self._connection = self._parser()
        connection.receive_data(piece)
        for event in connection.events():
            if isinstance(event, TextMessage):
                self._take(event.data.encode(), event.message_finished, events)
            elif isinstance(event, BytesMessage):
                self._take(bytes(event.data), event.message_finished, events, binary=True)
            else:
                assert isinstance(event, CloseConnection)  # valid pings and pongs were recognised
                # A breach of the protocol looks like a close frame too, but leaves the parser open.
                closed = connection.state is ConnectionState.REMOTE_CLOSING
                events.append(PeerClosed(int(event.code)) if closed else self._failure(int(event.code)))
                self.over = True

    def _take(self, piece: bytes, finished: bool, events: list[Event], *, binary: bool = False) -> None:
        """Take a piece of a message's payload, or all of it."""
        message = self._message
        assert message is not None
        if not finished:
            message.add(piece)
            return
        self._fragments = 0
        if message.size:
            message.add(piece)
            piece = message.take()
            self._room -= len(piece)
        events.append(Text(Binary(piece) if binary else piece))

    def _failure(self, code: int) -> Failed:
        """Why the parser failed: it says so only by a code, unless the inflater found it."""
        found = None if self._inflater is None else self._inflater.failure
        return BY_CODE[code] if found is None else found

    def _parser(self) -> Connection:
        self._message = Assembly()
        side = ConnectionType.CLIENT if self._client else ConnectionType.SERVER
        if not self._deflate:
            return Connection(side)
        self._inflater = Inflater(self._config, self._message)
        self._inflater.most = self._most
        return Connection(side, [self._inflater])
