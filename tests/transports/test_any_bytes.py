"""Any bytes into a switchboard, in any pieces: nothing raises, what is held is bounded, and they mean the same.

Rubbish alone would not get past the first head or line, so most of what is sent is valid, and some of that is damaged.
"""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from posthouse.adapters.invariants import check
from posthouse.core import Address, Config, Invoke
from posthouse.core.values.peers import SocketId
from posthouse.transports.websocket.deflate import deflate
from posthouse.transports.websocket.frames import CLOSE, CONTINUATION, FIN, PING, PONG, RSV1, TEXT, masked_frame

from tests.transports.board import HERE, PIPE, UPGRADE, Board, call, post

pytestmark = pytest.mark.unmeasured

CONFIG = Config(
    allow_chunked=True,
    max_head_bytes=400,
    max_body_bytes=300,
    max_message_bytes=300,
    max_fragments=4,
    frames_per_turn=3,
    control_burst=3,
    max_calls_per_connection=3,
    max_waiting_calls=3,
    max_batch=3,
    write_ahead=200,
)

MOST_HELD = 300 + 4 * 128 + 400
"""A message, the charge for its fragments, and a head or frames that wait: what a codec may hold beside one read."""

CALLS = st.sampled_from(
    [
        call("add", b"[1,2]"),
        call("add", b"[1,2]", None),
        call("add", b'["x"]', b'"two"'),
        call("later", b"[1]", b"1"),
        call("later", b"[2]", None),
        call("blob", b"[500]", b"3"),
        call("connection.info", b"[]", b"4"),
        call("$/cancelRequest", b'{"id":1}', None),
        b"[" + call("add", b"[1,2]") + b"," + call("later", b"[3]", b"5") + b"]",
        b"[1,1,1,1]",
        b"{",
        b'{"pad":"' + b"x" * 290 + b'"}',
        b'{"pad":"' + b"x" * 291 + b'"}',
    ]
)

CHUNKED_HEAD = (
    b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def chunked(body: bytes) -> bytes:
    """A request whose body comes in two chunks."""
    half = (len(body) + 1) // 2
    chunks = (body[:half], body[half:], b"") if body[half:] else (body, b"")
    return CHUNKED_HEAD + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


def fragmented(text: bytes) -> bytes:
    """A compressed text in two frames with a ping between them."""
    data = deflate(text)
    frames = ((RSV1 | TEXT, data[:3]), (FIN | PING, b"between"), (FIN | CONTINUATION, data[3:]))
    return b"".join(masked_frame(first, payload, b"mask") for first, payload in frames)


REQUESTS = st.one_of(
    CALLS.map(post),
    CALLS.map(chunked),
    CALLS.map(lambda text: post(text, more=b"Expect: 100-continue\r\n")),
    st.sampled_from(
        [
            b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"HEAD /stats HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"POST /rpc HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
            b"\r\n",
        ]
    ),
)

FRAMES = st.one_of(
    CALLS.map(lambda text: masked_frame(FIN | TEXT, text, b"mask")),
    CALLS.map(lambda text: masked_frame(FIN | RSV1 | TEXT, deflate(text), b"mask")),
    CALLS.map(fragmented),
    st.sampled_from(
        [
            masked_frame(FIN | PING, b"ping", b"mask"),
            masked_frame(FIN | PONG, b"", b"mask"),
            masked_frame(TEXT, b"", b"mask"),
            masked_frame(FIN | RSV1 | TEXT, deflate(bytes(2000)), b"mask"),
            masked_frame(FIN | CLOSE, b"\x03\xe8", b"mask"),
        ]
    ),
)

PLAIN = st.lists(REQUESTS, max_size=5).map(b"".join)
UPGRADED = st.tuples(st.lists(REQUESTS, max_size=2), st.lists(FRAMES, max_size=6)).map(
    lambda parts: UPGRADE.join(map(b"".join, parts))
)

LINES = st.lists(CALLS.map(lambda text: text + b"\n") | st.sampled_from([b"\r\n", b" "]), max_size=8).map(b"".join)
FRAMED = st.lists(CALLS.map(lambda text: b"Content-Length: %d\r\n\r\n%b" % (len(text), text)), max_size=8).map(b"".join)


@st.composite
def damaged(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    """Valid bytes; or some of them, with others in between."""
    data = draw(valid)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 3)) :]
    return data


class Held(Board):
    """A board on which no handler ends by itself: what is in flight does not depend on where a read ended."""

    def invoke(self, action: Invoke) -> None:
        self.waiting.append(action)


def play(address: Address, data: bytes, size: int, *, eof: bool) -> tuple[object, ...]:
    """Feed the bytes, so many at a time, wherever reading is not stopped, and end what waits. What came of it."""
    board = Held(CONFIG)
    socket = board.open(address)
    methods: list[tuple[str, object]] = []
    for start in range(0, len(data), size):
        wait_for_reading(board, socket, methods)
        board.board.received(socket, data[start : start + size], board.now)
        observe(board, socket, size)
    wait_for_reading(board, socket, methods)
    if eof:
        board.board.received_eof(socket, board.now)
        observe(board, socket, size)
    while go_on(board, methods):
        pass
    return bytes(board.written[socket]), methods, board.closed.get(socket), board.half_closed


def wait_for_reading(board: Board, socket: SocketId, methods: list[tuple[str, object]]) -> None:
    while socket in board.stopped and socket not in board.closed:
        assert go_on(board, methods), "reading was stopped, and nothing would start it again"


def observe(board: Board, socket: SocketId, read: int) -> None:
    board.run()
    check(board.board)
    assert board.board._sockets.records[socket].codec.buffered <= MOST_HELD + read


def go_on(board: Board, methods: list[tuple[str, object]]) -> bool:
    """Do the work that is left, or else let the first handler end. False: there is neither."""
    due = board.board.next_timeout()
    if due is not None and due <= board.now:
        board.pass_time(0.0)
    elif board.waiting:
        invoke = board.waiting.pop(0)
        methods.append((invoke.method.name, invoke.args))
        board.board.complete(invoke.call, "x" * 100, board.now)
        board.run()
    else:
        return False
    check(board.board)
    return True


@pytest.mark.parametrize(
    ("address", "data"),
    [(HERE, damaged(PLAIN)), (HERE, damaged(UPGRADED)), (PIPE, damaged(LINES)), (PIPE, damaged(FRAMED))],
    ids=["http", "websocket", "lines", "framed"],
)
@settings(max_examples=60)
@given(draw=st.data(), size=st.integers(1, 90), eof=st.booleans())
def test_any_bytes_raise_nothing_are_bounded_and_mean_the_same_in_any_pieces(
    address: Address, data: st.SearchStrategy[bytes], draw: st.DataObject, size: int, eof: bool
) -> None:
    sent = draw.draw(data)
    assert play(address, sent, size, eof=eof) == play(address, sent, max(1, len(sent)), eof=eof)
