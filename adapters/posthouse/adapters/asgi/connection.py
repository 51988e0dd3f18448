"""One request or WebSocket of an ASGI server: events that come go to the switchboard, its actions go out as events.

The switchboard sees a socket. `send` of ASGI is the only sign of the peer: while it waits, its bytes count as held.
This module does not know what the bytes mean.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

import anyio
import anyio.lowlevel
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.server.entrances.endpoints import Endpoints
from posthouse.core.values.peers import Identity, SocketId
from posthouse.transports.codec import Binary
from posthouse.transports.hosted.board import HostedBoard
from posthouse.transports.hosted.messages import Accepted, Closing, Response
from posthouse.transports.hosted.request import HostedRequest

from .scopes import Message, Receive, Scope, Send, read_address
from .waits import Sending, Wait

GONE: Final = 1006
"""The close code of a peer that has gone without one."""

NOT_ACCEPTED: Final = 1008
"""The close code for a handshake that is refused. Servers answer it with 403."""

HTTP_RESPONSE: Final = "websocket.http.response"
"""The extension of ASGI with which a handshake is refused by a whole HTTP response."""


class Ways(NamedTuple):
    """The parts of a running server that a connection needs."""

    runner: Runner
    board: HostedBoard
    endpoints: Endpoints


class Connection:
    """The base of requests and WebSockets: an endpoint of the server. It runs in the task of its application
    call, which sends what the switchboard wants sent."""

    def __init__(self, ways: Ways, send: Send) -> None:
        self._runner: Final = ways.runner
        self._board: Final = ways.board
        self._endpoints: Final = ways.endpoints
        self._send: Final = send
        self._receiving: Final = Wait()
        self._sending: Final = Wait()
        self._unsent: Final[deque[tuple[bytes, bool]]] = deque()  # with: does it count as held?
        self._id = SocketId(0)
        self.open = False
        self._in_turn = False
        self._busy = False
        self._slow = False  # the host does not take the first of the unsent at once
        self._closing = False
        self._may_read = True
        self._resumed = anyio.Event()

    def begin(self, request: HostedRequest, scope: Scope, identity: Identity | None) -> bool:
        """Tell the switchboard of the request. False: it is turned away."""
        now = self._runner.now()
        id = self._board.requested(request, read_address(scope), now, identity=identity, host_scope=scope)
        if id is None:
            return False
        self._id = id
        self.open = True
        self._endpoints.by_id[id] = self
        self._flush()
        return True

    def _flush(self) -> None:
        """Perform what an input has left. This task sends the bytes."""
        self._in_turn = True
        try:
            self._runner.flush_outbox()
        finally:
            self._in_turn = False

    # The server's actions

    def write(self, data: bytes, report: bool) -> None:
        self._unsent.append((data, report))
        self._runner.written[self] = None

    def end_writing(self) -> None:
        """Nothing: a host does this by itself."""

    def close_when_sent(self) -> None:
        self._closing = True
        self._runner.written[self] = None

    def flush(self) -> None:
        """The end of a turn: let the task send, unless it does so anyway."""
        if self._slow:
            self._hold()
        if not self._in_turn:
            self._wake()

    def stop_reading(self) -> None:
        self._may_read = False

    def start_reading(self) -> None:
        self._may_read = True
        self._resumed.set()

    async def _until_read(self) -> None:
        """Wait until the peer may be read, or something else happens."""
        self._resumed = anyio.Event()
        await self._receiving.until(self._resumed.wait())

    def close(self, *, abort: bool = False) -> None:
        """The request, or the WebSocket, has ended."""
        if not self.open:
            return
        self.open = False
        self._unsent.clear()
        self._endpoints.forget(self._id)
        self._board.closed(self._id, self._runner.now())
        self._receiving.interrupt()
        self._sending.interrupt()
        self._wake()

    def _wake(self) -> None:
        """There is something to send, or the end has come."""
        raise NotImplementedError

    # Out

    async def _drain(self) -> None:
        """Send all that waits, unless another task does."""
        if self._busy:
            return
        self._busy = True
        try:
            while self._unsent:
                await self._sending.until(Sending(self._transmit(self._unsent[0][0]), self._hold))
                self._slow = False
                if self._unsent:  # it is still open
                    data, held = self._unsent.popleft()
                    if held:
                        self._tell_sent(len(data))
        except OSError:  # the peer has gone
            self._end()
        finally:
            self._busy = self._slow = False
        if self._closing:
            self._end()

    def _end(self) -> None:
        """Report the end, unless it was reported, and perform what follows."""
        if self.open:
            self.close()
            self._flush()

    def _tell_sent(self, size: int) -> None:
        self._board.sent(self._id, size, self._runner.now())
        self._flush()

    def _hold(self) -> None:
        """The host does not take at once what is sent: it is held, and so is all behind it."""
        self._slow = True
        held = 0
        for place, (data, counted) in enumerate(self._unsent):
            if not counted:
                held += len(data)
                self._unsent[place] = (data, True)
        if held:
            self._board.held(self._id, held, self._runner.now())
            self._runner.flush_outbox()

    async def _transmit(self, data: bytes) -> None:
        """Send this as the events of ASGI."""
        raise NotImplementedError


class Exchange(Connection):
    """One HTTP request."""

    async def run(self, request: HostedRequest, scope: Scope, receive: Receive, identity: Identity | None) -> None:
        """From its head to its answer."""
        if not self.begin(request, scope, identity):
            await self._transmit(self._board.turned_away(request))
            return
        try:
            await self._receive(receive)
            await self._drain()
        finally:
            self._end()

    async def _receive(self, receive: Receive) -> None:
        """Take the body. Behind it, wait until the answer is there or the client has gone."""
        more = True
        while self.open and not self._unsent:
            if not self._may_read:
                await self._until_read()
                continue
            message = await self._receiving.until(receive())
            if message is None:
                return
            if message["type"] == "http.disconnect":
                self.close()
            elif more:
                more = message.get("more_body", False)
                self._tell_body(message.get("body", b""), more)
            else:
                await anyio.lowlevel.checkpoint()  # a host may repeat the end of the body, and never wait

    def _tell_body(self, data: bytes, more: bool) -> None:
        self._board.received_body(self._id, data, self._runner.now(), more=more)
        self._flush()

    def _wake(self) -> None:
        self._receiving.interrupt()

    async def _transmit(self, data: bytes) -> None:
        assert isinstance(data, Response)
        await self._send({"type": "http.response.start", "status": data.status, "headers": list(data.fields)})
        await self._send({"type": "http.response.body", "body": bytes(data)})


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
        if not self.begin(request, scope, identity):
            await self._transmit(self._board.turned_away(request))
            return
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._write)
                await self._drain()
                await self._read(receive)
                group.cancel_scope.cancel()
        finally:
            self._end()

    async def _read(self, receive: Receive) -> None:
        while self.open:
            if not self._may_read:
                await self._until_read()
                continue
            message = await self._receiving.until(receive())
            if message is None:
                return
            if message["type"] == "websocket.disconnect":
                self._tell_left(message.get("code", GONE))
                return
            text = message.get("text")
            self._board.received_message(self._id, message["bytes"] if text is None else text, self._runner.now())
            self._flush()
            if self._unsent or self._closing:
                await self._drain()

    def _tell_left(self, code: int) -> None:
        self._board.left(self._id, code, self._runner.now())
        self._flush()

    async def _write(self) -> None:
        while self.open:
            await self._news.wait()
            self._news = anyio.Event()
            await self._drain()

    def _wake(self) -> None:
        self._news.set()

    async def _transmit(self, data: bytes) -> None:
        if isinstance(data, Accepted):
            await self._send({"type": "websocket.accept", "subprotocol": data.subprotocol, "headers": []})
        elif isinstance(data, Closing):
            await self._send({"type": "websocket.close", "code": data.code, "reason": ""})
        elif isinstance(data, Response):
            await self._refuse(data)
        elif isinstance(data, Binary):
            await self._send({"type": "websocket.send", "bytes": bytes(data)})
        else:
            await self._send({"type": "websocket.send", "text": data.decode()})

    async def _refuse(self, response: Response) -> None:
        """Refuse the handshake: by the whole response, if the server can send one."""
        if not self._extended:
            await self._send({"type": "websocket.close", "code": NOT_ACCEPTED, "reason": ""})
            return
        start: Message = {"type": "websocket.http.response.start", "status": response.status}
        await self._send({**start, "headers": list(response.fields)})
        await self._send({"type": "websocket.http.response.body", "body": bytes(response)})
