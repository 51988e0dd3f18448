"""Peers that do not take what they are sent, memory that runs out, clocks that jump: nobody else notices."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.json import decode
from posthouse.core import Config, ConnectionClosed
from posthouse.core.values.peers import SocketId
from posthouse.transports.websocket.frames import CONTINUATION, FIN, TEXT

from tests.transports.board import Board, Browser, call, post

from .attacker import UPGRADE, Attacker, close_codes, content, frame, peak, status

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
KIB = 1024
MIB = 1024 * KIB


class Reset(Board):
    """A board on which a socket that is closed at once is reported closed, as an adapter does."""

    def reap(self) -> list[SocketId]:
        """Report all that were closed without flush."""
        gone = [socket for socket, flush in self.closed.items() if not flush and socket in self.written]
        for socket in gone:
            self.drop(socket)
        return gone


def deaf(board: Board) -> Attacker:
    """A subscriber whose socket is full."""
    attacker = Attacker(board)
    board.stuck[attacker.socket] = 0
    board.board.broadcast("news", ["first"], board.now)
    board.run()
    return attacker


def codes(board: Board) -> list[int | None]:
    """With which codes connections were closed, so far."""
    return [event.code for event in board.events() if isinstance(event, ConnectionClosed)]


# Who reads nothing


def test_row_08_who_reads_nothing_is_closed_with_4100_and_a_thousand_others_hear_everything() -> None:
    board = Reset(Config(heartbeat_interval=None))
    others = [Attacker(board) for _ in range(1_000)]
    headers = board.board.health(0.0).memory
    slow = deaf(board)
    for number in range(1_024):
        board.board.broadcast("news", [number], 0.0)
    board.run()
    assert board.stopped == [slow.socket]
    board.board.broadcast("news", ["last"], 0.0)
    board.run()
    board.pass_time(5.0)
    assert board.reap() == [slow.socket]
    assert codes(board) == [4100]
    for other in (others[0], others[-1]):
        assert [heard["params"] for heard in other.messages()] == [["first"], *([n] for n in range(1_024)), ["last"]]
    assert board.board.health(5.0).connections == 1_000
    assert board.board.health(5.0).memory == headers


@pytest.mark.parametrize("size", [100, 10 * KIB, 400 * KIB])
def test_row_08_what_is_kept_for_who_reads_nothing_is_bounded(size: int) -> None:
    config = Config(heartbeat_interval=None)
    board = Reset(config)
    slow = deaf(board)
    news = ["x" * size]
    while "limit.max_queued_pushes_bytes" not in board.board.stats():
        if "limit.max_queued_pushes" in board.board.stats():
            break
        board.board.broadcast("news", news, 0.0)
        assert board.board.health(0.0).memory <= config.max_queued_pushes_bytes + config.write_ahead
        board.run()
    board.pass_time(5.0)
    assert board.reap() == [slow.socket]
    assert codes(board) == [4100]


def test_row_08_replies_that_are_not_taken_stop_the_questions_and_are_bounded() -> None:
    board = Reset(Config(heartbeat_interval=None))
    slow = Attacker(board)
    board.stuck[slow.socket] = 0
    question = frame(call("blob", b"[1000]"))

    def ask() -> None:
        for _ in range(10_000):
            if slow.socket in board.stopped:
                break
            board.board.received(slow.socket, question, 0.0)
            board.run()

    assert peak(ask) < MIB
    assert board.stopped == [slow.socket]
    assert board.board.stats()["calls.made"] == 1


def test_row_08_pushes_that_grow_old_end_with_4100() -> None:
    board = Reset(Config(heartbeat_interval=None, write_timeout=100.0))
    slow = deaf(board)
    board.board.broadcast("news", [1], board.now)
    board.pass_time(10.0)
    board.board.broadcast("news", [2], board.now)
    board.run()
    assert "limit.max_push_age" not in board.board.stats()
    board.pass_time(0.001)
    board.board.broadcast("news", [3], board.now)
    board.run()
    board.pass_time(5.0)
    assert board.reap() == [slow.socket]
    assert codes(board) == [4100]


def test_row_08_a_socket_that_takes_nothing_for_ten_seconds_is_closed_and_one_that_takes_a_byte_is_not() -> None:
    board = Reset(Config(heartbeat_interval=None, close_timeout=1.0))
    dead, slow = deaf(board), deaf(board)
    for _ in range(3):
        board.pass_time(4.0)
        if slow.socket in board.stuck:
            board.release(slow.socket, 1)
    assert "limit.write_timeout" in board.board.stats()
    board.pass_time(1.0)
    assert board.reap() == [dead.socket]
    board.release(slow.socket)
    assert slow.messages()[0]["params"] == ["first"]


def test_row_08_an_http_client_that_does_not_take_its_answer_is_closed_after_ten_seconds() -> None:
    board = Reset()
    socket = board.open()
    board.stuck[socket] = 0
    board.feed(socket, post(call("blob", b"[200000]")))
    board.pass_time(9.999)
    assert board.closed == {}
    board.pass_time(0.001)
    assert board.closed == {socket: False}


# Memory


def hoard(board: Board, size: int) -> Attacker:
    """A message of which all came but the end: so much is held for it."""
    attacker = Attacker(board)
    attacker.say(b'"' + b"x" * (size - 1), TEXT)
    return attacker


TIGHT = Config(memory_budget=256 * KIB, read_bytes=KIB, heartbeat_interval=None)


def test_row_59_when_memory_is_above_its_budget_who_comes_is_refused() -> None:
    board = Board(TIGHT)
    kept, waiting = board.open(), board.open()
    board.feed(waiting, HEALTH[:9])
    hoard(board, 300 * KIB)
    assert content(board.feed(kept, HEALTH))["status"] == "degraded"
    assert status(board.feed(waiting, HEALTH[9:])) == 200
    assert status(board.feed(board.open(), UPGRADE % b"")) == 503
    refused = board.feed(board.open(), post(call("add", b"[1,2]")))
    assert status(refused) == 503
    assert b"Retry-After: 1\r\n" in refused
    assert content(refused)["error"]["code"] == -32009


def test_row_59_then_the_idlest_are_closed_with_1013_one_by_one_until_it_fits() -> None:
    board = Board(TIGHT)
    idle, busy, fresh = Attacker(board), Attacker(board), Attacker(board)
    hoarding = hoard(board, 200 * KIB)
    for second in (busy, fresh):
        board.pass_time(1.0)
        second.say(call("add", b"[1,2]"))
    board.pass_time(1.0)
    hoarding.say(b"x" * 60 * KIB, CONTINUATION)
    assert [close_codes(one.frames()) for one in (idle, busy, fresh)] == [[1013], [], []]
    hoarding.say(b"x" * 4 * KIB, CONTINUATION)
    assert [close_codes(one.frames()) for one in (busy, fresh)] == [[1013], []]
    assert board.board.stats()["limit.memory_budget"] == 2
    hoarding.say(b'"', FIN | CONTINUATION)
    board.pass_time(2.0)
    assert fresh.say(call("add", b"[1,2]"))
    assert board.board.stats()["limit.memory_budget"] == 2


def test_row_59_bodies_for_which_there_is_no_memory_are_refused_and_nobody_has_to_go_for_them() -> None:
    board = Board(TIGHT)
    clients = [Attacker(board) for _ in range(10)]
    request = post(b"x" * 100 * KIB)
    for _ in range(50):
        socket = board.open()
        for at in range(0, 90 * KIB, 16 * KIB):
            board.feed(socket, request[at : at + 16 * KIB])
            assert board.board.health(0.0).memory <= TIGHT.memory_budget
    assert board.board.stats()["http.refused.503"] == 48
    for client in clients:
        assert client.say(call("add", b"[1,2]"))


# Time


def heard(board: Board, browsers: list[Browser]) -> None:
    """Carry what waits on every wire."""
    for browser in browsers:
        browser.exchange()


def test_row_49_a_process_that_was_suspended_asks_again_and_closes_nobody_who_is_there() -> None:
    board = Board()
    browsers = [Browser(board) for _ in range(100)]
    board.pass_time(20.0)
    board.now += 3_600.0
    board.board.handle_timeout(board.now)
    board.run()
    assert board.closed == {}
    heard(board, browsers)
    board.pass_time(9.999)
    heard(board, browsers)
    assert board.closed == {}
    assert board.board.health(board.now).connections == 100
    assert "limit.heartbeat_timeout" not in board.board.stats()


def test_row_49_a_process_that_was_suspended_while_it_waited_for_pongs_waits_once_more() -> None:
    board = Board(Config(heartbeat_interval=10.0, heartbeat_timeout=10.0))
    there, gone = Browser(board), Attacker(board)
    board.pass_time(13.0)
    board.now += 600.0
    board.board.handle_timeout(board.now)
    board.run()
    assert "limit.heartbeat_timeout" not in board.board.stats()
    there.exchange()
    board.pass_time(9.999)
    assert "limit.heartbeat_timeout" not in board.board.stats()
    board.pass_time(0.001)
    assert board.board.stats()["limit.heartbeat_timeout"] == 1
    assert close_codes(gone.frames()) == [4101]
    assert there.send(call("add", b"[1,2]"))


def test_row_49_what_was_sent_while_the_process_was_suspended_is_read_before_its_deadline_counts() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, b"GET /health HTTP/1.1\r\n")
    attacker = Attacker(board)
    attacker.say(b'{"jsonrpc":"2.0",', 0x01)
    board.now += 3_600.0
    assert status(board.feed(socket, b"Host: localhost\r\n\r\n")) == 200
    ending = b'"method":"add","params":[1,2],"id":1}'
    assert [decode(text)["result"] for first, text in attacker.say(ending, 0x80) if first == 0x81] == [3]
    board.board.handle_timeout(board.now)
    board.run()
    assert board.closed == {}


JUMPS = (1_700_086_400.0, 1_600_000_000.0, 0.0, 4_000_000_000.0)


def test_row_49_when_the_wall_clock_jumps_nothing_changes_but_timestamps() -> None:
    board = Board()
    browser, silent = Browser(board), board.open()
    browser.send(call("later"))
    due = board.board.next_timeout()
    for jump in JUMPS:
        board.board.set_wall(jump, board.now)
        assert board.board.next_timeout() == due
        (answer,) = browser.send(call("connection.ping", id=b"2"))
        assert decode(answer)["result"]["timestamp"] == jump
    board.pass_time(4.999)
    assert board.closed == {}
    board.pass_time(0.001)
    assert board.closed == {silent: True}
    board.pass_time(24.999)
    assert browser.texts() == []
    board.pass_time(0.001)
    assert [decode(text)["error"]["code"] for text in browser.texts()] == [-32030]


@pytest.mark.parametrize("late", [lambda now: now - 1.0, lambda now: now, lambda now: now + 0.5])
def test_row_49_deadlines_that_are_looked_at_too_early_or_too_often_do_no_harm(late: Callable[[float], float]) -> None:
    board = Board()
    browser = Browser(board)
    for second in range(1, 20):
        board.pass_time(1.0)
        for _ in range(3):
            board.board.handle_timeout(late(float(second)))
            board.run()
    assert board.closed == {}
    assert browser.send(call("add", b"[1,2]"))
