"""A host with a held clock: it gives requests and messages to a hosted board, and keeps what each is sent."""

from __future__ import annotations

from typing import Any

from posthouse.adapters.invariants import check, check_at_rest
from posthouse.core import Address, Config, Emit, Gateway, Identity, Invoke, RpcError, Service
from posthouse.core.values.errors import INTERNAL_ERROR
from posthouse.core.values.peers import SocketId
from posthouse.transports.hosted.board import HostedBoard
from posthouse.transports.hosted.messages import Response
from posthouse.transports.hosted.request import HostedRequest
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.actions import CloseSocket, StartReading, StopReading, Write

from tests.transports.board import HERE, calculator, counter

JSON = (b"content-type", b"application/json")
LOCAL = (b"host", b"localhost")


def head(
    method: bytes = b"POST",
    path: str = "/rpc",
    *headers: tuple[bytes, bytes],
    query: bytes = b"",
    version: bytes = b"1.1",
    websocket: bool = False,
    mount: str = "",
) -> HostedRequest:
    """A request as a host has read it."""
    target = len(mount + path) + (1 + len(query) if query else 0)
    return HostedRequest(method, path, query, version, (LOCAL, *headers), mount + path, target, websocket)


def call(*headers: tuple[bytes, bytes], size: int = 2, version: bytes = b"1.1", path: str = "/rpc") -> HostedRequest:
    """A request that calls, with a body of this size."""
    return head(b"POST", path, JSON, (b"content-length", b"%d" % size), *headers, version=version)


def handshake(*headers: tuple[bytes, bytes], path: str = "/ws") -> HostedRequest:
    """The handshake of a WebSocket."""
    return head(b"GET", path, *headers, websocket=True)


class Host:
    """One hosted board and what each of its sockets was sent. Those in `slow` do not take it at once."""

    def __init__(
        self,
        config: Config = Config(),
        *,
        service: Service | None = None,
        policy: Policy = Policy(),
        direct: bool = True,
    ) -> None:
        self.now = 0.0
        core = Gateway(service or calculator(), config, wall=1_700_000_000.0, entropy=counter())
        self.board = HostedBoard(core, policy, direct=direct)
        self.sent: dict[SocketId, list[bytes]] = {}
        self.closed: dict[SocketId, bool] = {}
        self.stopped: list[SocketId] = []
        self.ending: list[SocketId] = []
        self.slow: dict[SocketId, int] = {}
        self.waiting: list[Invoke] = []
        self.actions: list[Any] = []

    def run(self) -> None:
        """Perform the outbox. A socket that is to be closed is closed."""
        board = self.board
        while board.outbox:
            actions, board.outbox[:] = list(board.outbox), []
            for action in actions:
                self.actions.append(action)
                if isinstance(action, Write):
                    self.sent[action.socket].append(action.data)
                    if action.socket in self.slow:
                        self.slow[action.socket] += len(action.data)
                        if not action.report:
                            board.held(action.socket, len(action.data), self.now)
                    elif action.report:
                        board.sent(action.socket, len(action.data), self.now)
                    if isinstance(action.data, Response):  # nothing follows it
                        self.end(action.socket)
                elif isinstance(action, StopReading):
                    self.stopped.append(action.socket)
                elif isinstance(action, StartReading):
                    self.stopped.remove(action.socket)
                elif isinstance(action, CloseSocket) and action.flush:
                    self.end(action.socket)
                elif isinstance(action, CloseSocket):
                    self.closed[action.socket] = False
                    board.closed(action.socket, self.now)
                elif isinstance(action, Invoke):
                    self.invoke(action)
        check(board)

    def end(self, socket: SocketId) -> None:
        """Close this socket when it has taken everything."""
        if self.slow.get(socket):
            self.ending.append(socket)
        else:
            self.closed[socket] = True
            self.board.closed(socket, self.now)

    def invoke(self, action: Invoke) -> None:
        if action.method.is_async:
            self.waiting.append(action)
            return
        try:
            result = action.method.function(*action.args, **action.kwargs)
        except Exception:
            self.board.fail(action.call, RpcError(INTERNAL_ERROR), self.now)
        else:
            self.board.complete(action.call, result, self.now)

    def take(self, socket: SocketId) -> None:
        """A slow socket takes all that it was sent."""
        self.board.sent(socket, self.slow.pop(socket), self.now)
        self.run()
        if socket in self.ending and socket not in self.closed:
            self.closed[socket] = True
            self.board.closed(socket, self.now)
            self.run()

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.board.next_timeout()) is not None and due <= until:
            self.now = max(self.now, due)
            self.board.handle_timeout(self.now)
            self.run()
        self.now = until

    def request(
        self, request: HostedRequest, address: Address = HERE, identity: Identity | None = None
    ) -> SocketId | None:
        socket = self.board.requested(request, address, self.now, identity=identity)
        if socket is not None:
            self.sent[socket] = []
        self.run()
        return socket

    def whole(
        self, request: HostedRequest, data: bytes, address: Address = HERE, identity: Identity | None = None
    ) -> SocketId | None:
        """A request whose body is here: one input, if its head is known."""
        known = self.board.find(request, address, identity)
        if known is None:
            socket = self.request(request, address, identity)
            if socket is not None:
                self.body(socket, data)
            return socket
        socket = self.board.exchanged(request, known, data, address, self.now, identity=identity)
        if socket is not None:
            self.sent[socket] = []
        self.run()
        return socket

    def open(self, request: HostedRequest, address: Address = HERE, identity: Identity | None = None) -> SocketId:
        socket = self.request(request, address, identity)
        assert socket is not None
        return socket

    def body(self, socket: SocketId, data: bytes, *, more: bool = False) -> None:
        self.board.received_body(socket, data, self.now, more=more)
        self.run()

    def say(self, socket: SocketId, message: str | bytes) -> None:
        self.board.received_message(socket, message, self.now)
        self.run()

    def answered(self, request: HostedRequest, data: bytes = b"", identity: Identity | None = None) -> Any:
        """The response to a whole request, when its socket has closed."""
        socket = self.open(request, identity=identity)
        if socket not in self.closed:
            self.body(socket, data)
        assert self.closed[socket]
        (response,) = self.sent[socket]
        return response

    def events(self, kind: type) -> list[Any]:
        return [action.event for action in self.actions if isinstance(action, Emit) and type(action.event) is kind]

    def at_rest(self) -> None:
        check_at_rest(self.board)
