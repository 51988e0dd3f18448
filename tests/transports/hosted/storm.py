"""Storms of a host: random requests, messages, slow and vanishing clients on a held clock, from one seed.

After every step all invariants hold; in the end everything is at rest, and each request that its client waited for has
had exactly one response.
"""

from __future__ import annotations

from random import Random
from typing import Final

from posthouse.adapters.invariants import Violation, Witness
from posthouse.core import Config, RpcError
from posthouse.core.values.peers import SocketId
from posthouse.transports.hosted.messages import Accepted, Closing, Response

from tests.transports.board import call as text

from .host import Host, call, handshake, head

CONFIG: Final = Config(
    max_connections=12,
    max_body_bytes=300,
    max_message_bytes=300,
    max_queued_pushes=4,
    max_bad_messages=3,
    write_timeout=5.0,
    body_timeout=5.0,
    call_timeout=5.0,
    cleanup_grace=1.0,
    drain_grace=2.0,
    drain_spread=1.0,
    heartbeat_interval=None,
)

TEXTS: Final = (
    text("add", b"[1,2]"),
    text("later", b"[5]"),
    text("finish"),
    text("blob", b"[2000]"),
    text("add", b"[1,2]", None),
    text("nope"),
    b"[]",
    b"{",
    b"x" * 301,
)


class Storm:
    """One run. `requests` and `websockets` have come, and `gone` are those whose clients have left."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.host = Host(CONFIG)
        self.requests: dict[SocketId, int] = {}  # with the bytes of its body
        self.websockets: list[SocketId] = []
        self.complete: list[SocketId] = []
        self.gone: list[SocketId] = []
        self.witness = Witness(exchanges_told=True)
        self.seen = 0

    def run(self, steps: int = 120) -> None:
        for _ in range(steps):
            self.random.choice(STEPS)(self)
            self.check()
        self.host.board.shut_down(self.host.now)
        self.host.run()
        for socket in list(self.host.slow):
            self.host.take(socket)
        self.host.pass_time(60.0)
        for invoke in self.host.waiting:
            self.host.board.fail(invoke.call, RpcError(-32800), self.host.now)
        self.host.waiting.clear()
        self.host.run()
        for socket in self.open_sockets():
            if any(isinstance(data, Response | Closing) for data in self.host.sent[socket]):
                raise Violation("hosted: a socket closes behind its response or its close")
        for socket in self.open_sockets():
            self.leave(socket)
        self.check()
        self.host.at_rest()
        self.judge()

    def check(self) -> None:
        """The order of actions; the board's own invariants were checked when they were performed."""
        for action in self.host.actions[self.seen :]:
            self.witness.see(action)
        self.seen = len(self.host.actions)

    def judge(self) -> None:
        """What each socket was sent."""
        for socket, sent in self.host.sent.items():
            responses = [data for data in sent if isinstance(data, Response)]
            if len(responses) > 1 or (responses and len(sent) > 1):
                raise Violation("hosted: a request has one response, and nothing else")
            if socket in self.requests and socket not in self.gone and not responses:
                raise Violation("hosted: a request that was waited for has a response")
            large = self.requests.get(socket, 0) > CONFIG.max_body_bytes
            if large and any(response.status in (200, 204, 400) for response in responses):
                raise Violation("hosted: a body above its limit is not read")
            ends = [place for place, data in enumerate(sent) if isinstance(data, Closing)]
            if ends and ends != [len(sent) - 1]:
                raise Violation("hosted: nothing follows a close")
            begins = [place for place, data in enumerate(sent) if isinstance(data, Accepted)]
            if begins not in ([], [0]):
                raise Violation("hosted: a WebSocket is accepted once, before everything else")

    def open_sockets(self) -> list[SocketId]:
        return list(self.host.board._sockets.records)

    def one(self, sockets: list[SocketId]) -> SocketId | None:
        living = [socket for socket in sockets if socket in self.host.board._sockets.records]
        return self.random.choice(living) if living else None

    # Steps

    def request(self) -> None:
        heads = (
            call(),
            call(path="/"),
            head(b"POST", "/rpc", call().headers[1], (b"transfer-encoding", b"chunked")),
            head(b"GET", "/health"),
            head(b"GET", "/nowhere"),
        )
        socket = self.host.request(self.random.choice(heads))
        if socket is not None:
            self.requests[socket] = 0

    def whole(self) -> None:
        data = self.random.choice(TEXTS)
        socket = self.host.whole(call(path=self.random.choice(("/rpc", "/"))), data)
        if socket is not None:
            self.requests[socket] = len(data)
            self.complete.append(socket)

    def body(self) -> None:
        socket = self.one(list(self.requests))
        if socket is not None:
            data, more = self.random.choice(TEXTS), self.random.random() < 0.3
            if socket not in self.complete:
                self.requests[socket] += len(data)
                self.complete += [] if more else [socket]
            self.host.body(socket, data, more=more)

    def open(self) -> None:
        socket = self.host.request(handshake())
        if socket is not None:
            self.websockets.append(socket)

    def say(self) -> None:
        socket = self.one(self.websockets)
        if socket is not None and socket not in self.host.stopped:
            self.host.say(socket, self.random.choice(TEXTS).decode())

    def push(self) -> None:
        self.host.board.broadcast("news", None, self.host.now)
        self.host.run()

    def slow(self) -> None:
        socket = self.one([*self.websockets, *self.requests])
        if socket is not None:
            self.host.slow.setdefault(socket, 0)

    def take(self) -> None:
        socket = self.one(list(self.host.slow))
        if socket is not None:
            self.host.take(socket)

    def leave(self, socket: SocketId | None = None) -> None:
        socket = self.one([*self.websockets, *self.requests]) if socket is None else socket
        if socket is None:
            return
        self.gone.append(socket)
        self.host.slow.pop(socket, None)
        if self.random.random() < 0.5:
            self.host.board.left(socket, 1001, self.host.now)
            self.host.run()
        if socket in self.host.board._sockets.records:
            self.host.board.closed(socket, self.host.now)
            self.host.run()

    def finish(self) -> None:
        if self.host.waiting:
            invoke = self.host.waiting.pop(self.random.randrange(len(self.host.waiting)))
            self.host.board.complete(invoke.call, 5, self.host.now)
            self.host.run()

    def wait(self) -> None:
        self.host.pass_time(self.random.choice((0.1, 1.0, 3.0)))


STEPS: Final = (
    *(Storm.request, Storm.whole, Storm.whole, Storm.body, Storm.body, Storm.open, Storm.say, Storm.say, Storm.say),
    *(Storm.push, Storm.slow, Storm.take, Storm.leave, Storm.finish, Storm.finish, Storm.wait),
)
