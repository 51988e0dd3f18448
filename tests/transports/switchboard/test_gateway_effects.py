"""What the gateway asks, told to codecs and the adapter: pushes, answers, back-pressure, closing, leaving."""

from __future__ import annotations

import pytest
from posthouse.core import Bearer, Config, ConnectionClosed, Drained, Gateway, Identity, Service, Transmit, Verify
from posthouse.transports.codec import Binary, Ended, Send
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.actions import CloseSocket, Reply, Write

from tests.transports.board import PIPE, Board, Browser, call, post, result

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def test_a_handshake_that_waited_behind_a_call_is_dropped_when_its_client_has_gone() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, post(call("later")) + UPGRADE)
    board.board.received_eof(socket, 0.0)
    board.run()
    board.board.complete(board.waiting.pop().call, 1, 0.0)
    board.run()
    assert board.closed == {socket: True}
    assert [event.code for event in board.events() if isinstance(event, ConnectionClosed)] == [None, 1006]


def test_a_websocket_that_does_not_read_is_not_read_from_until_it_does() -> None:
    board = Board()
    browser = Browser(board)
    socket = browser.socket
    board.stuck[socket] = 0
    for id in (b"1", b"2", b"3"):
        browser.client.send(call("add", b"[1,2]", id))
    browser.exchange()
    assert board.stopped == [socket]
    board.release(socket)
    assert board.stopped == []
    assert browser.texts() == [result(3, b"1"), result(3, b"2"), result(3, b"3")]


def test_a_socket_that_is_not_read_from_for_two_reasons_is_read_from_when_both_are_gone() -> None:
    board = Board(Config(frames_per_turn=1))
    browser = Browser(board)
    board.stuck[browser.socket] = 0
    for id in (b"1", b"2"):
        browser.client.send(call("add", b"[1,2]", id))
    frames = b"".join(output.data for output in browser.client.output if isinstance(output, Send))
    browser.client.output.clear()
    board.feed(browser.socket, frames)
    assert board.stopped == [browser.socket]
    board.release(browser.socket)
    assert board.stopped == [browser.socket]
    board.pass_time(0.0)
    assert board.stopped == []
    assert board.take(browser.socket).endswith(result(3, b"2"))


def test_pushes_go_to_every_kind_that_can_be_pushed_to_each_in_its_framing() -> None:
    board = Board()
    first, second, packed = Browser(board), Browser(board), Browser(board, deflate=True)
    pipe = board.open(PIPE)
    board.feed(pipe, call("add", b"[1,2]") + b"\n")
    delivered = board.board.broadcast("news", ["x" * 2000], 0.0)
    board.run()
    assert delivered == 4
    text = b'{"jsonrpc":"2.0","method":"news","params":["' + b"x" * 2000 + b'"]}'
    assert board.take(pipe) == text + b"\n"
    writes = [action.data for action in board.actions if isinstance(action, Write)][-4:]
    assert sum(1 for data in writes if len(data) < 200) == 1
    for browser in (first, second, packed):
        assert browser.texts() == [text]


def test_a_slow_websocket_is_closed_and_the_frame_that_has_begun_is_finished() -> None:
    board = Board(Config(max_queued_pushes=2, write_ahead=100, close_timeout=5.0))
    browser = Browser(board)
    socket = browser.socket
    board.stuck[socket] = 0
    for number in range(4):
        board.board.broadcast("news", [str(number) * 150], 0.0)
        board.run()
    board.release(socket)
    texts = browser.texts()
    assert len(texts) == 1
    assert Ended(4100) in browser.outputs
    assert board.closed[socket] is True


def test_a_websocket_that_takes_nothing_of_its_closing_is_closed_after_close_timeout() -> None:
    board = Board(Config(write_timeout=10.0, close_timeout=5.0))
    browser = Browser(board)
    board.stuck[browser.socket] = 0
    browser.client.send(call("add", b"[1,2]"))
    browser.exchange()
    board.pass_time(10.0)
    assert board.closed == {}
    board.pass_time(5.0)
    assert board.closed == {browser.socket: False}


