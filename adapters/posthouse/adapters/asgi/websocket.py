"""One WebSocket of an ASGI server: its messages go to the switchboard, and what the switchboard sends goes out.

This module does not know what a message says.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

import anyio.lowlevel
from posthouse.core.values.peers import Identity
from posthouse.transports.codec import Binary
from posthouse.transports.hosted.messages import Accepted, Closing, Response
from posthouse.transports.hosted.request import HostedRequest

from .connection import Connection, Ways
from .scopes import Message, Receive, Scope, Send, read_address
from .waits import Wait

GONE: Final = 1006
"""The close code of a peer that has gone without one."""

NOT_ACCEPTED: Final = 1008
"""The close code for a handshake that is refused. Servers answer it with 403."""

HTTP_RESPONSE: Final = "websocket.http.response"
"""The extension of ASGI with which a handshake is refused by a whole HTTP response."""


class WebSocket(Connection):
    """One WebSocket. One task reads, and sends what follows from it; another one sends everything else."""

    def __init__(self, ways: Ways, send: Send, *, extended: bool) -> None:
        super().__init__(ways, send)
        self._extended: Final = extended
        self._news = anyio.Event()

    async def run(self, request: HostedRequest, scope: Scope, receive: Receive, identity: Identity | None) -> None:
        """From its handshake to its end."""
        message = await receive()
        if message["type"] != "websocket.connect":
            return
        board, address = self._board, read_address(scope)
        id = board.requested(request, address, self._runner.now(), identity=identity, host_scope=scope)
        if id is None:
            await self._turn_away(request)
            return
        try:
            self._begin(id)
            async with anyio.create_task_group() as group:
                group.start_soon(self._write)
                await self._drain()
                await self._read(receive)
                group.cancel_scope.cancel()
        finally:
            self._end()

    async def _read(self, receive: Receive) -> None:
        receiving = self._receiving = Wait()
        most, read = self._board.config.frames_per_turn, 0
        while self.open:
            if not self._may_read:
                await self._until_read()
                continue
            if read == most:  # a host that has more messages never waits
                read = 0
                await anyio.lowlevel.checkpoint()
                continue
            read += 1
            message = await receiving.until(receive())
            if message is None:
                return
            if message["type"] == "websocket.disconnect":
                self._tell_left(message.get("code", GONE))
                return
            text = message.get("text")
            self._board.received_message(self._id, message["bytes"] if text is None else text, self._runner.now())
            self._flush()
            if len(self._unsent) == 1 and type(data := self._unsent[0][0]) is bytes and not self._busy:
                await self._drain(self._send({"type": "websocket.send", "text": data.decode()}))
            elif self._unsent or self._closing:
                await self._drain()

    def _tell_left(self, code: int) -> None:
        self._board.left(self._id, code, self._runner.now())
        self._end()  # nothing is sent any more, though the turn that says so may be yet to come

    async def _write(self) -> None:
        while self.open:
            await self._news.wait()
            self._news = anyio.Event()
            await self._drain()

    def _wake(self) -> None:
        self._news.set()

    async def _transmit(self, data: bytes, first: Awaitable[None] | None = None) -> None:
        if first is not None:
            await first
        elif type(data) is bytes:
            await self._send({"type": "websocket.send", "text": data.decode()})
        elif isinstance(data, Accepted):
            await self._send({"type": "websocket.accept", "subprotocol": data.subprotocol, "headers": []})
        elif isinstance(data, Closing):
            await self._send({"type": "websocket.close", "code": data.code, "reason": ""})
        elif isinstance(data, Response):
            await self._refuse(data)
        else:
            assert isinstance(data, Binary)
            await self._send({"type": "websocket.send", "bytes": bytes(data)})

    async def _refuse(self, response: Response) -> None:
        """Refuse the handshake: by the whole response, if the server can send one. Nothing follows."""
        self._closing = True
        if not self._extended:
            await self._send({"type": "websocket.close", "code": NOT_ACCEPTED, "reason": ""})
            return
        start: Message = {"type": "websocket.http.response.start", "status": response.status}
        await self._send({**start, "headers": list(response.fields)})
        await self._send({"type": "websocket.http.response.body", "body": bytes(response)})
