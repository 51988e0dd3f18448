"""The server's side of a WebSocket after its handshake (RFC 6455), as a codec: texts in, frames out, and how it ends.

What comes in is taken apart in `inbound.py`; here is what follows from it: answers to pings, both closing handshakes,
failing, and their deadlines. It may not know what a text says.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from posthouse.core.values.config import KIB, Config
from posthouse.transports.codec import ABNORMAL, Binary, Ended, Finish, Heard, Output, Pause, Resume, Send, Shut, Text
from wsproto.events import Ping

from .controls import Controls
from .deflate import deflate
from .frames import BINARY, CLOSE, FIN, PING, PONG, RSV1, TEXT, close_payload, frame
from .receive import POLICY_VIOLATION, Event, Failed, Inbound, PeerClosed

DISCARD_BYTES: Final = 64 * KIB
DISCARD_SECONDS: Final = 2.0
"""After a failure so much is discarded, and for so long, before the socket is closed: a socket that is closed with
bytes unread is reset, and the peer might never see why."""

OPEN: Final = "open"
CLOSING: Final = "closing"
DISCARDING: Final = "discarding"
SHUT: Final = "shut"
"""Messages are exchanged; our close frame went, the peer's is awaited; it failed, what comes is discarded; the end."""

PLAIN: Final = "websocket"
"""The framing of connections without compression."""

_PING: Final = frame(FIN | PING, b"")


