"""The switchboard as a whole: sockets, bytes, handlers and time, as a program that the fuzzer writes."""

from __future__ import annotations

import re
from collections.abc import Callable

from posthouse.adapters.invariants import check, check_at_rest
from posthouse.core import Address, Config, Identity, RpcError
from posthouse.core.values.peers import SocketId
from posthouse.transports.websocket.deflate import deflate
from posthouse.transports.websocket.frames import CLOSE, CONTINUATION, FIN, PING, RSV1, TEXT, masked_frame

from tests.fuzz.target import Planted, Target
from tests.transports.board import PIPE, UPGRADE, Board, Ways, agree, calculator, call, post

CONFIG = Config(
    max_connections=6,
    max_in_head=4,
    max_calls_per_connection=2,
    max_waiting_calls=3,
    max_waiting_bytes=200,
    max_calls=5,
    max_queued_replies_bytes=2_500,
    max_queued_pushes_bytes=1_500,
    max_queued_pushes=4,
    max_message_bytes=600,
    max_body_bytes=600,
    max_head_bytes=400,
    max_fragments=4,
    max_batch=4,
    max_response_bytes=900,
    max_batch_reply_bytes=1_200,
    control_burst=3,
    write_ahead=200,
    read_bytes=300,
    frames_per_turn=3,
    call_timeout=8.0,
    idle_timeout=60.0,
    drain_notice=1.0,
    allow_chunked=True,
)

SERVICE = calculator()

TEXTS = (
    call("add", b"[1,2]"),
    call("add", b"[1,2]", None),
    call("add", b'["x"]', b"2"),
    call("later", b"[1]", b"1"),
    call("later", b"[2]", b"2"),
    call("later", b"[3]", b'"three"'),
    call("later", b"[4]", None),
    call("finish", b"[]", b"5"),
    call("secret", b"[]", b"6"),
    call("blob", b"[600]", b"7"),
    call("blob", b"[1000]", b"8"),
    call("connection.info"),
    call("message.broadcast", b'{"data":1}', b"9"),
    call("$/cancelRequest", b'{"id":1}', None),
    call("rpc.cancel", b'{"id":2}', b"10"),
    b"[" + b",".join([call("later", b"[1]", b"1"), call("add", b"[1,2]", b"2"), b"1"]) + b"]",
    b"[" + b",".join([call("blob", b"[500]", b"%d" % id) for id in range(4)]) + b"]",
    b"[]",
    b"{",
    b'{"jsonrpc":"2.0","result":1,"id":1}',
    b'{"jsonrpc":"2.0","method":"later","id":1,"meta":{"progress_token":1,"timeout_ms":3000}}',
)

SECONDS = (0.0, 0.1, 1.0, 3.0, 6.0, 11.0, 40.0, 90.0)
MOST_STEPS = 200


def run(data: bytes) -> None:
    """Any program of sockets opened, bytes in any pieces, handlers that end or speak, and time raises nothing.

    After each step every invariant holds (`posthouse.adapters.invariants`), and of the actions each thing happens once,
    and nothing behind its end. At the end everybody leaves and every handler ends: then nothing is left, in no table,
    and no deadline. A second switchboard, which hands no message on directly, asks for the same after each step.
    """
    programs = Program(data, Ways(direct=True)), Program(data, Ways(direct=False))
    direct, general = (program.board for program in programs)
    for _ in range(MOST_STEPS):
        if not programs[0].left:
            break
        for program in programs:
            program.step()
            check(program.board.board)
            program.board.witness.stopped(program.board.waiting)
        agree(direct, general)
    for program in programs:
        program.end()
    agree(direct, general)


