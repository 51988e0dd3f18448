"""The judge of an open WebSocket: the frames of the server, its pongs, its close frame, and its messages."""

from __future__ import annotations

from collections import deque
from typing import Final

from .conversation import Conversation
from .frames import Frames, Received
from .handshake import Agreed
from .judge import Facts, Judge

SENDABLE: Final = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013))
PROMISED: Final = frozenset((4100, 4101, 4102, 4400, 4401, 4403, 4408, 4409, 4410, 4429))
"""The close codes of docs/limits.md."""

SILENT: Final = 2
"""The most pings of the server that may wait for an answer of a client that keeps the protocol."""

BROKEN: Final = frozenset((1002, 1003, 1007))
"""The codes for a client that breaks the protocol."""


class WebSocketJudge(Judge):
    """The judge of one WebSocket, from the bytes behind its handshake on. `begin`: their offset in the client's
    bytes."""

    def __init__(self, facts: Facts, agreed: Agreed, begin: int) -> None:
        super().__init__(facts)
        self._conversation: Final = Conversation(facts.config)
        self._server: Final = Frames(masked=False, deflate=agreed.deflate, takeover=agreed.takeover)
        self._client: Final = Frames(masked=True, deflate=agreed.deflate)
        self._pings: Final[deque[bytes]] = deque()
        self._waiting = 0  # pings that had no answer when this read began
        self._heartbeats: Final[deque[bytes]] = deque()  # pings of the server that the client has not answered
        self._size = begin
        self._broken = False  # the client has broken the protocol
        self._client_ended = False
        self._client_code: bytes | None = None  # the payload of its close frame
        self._server_code: bytes | None = None

    # The client

    def sent(self, data: bytes) -> None:
        self._size += len(data)
        if self._broken or self._client.closed:
            return
        for frame in self._client.read(data):
            self._from_client(frame)
        self._broken = self._broken or self._client.fault is not None

    def _from_client(self, frame: Received) -> None:
        if frame.kind == "text":
            self._conversation.sent(frame.payload, self._size)
            self._broken = self._broken or not is_utf8(frame.payload)
        elif frame.kind == "ping":
            self._pings.append(frame.payload)
        elif frame.kind == "pong" and frame.payload in self._heartbeats:
            while self._heartbeats.popleft() != frame.payload:
                pass
        elif frame.kind == "close":
            self._client_code = frame.payload
            self._broken = self._broken or not is_close(frame.payload)
        elif frame.kind == "binary":
            self._broken = True

    def sent_end(self) -> None:
        self._client_ended = True

    # The server

    def received(self, data: bytes) -> None:
        self._waiting = len(self._heartbeats)
        for frame in self._server.read(data):
            self._from_server(frame)
        self._must(self._server.fault is None, f"websocket: {self._server.fault}", data[:80])

    def _from_server(self, frame: Received) -> None:
        payload = frame.payload
        if frame.kind == "text":
            self._on_text(payload)
        elif frame.kind == "pong":
            self._on_pong(payload)
        elif frame.kind == "close":
            self._on_close(payload)
        else:
            self._must(frame.kind == "ping", "websocket: the server sent a binary message", payload[:80])
            self._on_ping(payload)

    def _on_text(self, text: bytes) -> None:
        try:
            self._conversation.received(text)
        except ValueError as error:
            self._must(False, f"answering: {error}", text[:200])

    def _on_pong(self, payload: bytes) -> None:
        """A pong "for only the most recently processed Ping frame" stands for the ones before (section 5.5.3)."""
        self._must(payload in self._pings, "websocket: a pong answers no ping, or is out of order", payload)
        while self._pings.popleft() != payload:
            pass

    def _on_ping(self, payload: bytes) -> None:
        """The client of this project answers each. Its answers may be on their way, and it has not seen yet those that
        come in one read."""
        self._heartbeats.append(payload)
        silent = self._waiting >= SILENT and not self._broken and not self._client.closed
        self._must(not silent, "websocket: the client answers no pings", *self._heartbeats)

    def _on_close(self, payload: bytes) -> None:
        self._server_code = payload
        if self._client_code is not None and payload == self._client_code[:2]:
            return  # "the endpoint typically echos the status code it received" (section 5.5.1)
        self._must(is_close(payload) and payload, "websocket: a close frame has a code that may not be sent", payload)
        code = int.from_bytes(payload[:2], "big")
        self._must(
            code in SENDABLE or code in PROMISED, "websocket: a close frame has a code that nobody promised", payload
        )
        self._must(
            code not in BROKEN or self._broken or self._client.begun,
            "websocket: a client that kept the protocol was closed for breaking it",
            payload,
        )

    def received_end(self) -> None:
        self._must(not self._server.begun, "websocket: the output ends within a message")
        self._must(
            self._server_code is not None or self._client_ended,
            "websocket: the server ends the connection without a close frame",
        )


def is_utf8(text: bytes) -> bool:
    """Is this UTF-8?"""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def is_close(payload: bytes) -> bool:
    """May a close frame have this payload (RFC 6455 sections 5.5.1 and 7.4)?"""
    code = int.from_bytes(payload[:2], "big")
    codes = code in SENDABLE or code in (1014, 1010) or 3000 <= code < 5000
    return not payload or (len(payload) >= 2 and codes and is_utf8(payload[2:]))
