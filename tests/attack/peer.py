"""A client of plain sockets that blocks and keeps no rules: what an attacker holds in hand, and a good client too."""

from __future__ import annotations

import socket
from typing import Any, Final, NamedTuple

from msgspec.json import decode
from posthouse.transports.websocket.frames import CLOSE, FIN, PING, TEXT

from tests.abuse.attacker import DEFLATE, frame
from tests.adapters.loopback import UPGRADE, post, text

PATIENCE: Final = 60.0
"""Seconds after which a server is taken not to answer. No attack that meets what it must needs it."""


class Place(NamedTuple):
    """Where a server listens, and what the Host header calls it."""

    host: str
    port: int
    name: bytes


class Peer:
    """One connection. What the server does not do within `PATIENCE` seconds is a TimeoutError; where it has closed
    although more was expected, ConnectionError."""

    def __init__(self, place: Place, *, window: int | None = None) -> None:
        """Connect; `window` is how many bytes the socket takes in without being read from."""
        self._name: Final = place.name
        self.socket: Final = socket.socket(socket.AF_INET6 if ":" in place.host else socket.AF_INET)
        self.socket.settimeout(PATIENCE)
        if window is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket.connect((place.host, place.port))
        except OSError:
            self.socket.close()
            raise
        self._received = bytearray()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """These bytes."""
        self.socket.sendall(data)

    def rest(self) -> bytes:
        """Everything until the server closes."""
        try:
            while data := self.socket.recv(65536):
                self._received += data
        except ConnectionResetError:
            pass  # it closed while there was something from us that it had not read
        return self._take(len(self._received))

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._receive()
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _receive(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed before it had answered")
        self._received += data

    # HTTP

    def ask(self, request: bytes, *lines: bytes) -> tuple[int, bytes]:
        """Send a request for localhost under the server's name, with further header lines: status and head of the
        answer. Its body is taken in and dropped."""
        first, _, others = request.replace(b"Host: localhost", b"Host: " + self._name).partition(b"\r\n")
        self.send(b"\r\n".join((first, *lines, others)))
        return self.status()

    def status(self) -> tuple[int, bytes]:
        """Status and head of the next answer."""
        head, _ = self._answer()
        return int(head.split(b" ")[1]), head

    def _answer(self) -> tuple[bytes, bytes]:
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head = self._take(self._received.index(b"\r\n\r\n") + 4)
        _, found, after = head.partition(b"Content-Length: ")
        return head, self._take(int(after.split(b"\r\n")[0])) if found else b""

    def post(self, method: str, params: object = ()) -> Any:
        """One call over HTTP: its response."""
        self.send(post(text(method, params)).replace(b"Host: localhost", b"Host: " + self._name))
        return decode(self._answer()[1])

    def result(self, method: str, params: object = ()) -> Any:
        """The result of one call over HTTP. ConnectionError for any other answer."""
        answer = self.post(method, params)
        if "result" not in answer:
            raise ConnectionError(f"{method} was answered {answer}")
        return answer["result"]

    # WebSocket

    def upgrade(self, *, deflate: bool = False) -> None:
        """Open a WebSocket. ConnectionError when there is none."""
        request = UPGRADE[:-2] + (DEFLATE if deflate else b"") + b"\r\n"
        status, _ = self.ask(request)
        if status != 101:
            raise ConnectionError(f"no WebSocket: status {status}")

    def say(self, message: bytes, first: int = FIN | TEXT) -> None:
        """One frame."""
        self.send(frame(message, first))

    def hear(self) -> tuple[int, bytes]:
        """The next frame that is no ping."""
        while True:
            first, size = self._take(2)
            if size > 125:
                size = int.from_bytes(self._take(2 if size == 126 else 8))
            payload = self._take(size)
            if first != FIN | PING:
                return first, payload

    def next(self) -> Any:
        """The next message. ConnectionError for a close frame."""
        first, payload = self.hear()
        if first != FIN | TEXT:
            raise ConnectionError(f"closed with {int.from_bytes(payload[:2])}")
        return decode(payload)

    def close_code(self) -> int:
        """The code of the server's close frame, whatever comes before it."""
        while True:
            first, payload = self.hear()
            if first == FIN | CLOSE:
                return int.from_bytes(payload[:2])

    def call(self, method: str, params: object = (), id: object = 1) -> Any:
        """One call over the WebSocket: its response. Notifications that come before it are passed over."""
        self.say(text(method, params, id))
        while "method" in (message := self.next()):
            pass
        return message