def test_the_gateway_and_the_write_queue_count_the_same_held_bytes() -> None:
    board = Board(Config(write_ahead=100))
    browser = Browser(board, deflate=True)
    socket = browser.socket
    headers = board.board.health(0.0).memory
    board.stuck[socket] = 0
    for size in (10, 5000, 50, 90):
        board.board.broadcast("news", ["x" * size], 0.0)
        board.run()
    while board.stuck[socket]:
        board.release(socket, 1)
    board.release(socket)
    assert len(browser.texts()) == 4
    assert board.board.health(0.0).memory == headers
    assert board.stopped == []


def test_an_exchange_that_is_closed_for_its_rate_gets_its_answer_first() -> None:
    board = Board(Config(call_rate=1.0), identity=Identity("ada"))
    socket = board.open()
    while not board.closed:
        answer = board.feed(socket, post(call("add", b"[1,2]")))
        board.pass_time(0.5)
    last = next(action for action in reversed(board.actions) if isinstance(action, Write | CloseSocket))
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert last == CloseSocket(socket)
    assert board.board.health(board.now).connections == 0


def test_an_answer_that_is_larger_with_its_head_than_may_be_ahead_leaves_in_slices_before_the_next_request() -> None:
    board = Board(Config(write_ahead=200))
    answers = board.feed(board.open(), post(call("blob", b"[150]")) + post(call("add", b"[1,2]")))
    assert all(len(action.data) <= 200 for action in board.actions if isinstance(action, Write))
    assert answers.endswith(result(3))
    assert board.board.health(0.0).connections == 0


def test_bytes_behind_an_answered_request_are_counted_until_they_are_read() -> None:
    board = Board(Config(read_bytes=100))
    socket = board.open()
    text = call("add", b"[1,2]")
    request = post(text)
    board.feed(socket, request + request[:-1])
    assert board.board.health(0.0).memory == len(text) - 1
    assert board.feed(socket, request[-1:]).endswith(result(3))
    board.drop(socket)
    assert board.board.health(0.0).memory == 0


def test_a_shut_down_tells_refuses_waits_closes_and_ends() -> None:
    board = Board(Config(drain_notice=1.0, drain_spread=2.0, drain_grace=10.0))
    first, second = Browser(board), Browser(board)
    idle, in_head, busy, unknown = board.open(), board.open(), board.open(), board.open(PIPE)
    board.feed(idle, post(call("add", b"[1,2]")))
    board.feed(in_head, b"POST /rp")
    board.feed(busy, post(call("later", b"[5]")))
    first.send(call("later", b"[6]"))
    board.board.shut_down(board.now)
    board.run()
    assert board.board.draining
    assert board.board.accepting
    assert b"connection.draining" in first.texts()[0]
    assert b"-32050" in second.send(call("add", b"[1,2]"))[1]
    board.pass_time(1.0)
    assert not board.board.accepting
    assert board.closed == {idle: True, in_head: True, unknown: True}
    board.pass_time(2.0)
    second.exchange()
    assert Ended(1012) in second.outputs
    http, websocket = board.waiting
    board.board.complete(http.call, 5, board.now)
    board.run()
    assert b"Connection: close\r\n" in board.take(busy)
    assert board.half_closed == [busy]
    board.board.complete(websocket.call, 6, board.now)
    board.run()
    assert first.texts() == [result(6)]
    assert Ended(1012) in first.outputs
    for socket in (idle, in_head, busy, unknown, first.socket, second.socket):
        assert Drained() not in board.actions
        board.drop(socket)
    assert Drained() in board.actions
    assert board.board.next_timeout() is None


