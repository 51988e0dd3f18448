"""The floor: the least that Python can do for a call. Framing by hand on uvloop, with msgspec.

It trusts its clients: no limit, no deadline, no check, one text in one frame, no close handshake. It is what the ratios
of docs/performance.md are relative to, and nothing that one should run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec
import uvloop
from websockets.speedups import apply_mask

from .announcement import listening

SWITCHING: Final = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Request(msgspec.Struct):
    """What is read of a request."""

    method: str
    params: list[str]
    id: int


decode: Final = msgspec.json.Decoder(Request).decode
encode: Final = msgspec.json.Encoder().encode
unmask: Final = cast("Callable[[bytes, bytes], bytes]", apply_mask)
connections: Final[dict[Floor, int]] = {}
"""The WebSockets, with their descriptors."""


def frame(text: bytes) -> bytes:
    """Return one unmasked text frame."""
    size = len(text)
    if size < 126:
        return bytes((0x81, size)) + text
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + text
    return b"\x81\x7f" + size.to_bytes(8, "big") + text


def echo(message: str) -> str:
    """Return the message."""
    return message


def spread(text: str) -> int:
    """Write one frame to every socket, past the event loop."""
    data = frame(encode({"jsonrpc": "2.0", "method": "tick", "params": [text]}))
    for descriptor in connections.values():
        os.write(descriptor, data)
    return len(connections)


METHODS: Final[dict[str, Callable[[str], Any]]] = {"echo": echo, "spread": spread}


def answer(text: bytes) -> bytes:
    """Return the response to one request."""
    request = decode(text)
    return encode({"jsonrpc": "2.0", "result": METHODS[request.method](request.params[0]), "id": request.id})


class Floor(asyncio.Protocol):
    """One socket. The first byte of a request decides what it speaks."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._receive: Callable[[bytes], int] = self._first
        self._parts: list[bytes] = []
        self._size = 0
        self._needed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        connections.pop(self, None)

    def data_received(self, data: bytes) -> None:
        if self._parts:
            self._parts.append(data)
            self._size += len(data)
            if self._size < self._needed:
                return
            data = b"".join(self._parts)
            self._parts = []
        self._needed = 0
        used = self._receive(data)
        if used < len(data):
            self._parts = [data[used:]]
            self._size = len(data) - used

    def _first(self, data: bytes) -> int:
        if data.startswith(b"POST"):
            self._receive = self._http
            return self._http(data)
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return 0
        connections[self] = self.transport.get_extra_info("socket").fileno()
        self._receive = self._websocket
        self.transport.write(SWITCHING)
        return end + 4

    def _websocket(self, data: bytes) -> int:
        used, replies = 0, []
        while len(data) >= used + 6:
            if data[used] & 0x0F == 8:
                self.transport.close()
                break
            size, mask = data[used + 1] & 0x7F, used + 2
            if size == 126:
                size, mask = int.from_bytes(data[used + 2 : used + 4], "big"), used + 4
            elif size == 127:
                size, mask = int.from_bytes(data[used + 2 : used + 10], "big"), used + 10
            end = mask + 4 + size
            if len(data) < end:
                self._needed = end - used
                break
            replies.append(frame(answer(unmask(data[mask + 4 : end], data[mask : mask + 4]))))
            used = end
        if replies:
            self.transport.write(replies[0] if len(replies) == 1 else b"".join(replies))
        return used

    def _http(self, data: bytes) -> int:
        used, replies = 0, []
        while (blank := data.find(b"\r\n\r\n", used)) >= 0:
            length = data.find(b"Content-Length: ", used, blank) + 16
            end = blank + 4 + int(data[length : data.find(b"\r\n", length)])
            if len(data) < end:
                self._needed = end - used
                break
            reply = answer(data[blank + 4 : end])
            replies.append(HEAD % len(reply) + reply)
            used = end
        if replies:
            self.transport.write(replies[0] if len(replies) == 1 else b"".join(replies))
        return used


async def accept() -> None:
    """Accept until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Floor, sock=listening())
    await server.serve_forever()


def main() -> None:
    """Serve until the process is ended."""
    uvloop.run(accept())
