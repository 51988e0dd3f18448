"""Row 4: clients without credentials, where authentication is required: bytes in, bytes out, on a held clock."""

from __future__ import annotations

import pytest
from posthouse.core import Config, Identity, Verify
from posthouse.core.values.lifecycle import RequestRefused
from posthouse.transports.websocket.deflate import deflate

from tests.transports.board import HERE, PIPE, Board

from .attacker import Attacker, close_codes, compressed, content, frame, status
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


LIMIT = b'{"jsonrpc":"2.0","method":"hold","id":7}'


def limited() -> Expiring:
    return Expiring(require_authentication=True, max_message_bytes=2_000, max_message_bytes_unauthenticated=1_000)


@pytest.mark.parametrize("packed", [False, True])
def test_row_04_a_message_before_the_log_in_is_small(packed: bool) -> None:
    for size, closed in ((999, []), (1_000, []), (1_001, [1009])):
        board = limited()
        peer = Attacker(board, deflate=packed)
        text = LIMIT.ljust(size)
        frames = peer.send(compressed(deflate(text)) if packed else frame(text))
        assert close_codes(frames) == closed


@pytest.mark.parametrize("packed", [False, True])
def test_row_04_a_message_after_the_log_in_is_as_large_as_any_and_after_the_log_out_small_again(packed: bool) -> None:
    for size, closed in ((1_999, []), (2_000, []), (2_001, [1009])):
        board = limited()
        peer = Attacker(board, deflate=packed)
        log_in(peer, board)
        assert told(peer) == [None]
        text = LIMIT.ljust(size)
        frames = peer.send(compressed(deflate(text)) if packed else frame(text))
        assert close_codes(frames) == closed
        if not closed:
            peer.tell(b'{"jsonrpc":"2.0","method":"auth.logout","id":8}')
            assert told(peer) == [None]
            assert close_codes(peer.send(frame(LIMIT.ljust(1_001)))) == [1009]


def test_row_04_a_message_after_the_identity_has_expired_is_small() -> None:
    board = limited()
    peer = Attacker(board)
    log_in(peer, board)
    board.at(100.0)
    peer.frames()
    assert close_codes(peer.send(frame(LIMIT.ljust(1_001)))) == [1009]


@pytest.mark.parametrize("framed", [False, True])
def test_row_04_a_message_over_a_pipe_before_the_log_in_is_small(framed: bool) -> None:
    def write(text: bytes) -> bytes:
        return b"Content-Length: %d\r\n\r\n%b" % (len(text), text) if framed else text + b"\n"

    refused = b'"code":-32007,"message":"Request too large","data":{"limit":"max_message_bytes_unauthenticated",'
    for size in (999, 1_000, 1_001):
        board = limited()
        pipe = board.open(PIPE)
        assert (refused in board.feed(pipe, write(LIMIT.ljust(size)))) is (size > 1_000)
        params = b'{"method":"bearer","token":"right"}'
        board.feed(pipe, write(b'{"jsonrpc":"2.0","method":"auth.login","params":%b,"id":8}' % params))
        board.settle()
        assert b'"user":"ada"' in board.take(pipe)
        assert (b'"code":-32007' in board.feed(pipe, write(LIMIT.ljust(size + 1_000)))) is (size > 1_000)


def test_row_04_the_first_bytes_of_a_pipe_whose_user_the_host_knows_are_those_of_an_authenticated_caller() -> None:
    board = limited()
    pipe = board.open(PIPE, Identity("ada"))
    assert board.feed(pipe, LIMIT.ljust(2_000) + b"\n") == b""
    assert len(board.waiting) == 1


def announce(size: int, token: bytes = b"right", fields: bytes = b"") -> bytes:
    """The head of a call with a body of so many bytes. 0: in chunks."""
    length = b"Content-Length: %d" % size if size else b"Transfer-Encoding: chunked"
    head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head + b"Authorization: Bearer %b\r\n%b\r\n%b\r\n" % (token, length, fields)


def asked(board: Expiring) -> int:
    return sum(isinstance(action, Verify) for action in board.actions)


@pytest.mark.parametrize("size", [999, 1_000, 1_001, 0])
def test_row_04_a_large_body_is_read_when_its_credentials_were_verified_and_a_small_one_before(size: int) -> None:
    board = limited()
    socket = board.open(HERE)
    small = 0 < size <= 1_000
    text = LIMIT.ljust(size)
    body = text if size else b"%x\r\n%b\r\n0\r\n\r\n" % (len(text), text)
    assert board.feed(socket, announce(size, b"wrong")) == b""
    assert asked(board) == (not small)
    if small:
        board.feed(socket, body)
    board.settle()
    answer = board.take(socket)
    assert (status(answer), content(answer)["error"]["code"]) == (401, -32020)
    assert b"\r\nConnection: close\r\n" in answer
    good = board.open(HERE)
    board.feed(good, announce(size, b"right"))
    board.settle()
    assert board.waiting == []
    board.feed(good, body)
    board.settle()
    assert len(board.waiting) == 1
    assert board.board.gateway.stats()["connections.open.http"] == 1


