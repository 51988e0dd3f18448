"""Each invariant is seen to fail: on a board at work in which one private value was changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs
from posthouse.adapters.invariants import Violation, Witness, check, check_at_rest, check_touched, chunking, time
from posthouse.adapters.invariants.ends_of_input import EndsOfInput
from posthouse.core import Config, ConnectionClosed, Identity
from posthouse.core.calls.calls import Phase
from posthouse.core.connections.connections import NOTHING
from posthouse.core.connections.state import State
from posthouse.core.values.effects import Emit, ResumeReading
from posthouse.core.values.lifecycle import CallEnded, ConnectionOpened
from posthouse.core.values.peers import Address, CallId, ConnectionId, SocketId
from posthouse.transports.codec import Pause, Send
from posthouse.transports.http.requests import RequestReader
from posthouse.transports.http.server import CLIENT_GONE
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.socket_state import SocketState
from posthouse.transports.switchboard.sockets import BACKLOG, BUFFER
from posthouse.transports.websocket.server import WebSocket

from tests.transports.board import HERE, PIPE, UPGRADE, Board, Browser, call, post

CONFIG = Config(max_calls_per_connection=1, max_calls=5, write_timeout=5.0)


class Scene:
    """A board at work: over a WebSocket one call runs and one waits; a pipe does not read what it is owed; an HTTP
    exchange is on, with a request behind it. `board` is its switchboard."""

    def __init__(self) -> None:
        self.outside = Board(CONFIG, identity=Identity("ada"))
        self.browser = Browser(self.outside)
        self.browser.send(call("later", id=b"1"))
        self.browser.send(call("later", id=b"2"))
        self.pipe = self.outside.open(PIPE)
        self.outside.stuck[self.pipe] = 0
        self.outside.feed(self.pipe, call("add", b"[1,2]") + b"\n")
        self.http = self.outside.open()
        self.outside.feed(self.http, post(call("later")) + b"POST")
        self.board = self.outside.board
        self.board.notify(self.connection(self.pipe), "news", [], 0.0)
        self.board.request(self.connection(self.browser.socket), "ask", [], 0.0, timeout=9.0)
        self.board.notify(self.connection(self.browser.socket), "event", [], 0.0, after=CallId(1))
        self.outside.run()

    def connection(self, socket: SocketId) -> ConnectionId:
        """The connection of this socket."""
        connection = self.line(socket).connection
        assert connection is not None
        return connection

    def line(self, socket: SocketId) -> SocketState:
        """This socket."""
        return self.board._sockets.records[socket]

    def record(self, socket: SocketId) -> Any:
        """The gateway's record of the connection of this socket."""
        return self.board.gateway._connections.records[self.connection(socket)]

    def running(self) -> Any:
        """The call whose handler runs over the WebSocket."""
        record = self.record(self.browser.socket)
        calls = [self.board.gateway._calls.records[number] for number in record.calls.values()]
        return next(call for call in calls if call.phase is Phase.RUNNING)


def test_every_fact_holds_of_a_board_at_work_and_at_rest() -> None:
    scene = Scene()
    check(scene.board)
    check_touched(scene.board, list(scene.board._sockets.records))
    time(scene.board, 0.0)
    for socket in (scene.browser.socket, scene.pipe, scene.http):
        scene.outside.drop(socket)
    for invoke in scene.outside.waiting:
        scene.board.complete(invoke.call, None, 0.0)
    scene.outside.run()
    check_at_rest(scene.board)


Change = Callable[[Scene], object]


def change(of: Callable[[Scene], Any], name: str, value: Any) -> Change:
    """Set an attribute."""
    return lambda scene: setattr(of(scene), name, value)


def gateway(scene: Scene) -> Any:
    return scene.board.gateway


def table(scene: Scene) -> Any:
    return scene.board.gateway._calls


def browser(scene: Scene) -> Any:
    return scene.record(scene.browser.socket)


def backlog(scene: Scene) -> Any:
    return scene.board.gateway._flow.backlogs[scene.connection(scene.pipe)]


def pipe(scene: Scene) -> Any:
    return scene.line(scene.pipe)


def http(scene: Scene) -> Any:
    return scene.line(scene.http)


def wait_unseen(scene: Scene) -> None:
    """A codec has a deadline that is not armed."""
    line: Any = scene.line(scene.browser.socket)
    line.codec._message_due = 3.0
    line.due = None


