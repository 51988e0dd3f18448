"""Who never gets so far as to ask: slow, silent, malformed, from elsewhere, or too many."""

from __future__ import annotations

import pytest
from posthouse.core import Address, Config, Identity

from tests.transports.board import HERE, Board, call, post

from .attacker import UPGRADE, Attacker, answers, content, cuts, feed_all, status

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
DRIPS = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: yes"[:49]
SMUGGLED = post(call("add", b"[40,2]"))
"""What stands behind a request that could be read in two ways: it must never be answered."""


# Slow and silent


def test_row_01_a_head_that_drips_is_answered_408_at_five_seconds_and_a_good_client_beside_500_is_unaffected() -> None:
    board = Board()
    dripping = [board.open() for _ in range(500)]
    good = board.open()
    for byte in range(len(DRIPS)):
        board.pass_time(0.1)
        for socket in dripping:
            assert (
                board.feed(socket, HEALTH[byte % 20 : byte % 20 + 1].replace(b"\n", b"x").replace(b"\r", b"x")) == b""
            )
        assert status(board.feed(good, post(call("add", b"[1,2]")))) == 200
    board.pass_time(0.099)
    assert board.now == pytest.approx(4.999)
    assert board.closed == {}
    board.pass_time(5.0 - board.now)
    for socket in dripping:
        answer = board.take(socket)
        assert status(answer) == 408
        assert b"Connection: close\r\n" in answer
    assert board.closed == dict.fromkeys(dripping, True)
    assert status(board.feed(good, post(call("add", b"[1,2]")))) == 200


def test_row_02_who_says_nothing_is_closed_at_five_seconds_without_a_byte() -> None:
    board = Board()
    silent = board.open()
    board.pass_time(4.999)
    assert board.closed == {}
    board.pass_time(0.001)
    assert board.closed == {silent: True}
    assert board.take(silent) == b""


def test_row_02_a_blank_line_is_nothing_said() -> None:
    board = Board()
    silent = board.open()
    assert board.feed(silent, b"\r\n") == b""
    board.pass_time(5.0)
    assert board.closed == {silent: True}
    assert board.take(silent) == b""


# Too much


def padded(size: int) -> bytes:
    """A head of exactly so many bytes."""
    head = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: %b\r\n\r\n"
    return head % (b"x" * (size - len(head % b"")))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (padded(16 * 1024 - 1), 200),
        (padded(16 * 1024), 200),
        (padded(16 * 1024 + 1), 431),
        (padded(20 * 1024), 431),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 99 + b"\r\n", 200),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 100 + b"\r\n", 431),
        (b"GET /health?" + b"q" * 4089 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET /health?" + b"q" * 4088 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        (b"GET /" + b"q" * 20_000, 414),
    ],
    ids=lambda value: value if isinstance(value, int) else len(value),
)
def test_row_05_a_head_is_too_large_by_its_bytes_its_headers_or_its_target_however_it_comes(
    head: bytes, expected: int
) -> None:
    for pieces in cuts(head, 2):
        board = Board()
        socket = board.open()
        answer = feed_all(board, socket, pieces)
        assert status(answer) == expected
        assert answers(answer) == 1
        assert (socket in board.half_closed) == (expected != 200)


# In two ways


def request(line: bytes = b"POST /rpc HTTP/1.1", *headers: bytes, host: bytes = b"Host: localhost") -> bytes:
    """A head made of lines, which may be wrong, with a body of two bytes."""
    lines = [line, *([host] if host else []), b"Content-Type: application/json", *headers]
    return b"\r\n".join([*lines, b"", b"[]"])


LENGTH = b"Content-Length: 2"
CHUNKED = b"Transfer-Encoding: chunked"

