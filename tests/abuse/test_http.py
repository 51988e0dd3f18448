"""Requests that are slow, pipelined, oversized or half-closed: answered in order, in bounded time and memory."""

from __future__ import annotations

import pytest
from posthouse.core import Config

from tests.transports.board import Board, call, post

from .attacker import Held, answers, content, peak, status

KIB = 1024
MIB = 1024 * KIB

HEAD = post(b"").replace(b"Content-Length: 0", b"Content-Length: %d")
CHUNKED = post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")


def test_row_03_a_body_that_drips_is_answered_408_when_it_is_slower_than_its_rate() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, HEAD % 1000)
    for _ in range(19):
        board.pass_time(0.1)
        assert board.feed(socket, b" ") == b""
    board.pass_time(1.999 - board.now)
    assert board.take(socket) == b""
    board.pass_time(2.0 - board.now)
    answer = board.take(socket)
    assert status(answer) == 408
    assert b"Connection: close\r\n" in answer
    assert board.closed == {socket: True}


def test_row_03_a_body_that_is_fast_enough_and_never_ends_is_answered_408_at_thirty_seconds() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, HEAD % (4 * MIB))
    for _ in range(29):
        assert board.feed(socket, b" " * 2 * KIB) == b""
        board.pass_time(1.0)
    assert board.feed(socket, b" " * 4 * KIB) == b""
    board.pass_time(0.999)
    assert board.closed == {}
    board.pass_time(0.001)
    assert status(board.take(socket)) == 408
    assert board.closed == {socket: True}


def test_row_03_three_pipelined_requests_are_answered_in_order_one_at_a_time() -> None:
    board = Held()
    socket = board.open()
    board.feed(socket, b"".join(post(call("later", b"[%d]" % number, b"%d" % number)) for number in range(3)))
    for number in range(3):
        (invoke,) = board.waiting
        board.waiting.clear()
        board.board.complete(invoke.call, number, 0.0)
        board.run()
        answer = board.take(socket)
        assert answers(answer) == 1
        assert content(answer) == {"jsonrpc": "2.0", "result": number, "id": number}
    assert board.closed == {}


def test_row_03_what_is_pipelined_behind_a_request_that_waits_is_held_in_a_bounded_buffer() -> None:
    board = Held()
    socket = board.open()
    board.feed(socket, post(call("later")))
    fed = 0
    while socket not in board.stopped:
        board.feed(socket, b"x" * KIB)
        fed += KIB
        assert fed <= 17 * KIB
    assert fed == 17 * KIB
    assert board.board.health(0.0).calls == 1
    board.board.complete(board.waiting[0].call, None, 0.0)
    board.run()
    first, second = board.take(socket).split(b"HTTP/1.1 ")[1:]
    assert (first[:3], second[:3]) == (b"200", b"431")
    assert board.stopped == []


def test_row_03_after_the_end_of_input_what_was_asked_is_still_answered() -> None:
    board = Held()
    socket = board.open()
    board.feed(socket, post(call("later")) + post(call("add", b"[1,2]", b"2")))
    board.board.received_eof(socket, 0.0)
    board.run()
    for result in ("first", 3):
        board.board.complete(board.waiting.pop().call, result, 0.0)
        board.run()
        assert content(board.take(socket))["result"] == result
    assert board.closed == {socket: True}


def test_row_03_who_ended_the_input_is_waited_for_five_seconds_and_what_it_pipelined_does_not_begin_then() -> None:
    board = Held()
    socket = board.open()
    board.feed(socket, post(call("later")) + post(call("add", b"[1,2]", b"2")))
    board.board.received_eof(socket, 0.0)
    board.run()
    board.pass_time(4.999)
    assert (board.closed, board.cancelled()) == ({}, [])
    board.pass_time(0.001)
    assert (board.closed, board.cancelled()) == ({socket: False}, [1])
    board.drop(socket)
    board.board.complete(board.waiting[0].call, None, board.now)
    board.run()
    health = board.board.health(board.now)
    assert (health.sockets, health.connections, health.calls, health.memory) == (0, 0, 0, 0)
    assert board.board.stats()["calls.made"] == 1


@pytest.mark.parametrize("said", [b"", b"POST /rp", HEAD % 10 + b"[1,", CHUNKED, CHUNKED + b"3\r\n[1,"])
def test_row_03_the_end_of_input_within_a_request_ends_it_without_an_answer(said: bytes) -> None:
    board = Board()
    socket = board.open()
    if said:
        board.feed(socket, said)
    board.board.received_eof(socket, 0.0)
    board.run()
    assert board.take(socket) == b""
    assert board.closed == {socket: True}