class Program:
    """One run: each step is a byte that says what happens, and bytes that say to whom and how."""

    def __init__(self, data: bytes, ways: Ways) -> None:
        self.board = Board(CONFIG, service=SERVICE, identity=Identity("ada", ("broadcast",)), ways=ways)
        self.left = data
        self._sockets: list[SocketId] = []
        self._wires: dict[SocketId, Callable[[bytes], bytes]] = {}
        self._ended: set[SocketId] = set()
        self._late: set[SocketId] = set()
        self._steps: tuple[Callable[[], None], ...] = (
            self._opens,
            self._says,
            self._says,
            self._upgrades,
            self._sends_bytes,
            self._handler_ends,
            self._handler_speaks,
            self._time_passes,
            self._is_stuck,
            self._takes,
            self._half_closes,
            self._leaves,
            self._broadcasts,
            self._closed_sockets_leave,
            self._shuts_down,
            self._is_suspended,
        )

    def step(self) -> None:
        """The next step."""
        self._steps[self._byte() % len(self._steps)]()
        self.board.run()

    def end(self) -> None:
        """Everybody leaves, every handler ends, time goes on."""
        for socket in list(self._sockets):
            self._drop(socket)
        while self.board.waiting:
            self.board.board.complete(self.board.waiting.pop().call, None, self.board.now)
            self.board.run()
        self.board.pass_time(200.0)
        check(self.board.board)
        check_at_rest(self.board.board)
        self.board.witness.at_rest()

    def _byte(self) -> int:
        byte, self.left = (self.left[0] if self.left else 0), self.left[1:]
        return byte

    def _socket(self) -> SocketId | None:
        number = self._byte()
        return self._sockets[number % len(self._sockets)] if self._sockets else None

    def _opens(self) -> None:
        kind = self._byte() % 4
        socket = self.board.board.opened(PIPE if kind == 3 else Address("abc"[kind], 1), self.board.now)
        if socket is not None:
            self.board.written[socket] = bytearray()
            self._sockets.append(socket)
            self._wires[socket] = lines if kind == 3 else post

    def _upgrades(self) -> None:
        socket = self._socket()
        if socket is not None and self._wires[socket] is post:
            self._wires[socket] = frames
            self._give(socket, UPGRADE)

    def _says(self) -> None:
        socket, text = self._socket(), TEXTS[self._byte() % len(TEXTS)]
        if socket is not None:
            self._give(socket, self._wires[socket](text))

    def _sends_bytes(self) -> None:
        socket, size = self._socket(), self._byte()
        data, self.left = self.left[:size], self.left[size:]
        if socket is not None and data:
            self._give(socket, data)

    def _give(self, socket: SocketId, data: bytes) -> None:
        """The socket's bytes, as far as it is read from: one read more may come when reading stops."""
        while data and socket not in self._ended:
            if socket in self.board.stopped:
                if socket in self._late:
                    return
                self._late.add(socket)
            else:
                self._late.discard(socket)
            self.board.board.received(socket, data[: CONFIG.read_bytes], self.board.now)
            self.board.run()
            data = data[CONFIG.read_bytes :]

    def _handler_ends(self) -> None:
        number, how = self._byte(), self._byte() % 4
        if not self.board.waiting:
            return
        invoke = self.board.waiting.pop(number % len(self.board.waiting))
        if how == 3:
            self.board.board.fail(invoke.call, RpcError(1, "no"), self.board.now)
        else:
            result = (None, "x" * 700, object())[how]
            self.board.board.complete(invoke.call, result, self.board.now)

    def _handler_speaks(self) -> None:
        how = self._byte() % 4
        if not self.board.waiting:
            return
        invoke, board, now = self.board.waiting[-1], self.board.board, self.board.now
        to = invoke.caller.connection
        if how == 0:
            board.progress(invoke.call, {"fraction": 0.5}, now)
        elif how == 1:
            board.notify(to, "news", ["x" * 100], now)
        else:
            request = board.request(to, "ask", None, now, timeout=5.0)
            if how == 3:
                board.abandon(request, now)

    def _time_passes(self) -> None:
        self.board.pass_time(SECONDS[self._byte() % len(SECONDS)])

    def _is_suspended(self) -> None:
        self.board.now += SECONDS[self._byte() % len(SECONDS)]
        self.board.board.handle_timeout(self.board.now)

    def _is_stuck(self) -> None:
        socket = self._socket()
        if socket is not None:
            self.board.stuck.setdefault(socket, 0)

    def _takes(self) -> None:
        socket, part = self._socket(), self._byte()
        if socket is not None and socket in self.board.stuck:
            stuck = self.board.stuck[socket]
            if part and stuck:
                self.board.release(socket, min(part, stuck))
            else:
                self.board.release(socket)

    def _half_closes(self) -> None:
        socket = self._socket()
        if socket is not None and socket not in self._ended:
            self._ended.add(socket)
            self.board.board.received_eof(socket, self.board.now)

    def _leaves(self) -> None:
        socket = self._socket()
        if socket is not None:
            self._drop(socket)

    def _closed_sockets_leave(self) -> None:
        for socket in list(self._sockets):
            flush = self.board.closed.get(socket)
            if flush is False or (flush and not self.board.stuck.get(socket)):
                self._drop(socket)

    def _drop(self, socket: SocketId) -> None:
        self._sockets.remove(socket)
        self._ended.discard(socket)
        self._late.discard(socket)
        self.board.drop(socket)

    def _broadcasts(self) -> None:
        self.board.board.broadcast("news", ["x" * (self._byte() * 4)], self.board.now)

    def _shuts_down(self) -> None:
        if self._byte() % 8 == 7:
            self.board.board.shut_down(self.board.now)