TOUCHED: list[tuple[Change, str]] = [
    (change(browser, "following", 0), "calls: the notifications behind replies are counted"),
    (change(browser, "following_bytes", 0), "calls: the bytes behind replies are counted"),
    (change(Scene.running, "followers", None), "calls: the notifications behind replies are counted"),
    (change(table, "handlers", 1), "calls: a slot for each handler"),
    (
        lambda scene: scene.board._sockets.records.pop(scene.http),
        "tables: switchboard and gateway have the same sockets",
    ),
    (
        lambda scene: scene.board._sockets.by_connection.pop(scene.connection(scene.http)),
        "tables: every connection has a socket",
    ),
    (
        lambda scene: gateway(scene).outbox.append(ResumeReading(ConnectionId(1))),
        "totality: every effect was performed",
    ),
    (lambda scene: http(scene).codec.output.append(Pause()), "totality: every output of a codec was processed"),
    (change(browser, "running", 2), "calls: no more handlers than max_calls_per_connection"),
    (change(browser, "state", State.CLOSING), "calls: a closing connection has no calls"),
    (change(Scene.running, "phase", Phase.ENDED), "calls: a call with an outcome belongs to no connection"),
    (change(Scene.running, "key", b"another"), "calls: a call is found by its own key"),
    (lambda scene: table(scene).records.pop(scene.running().number), "calls: a slot for each handler"),
    (change(browser, "running", 0), "calls: no call waits while a slot is free"),
    (change(browser, "waiting_bytes", 1), "calls: the bytes of waiting calls are counted"),
    (lambda scene: browser(scene).waiting.clear(), "calls: the bytes of waiting calls are counted"),
    (change(backlog, "push_bytes", 0), "flow: pushes are within their limit"),
    (change(backlog, "reply_bytes", 1), "flow: replies are within their limit"),
    (lambda scene: backlog(scene).push_times.clear(), "flow: the number of pushes is within its limit"),
    (change(backlog, "timer", None), "time: a peer that does not read has a deadline"),
    (change(backlog, "held", 0), "flow: the gateway knows how much the wire holds"),
    (lambda scene: setattr(pipe(scene).wire, "reported", 0), "flow: the gateway knows how much the wire holds"),
    (lambda scene: setattr(pipe(scene), "stopped", 0), "flow: a peer that does not read is not read from"),
    (
        lambda scene: setattr(pipe(scene), "stopped", BACKLOG | BUFFER),
        "flow: a codec with a full buffer is not read for",
    ),
    (
        lambda scene: http(scene).codec._reader.buffer.extend(b"x" * 70_000),
        "flow: a codec with a full buffer is not read for",
    ),
    (change(http, "buffered", 7), "flow: the bytes that a codec holds are counted"),
    (
        lambda scene: setattr(http(scene).wire, "waiting_bytes", 26),
        "flow: an exchange begins when the one before has ended",
    ),
    (
        lambda scene: setattr(http(scene).wire, "owed", 1),
        "time: held bytes without a connection have a deadline",
    ),
    (wait_unseen, "time: the deadline of a codec is armed"),
]
"""Changes that `check_touched` sees, and the violated sentence."""

EVERYWHERE: list[tuple[Change, str]] = [
    (change(table, "waiting", 2), "calls: waiting calls are counted"),
    (change(browser, "running", 0), "calls: a connection has a slot for each of its handlers"),
    (change(Scene.running, "detached", True), "calls: a connection holds exactly its calls without an outcome"),
    (lambda scene: browser(scene).requests.clear(), "calls: each request in flight is known to its connection"),
    (lambda scene: gateway(scene)._connections.by_public_id.clear(), "tables: a live connection is found by public id"),
    (lambda scene: gateway(scene)._connections.by_kind["cli"].clear(), "tables: a live connection is found by kind"),
    (lambda scene: gateway(scene)._connections.by_user.clear(), "tables: a live connection is found by user"),
    (
        lambda scene: gateway(scene)._connections.by_user.update({"bob": {}}),
        "tables: a user without connections is not kept",
    ),
    (lambda scene: setattr(gateway(scene)._connections, "in_head", 3), "tables: sockets in their head are counted"),
    (lambda scene: gateway(scene)._connections.by_address.clear(), "tables: sockets are counted by address"),
    (lambda scene: setattr(scene.board._sockets, "buffered", 7), "flow: the sum of buffered bytes is right"),
    (lambda scene: setattr(gateway(scene)._shared, "held", 7), "flow: the sum of held and queued bytes is right"),
    (lambda scene: setattr(gateway(scene), "_busy", True), "totality: an input ran to its end"),
    (
        lambda scene: setattr(gateway(scene)._drain, "accepting", False),
        "shutdown: sockets are accepted until it begins",
    ),
    (lambda scene: setattr(gateway(scene)._drain, "over", True), "shutdown: it is over when no connection is left"),
]
"""Changes that only `check` sees."""


