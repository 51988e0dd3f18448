"""A server in the test's own loop, and clients made of bytes that call it over loopback."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Unpack

import anyio
from anyio.abc import ByteStream
from posthouse.adapters import Options, Server, serve
from posthouse.core.service.service import Service

ROOT = Path(__file__).resolve().parents[2]

RINGS = os.pathsep.join(str(ROOT / ring) for ring in ("core", "transports", "adapters"))

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDEVMODE"} | {"PYTHONPATH": RINGS}
"""For a server in a process of its own. In development mode, asyncio would write further lines on a busy machine."""

PATIENCE = 120.0
"""Seconds after which a test that waits has failed. No outcome depends on it."""

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@asynccontextmanager
async def serving(service: Service, **options: Unpack[Options]) -> AsyncIterator[Server]:
    """The service, served on a free port unless the options say otherwise; cancelled at the end if it still runs."""
    if not {"unix", "pipes", "port"} & options.keys():
        options["port"] = 0
    async with anyio.create_task_group() as group:
        with anyio.fail_after(PATIENCE):

            async def main(*, task_status: anyio.abc.TaskStatus[Server]) -> None:
                await serve(service, task_status=task_status, **options)

            yield await group.start(main)
        group.cancel_scope.cancel()


def text(method: str, params: object = (), id: object = 1) -> bytes:
    """A request, or a notification where `id` is None."""
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(message if id is None else {**message, "id": id}).encode()


def post(body: bytes) -> bytes:
    """A whole HTTP request."""
    head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


class Client:
    """One connection over a byte stream, with what has been received of it and not yet been looked at."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.received = bytearray()

    async def send(self, data: bytes) -> None:
        await self.stream.send(data)

    async def take(self, size: int) -> bytes:
        """So many bytes, when they have come."""
        while len(self.received) < size:
            self.received += await self.stream.receive()
        data = bytes(self.received[:size])
        del self.received[:size]
        return data

    async def take_until(self, mark: bytes) -> bytes:
        """Everything up to a mark and the mark itself."""
        while mark not in self.received:
            self.received += await self.stream.receive()
        return await self.take(self.received.index(mark) + len(mark))

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        try:
            while True:
                self.received += await self.stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return await self.take(len(self.received))

    async def response(self) -> tuple[int, Any]:
        """Status and body of one HTTP response."""
        head = await self.take_until(b"\r\n\r\n")
        _, found, after = head.lower().partition(b"content-length: ")
        body = await self.take(int(after.split(b"\r\n")[0]) if found else 0)
        return int(head.split()[1]), json.loads(body) if body.startswith((b"{", b"[")) else body

    async def post(self, method: str, params: object = (), id: object = 1) -> tuple[int, Any]:
        """One call over HTTP."""
        await self.send(post(text(method, params, id)))
        return await self.response()

    # WebSocket: frames of a client are masked; a mask of zeros leaves them as they are

    async def upgrade(self) -> None:
        await self.send(UPGRADE)
        assert (await self.take_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")

    async def say(self, payload: bytes, opcode: int = 1) -> None:
        size = len(payload)
        if size < 126:
            length = bytes([0x80 | size])
        elif size <= 0xFFFF:
            length = b"\xfe" + size.to_bytes(2)
        else:
            length = b"\xff" + size.to_bytes(8)
        await self.send(bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload)

    async def hear(self) -> tuple[int, bytes]:
        """One whole frame: its opcode and payload."""
        first, size = await self.take(2)
        if size == 126:
            size = int.from_bytes(await self.take(2))
        elif size == 127:
            size = int.from_bytes(await self.take(8))
        return first & 0x0F, await self.take(size)

    async def next(self) -> Any:
        """The next message."""
        opcode, payload = await self.hear()
        assert opcode == 1, (opcode, payload)
        return json.loads(payload)

    async def close_code(self) -> int:
        """The code of the server's close frame; what comes before it does not matter."""
        while True:
            opcode, payload = await self.hear()
            if opcode == 8:
                return int.from_bytes(payload[:2])

    async def call(self, method: str, params: object = (), id: object = 1) -> Any:
        """One call over a WebSocket: whatever comes next."""
        await self.say(text(method, params, id))
        return await self.next()


@asynccontextmanager
async def connected(server: Server, place: int = 0) -> AsyncIterator[Client]:
    """A client of the server, over TCP."""
    bound = server.bound[place]
    async with await anyio.connect_tcp(bound.host, bound.port) as stream:
        yield Client(stream)


@asynccontextmanager
async def websocket(server: Server) -> AsyncIterator[Client]:
    """A client of the server, over a WebSocket."""
    async with connected(server) as client:
        await client.upgrade()
        yield client


def raw(server: Server) -> socket.socket:
    """A socket that is connected and does nothing: it neither reads nor writes unless it is told to."""
    bound = server.bound[0]
    return socket.create_connection((bound.host, bound.port))
