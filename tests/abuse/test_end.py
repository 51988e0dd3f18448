"""Peers that go at any moment, and a server that goes itself: told, cleaned up, and nothing that was promised lost."""

from __future__ import annotations

import gc
import io
import logging
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from posthouse.adapters.command.logs import JsonFormatter, TextFormatter
from posthouse.adapters.invariants import Witness
from posthouse.adapters.report import WARNING, logger, report
from posthouse.core import Config, Drained
from posthouse.core.values.peers import Address, SocketId

from tests.transports.board import HERE, PIPE, Board, Browser, call, post

from .attacker import UPGRADE, Attacker, close_codes, content, frame, status

# What is logged


@pytest.fixture(params=["text", "json"])
def logged(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What our log says, as people and as machines read it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter(stream) if request.param == "text" else JsonFormatter())
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    "evil", ["\x1b[31mred", "a\r\nWARNING forged", "\x00", "\u202ereversed", "\x9b1m", "\u2028line"]
)
def test_row_35_what_could_forge_a_line_or_speak_to_a_terminal_is_logged_escaped(
    evil: str, logged: io.StringIO
) -> None:
    report(WARNING, "abuse.tried", "somebody tried", value=evil)
    said = logged.getvalue()
    assert said.count("\n") == 1
    assert said.rstrip("\n").isprintable()
    assert "somebody tried" in said


def test_row_35_a_value_is_logged_with_at_most_256_characters(logged: io.StringIO) -> None:
    report(WARNING, "abuse.tried", "somebody tried", value="y" * 100_000, other="\x1b" * 100_000)
    assert logged.getvalue().count("y" * 255) >= 1
    assert "y" * 257 not in logged.getvalue()
    assert len(logged.getvalue()) < 3_000


# Who goes at any moment


def nothing(board: Board, socket: SocketId) -> None: ...


def half_a_head(board: Board, socket: SocketId) -> None:
    board.feed(socket, b"POST /rpc HT")


def a_bad_head(board: Board, socket: SocketId) -> None:
    board.feed(socket, b"\x16\x03\x01")


def half_a_body(board: Board, socket: SocketId) -> None:
    board.feed(socket, post(call("add", b"[1,2]"))[:-3])


def an_answer(board: Board, socket: SocketId) -> None:
    board.feed(socket, post(call("add", b"[1,2]")))


def a_call_that_waits(board: Board, socket: SocketId) -> None:
    board.feed(socket, post(call("later")) + post(call("later")))


def an_answer_that_is_not_taken(board: Board, socket: SocketId) -> None:
    board.stuck[socket] = 0
    board.feed(socket, post(call("blob", b"[100000]")))


def a_websocket(board: Board, socket: SocketId) -> None:
    board.feed(socket, UPGRADE % b"")


def half_a_message(board: Board, socket: SocketId) -> None:
    board.feed(socket, UPGRADE % b"" + frame(b'{"json', 0x01) + frame(b"rpc")[:3])


def calls_in_a_batch(board: Board, socket: SocketId) -> None:
    board.feed(socket, UPGRADE % b"" + frame(b"[%b,%b]" % (call("later"), call("add", b"[1,2]", b"2"))))


def a_call_to_finish(board: Board, socket: SocketId) -> None:
    board.feed(socket, UPGRADE % b"" + frame(call("finish")))


def a_question_from_us(board: Board, socket: SocketId) -> None:
    board.feed(socket, UPGRADE % b"" + frame(call("later")))
    board.board.request(board.waiting[-1].caller.connection, "ask", {}, board.now, timeout=60.0)
    board.run()


def pushes_that_are_not_taken(board: Board, socket: SocketId) -> None:
    board.feed(socket, UPGRADE % b"")
    board.stuck[socket] = 0
    for _ in range(3):
        board.board.broadcast("news", ["x" * 100], board.now)
        board.run()


def a_breach(board: Board, socket: SocketId) -> None:
    board.feed(socket, UPGRADE % b"" + b"\xff\xff")


def a_close(board: Board, socket: SocketId) -> None:
    board.feed(socket, UPGRADE % b"" + frame(b"\x03\xe8", 0x88))


def a_line(board: Board, socket: SocketId) -> None:
    board.feed(socket, call("later") + b"\n" + call("add")[:9])


STATES: tuple[tuple[Address, Callable[[Board, SocketId], None]], ...] = (
    *((HERE, state) for state in (nothing, half_a_head, a_bad_head, half_a_body, an_answer, a_call_that_waits)),
    *((HERE, state) for state in (an_answer_that_is_not_taken, a_websocket, half_a_message, calls_in_a_batch)),
    *((HERE, state) for state in (a_call_to_finish, a_question_from_us, pushes_that_are_not_taken, a_breach, a_close)),
    *((PIPE, state) for state in (nothing, a_line)),
)