class WebSocket:
    """The server's codec for one connection. `deflate`: permessage-deflate was agreed. `binary`: binary messages are
    passed on as `codec.Binary`, instead of failing with 1003.

    `output_paused` belongs to the switchboard: it is set while what was sent waits outside, because the peer does not
    take it. Until `resume_output` only the latest ping is remembered, nothing that waits here is parsed, and the
    deadline of a message in progress stands still.

    The server closes TCP: after both close frames at once, after a failure when the peer has, or has had its time.
    """

    __slots__ = (
        "_compress_from",
        "_config",
        "_controls",
        "_discarded",
        "_end_due",
        "_eof",
        "_inbound",
        "_message_due",
        "_paused",
        "_state",
        "_turned_at",
        "output",
        "output_paused",
    )

    def __init__(self, config: Config, *, deflate: bool, binary: bool = False, now: float) -> None:
        self.output: list[Output] = []
        self.output_paused = False
        self._config = config
        self._compress_from = config.min_compress_bytes if deflate else None
        self._inbound = Inbound(config, deflate=deflate, binary=binary)
        self._controls = Controls(config, now)
        self._state = OPEN
        self._paused = False
        self._eof = False
        self._discarded = 0
        self._turned_at = now
        self._message_due: float | None = None
        self._end_due: float | None = None

    # Out

    @property
    def framing(self) -> Hashable:
        """What `frame` depends on."""
        return PLAIN if self._compress_from is None else (PLAIN, self._compress_from)

    def frame(self, payload: bytes) -> bytes:
        """One message in one frame: a text, or binary when the payload is `Binary`. Compressed when that was agreed,
        the payload is long enough, and it helps."""
        opcode = BINARY if type(payload) is Binary else TEXT
        if self._compress_from is not None and len(payload) >= self._compress_from:
            compressed = deflate(payload)
            if len(compressed) < len(payload):
                return frame(FIN | RSV1 | opcode, compressed)
        return frame(FIN | opcode, payload)

    def heartbeat(self, now: float) -> None:
        """Send a ping, unless we are closing."""
        if self._state is OPEN:
            self.output.append(Send(_PING))

    def resume_output(self, now: float) -> None:
        """What waited outside has gone. What waits here follows: the latest ping's answer now, frames with the next
        `handle_timeout`."""
        self.output_paused = False
        if self._message_due is not None:
            self._message_due = now + self._config.message_timeout
        if self._state is OPEN:
            self._answer_waiting(now)

    # In

    def receive_data(self, data: bytes, now: float) -> None:
        """Bytes came. At most one turn's frames of them are parsed; the rest waits for `handle_timeout`."""
        if self._state is DISCARDING:
            self._discarded += len(data)
            if self._discarded > DISCARD_BYTES:
                self._shut()
        elif self._inbound.backlog:
            self._inbound.keep(data)
        elif self._state is not SHUT:
            self._turn(data, now)

    def receive_eof(self, now: float) -> None:
        """The peer half-closed, behind whatever of it waits here."""
        if self._state is DISCARDING:
            self._shut()
        elif self._inbound.backlog:
            self._eof = True
        else:
            self._end(ABNORMAL)

    def close(self, code: int, now: float) -> None:
        """Send a close frame and await the peer's, for `close_timeout` seconds. Texts that still come are dropped."""
        if self._state is OPEN:
            self._state = CLOSING
            self.output_paused = False
            self._end_due = now + self._config.close_timeout
            self.output.append(Send(frame(FIN | CLOSE, close_payload(code))))

    @property
    def buffered(self) -> int:
        """How many bytes it holds: frames not yet parsed, what there is of a message, and texts in `output`."""
        held = self._inbound.buffered
        for output in self.output:
            if type(output) is Text:
                held += len(output.data)
        return held

    # Time

    def next_timeout(self) -> float | None:
        """The earliest of its deadlines; a time that has passed while there are frames to parse."""
        if self._inbound.backlog and not self.output_paused:
            return self._turned_at
        if self._state is not OPEN:
            return self._end_due
        due = self._controls.due()
        if self.output_paused:
            return None
        if due is None or (self._message_due is not None and self._message_due < due):
            return self._message_due
        return due

    def handle_timeout(self, now: float) -> None:
        """Parse what waits, answer what waits, or end what took too long."""
        if self._end_due is not None and now >= self._end_due:
            if self._state is CLOSING:
                self._end(ABNORMAL, flush=False)
            else:
                self._shut()
        elif not self.output_paused:
            if self._inbound.backlog:
                self._turn(b"", now)
            elif self._state is OPEN and self._message_due is not None and now >= self._message_due:
                self._fail(POLICY_VIOLATION, now)
            if self._state is OPEN:
                self._answer_waiting(now)

    # Details

    def _turn(self, data: bytes, now: float) -> None:
        """One turn of parsing, and what follows from it."""
        inbound = self._inbound
        heard = self._state is OPEN
        for event in inbound.turn(data):
            if type(event) is Text:
                if self._state is OPEN:
                    self.output.append(event)
                    heard = False
            else:
                self._on_other(event, now)
                if self._state is DISCARDING or self._state is SHUT:
                    return
        if heard:
            self.output.append(Heard())
        if not inbound.in_progress:
            self._message_due = None
        elif inbound.restarted or self._message_due is None:
            self._message_due = now + self._config.message_timeout
        if inbound.backlog is not self._paused:
            self._paused = inbound.backlog
            self.output.append(Pause() if inbound.backlog else Resume())
        self._turned_at = now
        if self._eof and not inbound.backlog:
            self._end(ABNORMAL)

    def _on_other(self, event: Event, now: float) -> None:
        """A frame that is no message."""
        if isinstance(event, PeerClosed):
            # "If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send
            # a Close frame in response. (When sending a Close frame in response, the endpoint typically echos the
            # status code it received.)" (RFC 6455 section 5.5.1)
            if self._state is OPEN:
                self.output.append(Send(frame(FIN | CLOSE, close_payload(event.code))))
            self._end(event.code)
        elif isinstance(event, Failed):
            self._fail(event.code, now)
        elif not self._controls.charge(now):
            self._fail(POLICY_VIOLATION, now)
        elif isinstance(event, Ping) and self._state is OPEN:
            answer = self._controls.answer(bytes(event.payload), paused=self.output_paused)
            if answer is not None:
                self.output.append(Send(frame(FIN | PONG, answer)))

    def _answer_waiting(self, now: float) -> None:
        answer = self._controls.release(now)
        if answer is not None:
            self.output.append(Send(frame(FIN | PONG, answer)))

    def _fail(self, code: int, now: float) -> None:
        """_Fail the WebSocket Connection_ (RFC 6455 section 7.1.7): say why, half-close, and read on for a while."""
        if self._state is OPEN:
            self.output.append(Send(frame(FIN | CLOSE, close_payload(code))))
        self._state = DISCARDING
        self._end_due = now + DISCARD_SECONDS
        self._inbound.abandon()
        self.output += (Ended(code), Finish())
        if self._eof:
            self._shut()
        elif self._paused:
            self.output.append(Resume())

    def _end(self, code: int, *, flush: bool = True) -> None:
        """It is over, and nothing that may still come is of interest."""
        if self._state is not SHUT:
            self._inbound.abandon()
            self.output.append(Ended(code))
            self._shut(flush=flush)

    def _shut(self, *, flush: bool = True) -> None:
        self._state = SHUT
        self._end_due = None
        self.output.append(Shut(flush))
