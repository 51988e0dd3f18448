"""The server's side of a WebSocket after its handshake (RFC 6455), as a codec: texts in, frames out, and how it ends.

`receive.py` parses the frames. This module reacts to them: it answers pings, performs both closing handshakes, fails
the connection, and has their deadlines. It may not know what a text says.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

from posthouse.core.values.config import Config
from posthouse.transports.codec import (
    ABNORMAL,
    DISCARD_BYTES,
    DISCARD_SECONDS,
    Binary,
    Codec,
    Ended,
    Finish,
    Heard,
    Output,
    Pause,
    Resume,
    Send,
    Shut,
    Text,
)
from wsproto.events import Ping

from .controls import Controls
from .deflate import deflate
from .failures import TOO_MANY_CONTROLS, TOO_SLOW, Failed
from .frames import BINARY, CLOSE, FIN, PING, PONG, RSV1, TEXT, close_payload, frame, text_frame
from .receive import Event, PeerClosed, Receiver
from .state import TRANSITIONS, WebSocketEvent, WebSocketState

OPEN: Final = WebSocketState.OPEN
CLOSING: Final = WebSocketState.CLOSING
DISCARDING: Final = WebSocketState.DISCARDING
SHUT: Final = WebSocketState.SHUT

PLAIN: Final = "websocket"
"""The framing of connections without compression."""

_PING: Final = frame(FIN | PING, b"")


class WebSocket(Codec):
    """The server's codec for one connection. `deflate`: permessage-deflate was agreed. `binary`: binary messages are
    passed on as `codec.Binary`, instead of failing with 1003.

    While output is paused, only the latest ping is remembered, no backlog is parsed, and the deadline of a message in
    progress stands still.

    The server closes TCP: after both close frames at once, after a failure when the peer has closed or when
    `DISCARD_SECONDS` have passed.
    """

    __slots__ = (
        "_compress_from",
        "_config",
        "_controls",
        "_discarded",
        "_end_due",
        "_eof",
        "_message_due",
        "_output_paused",
        "_paused",
        "_receiver",
        "_state",
        "_turned_at",
        "output",
    )

    abnormal_code = ABNORMAL

    def __init__(self, config: Config, *, deflate: bool, binary: bool = False, now: float) -> None:
        self.output: list[Output] = []
        self._output_paused = False
        self._config = config
        self._compress_from = config.min_compress_bytes if deflate else None
        self._receiver = Receiver(config, deflate=deflate, binary=binary)
        self._controls: Controls | None = None  # made for the first control frame
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
        """The facts on which `frame` depends."""
        return PLAIN if self._compress_from is None else (PLAIN, self._compress_from)

    def frame(self, payload: bytes) -> bytes:
        """One message in one frame: a text, or binary when the payload is `Binary`. Compressed when that was agreed,
        the payload is long enough, and it helps."""
        if self._compress_from is None and type(payload) is bytes:
            return text_frame(payload)
        opcode = BINARY if type(payload) is Binary else TEXT
        if self._compress_from is not None and len(payload) >= self._compress_from:
            compressed = deflate(payload)
            if len(compressed) < len(payload):
                return frame(FIN | RSV1 | opcode, compressed)
        return frame(FIN | opcode, payload)

    def limit_messages(self, *, authenticated: bool) -> None:
        """Limit the messages that begin from now on."""
        self._receiver.limit_messages(authenticated=authenticated)

    def heartbeat(self, now: float) -> None:
        """Send a ping, unless we are closing. The peer is silent: keep nothing that the next frame can make again."""
        self._receiver.rest()
        if self._controls is not None and self._controls.full(now):
            self._controls = None
        if self._state is OPEN:
            self.output.append(Send(_PING))

    def pause_output(self) -> None:
        """Remember only the latest ping, and parse no backlog, until `resume_output`."""
        self._output_paused = True

    def resume_output(self, now: float) -> None:
        """The peer has taken everything. Answer the latest ping now; parse the backlog at the next `handle_timeout`."""
        self._output_paused = False
        if self._message_due is not None:
            self._message_due = now + self._config.message_timeout
        if self._state is OPEN:
            self._answer_waiting(now)

    # In

    def receive_data(self, data: bytes, now: float) -> None:
        """Bytes came. Parse at most one turn's frames of them; the rest waits for `handle_timeout`."""
        if self._state is DISCARDING:
            self._discarded += len(data)
            if self._discarded > DISCARD_BYTES:
                self._shut(WebSocketEvent.SHUT)
        elif self._receiver.backlog:
            self._receiver.keep(data)
        elif self._state is not SHUT:
            self._turn(data, now)

    def receive_whole(self, data: bytes, now: float) -> Sequence[Text]:
        """The direct way in, for texts in plain frames while nothing has begun."""
        return self._receiver.whole_texts(data) if self._state is OPEN else ()

    def receive_eof(self, now: float) -> None:
        """The peer half-closed. A backlog is parsed before the connection ends."""
        if self._state is DISCARDING:
            self._shut(WebSocketEvent.SHUT)
        elif self._receiver.backlog:
            self._eof = True
        else:
            self._end(ABNORMAL)

    def close(self, code: int, now: float) -> None:
        """Send a close frame and wait `close_timeout` seconds for the peer's. Texts that still come are dropped."""
        if self._state is OPEN:
            self._state = TRANSITIONS[self._state][WebSocketEvent.CLOSE]
            self._output_paused = False
            self._end_due = now + self._config.close_timeout
            self.output.append(Send(frame(FIN | CLOSE, close_payload(code))))

    @property
    def buffered(self) -> int:
        """The bytes that it holds: unparsed frames, an unfinished message, and texts in `output`."""
        held = self._receiver.buffered
        for output in self.output:
            if type(output) is Text:
                held += len(output.data)
        return held

    # Time

    def next_timeout(self) -> float | None:
        """The earliest of its deadlines. A time in the past while there are frames to parse."""
        if self._receiver.backlog and not self._output_paused:
            return self._turned_at
        if self._state is not OPEN:
            return self._end_due
        due = None if self._controls is None else self._controls.due()
        if self._output_paused:
            return None
        if due is None or (self._message_due is not None and self._message_due < due):
            return self._message_due
        return due

    def handle_timeout(self, now: float) -> None:
        """Parse the backlog, answer the ping that waits, or end a connection that took too long."""
        if self._end_due is not None and now >= self._end_due:
            if self._state is CLOSING:
                self._end(ABNORMAL, flush=False)
            else:
                self._shut(WebSocketEvent.SHUT)
        elif not self._output_paused:
            if self._receiver.backlog:
                self._turn(b"", now)
            elif self._state is OPEN and self._message_due is not None and now >= self._message_due:
                self._fail(TOO_SLOW, now)
            if self._state is OPEN:
                self._answer_waiting(now)

    # Details

    def _turn(self, data: bytes, now: float) -> None:
        """Parse for one turn, and react to the events."""
        receiver = self._receiver
        heard = self._state is OPEN
        for event in receiver.turn(data):
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
        if not receiver.in_progress:
            self._message_due = None
        elif receiver.restarted or self._message_due is None:
            self._message_due = now + self._config.message_timeout
        if receiver.backlog is not self._paused:
            self._paused = receiver.backlog
            self.output.append(Pause() if receiver.backlog else Resume())
        self._turned_at = now
        if self._eof and not receiver.backlog:
            self._end(ABNORMAL)

    def _on_other(self, event: Event, now: float) -> None:
        """React to a frame other than a message."""
        if isinstance(event, PeerClosed):
            # "If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send
            # a Close frame in response. (When sending a Close frame in response, the endpoint typically echos the
            # status code it received.)" (RFC 6455 section 5.5.1)
            if self._state is OPEN:
                self.output.append(Send(frame(FIN | CLOSE, close_payload(event.code))))
            self._end(event.code)
        elif isinstance(event, Failed):
            self._fail(event, now)
        else:
            self._on_control(event, now)

    def _on_control(self, event: Event, now: float) -> None:
        controls = self._controls
        if controls is None:
            controls = self._controls = Controls(self._config, now)
        if not controls.charge(now):
            self._fail(TOO_MANY_CONTROLS, now)
        elif isinstance(event, Ping) and self._state is OPEN:
            answer = controls.answer(bytes(event.payload), paused=self._output_paused)
            if answer is not None:
                self.output.append(Send(frame(FIN | PONG, answer)))

    def _answer_waiting(self, now: float) -> None:
        answer = None if self._controls is None else self._controls.release(now)
        if answer is not None:
            self.output.append(Send(frame(FIN | PONG, answer)))

    def _fail(self, failed: Failed, now: float) -> None:
        """_Fail the WebSocket Connection_ (RFC 6455 section 7.1.7): send the code, half-close, discard for a while."""
        if self._state is OPEN:
            self.output.append(Send(frame(FIN | CLOSE, close_payload(failed.code))))
        self._state = TRANSITIONS[self._state][WebSocketEvent.FAIL]
        self._end_due = now + DISCARD_SECONDS
        self._receiver.abandon()
        self.output += (Ended(failed.code, failed.reason), Finish())
        if self._eof:
            self._shut(WebSocketEvent.SHUT)
        elif self._paused:
            self.output.append(Resume())

    def _end(self, code: int, *, flush: bool = True) -> None:
        """End the connection and ignore all further bytes."""
        if self._state is not SHUT:
            self._receiver.abandon()
            self.output.append(Ended(code))
            self._shut(WebSocketEvent.END, flush=flush)

    def _shut(self, event: WebSocketEvent, *, flush: bool = True) -> None:
        self._state = TRANSITIONS[self._state][event]
        self._end_due = None
        self.output.append(Shut(flush))