def half_close(board: Board, socket: SocketId) -> None:
    """The end of input, and after some time the end."""
    board.board.received_eof(socket, board.now)
    board.run()
    if socket in board.stuck:
        board.release(socket)


def reset(board: Board, socket: SocketId) -> None:
    """The end at once."""


def visit(board: Board, leave: Callable[[Board, SocketId], None]) -> None:
    """One of each state comes, goes, and its handlers end some time later."""
    for address, state in STATES:
        socket = board.open(address)
        state(board, socket)
        leave(board, socket)
        board.drop(socket)
        board.stuck.pop(socket, None)
        board.closed.pop(socket, None)
    for invoke in board.waiting:
        board.board.complete(invoke.call, None, board.now)
        board.run()
    for kept in (board.waiting, board.actions, board.half_closed, board.stopped):
        kept.clear()
    board.witness.at_rest()
    board.witness = Witness()
    board.board.next_timeout()  # as whoever waits asks after every turn


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(half_close, id="row 47"),
        pytest.param(reset, id="row 48"),
    ],
)
def test_rows_47_and_48_an_end_in_every_state_ten_thousand_times_leaves_nothing_behind(
    leave: Callable[[Board, SocketId], None],
) -> None:
    board = Board(Config(max_connections=2))
    for _ in range(20):
        visit(board, leave)
    gc.collect()
    tracemalloc.start(1)
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(10_000 // len(STATES) // 10):
            visit(board, leave)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 32 * 1024
    finally:
        tracemalloc.stop()
    for _ in range(10_000 // len(STATES)):
        visit(board, leave)
    health = board.board.health(board.now)
    assert (health.connections, health.sockets, health.calls, health.waiting, health.memory) == (0, 0, 0, 0, 0)
    assert board.board.next_timeout() is None
    assert board.board.stats()["connections.opened"] == board.board.stats()["connections.closed"]


# When the server goes


def test_row_57_a_drain_with_5000_clients_tells_each_spreads_their_ends_and_loses_no_answer() -> None:
    board = Board(Config(heartbeat_interval=None, drain_spread=5.0, drain_grace=10.0))
    clients = [Attacker(board) for _ in range(5_000)]
    for client in clients[::10]:
        client.tell(call("later"))
    board.board.shut_down(0.0)
    board.run()
    for client in clients:
        (told,) = client.messages()
        assert (told["method"], told["params"]) == ("connection.draining", {"reconnect_after_ms": 5_000})
    gone = 0
    for second in range(1, 6):
        board.pass_time(1.0)
        closing = sum(board.written[client.socket] != b"" for client in clients)
        assert 800 <= closing - gone <= 1_000, second
        gone = closing
    for invoke in board.waiting:
        assert board.board.complete(invoke.call, "kept", board.now)
    board.run()
    for place, client in enumerate(clients):
        frames = client.frames()
        assert close_codes(frames) == [1012]
        assert len(frames) == (2 if place % 10 == 0 else 1)
        assert (b'"kept"' in frames[0][1]) == (place % 10 == 0)
        board.drop(client.socket)
    assert board.actions[-1] == Drained()
    assert board.board.next_timeout() is None


def test_row_57_while_draining_new_calls_are_refused_and_who_comes_is_sent_elsewhere() -> None:
    board = Board(Config(drain_notice=2.0))
    browser, kept = Browser(board), board.open()
    board.board.shut_down(0.0)
    board.run()
    refused = [content(b"\r\n\r\n" + text) for text in browser.send(call("add", b"[1,2]"))]
    assert [text.get("error", {}).get("code") for text in refused] == [None, -32050]
    answer = board.feed(kept, post(call("add", b"[1,2]")))
    assert status(answer) == 503
    assert content(answer)["error"]["code"] == -32050
    assert b"Retry-After: 1\r\n" in answer
    assert b"Connection: close\r\n" in answer
    assert status(board.feed(board.open(), UPGRADE % b"")) == 503
    health = board.feed(board.open(), b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (status(health), content(health)["status"]) == (503, "draining")
    board.pass_time(2.0)
    assert board.board.opened(HERE, board.now) is None


def test_row_57_calls_that_do_not_end_within_the_grace_are_told_so() -> None:
    board = Board(Config(heartbeat_interval=None, drain_grace=10.0, drain_spread=0.0))
    attacker = Attacker(board)
    attacker.tell(call("later"))
    board.board.shut_down(0.0)
    board.run()
    board.pass_time(9.999)
    assert [text["method"] for text in attacker.messages()] == ["connection.draining"]
    board.pass_time(0.001)
    ended, closed = attacker.frames()
    assert b"-32050" in ended[1]
    assert close_codes([closed]) == [1012]
    assert board.cancelled() == [board.waiting[0].call]
