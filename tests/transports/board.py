"""A switchboard with a held clock, told entropy and handlers that the test runs: bytes in, bytes out, no socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from posthouse.adapters.invariants import Witness
from posthouse.core import (
    ANONYMOUS,
    Address,
    Cancel,
    Config,
    Context,
    Emit,
    Gateway,
    Identity,
    Invoke,
    Resolve,
    RpcError,
    Service,
)
from posthouse.core.values.errors import INTERNAL_ERROR
from posthouse.core.values.peers import SocketId
from posthouse.transports.client.websocket import OpeningRequest, WebSocketClient
from posthouse.transports.codec import Send, Text
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.actions import Action, CloseSocket, EndWriting, StartReading, StopReading, Write
from posthouse.transports.switchboard.switchboard import Switchboard

HERE = Address("127.0.0.1", 50_000)
PIPE = Address(transport="pipe")

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
"""A handshake that agrees on compression."""


def counter() -> Callable[[int], bytes]:
    """Entropy that can be told in advance and never repeats."""
    drawn = 0

    def entropy(size: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return drawn.to_bytes(8, "big").rjust(size, b"\0")[-size:]

    return entropy


def calculator() -> Service:
    """Methods that the tests call: some answered at once by `Board.run`, some only when a test says so."""
    service = Service("board", public=True)

    @service.method
    def add(a: int, b: int) -> int:
        return a + b

    @service.method
    def blob(size: int) -> str:
        return "x" * size

    @service.method
    async def later(value: Any = None) -> Any:
        return value

    @service.method(on_disconnect="finish")
    async def finish(context: Context) -> None:
        """Goes on when its caller has gone."""

    @service.method(scopes={"reports"})
    def secret() -> str:
        return "secret"

    return service


class Ways(msgspec.Struct, frozen=True):
    """Which of the two ways a board takes (None: the usual), and whether its gateway tells of exchanges."""

    direct: bool | None = None
    tell_exchanges: bool = True


class Board:
    """One switchboard and what the outside would know of it: what it wrote to each socket, and what it asked for."""

    def __init__(
        self,
        config: Config = Config(),
        *,
        service: Service | None = None,
        identity: Identity = ANONYMOUS,
        policy: Policy | None = None,
        gateway: type[Gateway] = Gateway,
        about: Mapping[str, str | float] = {},
        ways: Ways = Ways(),
    ) -> None:
        self.now = 0.0
        self.entropy = counter()
        service = calculator() if service is None else service
        core = gateway(service, config, wall=1_700_000_000.0, entropy=self.entropy, tell_exchanges=ways.tell_exchanges)
        policy = Policy(identity=identity) if policy is None else policy
        self.board = (
            Switchboard(core, policy, about)
            if ways.direct is None
            else Switchboard(core, policy, about, direct=ways.direct)
        )
        self.written: dict[SocketId, bytearray] = {}
        self.closed: dict[SocketId, bool] = {}
        self.half_closed: list[SocketId] = []
        self.stopped: list[SocketId] = []
        self.waiting: list[Invoke] = []
        self.actions: list[Action] = []
        self.stuck: dict[SocketId, int] = {}
        self.witness = Witness(exchanges_told=core._shared.exchanges_told)

    # The outside

    def run(self) -> None:
        """Perform the outbox as an adapter would. A socket in `stuck` takes nothing: its bytes are held."""
        board = self.board
        while board.outbox:
            held: dict[SocketId, int] = {}
            sent: dict[SocketId, int] = {}
            for action in board.outbox:
                self.actions.append(action)
                self.witness.see(action)
                socket = getattr(action, "socket", None)
                assert socket is None or socket in self.written, "nothing is asked of a socket that is closed"
                if isinstance(action, Write):
                    self.written[action.socket] += action.data
                    if action.socket in self.stuck:
                        self.stuck[action.socket] += len(action.data)
                        if not action.report:
                            held[action.socket] = held.get(action.socket, 0) + len(action.data)
                    elif action.report:
                        sent[action.socket] = sent.get(action.socket, 0) + len(action.data)
                elif isinstance(action, EndWriting):
                    self.half_closed.append(action.socket)
                elif isinstance(action, StopReading):
                    assert action.socket not in self.stopped
                    self.stopped.append(action.socket)
                elif isinstance(action, StartReading):
                    self.stopped.remove(action.socket)
                elif isinstance(action, CloseSocket):
                    assert self.closed.get(action.socket) is not action.flush, "asked twice for the same"
                    self.closed[action.socket] = action.flush
                elif isinstance(action, Invoke):
                    self.invoke(action)
            board.outbox.clear()
            for socket, size in held.items():
                board.held(socket, size, self.now)
            for socket, size in sent.items():
                board.sent(socket, size, self.now)

    def invoke(self, action: Invoke) -> None:
        """Plain handlers run now; the others wait for the test."""
        if action.method.is_async:
            self.waiting.append(action)
            return
        try:
            result = action.method.function(*action.args, **action.kwargs)
        except RpcError as error:
            self.board.fail(action.call, error, self.now)
        except Exception:
            self.board.fail(action.call, RpcError(INTERNAL_ERROR), self.now)
        else:
            self.board.complete(action.call, result, self.now)

    def release(self, socket: SocketId, size: int | None = None) -> None:
        """Of what is stuck so many bytes go (None: all, and it takes everything from now on)."""
        going = self.stuck[socket] if size is None else size
        self.stuck[socket] -= going
        if size is None:
            del self.stuck[socket]
        self.board.sent(socket, going, self.now)
        self.run()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, deadline by deadline."""
        until = self.now + seconds
        while (due := self.board.next_timeout()) is not None and due <= until:
            self.now = max(self.now, due)
            self.board.handle_timeout(self.now)
            self.run()
        self.now = until

    # Sockets

    def open(self, address: Address = HERE, identity: Identity | None = None, *, probes: bool = False) -> SocketId:
        """A socket that is let in."""
        socket = self.board.opened(address, self.now, identity=identity, probes=probes)
        assert socket is not None
        self.written[socket] = bytearray()
        self.run()
        return socket

    def feed(self, socket: SocketId, data: bytes) -> bytes:
        """Bytes come; what was written since is returned."""
        self.board.received(socket, data, self.now)
        self.run()
        return self.take(socket)

    def take(self, socket: SocketId) -> bytes:
        """What was written to this socket since it was last taken."""
        data = bytes(self.written[socket])
        self.written[socket].clear()
        return data

    def drop(self, socket: SocketId) -> None:
        """The socket is closed, by whomever."""
        del self.written[socket]
        self.stuck.pop(socket, None)
        if socket in self.stopped:
            self.stopped.remove(socket)
        self.board.closed(socket, self.now)
        self.run()

    def events(self) -> list[Any]:
        """The lifecycle events so far, and forget them."""
        found = [action.event for action in self.actions if isinstance(action, Emit)]
        self.actions = [action for action in self.actions if not isinstance(action, Emit)]
        return found

    def cancelled(self) -> list[int]:
        """The calls whose handlers were told to stop."""
        return [action.call for action in self.actions if isinstance(action, Cancel)]

    def resolved(self) -> list[Resolve]:
        """The outcomes of requests to peers."""
        return [action for action in self.actions if isinstance(action, Resolve)]