def test_row_04_a_large_body_waits_and_is_held_back_until_its_credentials_were_verified() -> None:
    board = Expiring(
        require_authentication=True, max_message_bytes_unauthenticated=1_000, max_head_bytes=2_000, read_bytes=2_000
    )
    socket = board.open(HERE)
    text = LIMIT.ljust(5_000)
    board.feed(socket, announce(5_000) + text[:1_000])
    assert board.stopped == []
    board.feed(socket, text[1_000:2_001])
    assert board.stopped == [socket]
    board.settle()
    assert board.stopped == []
    board.feed(socket, text[2_001:])
    assert len(board.waiting) == 1


def test_row_04_100_continue_is_sent_when_the_credentials_were_verified() -> None:
    board = limited()
    socket = board.open(HERE)
    assert board.feed(socket, announce(1_001, fields=EXPECTS)) == b""
    board.settle()
    assert board.take(socket) == b"HTTP/1.1 100 Continue\r\n\r\n"
    board.feed(socket, LIMIT.ljust(1_001))
    assert len(board.waiting) == 1


def test_row_04_a_known_token_is_not_verified_again_for_a_large_body() -> None:
    board = limited()
    for _ in range(2):
        socket = board.open(HERE)
        board.feed(socket, announce(1_001) + LIMIT.ljust(1_001))
        board.settle()
    assert len(board.waiting) == 2


def test_row_04_a_large_body_behind_a_proxy_is_verified_by_the_address_of_its_client() -> None:
    board = Expiring(
        require_authentication=True,
        max_message_bytes_unauthenticated=1_000,
        trust_proxies=("127.0.0.1",),
        max_connections_per_address=5,
    )
    socket = board.open(HERE)
    board.feed(socket, announce(1_001, fields=b"X-Forwarded-For: 192.0.2.7\r\n"))
    (verify,) = (action for action in board.actions if isinstance(action, Verify))
    assert verify.caller.peer.address.host == "192.0.2.7"
    board.settle()
    board.feed(socket, LIMIT.ljust(1_001))
    assert len(board.waiting) == 1


def test_row_04_a_large_body_of_a_caller_whom_the_host_knows_is_read_at_once() -> None:
    board = limited()
    socket = board.open(HERE, Identity("ada"))
    board.feed(socket, announce(1_001, fields=EXPECTS))
    assert asked(board) == 0


@pytest.mark.parametrize("end", ["late", "too large", "gone", "cut", "revoked", "shut down"])
def test_row_04_a_large_body_that_never_comes_ends_its_connection_once(end: str) -> None:
    board = Expiring(
        require_authentication=True,
        max_message_bytes_unauthenticated=10,
        max_body_bytes=100,
        min_body_rate=0.0,
        body_timeout=3.0,
    )
    socket = board.open(HERE)
    board.feed(socket, announce(0))
    board.settle()
    assert board.board.gateway.stats()["connections.open.http"] == 1
    board.feed(socket, b"5\r\nhello\r\n")
    if end == "late":
        board.at(2.999)
        assert board.take(socket) == b""
        board.at(3.0)
        assert status(board.take(socket)) == 408
    elif end == "too large":
        assert status(board.feed(socket, b"60\r\n" + b"x" * 96 + b"\r\n")) == 413
    elif end == "gone":
        board.board.received_eof(socket, board.now)
        board.run()
        assert board.closed == {socket: True}
    elif end == "cut":
        board.drop(socket)
    elif end == "revoked":
        board.board.revoke("ada", board.now)
        board.run()
        assert status(board.take(socket)) == 403
    else:
        board.board.shut_down(board.now)
        board.at(30.0)
    assert board.board.gateway.stats()["connections.open.http"] == 0
    assert board.board.gateway.memory == 0 or end == "too large"


def test_row_04_a_log_in_with_a_large_body_and_an_old_cookie_is_refused() -> None:
    board = limited()
    socket = board.open(HERE)
    head = announce(1_001).replace(b"Authorization: Bearer right", b"Cookie: __Host-posthouse=old")
    assert status(board.feed(socket, head)) == 401


def test_row_59_calls_with_made_up_tokens_evict_no_connection_that_is_idle() -> None:
    board = Expiring(memory_budget=100_000)
    idle = Attacker(board)
    statuses = []
    for number in range(8):
        socket = board.open(HERE)
        head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        head += b"Authorization: Bearer %d\r\nContent-Length: 30000\r\n\r\n" % number
        answer = board.feed(socket, head + b" " * 30_000)
        statuses.append(status(answer) if answer else None)
    assert statuses == [None] * 3 + [503] * 5
    board.settle()
    assert not idle.over
    assert idle.frames() == []


def test_row_04_a_large_body_that_stops_behind_its_verification_has_its_deadline() -> None:
    board = Expiring(require_authentication=True, max_message_bytes_unauthenticated=10, body_timeout=3.0)
    socket = board.open(HERE)
    board.feed(socket, announce(1_000))
    board.settle()
    board.at(3.0)
    assert status(board.take(socket)) == 408
