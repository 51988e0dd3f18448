"""One HTTP request of an ASGI server. It goes to the switchboard, and the answer of the switchboard to the client.

A call whose head came before, and whose body is here, is one input: nothing of this waits. This module does not know
what a body says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable
from types import CoroutineType

import anyio.lowlevel
from posthouse.core.values.peers import Identity
from posthouse.transports.hosted.messages import Response
from posthouse.transports.hosted.request import HostedRequest

from .connection import Connection
from .scopes import Message, Receive, Scope, read_address
from .waits import Begun, Wait, drop


class Exchange(Connection):
    """One HTTP request. While its body may not be read, pieces of it wait here, so that a client that leaves is
    noticed: at most `read_bytes` and one piece."""

    _more = True
    _ahead: deque[tuple[bytes, bool]] | None = None
    _ahead_bytes = 0

    async def run(self, request: HostedRequest, scope: Scope, receive: Receive, identity: Identity | None) -> None:
        """From its head to its answer."""
        board, now, address = self._board, self._runner.now(), read_address(scope)
        judged = board.find(request, address, identity) if self._ways.eager else None
        first: Awaitable[Message] | None = None
        body: bytes | None = None
        if judged is not None and type(first := receive()) is CoroutineType:
            first = Begun(first)
            if first.done and first.value["type"] == "http.request" and not first.value.get("more_body"):
                body = bytes(first.value.get("body", b""))  # a host may give a view
        if judged is None or body is None:
            id = board.requested(request, address, now, identity=identity, host_scope=scope)
        else:
            first, self._more = None, False
            id = board.exchanged(request, judged, body, address, now, identity=identity, host_scope=scope)
        if id is None:
            if first is not None:
                drop(first)
            await self._turn_away(request)
            return
        try:
            self._begin(id)
            if not self._unsent:
                await self._receive(receive, first)
            elif first is not None:
                drop(first)
            await self._drain()
        finally:
            self._end()

    async def _receive(self, receive: Receive, first: Awaitable[Message] | None) -> None:
        """Take the body. Behind it, wait until the answer is there or the client has gone."""
        self._receiving = Wait()
        most = self._board.config.read_bytes
        while self.open and not self._unsent:
            if not self._may_read and self._ahead_bytes >= most:
                await self._until_read()
                continue
            if first is None:
                message = await self._receiving.until(receive())
            else:
                if isinstance(first, Begun) and first.done:
                    message = first.value
                else:
                    message = await self._receiving.until(first)
                first = None
            if message is None:
                return
            if message["type"] == "http.disconnect":
                self._end()
            elif self._more:
                self._more = message.get("more_body", False)
                self._take(bytes(message.get("body", b"")))
            else:
                await anyio.lowlevel.checkpoint()  # a host may repeat the end of the body, and never wait

    def _take(self, data: bytes) -> None:
        if self._may_read and self._board.received_body(self._id, data, self._runner.now(), more=self._more):
            self._flush()
        else:  # the turn that says so may be yet to come
            if self._ahead is None:
                self._ahead = deque()
            self._ahead.append((data, self._more))
            self._ahead_bytes += len(data)

    def start_reading(self) -> None:
        super().start_reading()
        while self._ahead:
            data, more = self._ahead.popleft()
            self._board.received_body(self._id, data, self._runner.now(), more=more)
        self._ahead_bytes = 0

    def _wake(self) -> None:
        if self._receiving is not None:
            self._receiving.interrupt()

    async def _transmit(self, data: bytes, first: Awaitable[None] | None = None) -> None:
        assert isinstance(data, Response)
        await self._send({"type": "http.response.start", "status": data.status, "headers": list(data.fields)})
        await self._send({"type": "http.response.body", "body": bytes(data)})