@pytest.mark.parametrize(("change", "sentence"), TOUCHED)
def test_a_fact_that_does_not_hold_of_a_touched_socket_is_seen_at_once(change: Change, sentence: str) -> None:
    scene = Scene()
    touched = list(scene.board._sockets.records)
    change(scene)
    with pytest.raises(Violation) as raised:
        check_touched(scene.board, touched)
    assert raised.value.sentence == sentence


@pytest.mark.parametrize(("change", "sentence"), EVERYWHERE)
def test_a_fact_that_does_not_hold_anywhere_is_seen(change: Change, sentence: str) -> None:
    scene = Scene()
    change(scene)
    with pytest.raises(Violation) as raised:
        check(scene.board)
    assert raised.value.sentence == sentence


def says(data: bytes) -> Callable[[Board], SocketState]:
    """A socket that has said this."""

    def come(board: Board) -> SocketState:
        socket = board.open()
        board.feed(socket, data)
        return board.board._sockets.records[socket]

    return come


def frames(data: bytes, *, closing: bool = False) -> Callable[[Board], SocketState]:
    """A WebSocket that has said this, and may be closed by us."""

    def come(board: Board) -> SocketState:
        browser = Browser(board)
        board.feed(browser.socket, data)
        line = board.board._sockets.records[browser.socket]
        if closing:
            line.codec.close(1000, board.now)
            line.codec.output.clear()
            board.board._sockets.schedule(line)
        return line

    return come


def ended_pipe(board: Board) -> SocketState:
    """A pipe whose input has ended while a call runs."""
    pipe = board.open(PIPE)
    board.feed(pipe, call("later") + b"\n")
    board.board.received_eof(pipe, board.now)
    board.run()
    return board.board._sockets.records[pipe]


def ends_input(board: Board) -> SocketState:
    line = says(post(call("later")))(board)
    board.board.received_eof(line.socket, 0.0)
    board.run()
    return line


WAITING = {
    "nothing": says(b""),
    "half a head": says(b"POST"),
    "half a body": says(post(call("add"))[:-2]),
    "an ended input": ends_input,
    "after an answer": says(post(call("add", b"[1,2]"))),
    "lingering": says(b"rubbish\r\n\r\n"),
    "half a frame": frames(b"\x81"),
    "closing": frames(b"", closing=True),
    "failed": frames(b"\xff\xff"),
    "an ended pipe": ended_pipe,
}
DEADLINES = ("_deadline", "_message_due", "_end_due", "_ends_at")


@pytest.mark.parametrize("come", WAITING.values(), ids=WAITING)
def test_a_codec_that_waits_for_its_peer_without_a_deadline_is_seen(come: Callable[[Board], SocketState]) -> None:
    board = Board(CONFIG)
    line = come(board)
    check_touched(board.board, [line.socket])
    for name in DEADLINES:
        if hasattr(line.codec, name):
            setattr(line.codec, name, None)
    with pytest.raises(Violation, match="time: a codec that waits for its peer has a deadline"):
        check_touched(board.board, [line.socket])


def test_a_codec_that_does_not_wait_for_its_peer_needs_no_deadline() -> None:
    board = Board(CONFIG)
    lines = [says(post(call("later")))(board), frames(b"")(board)]
    assert [line.codec.next_timeout() for line in lines] == [None, None]
    check_touched(board.board, [line.socket for line in lines])


def test_an_overdue_deadline_is_seen() -> None:
    scene = Scene()
    due = scene.board.gateway.next_timeout()
    assert due is not None
    time(scene.board, due)
    with pytest.raises(Violation, match="time: a deadline has passed"):
        time(scene.board, due + 0.001)
    gateway(scene)._shared.timers._heap.clear()
    with pytest.raises(Violation, match="time: a call outlived its deadline"):
        time(scene.board, 1e9)


