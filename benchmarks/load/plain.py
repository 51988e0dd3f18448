"""WebSockets that are not part of a closed loop: those that are held, those that listen, those that disturb."""

from __future__ import annotations

import socket
from typing import Final

from .connection import HANDSHAKE, READ, connect, finish_handshake
from .framing import PING, Frames, masked

BURST: Final = 64
"""Handshakes that are under way at the same time."""

PONG: Final = 10


class Plain:
    """One WebSocket, whatever it says. It answers pings."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket: Final = connected
        self._frames: Final = Frames()
        self._rest = bytearray()

    def send(self, text: bytes) -> None:
        """Send one text."""
        self.socket.sendall(masked(text))

    def texts(self) -> list[bytes]:
        """Read, and return the texts that are whole."""
        data: bytes | bytearray = self.socket.recv(READ)
        if not data:
            raise ConnectionError("the server has closed the connection")
        if self._rest:
            self._rest += data
            data = self._rest
        at, texts = 0, []
        while at < len(data) and (found := self._frames.split(data, at)) is not None:
            text, end = found
            if text is not None:
                texts.append(text)
            elif data[at] & 0x0F == PING:
                self.socket.sendall(masked(bytes(data[at + 2 : end]), PONG))
            at = end
        if at < len(data) or self._rest:
            self._rest = bytearray(data[at:])
        return texts


def open_websockets(port: int, number: int) -> list[Plain]:
    """Open so many WebSockets, in bursts."""
    opened: list[Plain] = []
    while len(opened) < number:
        burst = [connect(port) for _ in range(min(BURST, number - len(opened)))]
        for connected in burst:
            connected.sendall(HANDSHAKE % b"/ws")
        for connected in burst:
            finish_handshake(connected)
        opened += map(Plain, burst)
    return opened
