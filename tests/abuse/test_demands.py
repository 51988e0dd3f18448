"""Row 4: clients without credentials, where authentication is required: bytes in, bytes out, on a held clock."""

from __future__ import annotations

import pytest
from posthouse.core import Config, Identity
from posthouse.core.values.lifecycle import RequestRefused

from tests.transports.board import HERE, Board

from .attacker import Attacker, close_codes, content, status
from .test_expiring import Expiring, call, log_in, told

HEAD = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 41\r\n%b\r\n"
BODY = b'{"jsonrpc":"2.0","method":"hold","id":1} '
EXPECTS = b"Expect: 100-continue\r\n"


def demanding() -> Expiring:
    return Expiring(require_authentication=True, authentication_timeout=10.0)


def test_row_04_a_websocket_that_never_authenticates_is_closed() -> None:
    board = demanding()
    peer = Attacker(board)
    board.at(9.999)
    assert peer.frames() == []
    board.at(10.0)
    assert close_codes(peer.frames()) == [4408]


def test_row_04_neither_calls_nor_pings_nor_wrong_credentials_gain_time() -> None:
    board = demanding()
    peer = Attacker(board)
    for second in (1, 2, 3):
        board.at(2.0 * second)
        call(peer, board, second)
        assert told(peer) == [-32020]
    board.at(9.0)
    log_in(peer, board, 9, "wrong")
    assert told(peer) == [-32020]
    board.at(10.0)
    assert close_codes(peer.frames()) == [4408]


def test_row_04_one_that_logs_in_in_time_stays() -> None:
    board = demanding()
    peer = Attacker(board)
    board.at(9.999)
    log_in(peer, board)
    assert told(peer) == [None]
    board.at(39.0)
    assert peer.frames() == []


@pytest.mark.parametrize("fields", [b"", EXPECTS, b"Cookie: theme=dark\r\n"])
def test_row_04_a_call_over_http_without_credentials_is_401_before_its_body(fields: bytes) -> None:
    board = demanding()
    socket = board.open(HERE)
    answer = board.feed(socket, HEAD % fields)
    assert (status(answer), content(answer)["error"]["code"], content(answer)["id"]) == (401, -32020, None)
    assert b"\r\nWWW-Authenticate: Bearer\r\n" in answer
    assert b"\r\nConnection: close\r\n" in answer
    refusals = [event.status for event in board.events() if isinstance(event, RequestRefused)]
    assert refusals == [401]
    assert board.board.gateway.stats()["connections.opened.http"] == 0


def test_row_04_the_answer_is_the_same_with_the_body_and_however_the_bytes_are_cut() -> None:
    answers = []
    for step in (1_000, 100, 1):
        board = demanding()
        socket = board.open(HERE)
        request = HEAD % b"" + BODY
        answers.append(b"".join(board.feed(socket, request[i : i + step]) for i in range(0, len(request), step)))
    assert answers[0] == answers[1] == answers[2]
    assert status(answers[0]) == 401


def test_row_04_a_call_with_credentials_goes_on_and_wrong_ones_are_refused_behind_the_body() -> None:
    board = demanding()
    board.ask()
    assert len(board.waiting) == 1
    _, answer = board.ask("wrong")
    assert (status(answer), content(answer)["error"]["code"]) == (401, -32020)
    socket = board.open(HERE)
    assert board.feed(socket, HEAD % (EXPECTS + b"Authorization: Bearer wrong\r\n")).startswith(b"HTTP/1.1 100 ")


def test_row_04_a_peer_whom_the_host_knows_needs_no_credentials() -> None:
    board = demanding()
    for _ in range(2):
        socket = board.open(HERE, Identity("host"))
        board.feed(socket, HEAD % b"" + BODY)
        anonymous = board.open(HERE)
        assert status(board.feed(anonymous, HEAD % b"" + BODY)) == 401
    assert len(board.waiting) == 2


def test_row_04_a_policy_with_an_identity_authenticates_everybody() -> None:
    board = Board(Config(require_authentication=True, heartbeat_interval=None), identity=Identity("host"))
    socket = board.open()
    body = b'{"jsonrpc":"2.0","method":"add","params":[1,1],"id":1}'
    request = (HEAD % b"").replace(b"41", b"%d" % len(body)) + body
    assert content(board.feed(socket, request))["result"] == 2
    peer = Attacker(board)
    board.pass_time(100.0)
    assert close_codes(peer.frames()) == []


def test_row_04_health_and_other_refusals_are_as_they_were() -> None:
    board = demanding()
    for request, expected in (
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        (HEAD.replace(b"localhost", b"evil.example") % b"", 421),
        (HEAD % b"Origin: https://evil.example\r\n", 403),
        (HEAD.replace(b"application/json", b"text/plain") % b"", 415),
    ):
        assert status(board.feed(board.open(HERE), request)) == expected
    assert not board.waiting