@pytest.mark.parametrize(("size", "expected"), [(4 * MIB - 1, 400), (4 * MIB, 400), (4 * MIB + 1, 413)])
def test_row_03_a_body_may_have_four_mib_and_what_is_announced_as_more_is_refused_unread(
    size: int, expected: int
) -> None:
    board = Board()
    socket = board.open()
    answer = board.feed(socket, HEAD % size)
    while not answer:
        answer = board.feed(socket, b"x" * min(64 * KIB, size))
        size -= 64 * KIB
    assert status(answer) == expected
    assert content(answer)["error"]["code"] == (-32700 if expected == 400 else -32007)
    assert (socket in board.half_closed) == (expected == 413)


@pytest.mark.parametrize("size", [1024, 64 * KIB])
@pytest.mark.parametrize(("over", "expected"), [(-1, 400), (0, 400), (1, 413)])
def test_row_03_a_chunked_body_may_have_four_mib_and_what_is_more_is_refused_as_it_comes(
    size: int, over: int, expected: int
) -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, CHUNKED)
    piece = b"%x\r\n%b\r\n" % (size, b"x" * size)
    for _ in range(4 * MIB // size - 1):
        assert board.feed(socket, piece) == b""
    size += over
    answer = board.feed(socket, b"%x\r\n%b\r\n" % (size, b"x" * size))
    if expected == 400:
        assert answer == b""
        answer = board.feed(socket, b"0\r\n\r\n")
    assert status(answer) == expected
    assert content(answer)["error"]["code"] == (-32700 if expected == 400 else -32007)
    assert (socket in board.half_closed) == (expected == 413)


def test_row_03_a_chunked_body_that_drips_is_refused_as_any_other() -> None:
    board = Board()
    silent, slow, endless = (board.open() for _ in range(3))
    for socket in (silent, slow, endless):
        board.feed(socket, CHUNKED + b"3000000\r\n[")
    for _ in range(29):
        board.pass_time(1.0)
        if slow not in board.half_closed:
            board.feed(slow, b" " * 512)
        board.feed(endless, b" " * 2 * KIB)
    assert (board.half_closed, status(board.take(silent)), status(board.take(slow))) == ([silent, slow], 408, 408)
    board.pass_time(0.999)
    assert board.take(endless) == b""
    board.pass_time(0.001)
    assert status(board.take(endless)) == 408


def test_row_03_a_chunked_body_at_its_limit_costs_at_most_twice_its_bytes_and_one_read() -> None:
    config = Config()
    board = Board(config)
    socket = board.open()
    board.feed(socket, CHUNKED)
    piece = b"400\r\n%b\r\n" % (b'"yyyyyyy' * 128)

    def drip() -> None:
        for _ in range(config.max_body_bytes // 1024):
            board.board.received(socket, piece, 0.0)
        board.board.received(socket, b"0\r\n\r\n", 0.0)
        board.run()

    assert peak(drip) <= 2 * config.max_body_bytes + config.read_bytes
    assert status(board.take(socket)) == 400


@pytest.mark.parametrize(
    "waste",
    [b"1\r\nx\r\n" * 1_100, b"9;" + b"e" * 5_000, b"0\r\n" + b"A: b\r\n" * 1_000, b"9\r\nyyyyyyyyy\r\n" * 4_097],
    ids=["tiny chunks", "an extension", "trailers", "many chunks"],
)
def test_row_03_what_a_chunked_body_has_beside_its_bytes_is_bounded(waste: bytes) -> None:
    for size in (len(waste), 100, 1):
        board = Board()
        socket = board.open()
        board.feed(socket, CHUNKED)
        answer = b""
        for at in range(0, len(waste), size):
            answer = answer or board.feed(socket, waste[at : at + size])
        assert status(answer) == 400
        assert board.half_closed == [socket]
        assert board.board.health(0.0).memory == 0


def test_row_03_a_body_at_its_limit_costs_at_most_twice_its_bytes_and_one_read() -> None:
    config = Config()
    board = Board(config)
    socket = board.open()
    board.feed(socket, HEAD % config.max_body_bytes)

    def drip() -> None:
        for _ in range(config.max_body_bytes // 1024):
            board.board.received(socket, b'"yyyyyyy' * 128, 0.0)
        board.run()

    assert peak(drip) <= 2 * config.max_body_bytes + config.read_bytes
    assert status(board.take(socket)) == 400