AMBIGUOUS = {
    "CL with TE": (request(b"POST /rpc HTTP/1.1", LENGTH, CHUNKED), 400),
    "TE with CL": (request(b"POST /rpc HTTP/1.1", CHUNKED, LENGTH), 400),
    "two lengths": (request(b"POST /rpc HTTP/1.1", LENGTH, b"Content-Length: 3"), 400),
    "equal lengths": (request(b"POST /rpc HTTP/1.1", LENGTH, LENGTH), 400),
    "list of lengths": (request(b"POST /rpc HTTP/1.1", b"Content-Length: 2, 2"), 400),
    "signed length": (request(b"POST /rpc HTTP/1.1", b"Content-Length: +2"), 400),
    "hexadecimal length": (request(b"POST /rpc HTTP/1.1", b"Content-Length: 0x2"), 400),
    "length in bare LF": (request(b"POST /rpc HTTP/1.1", b"X: y\nContent-Length: 2"), 400),
    "bare LF": (request(b"POST /rpc HTTP/1.1", LENGTH).replace(b"\r\n", b"\n"), 400),
    "bare CR": (request(b"POST /rpc HTTP/1.1", b"X: y\rContent-Length: 9", LENGTH), 400),
    "obs-fold": (request(b"POST /rpc HTTP/1.1", b"X: y\r\n Content-Length: 9", LENGTH), 400),
    "folded with a tab": (request(b"POST /rpc HTTP/1.1", b"X: y\r\n\tz", LENGTH), 400),
    "NUL": (request(b"POST /rpc HTTP/1.1", b"X: \x00", LENGTH), 400),
    "control byte": (request(b"POST /rpc HTTP/1.1", b"X: \x0b", LENGTH), 400),
    "space before colon": (request(b"POST /rpc HTTP/1.1", b"Content-Length : 2"), 400),
    "space before the first header": (request(b"POST /rpc HTTP/1.1", host=b" Host: localhost"), 400),
    "no name": (request(b"POST /rpc HTTP/1.1", b": 2", LENGTH), 400),
    "no colon": (request(b"POST /rpc HTTP/1.1", b"X", LENGTH), 400),
    "TE on 1.0": (request(b"POST /rpc HTTP/1.0", CHUNKED), 400),
    "several TE": (request(b"POST /rpc HTTP/1.1", b"Transfer-Encoding: gzip, chunked"), 501),
    "chunked twice": (request(b"POST /rpc HTTP/1.1", b"Transfer-Encoding: chunked, chunked"), 501),
    "two TE": (request(b"POST /rpc HTTP/1.1", CHUNKED, CHUNKED), 501),
    "unknown TE": (request(b"POST /rpc HTTP/1.1", b"Transfer-Encoding: xchunked"), 501),
    "no length": (request(b"POST /rpc HTTP/1.1"), 411),
    "PRI": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/0.9": (b"GET /health\r\n\r\n", 400),
    "HTTP/0.9 in words": (request(b"GET /health HTTP/0.9"), 505),
    "HTTP/1.2": (request(b"GET /health HTTP/1.2"), 505),
    "HTTP/9.9": (request(b"GET /health HTTP/9.9"), 505),
    "lower case": (request(b"GET /health http/1.1"), 400),
    "two spaces": (request(b"GET  /health HTTP/1.1"), 400),
    "CONNECT": (b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    "CONNECT with a path": (b"CONNECT /rpc HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    "no Host": (request(b"POST /rpc HTTP/1.1", LENGTH, host=b""), 400),
    "two Hosts": (request(b"POST /rpc HTTP/1.1", b"Host: localhost", LENGTH), 400),
    "another Host than the target": (request(b"POST http://127.0.0.1/rpc HTTP/1.1", LENGTH), 400),
    "Host with a path": (request(b"POST /rpc HTTP/1.1", LENGTH, host=b"Host: localhost/rpc"), 400),
    "user in the target": (request(b"POST http://me@localhost/rpc HTTP/1.1", LENGTH), 400),
    "fragment": (request(b"POST /rpc#x HTTP/1.1", LENGTH), 400),
    "upgrade with a body": ((UPGRADE % LENGTH).replace(LENGTH, LENGTH + b"\r\n") + b"[]", 400),
    "GET with a body": (request(b"GET /health HTTP/1.1", LENGTH), 400),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_row_06_what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_parsed(name: str) -> None:
    head, expected = AMBIGUOUS[name]
    for pieces in cuts(head + SMUGGLED):
        board = Board()
        socket = board.open()
        answer = feed_all(board, socket, pieces)
        assert status(answer) == expected
        assert answers(answer) == 1
        assert b"result" not in answer
        assert b"Connection: close\r\n" in answer
        assert board.half_closed == [socket]
        assert board.feed(socket, SMUGGLED) == b""
        assert board.board.stats()["calls.made"] == 0


BAD_CHUNKS = {
    "0x": b"0x2\r\n[]\r\n0\r\n\r\n",
    "sign": b"+2\r\n[]\r\n0\r\n\r\n",
    "bare LF behind the size": b"2\n[]\r\n0\r\n\r\n",
    "bare LF behind the data": b"2\r\n[]\n0\r\n\r\n",
    "more data than announced": b"2\r\n[]]\r\n0\r\n\r\n",
    "a negative size": b"-2\r\n[]\r\n0\r\n\r\n",
    "bare LF at the end": b"2\r\n[]\r\n0\r\n\n",
    "a trailer in bare LF": b"2\r\n[]\r\n0\r\nX: y\n\n",
    "a trailer that is folded": b"2\r\n[]\r\n0\r\nX: y\r\n z\r\n\r\n",
    "bare CR in an extension": b"2;x\ry\r\n[]\r\n0\r\n\r\n",
    "bare CR behind the size": b"2\r\r\n[]\r\n0\r\n\r\n",
    "bare CR in a last extension": b"2\r\n[]\r\n0;x\ry\r\n\r\n",
    "NUL in an extension": b"2;\0\r\n[]\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_row_06_chunks_that_could_be_read_in_two_ways_are_refused(name: str) -> None:
    head = request(b"POST /rpc HTTP/1.1", CHUNKED).removesuffix(b"[]")
    for pieces in cuts(head + BAD_CHUNKS[name] + SMUGGLED):
        board = Board()
        socket = board.open()
        answer = feed_all(board, socket, pieces)
        assert status(answer) in (400, 413)
        assert answers(answer) == 1
        assert b"result" not in answer
        assert board.half_closed == [socket]


def test_row_06_after_a_refusal_64_kib_or_two_seconds_are_discarded_and_then_it_is_closed() -> None:
    for flooding in (True, False):
        board = Board()
        socket = board.open()
        board.feed(socket, b"GET  / HTTP/1.1\r\n\r\n")
        if flooding:
            board.feed(socket, b"x" * (63 * 1024))
            assert board.closed == {}
            board.feed(socket, b"x" * 2048)
        else:
            board.pass_time(1.999)
            assert board.closed == {}
            board.pass_time(0.001)
        assert board.closed == {socket: True}


TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(1, 190)) + b"\r\n\r\n"


@pytest.mark.parametrize(
    "hello", [TLS_HELLO, b"SSH-2.0-OpenSSH_9.6\r\n", b"SSH-2.0-OpenSSH_9.6\n", b"\x00"], ids=range(4)
)
def test_row_07_who_speaks_another_protocol_is_answered_400_closed_and_counted_once(hello: bytes) -> None:
    for pieces in cuts(hello):
        board = Board()
        socket = board.open()
        assert status(feed_all(board, socket, pieces)) == 400
        board.feed(socket, hello)
        assert board.half_closed == [socket]
        assert board.board.stats()["http.refused.400"] == 1


# Too many


def test_row_40_one_address_opens_so_many_and_no_more_and_others_are_let_in() -> None:

    board = Board(Config(max_connections_per_address=3))
    opened = [board.open() for _ in range(3)]
    for _ in range(1_000):
        assert board.board.opened(HERE, board.now) is None
    assert board.board.stats()["limit.max_connections_per_address"] == 1_000
    assert board.board.health(0.0).sockets == 3
    board.open(Address("127.0.0.2", 1))
    assert status(board.feed(opened[0], HEALTH)) == 200
    board.drop(opened[1])
    board.open()


def test_row_40_one_address_opens_so_often_and_no_oftener() -> None:
    board = Board(Config(accept_rate_per_address=2.0))
    opened = [board.board.opened(HERE, 0.0) for _ in range(4)]
    assert [socket is None for socket in opened] == [False, False, True, True]
    assert board.board.opened(HERE, 0.499) is None
    assert board.board.opened(HERE, 0.501) is not None


def test_row_40_one_user_opens_so_many_and_no_more_and_is_told_429() -> None:
    board = Board(Config(max_connections_per_user=2), identity=Identity("eve"))
    first, _ = Attacker(board), Attacker(board)
    for opening in (UPGRADE % b"", SMUGGLED):
        refused = board.feed(board.open(), opening)
        assert status(refused) == 429
        assert b"Retry-After: 1\r\n" in refused
    board.drop(first.socket)
    assert Attacker(board).say(call("add", b"[1,2]"))


def test_row_41_when_nobody_more_can_be_served_who_comes_is_closed_unread_and_who_is_there_is_served() -> None:
    board = Board(Config(max_connections=3, max_in_head=2))
    first, second = board.open(), board.open()
    assert board.board.opened(HERE, 0.0) is None
    assert status(board.feed(first, HEALTH)) == 200
    third = board.open()
    assert status(board.feed(second, HEALTH)) == 200
    assert board.board.opened(HERE, 0.0) is None
    assert content(board.feed(third, HEALTH))["status"] == "degraded"
    board.drop(third)
    assert Attacker(board).over is False