def test_at_the_end_of_its_time_a_shut_down_closes_everything() -> None:
    board = Board(Config(drain_grace=100.0, drain_timeout=30.0, call_timeout=1000.0))
    waiting, unanswered = board.open(), board.open()
    board.feed(waiting, post(call("later")))
    board.stuck[unanswered] = 0
    board.feed(unanswered, post(call("blob", b"[200000]")))
    board.board.shut_down(0.0)
    board.pass_time(30.0)
    assert b"503" in board.take(waiting)
    assert board.closed[unanswered] is False
    assert Drained() in board.actions


def test_binary_messages_pass_where_the_policy_allows_them() -> None:
    class Echo(Gateway):
        def receive(self, connection: object, data: bytes, now: float) -> None:
            self.outbox.append(Transmit(connection, data))  # type: ignore[arg-type]

    board = Board(policy=Policy(binary=True), gateway=Echo)
    browser = Browser(board)
    browser.client.send(Binary(b"\xff\xfe"))
    echoed = browser.texts()
    assert echoed == [b"\xff\xfe"]
    assert type(echoed[0]) is Binary


def test_a_frame_behind_the_handshake_is_not_lost() -> None:
    board = Board()
    socket = board.open()
    text = call("add", b"[1,2]")
    frame = bytes((0x81, 0x80 | len(text))) + bytes(4) + text
    answer = board.feed(socket, UPGRADE + frame)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(bytes((0x81, len(result(3)))) + result(3))


def test_only_a_websocket_is_asked_for_a_sign_of_life() -> None:
    board = Board(Config(heartbeat_interval=10.0, heartbeat_timeout=5.0))
    pipe, browser = board.open(PIPE), Browser(board)
    board.feed(pipe, call("add", b"[1,2]") + b"\n")
    board.pass_time(10.0)
    assert board.take(pipe) == b""
    assert board.take(browser.socket).startswith(b"\x89")


def test_a_pipe_that_does_not_read_is_not_read_from_until_it_does() -> None:
    board = Board()
    pipe = board.open(PIPE)
    board.stuck[pipe] = 0
    board.feed(pipe, call("add", b"[1,2]") + b"\n")
    assert board.stopped == [pipe]
    board.release(pipe)
    assert board.stopped == []
    assert board.feed(pipe, call("add", b"[3,4]") + b"\n") == result(7) + b"\n"


def stuck(board: Board) -> Browser:
    """A websocket whose socket takes nothing from now on, with one push on its way."""
    browser = Browser(board)
    board.stuck[browser.socket] = 0
    push(board, 50)
    return browser


def push(board: Board, size: int) -> None:
    """A push to everybody, with a payload of so many bytes."""
    bare = len(b'{"jsonrpc":"2.0","method":"news","params":[""]}')
    board.board.broadcast("news", ["x" * (size - bare)], board.now)
    board.run()


def test_pushes_that_waited_are_counted_until_they_were_sent() -> None:
    board = Board()
    Browser(board)
    headers = board.board.health(0.0).memory
    browser = stuck(board)
    push(board, 100)
    push(board, 100)
    assert board.stopped == [browser.socket]
    board.release(browser.socket)
    assert board.stopped == []
    assert board.board.health(0.0).memory == 2 * headers
    assert len(browser.texts()) == 3


@pytest.mark.parametrize("flush", [False, True])
def test_closing_a_websocket_without_flush_drops_frames_that_have_not_begun(flush: bool) -> None:
    board = Board(Config(write_ahead=100, max_queued_pushes=1, drain_spread=0.0, write_timeout=100.0))
    browser = Browser(board)
    board.stuck[browser.socket] = 0
    push(board, 150)
    board.pass_time(30.0)  # its heartbeat falls due, and waits behind what has begun
    if flush:
        board.board.shut_down(board.now)
        board.pass_time(0.0)
    else:
        push(board, 50)
        push(board, 50)
    board.release(browser.socket)
    data = board.take(browser.socket)
    assert data.startswith(bytes((0x81, 126, 0, 150)))
    assert (b"\x89\x00" in data) is flush
    assert bytes((0x88, 2)) + (1012 if flush else 4100).to_bytes(2, "big") in data