def lines(text: bytes) -> bytes:
    """A text on a pipe."""
    return text + b"\n"


def frames(text: bytes) -> bytes:
    """A text on a WebSocket: whole, compressed, or in pieces with a ping between them, by its length."""
    kind = len(text) % 4
    if kind == 1:
        return masked_frame(FIN | RSV1 | TEXT, deflate(text), b"mask")
    if kind == 2:
        parts = ((TEXT, text[:5]), (FIN | PING, b"p"), (FIN | CONTINUATION, text[5:]))
        return b"".join(masked_frame(first, part, b"mask") for first, part in parts)
    return masked_frame(FIN | TEXT, text, b"mask")


TARGET = Target(
    name="switchboard",
    run=run,
    seeds=(
        bytes((0, 0, 1, 0, 3, 0, 3, 1, 1, 0, 4, 5, 0, 0, 5, 0, 1, 7, 3)),
        bytes((0, 0, 3, 0, 1, 0, 3, 1, 0, 4, 1, 0, 5, 1, 0, 6, 8, 0, 5, 0, 1, 12, 90, 12, 90, 9, 0, 0, 7, 5)),
        bytes((0, 3, 1, 0, 3, 1, 0, 15, 6, 0, 6, 2, 10, 0, 5, 0, 0, 7, 4, 13)),
        bytes((0, 1, 3, 0, 4, 0, 3)) + b"\x81\x80a" + bytes((14, 7, 7, 3, 7, 7)),
        bytes((0, 3, 4, 0, 20)) + b"Content-Length: 2\r\n\r\n[]"[:20] + bytes((1, 0, 1, 11, 0)),
    ),
    tokens=(
        bytes((0, 0, 3, 0)),
        bytes((0, 3)),
        bytes((0, 1)),
        bytes((1, 0, 3)),
        bytes((1, 0, 16)),
        bytes((1, 1, 9)),
        bytes((1, 0, 7)),
        bytes((1, 0, 13)),
        bytes((5, 0, 0)),
        bytes((5, 0, 1)),
        bytes((6, 2)),
        bytes((6, 0)),
        bytes((7, 5)),
        bytes((7, 7)),
        bytes((8, 0)),
        bytes((9, 0, 0)),
        bytes((9, 0, 99)),
        bytes((10, 0)),
        bytes((11, 0)),
        bytes((12, 90)),
        bytes((13,)),
        bytes((14, 7)),
        bytes((15, 5)),
        bytes((4, 0, 10)) + masked_frame(FIN | CLOSE, b"\x03\xe8", b"mask") + b"x",
        bytes((4, 0, 5)) + b"[]\n{}",
    ),
    boundary=re.compile(rb"(?s)[\x00-\x0f]."),
    planted=Planted(
        what="the last push that was sent is counted as waiting",
        file="core/posthouse/core/connections/flow.py",
        before="            backlog.push_times.popleft()\n",
        after="            if len(backlog.push_times) > 1:\n                backlog.push_times.popleft()\n",
    ),
    max_len=300,
)
