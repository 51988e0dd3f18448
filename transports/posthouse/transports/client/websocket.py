"""The client's side of a WebSocket with its handshake, as a machine: for the command line, tests and the simulator.

It builds its frames itself, because their masks must come from the injected entropy: "The masking key needs to be
unpredictable" (RFC 6455 section 5.3). It limits received bytes like the server does, but not the rate of pings: each
is answered.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.transports.codec import ABNORMAL, Binary, Ended, HeadRead, Heard, Output, Send, Shut, Text
from posthouse.transports.fields import Fields
from posthouse.transports.websocket.deflate import deflate as compress
from posthouse.transports.websocket.failures import Failed
from posthouse.transports.websocket.frames import (
    BINARY,
    CLOSE,
    FIN,
    MAX_CONTROL_BYTES,
    PING,
    PONG,
    RSV1,
    TEXT,
    can_close,
    close_payload,
    masked_frame,
)
from posthouse.transports.websocket.handshake import SUBPROTOCOL, Opened, Rejected, check, key_from, opening_request
from posthouse.transports.websocket.receive import Event, PeerClosed, Receiver
from wsproto.events import Ping

from .state import TRANSITIONS, ClientEvent, ClientState

OPENING: Final = ClientState.OPENING
OPEN: Final = ClientState.OPEN
CLOSING: Final = ClientState.CLOSING
CLOSED: Final = ClientState.CLOSED
SHUT: Final = ClientState.SHUT

NONCE_BYTES: Final = 16
MASK_BYTES: Final = 4
END_OF_HEAD: Final = b"\r\n\r\n"

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 ([0-9]{3})(?: .*)?")


class OpeningRequest(Struct, frozen=True):
    """What a client asks for: a WebSocket at `target` on `host`. `headers` are added to the request."""

    host: bytes
    target: bytes = b"/ws"
    headers: Fields = ()
    deflate: bool = True
    subprotocols: tuple[bytes, ...] = (SUBPROTOCOL,)


class WebSocketClient:
    """One connection. Its opening request is in `output` from the beginning.

    `HeadRead` says that it is open; then `opened` has what was agreed. If the server refused, `rejected` says why and
    `Ended(None)` follows. Sending raises UsageError when the WebSocket is not open, and for values that no frame may
    carry.
    """

    def __init__(
        self,
        config: Config,
        request: OpeningRequest,
        *,
        entropy: Callable[[int], bytes],
        now: float,
    ) -> None:
        self._config = config
        self._entropy = entropy
        self._request = request
        self._key = key_from(entropy(NONCE_BYTES))
        self._head = b""
        self._receiver = Receiver(config, client=True, deflate=False, binary=True)
        self._state = OPENING
        self._due: float | None = now + config.head_timeout
        self.opened: Opened | None = None
        self.rejected: str | None = None
        written = opening_request(
            request.host,
            request.target,
            self._key,
            deflate=request.deflate,
            subprotocols=request.subprotocols,
            headers=request.headers,
        )
        self.output: list[Output] = [Send(written)]

    # Out

    @property
    def ready(self) -> bool:
        """May a message be sent? After the handshake, and until one side closes."""
        return self._state is OPEN

    def send(self, payload: bytes) -> None:
        """Send one message: a text, or binary when the payload is `Binary`. Compressed as the server would."""
        if self._state is not OPEN:
            raise UsageError(f"the WebSocket is {self._state.value}")
        opcode = BINARY if type(payload) is Binary else TEXT
        assert self.opened is not None
        if self.opened.deflate and len(payload) >= self._config.min_compress_bytes:
            self._send(FIN | RSV1 | opcode, compress(payload))
        else:
            self._send(FIN | opcode, payload)

    def ping(self, payload: bytes = b"") -> None:
        """Ask for a sign of life; `Heard` follows when it comes. UsageError for more than 125 bytes."""
        if len(payload) > MAX_CONTROL_BYTES:
            raise UsageError(f"a ping of {len(payload)} bytes: it may have at most {MAX_CONTROL_BYTES}")
        if self._state is OPEN:
            self._send(FIN | PING, payload)

    def close(self, code: int, now: float) -> None:
        """Begin to close. Messages that still come are passed on. `Ended` and `Shut` follow, at the latest by a
        deadline. UsageError for a code that no frame may carry. 1005 sends a close frame without a code."""
        if not can_close(code):
            raise UsageError(
                f"close code {code}: give 1000 to 1003, 1007 to 1013, 3000 to 4999, or 1005 to send no code"
            )
        if self._state is OPEN:
            self._state = TRANSITIONS[self._state][ClientEvent.CLOSE]
            self._due = now + self._config.close_timeout
            self._send(FIN | CLOSE, close_payload(code))

    # In

    def receive_data(self, data: bytes, now: float) -> None:
        """Bytes came, cut anywhere."""
        if self._state is OPENING:
            self._head += data
            head, end, rest = self._head.partition(END_OF_HEAD)
            if len(head) > self._config.max_head_bytes:
                self._reject("the server's answer is too long")
            elif end:
                self._open(head, rest, now)
        elif self._state is OPEN or self._state is CLOSING:
            self._parse(data, now)

    def receive_eof(self, now: float) -> None:
        """The server half-closed, as it should after both close frames."""
        if self._state is OPENING:
            self._reject("the server closed the connection before it answered")
        elif self._state is CLOSED:
            self._shut()
        elif self._state is not SHUT:
            self.output.append(Ended(ABNORMAL))
            self._shut()

    @property
    def buffered(self) -> int:
        """The number of bytes that it holds."""
        return len(self._head) + self._receiver.buffered

    # Time

    def next_timeout(self) -> float | None:
        """The deadline of the handshake or of closing, or None."""
        return self._due

    def handle_timeout(self, now: float) -> None:
        """End a connection that took too long."""
        if self._due is None or now < self._due:
            return
        if self._state is OPENING:
            self._reject(f"the server did not answer within {self._config.head_timeout:g} s")
            return
        if self._state is CLOSING:
            self.output.append(Ended(ABNORMAL))
        self._shut(flush=False)

    # Details

    def _open(self, head: bytes, rest: bytes, now: float) -> None:
        status_line, *lines = head.split(b"\r\n")
        status = _STATUS_LINE.fullmatch(status_line)
        if status is None:
            self._reject("the server does not speak HTTP/1.1")
            return
        pairs = (line.partition(b":") for line in lines)
        headers = [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]
        asked = self._request
        verdict = check(int(status[1]), headers, self._key, deflate=asked.deflate, subprotocols=asked.subprotocols)
        if isinstance(verdict, Rejected):
            self._reject(verdict.reason)
            return
        self._state = TRANSITIONS[self._state][ClientEvent.OPEN]
        self._due = None
        self._head = b""
        self.opened = verdict
        self._receiver = Receiver(self._config, client=True, deflate=verdict.deflate, binary=True)
        self.output.append(HeadRead())
        if rest:
            self._parse(rest, now)

    def _parse(self, data: bytes, now: float) -> None:
        events = self._receiver.turn(data)
        while events or self._receiver.backlog:
            for event in events:
                self._on_event(event, now)
            events = self._receiver.turn() if self._receiver.backlog else []

    def _on_event(self, event: Event, now: float) -> None:
        if isinstance(event, Text):
            self.output.append(event)
        elif isinstance(event, PeerClosed):
            if self._state is OPEN:
                self._send(FIN | CLOSE, close_payload(event.code))
            self.output.append(Ended(event.code))
            self._state = TRANSITIONS[self._state][ClientEvent.PEER_CLOSED]
            self._due = now + self._config.close_timeout
        elif isinstance(event, Failed):
            if self._state is OPEN:
                self._send(FIN | CLOSE, close_payload(event.code))
            self.output.append(Ended(event.code, event.reason))
            self._shut()
        else:
            self.output.append(Heard())
            if isinstance(event, Ping) and self._state is OPEN:
                self._send(FIN | PONG, bytes(event.payload))

    def _send(self, first: int, payload: bytes) -> None:
        self.output.append(Send(masked_frame(first, payload, self._entropy(MASK_BYTES))))

    def _reject(self, reason: str) -> None:
        self.rejected = reason
        self._head = b""
        self.output.append(Ended(None))
        self._shut(flush=False)

    def _shut(self, *, flush: bool = True) -> None:
        self._state = TRANSITIONS[self._state][ClientEvent.SHUT]
        self._due = None
        self._receiver.abandon()
        self.output.append(Shut(flush))
