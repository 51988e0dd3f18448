"""The part that requests and WebSockets have alike: actions of the switchboard go out as events of ASGI.

The switchboard sees a socket. `send` of ASGI is the only sign of the peer: while it waits, its bytes count as held.
This module does not know what the bytes mean.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from types import CoroutineType
from typing import Any, Final, NamedTuple

import anyio
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.server.entrances.endpoints import Endpoints
from posthouse.core.values.peers import SocketId
from posthouse.transports.hosted.board import HostedBoard
from posthouse.transports.hosted.request import HostedRequest

from .scopes import Send
from .waits import Begun, Wait


class Ways(NamedTuple):
    """The parts of a running server that a connection needs. `eager`: what is awaited may begin before anything waits
    for it, and may be given back. trio can do neither."""

    runner: Runner
    board: HostedBoard
    endpoints: Endpoints
    eager: bool


class Connection:
    """The base of requests and WebSockets: an endpoint of the server. It runs in the task of its application
    call, which sends what the switchboard wants sent."""

    _id = SocketId(0)
    _receiving: Wait | None = None
    _sending: Wait | None = None
    _in_turn = False
    _busy = False
    _slow = False  # the host does not take the first of the unsent at once
    _closing = False
    _may_read = True
    _resumed: anyio.Event | None = None
    open = False

    def __init__(self, ways: Ways, send: Send) -> None:
        self._ways: Final = ways
        self._runner: Final = ways.runner
        self._board: Final = ways.board
        self._send: Final = send
        self._unsent: Final[deque[tuple[bytes, int]]] = deque()  # with the size that counts as held

    def _begin(self, id: SocketId) -> None:
        """The switchboard has this connection. Perform what follows."""
        self._id = id
        self.open = True
        self._ways.endpoints.by_id[id] = self
        self._in_turn = True
        try:
            self._runner.flush_outbox_of_one()
        finally:
            self._in_turn = False

    def _flush(self) -> None:
        """Perform what an input has left. This task sends the bytes."""
        self._in_turn = True
        try:
            self._runner.flush_outbox_of_one()
        finally:
            self._in_turn = False

    async def _turn_away(self, request: HostedRequest) -> None:
        """A limit, or a shut-down, refuses this request. Its client has a while to take that."""
        with suppress(OSError), anyio.move_on_after(self._board.config.write_timeout):
            await self._transmit(self._board.turned_away(request))

    # The server's actions

    def write(self, data: bytes, report: bool) -> None:
        self._unsent.append((data, len(data) if report else 0))
        if self._slow or not self._in_turn:
            self._runner.written[self] = None

    def end_writing(self) -> None:
        """Nothing: a host does this by itself."""

    def close_when_sent(self) -> None:
        self._closing = True
        if not self._in_turn:
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
        if self._resumed is not None:
            self._resumed.set()

    async def _until_read(self) -> None:
        """Wait until the peer may be read, or something else happens."""
        assert self._receiving is not None
        self._resumed = anyio.Event()
        await self._receiving.until(self._resumed.wait())

    def close(self, *, abort: bool = False) -> None:
        """The request, or the WebSocket, has ended."""
        if not self.open:
            return
        self.open = False
        self._unsent.clear()
        del self._ways.endpoints.by_id[self._id]
        self._board.closed(self._id, self._runner.now())
        if self._sending is not None:
            self._sending.interrupt()
        if self._receiving is not None:
            self._receiving.interrupt()
            self._wake()

    def _wake(self) -> None:
        """There is something to send, or the end has come."""
        raise NotImplementedError

    # Out

    async def _drain(self, first: Awaitable[None] | None = None) -> None:
        """Send all that waits, unless another task does. `first` sends the first of it."""
        if self._busy:
            return
        self._busy = True
        try:
            while self._unsent:
                sending = first if type(first) is CoroutineType else self._transmit(self._unsent[0][0], first)
                first = None
                sent = Begun(sending) if self._ways.eager else None
                if sent is None or not sent.done:
                    self._sending = Wait()
                    await self._sending.until(self._take_time(sent or sending))
                    self._slow = False
                if self._unsent:  # it is still open
                    _, held = self._unsent.popleft()
                    if held:
                        self._tell_sent(held)
        except OSError:  # the peer has gone
            self._end()
        finally:
            self._busy = self._slow = False
        if self._closing:
            self._end()

    async def _take_time(self, sending: Begun[None] | Coroutine[Any, Any, None]) -> None:
        """Wait until the host has taken it. On trio, scopes of the host are entered in that of the wait."""
        sent = sending if isinstance(sending, Begun) else Begun(sending)
        if not sent.done:
            sent.held = self._hold
            await sent

    def _end(self) -> None:
        """Report the end, unless it was reported, and perform what follows."""
        if self.open:
            self.close()
            if self._board.outbox or not self._runner.rearm_requested:
                self._flush()

    def _tell_sent(self, size: int) -> None:
        self._board.sent(self._id, size, self._runner.now())
        self._flush()

    def _hold(self) -> None:
        """The host does not take at once what is sent: it is held, and so is all behind it."""
        self._slow = True
        more = 0
        for place, (data, held) in enumerate(self._unsent):
            if not held:
                size = len(data) or 1  # the begin of a WebSocket has no bytes, and its client may not take it
                more += size
                self._unsent[place] = (data, size)
        if more:
            self._board.held(self._id, more, self._runner.now())
            self._runner.flush_outbox()

    async def _transmit(self, data: bytes, first: Awaitable[None] | None = None) -> None:
        """Send this as the events of ASGI. `first` does it, if there is one."""
        raise NotImplementedError