def test_a_client_that_ended_its_input_is_waited_for_so_long_and_no_longer() -> None:
    board, ends = Board(Config(half_close_timeout=3.0)), EndsOfInput()
    socket = board.open()
    board.feed(socket, post(call("later")))
    ends.ended(socket, 1.1)
    ends.check(board.board, 4.0)
    with pytest.raises(Violation, match="time: a client that ended its input is waited for too long"):
        ends.check(board.board, 4.1)
    closed = ConnectionClosed(ConnectionId(1), "a", "http", HERE, None, None, 1.0, 1, 4.0, CLIENT_GONE)
    with pytest.raises(Violation, match="time: a client is taken for gone before half_close_timeout"):
        ends.see(closed, board.board)
    ends.see(structs.replace(closed, now=4.1), board.board)
    ends.see(structs.replace(closed, reason="another"), board.board)
    ends.closed(socket)
    ends.check(board.board, 9.0)
    board.drop(socket)
    ends.ended(socket, 1.1)
    ends.check(board.board, 9.0)


def ended(call: int | None) -> Emit:
    """The end of a call of connection 1, or of a request that is none."""
    id = None if call is None else CallId(call)
    return Emit(
        CallEnded(id, ConnectionId(1), "a", "http", Address(), None, "echo", "result", None, 0.0, None, now=0.0)
    )


def test_an_end_that_is_told_twice_or_of_no_connection_is_seen() -> None:
    witness = Witness()
    witness.see(Emit(ConnectionOpened(ConnectionId(1), "a", "http", Address(), None, 0.0)))
    for number in (1, 2, None, None):
        witness.see(ended(number))
    with pytest.raises(Violation, match="calls: the end of a call is told twice"):
        witness.see(ended(2))
    witness = Witness()
    witness.see(ended(1))
    with pytest.raises(Violation, match="order: a closed connection has a request"):
        witness.see(ended(None))


def test_exchanges_that_are_not_told_are_not_missed() -> None:
    witness = Witness(exchanges_told=False)
    witness.see(ended(None))
    witness.see(Emit(ConnectionClosed(ConnectionId(1), "a", "http", Address(), None, 4100, 1.0, 1, 1.0, "limit")))
    with pytest.raises(Violation, match="order: a connection closes that is not open"):
        witness.see(Emit(ConnectionClosed(ConnectionId(1), "a", "websocket", Address(), None, 1000, 1.0, 1, 1.0)))


def test_an_open_socket_at_rest_is_seen() -> None:
    board = Board(CONFIG).board
    check_at_rest(board)
    socket = board.opened(PIPE, 0.0)
    assert socket is not None
    with pytest.raises(Violation, match="rest: no socket is left"):
        check_at_rest(board)


def test_a_peers_time_that_depends_on_where_its_bytes_are_cut_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    data = post(b"1") + b"\r\n"
    chunking(CONFIG, Policy(), Address(), data, [len(data) - 1])
    monkeypatch.setattr(RequestReader, "begun", property(lambda reader: bool(reader.buffer)))
    with pytest.raises(Violation, match="chunking: bytes mean the same however they are cut"):
        chunking(CONFIG, Policy(), Address(), data, [len(data) - 1])


def test_a_websocket_that_failed_may_stop_discarding_at_any_byte() -> None:
    unmasked = b"\x81\x01x"
    data = UPGRADE + unmasked + bytes(70_000)
    failed = len(UPGRADE) + len(unmasked)
    chunking(CONFIG, Policy(), Address(), data, [failed])
    chunking(CONFIG, Policy(), Address(), data, [failed, failed + 40_000])


def test_a_websocket_that_answers_what_it_should_discard_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    data = UPGRADE + b"\x81\x01x" + bytes(100)

    def answers(codec: WebSocket, data: bytes, now: float) -> None:
        receive_data(codec, data, now)
        codec.output.append(Send(b"!"))

    receive_data = WebSocket.receive_data
    monkeypatch.setattr(WebSocket, "receive_data", answers)
    with pytest.raises(Violation, match="chunking: bytes mean the same however they are cut"):
        chunking(CONFIG, Policy(), Address(), data, [len(data) - 1])


def test_a_call_in_the_table_that_all_silent_connections_share_is_seen() -> None:
    scene = Scene()
    NOTHING[b"1"] = 1
    try:
        with pytest.raises(Violation, match="calls: the table that connections without calls share is empty"):
            check(scene.board)
    finally:
        NOTHING.clear()
