"""The direct way and the general way, side by side: whatever comes, both switchboards ask for the same.

A program of inputs is given to two boards in step. It draws how peers cut what they say, because that decides which
way is taken: the direct one is for whole messages while nothing waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings
from posthouse.adapters.invariants import check, check_at_rest
from posthouse.core import Address, Config, Identity, RpcError
from posthouse.core.values.peers import SocketId
from posthouse.transports.websocket.deflate import deflate
from posthouse.transports.websocket.frames import CLOSE, CONTINUATION, FIN, PING, PONG, RSV1, TEXT, masked_frame

from tests.transports.board import PIPE, UPGRADE, Board, Ways, agree, calculator, call, post

ROOMY = Config()
NARROW = Config(
    max_connections=6,
    max_calls_per_connection=2,
    max_waiting_calls=2,
    max_calls=4,
    max_queued_replies_bytes=1_500,
    max_queued_pushes_bytes=1_000,
    max_message_bytes=800,
    max_body_bytes=800,
    max_head_bytes=400,
    memory_budget=12_000,
    write_ahead=200,
    read_bytes=600,
    frames_per_turn=2,
    call_timeout=3.0,
    keep_alive_timeout=20.0,
    half_close_timeout=5.0,
    allow_chunked=True,
)

SERVICE = calculator()
ADA = Identity("ada", ("broadcast",))

TEXTS = (
    call("add", b"[1,2]"),
    call("add", b"[1,2]", None),
    call("later", b"[1]", b"1"),
    call("later", b"[2]", b"2"),
    call("later", b"[3]", None),
    call("finish", b"[]", b"3"),
    call("secret", b"[]", b"4"),
    call("blob", b"[500]", b"5"),
    call("blob", b"[3000]", b"6"),
    call("message.broadcast", b'{"data":1}', b"7"),
    call("$/cancelRequest", b'{"id":1}', None),
    b"[" + b",".join([call("later", b"[1]", b"8"), call("add", b"[1,2]", b"9"), b"1"]) + b"]",
    b"[]",
    b"{",
    b'"\xff"',
)


def chunked(text: bytes) -> bytes:
    """The same request in chunks."""
    head = (
        b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(text), text)


REQUESTS: tuple[Callable[[bytes], bytes], ...] = (
    post,
    post,
    post,
    partial(post, more=b"X-Request-Id: 7\r\n"),
    partial(post, more=b"Posthouse-Timeout-Ms: 900\r\n"),
    partial(post, more=b"Authorization: Bearer a\r\n"),
    partial(post, more=b"Origin: http://localhost\r\n"),
    partial(post, more=b"Origin: https://evil.example\r\n"),
    partial(post, more=b"Expect: 100-continue\r\n"),
    partial(post, more=b"X-New: 1\r\n"),
    lambda text: b"\r\n" + post(text),
    lambda text: post(text, more=b"Connection: close\r\n"),
    lambda text: post(text).replace(b"HTTP/1.1", b"HTTP/1.0"),
    chunked,
    lambda text: b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    lambda text: b"\r\n",
    lambda text: b"rubbish\r\n\r\n",
)


def framed(first: int, payload: bytes) -> bytes:
    """A frame of a client."""
    return masked_frame(first, payload, b"mask")


FRAMES: tuple[Callable[[bytes], bytes], ...] = (
    partial(framed, FIN | TEXT),
    partial(framed, FIN | TEXT),
    partial(framed, FIN | TEXT),
    lambda text: framed(FIN | RSV1 | TEXT, deflate(text)),
    lambda text: framed(TEXT, text[:4]) + framed(FIN | CONTINUATION, text[4:]),
    lambda text: framed(TEXT, text[:4]) + framed(FIN | PING, b"p") + framed(FIN | CONTINUATION, text[4:]),
    lambda text: framed(TEXT, text),
    lambda text: framed(FIN | CONTINUATION, b""),
    lambda text: framed(FIN | PING, b"p"),
    lambda text: framed(FIN | PONG, b""),
    lambda text: framed(FIN | CLOSE, b"\x03\xe8"),
    lambda text: b"\x81\x80",
)

LINES: tuple[Callable[[bytes], bytes], ...] = (lambda text: text + b"\n", lambda text: text)

SPOKEN = {"http": REQUESTS, "websocket": FRAMES, "pipe": LINES}

NUMBERS = st.integers(0, 3)
KIND = st.sampled_from(["http", "http", "websocket", "websocket", "pipe"])
PLAIN = (0, 0)
"""The first form of the first text. It is said most often: only then is its head known, and the direct way taken."""

SAYING = st.one_of(
    *(st.just(PLAIN) for _ in range(5)),  # `one_of` counts each object once
    st.tuples(st.just(0), st.integers(0, len(TEXTS) - 1)),
    st.tuples(st.integers(0, 16), st.just(0)),
    st.tuples(st.integers(0, 16), st.integers(0, len(TEXTS) - 1)),
)
SAYINGS = st.lists(SAYING, min_size=1, max_size=4)
CUTS = st.sampled_from([None, None, None, 0, 1, 7, 60])
"""How what is said comes: each message in a read of its own, all in one read, or the last so many bytes later."""


STEPS = st.one_of(
    *(st.tuples(st.just("says"), NUMBERS, SAYINGS, CUTS) for _ in range(8)),
    st.tuples(st.just("goes_on"), NUMBERS),
    st.tuples(st.just("opens"), KIND),
    st.tuples(st.just("opens"), KIND),
    st.tuples(st.just("ends"), NUMBERS, st.sampled_from(["result", "large", "fail"])),
    st.tuples(st.just("ends"), NUMBERS, st.sampled_from(["result", "large", "fail"])),
    st.tuples(st.just("speaks"), NUMBERS, st.sampled_from(["notify", "broadcast", "request", "progress"])),
    st.tuples(st.just("sticks"), NUMBERS),
    st.tuples(st.just("takes"), NUMBERS, st.sampled_from([None, None, 1, 50, 300])),
    st.tuples(st.just("time_passes"), st.sampled_from([0.0, 0.5, 4.0, 30.0])),
    st.tuples(st.sampled_from(["half_closes", "leaves", "shuts_down"]), st.integers(0, 11)),
)
"""What happens, and to whom. Most of the time somebody says something."""

BEGINNINGS = st.lists(KIND, min_size=1, max_size=4)


def read(board: Board, *, socket: SocketId, data: bytes) -> None:
    """Bytes come from a socket."""
    board.board.received(socket, data, board.now)


class Twins:
    """Two boards, one for each way, that are given the same."""

    def __init__(self, config: Config, *, tell_exchanges: bool = True) -> None:
        self.boards = [
            Board(config, service=SERVICE, identity=ADA, ways=Ways(direct, tell_exchanges)) for direct in (True, False)
        ]
        self.taken = 0
        self.sockets: dict[SocketId, str] = {}
        self.ended: set[SocketId] = set()
        self.kept: dict[SocketId, bytes] = {}
        self.now = 0.0

    def both(self, input: Callable[[Board], object]) -> None:
        """Give both the same input, and compare."""
        for board in self.boards:
            input(board)
            board.run()
            check(board.board)
        agree(*self.boards)

    def opens(self, kind: str) -> None:
        opened: list[SocketId | None] = []
        address = PIPE if kind == "pipe" else Address("10.0.0.1", 1)

        def open(board: Board) -> None:
            opened.append(socket := board.board.opened(address, board.now))
            if socket is not None:
                board.written[socket] = bytearray()

        self.both(open)
        assert opened[0] == opened[1]
        if opened[0] is not None:
            self.sockets[opened[0]] = kind
            self.kept[opened[0]] = b""
            if kind == "websocket":
                self.reads(opened[0], UPGRADE)

    def socket(self, number: int) -> SocketId | None:
        return list(self.sockets)[number % len(self.sockets)] if self.sockets else None

    def says(self, number: int, sayings: Sequence[tuple[int, int]], cut: int | None) -> None:
        socket = self.socket(number)
        if socket is None:
            return
        spoken = SPOKEN[self.sockets[socket]]
        messages = [spoken[form % len(spoken)](TEXTS[text]) for form, text in sayings]
        if cut is not None:
            whole = b"".join(messages)
            messages = [whole[: len(whole) - cut]]
            self.goes_on(number)
            self.kept[socket] = whole[len(whole) - cut :]
        for message in messages:
            self.reads(socket, message)

    def goes_on(self, number: int) -> None:
        socket = self.socket(number)
        if socket is not None:
            kept, self.kept[socket] = self.kept[socket], b""
            self.reads(socket, kept)

    def reads(self, socket: SocketId, data: bytes) -> None:
        """One read, even behind `StopReading`: an adapter may have read before it learned of it."""
        size = self.boards[0].board.config.read_bytes
        for at in range(0, len(data), size):
            if socket not in self.ended:
                self.both(partial(read, socket=socket, data=data[at : at + size]))

    def ends(self, number: int, how: str) -> None:
        def end(board: Board) -> None:
            invoke = board.waiting.pop(number % len(board.waiting))
            if how == "fail":
                board.board.fail(invoke.call, RpcError(1, "no"), board.now)
            else:
                board.board.complete(invoke.call, None if how == "result" else "x" * 700, board.now)

        if self.boards[0].waiting:
            self.both(end)

    def speaks(self, number: int, how: str) -> None:
        def speak(board: Board) -> None:
            invoke = board.waiting[number % len(board.waiting)]
            to = invoke.caller.connection
            if how == "notify":
                board.board.notify(to, "news", ["x" * 100], board.now, after=invoke.call)
            elif how == "request":
                board.board.request(to, "ask", None, board.now, timeout=2.0)
            elif how == "progress":
                board.board.progress(invoke.call, 1, board.now)
            else:
                board.board.broadcast("news", ["x" * 300], board.now)

        if self.boards[0].waiting:
            self.both(speak)

    def sticks(self, number: int) -> None:
        socket = self.socket(number)
        if socket is not None:
            for board in self.boards:
                board.stuck.setdefault(socket, 0)

    def takes(self, number: int, size: int | None) -> None:
        socket = self.socket(number)
        stuck = None if socket is None else self.boards[0].stuck.get(socket)
        if socket is not None and stuck is not None:
            part = None if size is None else min(size, stuck)
            self.both(lambda board: board.release(socket, part))

    def half_closes(self, number: int) -> None:
        socket = self.socket(number)
        if socket is not None and socket not in self.ended:
            self.ended.add(socket)
            self.both(lambda board: board.board.received_eof(socket, board.now))

    def leaves(self, number: int) -> None:
        socket = self.socket(number)
        if socket is not None:
            del self.sockets[socket]
            self.both(lambda board: board.drop(socket))

    def time_passes(self, seconds: float) -> None:
        """Deadline by deadline, and sockets that are to be closed leave."""
        self.both(lambda board: board.pass_time(seconds))
        for number in reversed(range(len(self.sockets))):
            if list(self.sockets)[number] in self.boards[0].closed:
                self.leaves(number)

    def shuts_down(self, number: int) -> None:
        if number > 9:
            self.both(lambda board: board.board.shut_down(board.now))

    def end(self) -> None:
        """Everybody leaves, every handler ends."""
        while self.sockets:
            self.leaves(0)
        while self.boards[0].waiting:
            self.ends(0, "result")
        self.time_passes(200.0)
        for board in self.boards:
            check_at_rest(board.board)
            board.witness.at_rest()


@pytest.mark.unmeasured
@pytest.mark.parametrize("tell_exchanges", [True, False])
@settings(max_examples=150)
@given(
    kinds=st.lists(KIND, min_size=1, max_size=4), steps=st.lists(STEPS, min_size=20, max_size=50), narrow=st.booleans()
)
@example(kinds=["http"], steps=[("says", 0, [(0, 0), (15, 0), (0, 0), (10, 0)], None)], narrow=False)
def test_both_ways_ask_for_the_same_whatever_comes(
    tell_exchanges: bool, kinds: list[str], steps: list[tuple[str, ...]], narrow: bool
) -> None:
    twins = Twins(NARROW if narrow else ROOMY, tell_exchanges=tell_exchanges)
    for kind in kinds:
        twins.opens(kind)
    for name, *arguments in steps:
        getattr(twins, name)(*arguments)
    twins.end()