def post(body: bytes, *, more: bytes = b"") -> bytes:
    """One HTTP request to /rpc."""
    head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
    return head % (more, len(body)) + body


def call(method: str, params: bytes = b"[]", id: bytes | None = b"1") -> bytes:
    """One request text, or a notification."""
    tail = b"" if id is None else b',"id":' + id
    return b'{"jsonrpc":"2.0","method":"%b","params":%b%b}' % (method.encode(), params, tail)


def result(value: object, id: bytes = b"1") -> bytes:
    """One successful response."""
    return b'{"jsonrpc":"2.0","result":%b,"id":%b}' % (msgspec.json.encode(value), id)


def body(answer: bytes) -> bytes:
    """What follows the head of an HTTP answer."""
    return answer.partition(b"\r\n\r\n")[2]


class Browser:
    """A WebSocket client on a board: the client's codec at the other end of the wire."""

    def __init__(self, board: Board, *, deflate: bool = False) -> None:
        self.board = board
        self.socket = board.open()
        request = OpeningRequest(b"localhost", deflate=deflate)
        self.client = WebSocketClient(board.board.config, request, entropy=board.entropy, now=board.now)
        self.outputs: list[Any] = []
        self.exchange()

    def exchange(self) -> None:
        """Carry bytes both ways until there are none."""
        while True:
            going = [output.data for output in self.client.output if isinstance(output, Send)]
            self.outputs += [output for output in self.client.output if not isinstance(output, Send)]
            self.client.output.clear()
            for data in going:
                self.board.board.received(self.socket, data, self.board.now)
                self.board.run()
            coming = self.board.take(self.socket)
            if not going and not coming:
                return
            if coming:
                self.client.receive_data(coming, self.board.now)

    def send(self, text: bytes) -> list[bytes]:
        """Send one text; the texts that came are returned."""
        self.client.send(text)
        return self.texts()

    def texts(self) -> list[bytes]:
        """The texts that came since the last time."""
        self.exchange()
        found = [output.data for output in self.outputs if isinstance(output, Text)]
        self.outputs = [output for output in self.outputs if not isinstance(output, Text)]
        return found


def agree(direct: Board, general: Board) -> None:
    """Two boards that were given the same: they asked for the same since the last time, count the same, and want to be
    told the time at the same moment."""
    assert direct.actions == general.actions
    direct.actions.clear()
    general.actions.clear()
    assert direct.board.stats() == general.board.stats()
    assert direct.board.next_timeout() == general.board.next_timeout()
