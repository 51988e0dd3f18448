"""Clients made of bytes: no library on this side, so that every server is asked in exactly the same way.

They count and compare nothing but lengths. What they cost is not measured: they run in another process.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Sequence
from typing import Final

from .core_alone import REQUEST

MASK: Final = b"\x37\xfa\x21\x3d"


class Client:
    """One connection that asks, waits for the whole answer, and asks again. `call` is the bytes of one request."""

    call: bytes

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def ask(self) -> None:
        """Send one request."""
        self.socket.sendall(self.call)

    def receive(self) -> bool:
        """Take what came. True: the answer is whole."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._received += data
        size = self._size()
        if size is None or len(self._received) < size:
            return False
        assert len(self._received) == size, "more came than was asked for"
        assert b"What hath God wrought" in self._received, self._received
        self._received = b""
        return True

    def _size(self) -> int | None:
        """How long the answer is that has begun to come, or None while that cannot be told."""
        raise NotImplementedError


class HttpClient(Client):
    """`POST /rpc` on a connection that is kept alive."""

    call = (
        b"POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(REQUEST), REQUEST)
    )

    def _size(self) -> int | None:
        head, blank, _ = self._received.partition(b"\r\n\r\n")
        if not blank:
            return None
        assert head.startswith(b"HTTP/1.1 200"), head
        _, _, length = head.lower().partition(b"\r\ncontent-length:")
        return len(head) + 4 + int(length.split(b"\r\n")[0])


class WebSocketClient(Client):
    """One text message on `/ws`, without compression."""

    call = (
        bytes((0x81, 0x80 | len(REQUEST)))
        + MASK
        + bytes(byte ^ MASK[position % 4] for position, byte in enumerate(REQUEST))
    )

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.socket.sendall(
            b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.socket.recv(1)
        assert head.startswith(b"HTTP/1.1 101"), head

    def _size(self) -> int | None:
        return 2 + self._received[1] if len(self._received) > 1 else None


def drive(clients: Sequence[Client], calls: int) -> None:
    """Have these clients make so many calls in all, each one at a time."""
    with selectors.DefaultSelector() as selector:
        left = calls
        for client in clients[:calls]:
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.ask()
            left -= 1
        waiting = min(calls, len(clients))
        while waiting:
            for key, _ in selector.select(30):
                client = key.data
                if not client.receive():
                    continue
                if left:
                    client.ask()
                    left -= 1
                else:
                    waiting -= 1
