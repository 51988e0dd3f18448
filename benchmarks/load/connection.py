"""One connection: it asks, and checks what comes back."""

from __future__ import annotations

import socket
from collections.abc import Callable
from time import perf_counter
from typing import Final

from benchmarks.servers.catalogue import Transport

from .dialects import FIRST_ID, Texts, message
from .framing import Frames, Malformed, Posts, Replies, masked

READ: Final = 256 * 1024
TICK: Final = b'{"jsonrpc":"2.0","method":"tick"'
MOST_KNOWN: Final = 64 * 1024 * 1024
"""Bytes of replies that are kept to be known again."""


class Known:
    """The replies that were read before, and the ids that they answer."""

    def __init__(self, texts: Texts, expected: str) -> None:
        self._texts: Final = texts
        self._expected: Final = expected
        self._ids: Final[dict[bytes, int]] = {}
        self._room = MOST_KNOWN

    def id_of(self, text: bytes) -> int:
        """Return the id that a reply answers, or 0 for the notification of a broadcast. Raises Malformed if it is not
        the result of an `echo`."""
        id = self._ids.get(text)
        if id is None:
            if text.startswith(TICK):
                return 0
            try:
                id, result = self._texts.read(text)
            except Exception as error:
                raise Malformed(f"not a reply: {text[:200]!r}") from error
            if result != self._expected:
                raise Malformed(f"not the message that was sent: {text[:200]!r}")
            self._room -= len(text)
            if self._room < 0:
                self._ids.clear()
                self._room = MOST_KNOWN - len(text)
            self._ids[text] = id
        return id


class Shape:
    """What all connections of one load send: over which transport, in which words, how long."""

    def __init__(self, texts: Texts, transport: Transport, size: int, *, new_heads: bool = False) -> None:
        self.texts: Final = texts
        self.transport: Final = transport
        self.message: Final = message(size)
        self.known: Final = Known(texts, self.message)
        self.wrap: Final[Callable[[bytes], bytes]] = masked if transport == "websocket" else Posts(new_heads)
        self.fixed: Final = not new_heads


class Connection:
    """One connection with up to `depth` requests in flight. `sent`: the times at which they were sent, by id."""

    def __init__(self, port: int, shape: Shape, depth: int, first: int = FIRST_ID) -> None:
        self.socket: Final = connect(port)
        if shape.transport == "websocket":
            shake_hands(self.socket, shape.texts.path)
            for text in shape.texts.opening:
                text_from(self.socket)
                self.socket.sendall(masked(text))
                text_from(self.socket)
        self.sent: Final[dict[int, float]] = {}
        self._shape: Final = shape
        self._split: Final = (Frames() if shape.transport == "websocket" else Replies()).split
        ids = range(first, first + 2 * depth)
        texts = [shape.texts.ask(id, shape.message) for id in ids]
        self._requests: Final = list(zip(ids, map(shape.wrap, texts) if shape.fixed else texts, strict=True))
        self._next = 0
        self._rest = bytearray()

    def ask(self, times: int = 1) -> None:
        """Send so many requests at once."""
        parts = []
        for _ in range(times):
            id, request = self._requests[self._next]
            while id in self.sent:
                self._next = (self._next + 1) % len(self._requests)
                id, request = self._requests[self._next]
            self._next = (self._next + 1) % len(self._requests)
            parts.append(request if self._shape.fixed else self._shape.wrap(request))
            self.sent[id] = perf_counter()
        self.socket.sendall(parts[0] if times == 1 else b"".join(parts))

    def receive(self) -> list[float]:
        """Read, and return the times at which the requests that were answered had been sent."""
        data: bytes | bytearray = self.socket.recv(READ)
        if not data:
            raise ConnectionError("the server has closed the connection")
        if self._rest:
            self._rest += data
            data = self._rest
        answered = []
        at, size = 0, len(data)
        while at < size:
            found = self._split(data, at)
            if found is None:
                break
            text, at = found
            if text is None:
                continue
            id = self._shape.known.id_of(text)
            if id in self.sent:
                answered.append(self.sent.pop(id))
            elif id:
                raise Malformed(f"a reply to nothing: {text[:200]!r}")
        if at < size or self._rest:
            self._rest = bytearray(data[at:])
        return answered

    def call(self) -> None:
        """Ask once, and wait for the reply."""
        self.ask()
        while self.sent:
            self.receive()

    def close(self) -> None:
        """End the connection."""
        self.socket.close()


def connect(port: int) -> socket.socket:
    """Return a socket that is connected to a loopback port."""
    connected = socket.create_connection(("127.0.0.1", port), timeout=30)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


HANDSHAKE: Final = (
    b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def shake_hands(connected: socket.socket, path: str = "/ws") -> None:
    """Open a WebSocket. Exactly its head is read."""
    connected.sendall(HANDSHAKE % path.encode())
    finish_handshake(connected)


def finish_handshake(connected: socket.socket) -> None:
    """Read the head of a 101, and no byte more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        peeked = connected.recv(4096, socket.MSG_PEEK)
        end = (head + peeked).find(b"\r\n\r\n")
        head += connected.recv(len(peeked) if end < 0 else end + 4 - len(head))
        if not peeked or not b"HTTP/1.1 101".startswith(head[:12]):
            raise Malformed(f"no handshake: {head[:200]!r}")


def text_from(connected: socket.socket) -> bytes:
    """Read one short text."""
    data = b""
    while (found := Frames().split(data, 0)) is None:
        data += connected.recv(1)
    return found[0] or b""