def test_a_websocket_that_is_closed_is_read_from_so_that_its_side_of_the_closing_is_heard() -> None:
    board = Board(Config(max_queued_pushes=1))
    browser = stuck(board)
    assert board.stopped == [browser.socket]
    push(board, 50)
    push(board, 50)
    assert board.stopped == []


def test_bytes_that_a_closed_websocket_does_not_take_have_a_deadline_of_their_own() -> None:
    board = Board(Config(max_queued_pushes=1, write_timeout=3.0, close_timeout=50.0))
    browser = stuck(board)
    push(board, 50)
    push(board, 50)
    board.pass_time(2.999)
    assert board.closed == {}
    board.pass_time(0.001)
    assert board.closed == {browser.socket: False}


def test_while_a_websocket_does_not_read_only_its_latest_ping_is_kept() -> None:
    board = Board()
    browser = stuck(board)
    for word in (b"a", b"b", b"c"):
        board.feed(browser.socket, bytes((0x89, 0x81)) + bytes(4) + word)
    board.release(browser.socket)
    assert board.take(browser.socket).endswith(b"\x8a\x01c")


@pytest.mark.parametrize("upgrade", [False, True])
def test_the_socket_of_an_exchange_that_is_not_admitted_lingers_and_closes(upgrade: bool) -> None:
    board = Board(Config(max_connections_per_user=1), identity=Identity("ada"))
    board.feed(board.open(), post(call("later")))
    socket = board.open()
    answer = board.feed(socket, UPGRADE if upgrade else post(call("add", b"[1,2]")))
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert len(board.board._sockets.by_connection) == 1
    assert len(board.board.gateway._connections.records) == 1
    board.pass_time(1.999)
    assert board.closed == {}
    board.pass_time(0.001)
    assert board.closed == {socket: True}


def test_an_answer_that_is_not_taken_is_given_up_with_its_socket() -> None:
    board = Board(Config(write_timeout=10.0))
    socket = board.open()
    board.stuck[socket] = 0
    board.feed(socket, post(call("blob", b"[200000]")))
    board.pass_time(9.999)
    assert board.closed == {}
    board.pass_time(0.001)
    assert board.closed == {socket: False}
    assert [event.code for event in board.events() if isinstance(event, ConnectionClosed)] == [4100]
    assert (board.board._sockets.by_connection, board.board.gateway._connections.records) == ({}, {})


def test_the_answer_to_a_local_call_or_its_refusal_goes_to_no_socket() -> None:
    board = Board(Config(max_connections=1))
    first = board.board.call("later", None, 0.0)
    second = board.board.call("later", None, 0.0)
    board.run()
    board.board.complete(board.waiting.pop().call, 1, 0.0)
    board.run()
    replies = [action for action in board.actions if isinstance(action, Reply)]
    assert [reply.connection for reply in replies] == [second, first]
    assert replies[1].outcome == b"1"
    assert board.written == {}


def test_an_answer_that_sets_a_cookie_goes_no_shorter_way() -> None:
    offered = Service("private")

    @offered.authenticator("bearer")
    def bearer(credentials: Bearer) -> Identity | None:
        raise NotImplementedError

    board = Board(service=offered)
    socket = board.open()
    log_in = post(call("auth.login", b'{"method":"bearer","token":"x","cookie":true}'))
    assert board.feed(socket, log_in) == b""
    (verify,) = (action for action in board.actions if isinstance(action, Verify))
    board.board.conclude(verify.operation, Identity("ada"), 0.0)
    board.run()
    first = board.take(socket)
    at_once = board.feed(socket, log_in)
    for answer in (first, at_once):
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.count(b"\r\nSet-Cookie: __Host-posthouse=") == 1
