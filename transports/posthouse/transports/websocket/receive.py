"""What comes in on a WebSocket: frames into whole messages, pings, pongs and the peer's close, within every limit.

`wsproto.connection.Connection` parses what is not recognised as a plain text; this looks at each frame's header first,
so that nothing is fed to it that is not wanted, and no more at a time than `PIECE`. It may not know time, what is
answered, or how a connection ends.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.core.values.config import Config
from posthouse.transports.assembly import PIECE, Assembly
from posthouse.transports.codec import Binary, Text
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from .deflate import Inflater, wire_limit
from .frames import BINARY, CONTINUATION, FIN, MASKED, MAX_CONTROL_BYTES, RSV1, TEXT
from .recogniser import recognise_text

PROTOCOL_ERROR: Final = 1002
UNSUPPORTED_DATA: Final = 1003
POLICY_VIOLATION: Final = 1008
MESSAGE_TOO_BIG: Final = 1009

FRAGMENT_CHARGE: Final = 128
"""What each frame of an unfinished message counts for in `buffered`, beside its bytes."""

WHOLE_TEXT: Final = FIN | TEXT
"""The first byte of a text in one frame, not compressed: most frames are nothing else."""

SHORT: Final = 2
"""A frame's header has at least so many bytes."""


class PeerClosed(Struct, frozen=True, gc=False):
    """The peer's close frame, with its code (1005: it gave none). Nothing follows."""

    code: int


class Failed(Struct, frozen=True, gc=False):
    """The peer broke a rule: the close code that says which. Nothing follows."""

    code: int


Event = Text | Ping | Pong | PeerClosed | Failed


class Inbound:
    """The receiving half of one connection. `client`: it is the client's, whose peer does not mask.

    `turn` takes bytes and gives what they are, at most `frames_per_turn` frames of it and about one message's limit of
    inflated bytes; while `backlog` is true there is more to do, and `turn()` goes on. `in_progress`: a message or a
    frame has begun and not ended; `anew`: that was in the last turn, for in it whatever had begun before it ended.
    `over`: nothing more is parsed.
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
        "_left",
        "_message",
        "_room",
        "_whole_limit",
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
        # Who is idle, or says plain texts alone, costs no parser: it is built for the first frame that needs one.
        self._connection: Connection | None = None
        self._message: Assembly | None = None
        self._buffer = b""
        self._left = 0  # bytes of the current data frame that have yet to come
        self._fragments = 0  # frames of the current message so far, and bytes that they announced
        self._wire = 0
        self._compressed = False
        self._whole_limit = min(PIECE, config.max_message_bytes)  # what is taken in at once
        self._room = 0  # bytes of messages that this turn may still make
        self.backlog = False
        self.in_progress = False
        self.restarted = False
        self.over = False

    @property
    def buffered(self) -> int:
        """How many bytes it holds, with the charge for fragments."""
        assembled = 0 if self._message is None else self._message.size
        return len(self._buffer) + assembled + self._fragments * FRAGMENT_CHARGE

    def keep(self, data: bytes) -> None:
        """Bytes that came while there was a backlog."""
        self._buffer += data

    def abandon(self) -> None:
        """Nothing that comes is of interest any more."""
        self.over = True
        self.backlog = self.in_progress = False
        self._buffer = b""
        self._fragments = self._left = 0
        self._connection = None
        self._message = None

    def turn(self, data: bytes = b"") -> list[Event]:
        """Parse what is held and `data`, as far as one turn goes."""
        events: list[Event] = []
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        frames = self._config.frames_per_turn
        self._room = self._config.max_message_bytes
        self.backlog = self.restarted = False
        at = 0
        end = len(data)
        while at < end and not self.over:
            if self._left:
                stop = min(at + min(self._left, PIECE), end)
                self._left -= stop - at
                self._feed(data[at:stop], events)
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
        """Begin the frame whose header is at `at`. Where it, or what there is of it, stops; `at` when more is needed
        to tell: the whole header, and of a control frame everything."""
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
        if first == WHOLE_TEXT and not self._fragments and stop <= end and length <= self._whole_limit:
            text = recognise_text(data, at, body, stop, masked=not self._client)
            if text is None:
                self._feed(data[at:stop], events)
            else:
                events.append(Text(text))
            return stop
        opcode = first & 0x0F
        if opcode & 0x8:
            if length > MAX_CONTROL_BYTES:
                stop = body  # the parser refuses it for its length
            elif stop > end:
                return at
        else:
            refusal = self._judge(first, opcode, length)
            if refusal is not None:
                self._refuse(data[at:body], refusal, events)
                return body
            whole = stop
            stop = min(stop, end, body + PIECE)
            self._left = whole - stop
        self._feed(data[at:stop], events)
        return stop

    def _judge(self, first: int, opcode: int, length: int) -> int | None:
        """Is a data frame with this header wanted? The close code that says why not, or None."""
        config = self._config
        if (opcode == CONTINUATION) is not (self._fragments > 0):
            # The parser would say so only behind what its extensions make of the payload.
            return PROTOCOL_ERROR
        if opcode != CONTINUATION:
            if opcode == BINARY and not self._allows_binary:
                return UNSUPPORTED_DATA
            self._wire = 0
            self._compressed = self._deflate and first & RSV1 != 0
        self._fragments += 1
        if self._fragments > config.max_fragments:
            return POLICY_VIOLATION
        self._wire += length
        limit = config.max_message_bytes
        if self._wire > (wire_limit(limit) if self._compressed else limit):
            return MESSAGE_TOO_BIG
        return None

    def _refuse(self, header: bytes, code: int, events: list[Event]) -> None:
        """A frame that is not wanted. Its header goes to the parser all the same: a breach of the protocol is worse."""
        seen: list[Event] = []
        self._feed(header, seen)
        events.append(Failed(PROTOCOL_ERROR if Failed(PROTOCOL_ERROR) in seen else code))
        self.over = True

    def _feed(self, piece: bytes, events: list[Event]) -> None:
        """Give the parser this piece of one frame, and take what it makes of it."""
        connection = self._connection
        if connection is None:
            connection = self._connection = self._parser()
        connection.receive_data(piece)
        for event in connection.events():
            if isinstance(event, TextMessage):
                self._take(event.data.encode(), event.message_finished, events)
            elif isinstance(event, BytesMessage):
                self._take(bytes(event.data), event.message_finished, events, binary=True)
            elif isinstance(event, CloseConnection):
                # A breach of the protocol looks like a close frame too, but leaves the parser open.
                closed = connection.state is ConnectionState.REMOTE_CLOSING
                events.append(PeerClosed(int(event.code)) if closed else Failed(int(event.code)))
                self.over = True
            else:
                assert isinstance(event, Ping | Pong)
                events.append(event)

    def _take(self, piece: bytes, finished: bool, events: list[Event], *, binary: bool = False) -> None:
        """Some of a message's payload, or all of it."""
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

    def _parser(self) -> Connection:
        self._message = Assembly()
        side = ConnectionType.CLIENT if self._client else ConnectionType.SERVER
        return Connection(side, [Inflater(self._config, self._message)] if self._deflate else None)
