"""One gateway and all codecs, driven as an adapter drives it: bytes and the time in, actions out."""

from __future__ import annotations

import msgspec
import pytest
from posthouse.core import Address, Config, ConnectionClosed, Drained, Gateway, Identity, RpcError, Transmit, UsageError
from posthouse.core.peers import ALL_SCOPES, SocketId
from posthouse.transports.actions import CloseSocket, Write
from posthouse.transports.codec import Binary, Ended, Heard, Send
from posthouse.transports.policy import Policy

from tests.transports.board import HERE, PIPE, Board, Browser, call, post

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def result(value: object, id: bytes = b"1") -> bytes:
    return b'{"jsonrpc":"2.0","result":%b,"id":%b}' % (msgspec.json.encode(value), id)


def body(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


# One call over each


def test_a_call_over_http_is_answered_and_its_connection_ends() -> None:
    board = Board()
    socket = board.open()
    answer = board.feed(socket, post(call("add", b"[1,2]")))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body(answer) == result(3)
    assert [type(event) for event in board.events()][-1] is ConnectionClosed
    assert board.board.health(0.0).connections == 0


def test_a_call_over_a_websocket_is_answered_and_its_connection_stays() -> None:
    board = Board()
    browser = Browser(board)
    assert browser.send(call("add", b"[1,2]")) == [result(3)]
    assert browser.send(call("add", b"[1,3]", b"2")) == [result(4, b"2")]
    assert board.board.health(0.0).connections == 1


@pytest.mark.parametrize("framing", ["lines", "headers"])
def test_a_call_over_a_pipe_is_answered_in_its_own_framing(framing: str) -> None:
    board = Board()
    socket = board.open(PIPE)

    def framed(text: bytes) -> bytes:
        return text + b"\n" if framing == "lines" else b"Content-Length: %d\r\n\r\n%b" % (len(text), text)

    assert board.feed(socket, framed(call("add", b"[1,2]"))) == framed(result(3))
    assert board.feed(socket, framed(call("add", b"[1,3]"))) == framed(result(4))


def test_a_frame_behind_the_handshake_is_not_lost() -> None:
    board = Board()
    socket = board.open()
    text = call("add", b"[1,2]")
    frame = bytes((0x81, 0x80 | len(text))) + bytes(4) + text
    answer = board.feed(socket, UPGRADE + frame)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(bytes((0x81, len(result(3)))) + result(3))


def test_a_handshake_that_waited_behind_a_call_is_of_no_use_to_who_has_gone_meanwhile() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, post(call("later")) + UPGRADE)
    board.board.received_eof(socket, 0.0)
    board.run()
    board.board.complete(board.waiting.pop().call, 1, 0.0)
    board.run()
    assert board.closed == {socket: True}
    assert [event.code for event in board.events() if isinstance(event, ConnectionClosed)] == [None, 1006]


# HTTP exchanges


def test_pipelined_requests_are_answered_in_order_one_at_a_time() -> None:
    board = Board()
    socket = board.open()
    assert board.feed(socket, post(call("later")) + post(call("add", b"[1,2]")) + post(call("later", b"[2]"))) == b""
    assert len(board.waiting) == 1
    board.board.complete(board.waiting.pop().call, "first", 0.0)
    board.run()
    answers = board.take(socket)
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert answers.index(b'"first"') < answers.index(b'"result":3')
    assert len(board.waiting) == 1


def test_a_request_that_nothing_answers_is_answered_by_its_codec_and_the_next_is_read() -> None:
    board = Board()
    socket = board.open()
    answers = board.feed(socket, b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n" + post(call("add", b"[1,2]")))
    assert answers.startswith(b"HTTP/1.1 404 ")
    assert body(answers).endswith(result(3))


def test_the_answer_is_still_sent_after_the_end_of_input() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, post(call("later", b"[7]")))
    board.board.received_eof(socket, 0.0)
    board.run()
    board.board.complete(board.waiting.pop().call, 7, 0.0)
    board.run()
    assert body(board.take(socket)) == result(7)
    assert board.closed == {socket: True}


def test_a_reset_during_an_exchange_stops_its_handler() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, post(call("later")))
    board.drop(socket)
    assert board.cancelled() == [board.waiting[0].call]
    assert not board.board.complete(board.waiting[0].call, 1, 0.0)


def test_an_answer_that_the_socket_does_not_take_holds_up_the_next_request() -> None:
    board = Board()
    socket = board.open()
    board.stuck[socket] = 0
    board.feed(socket, post(call("blob", b"[200000]")) + post(call("add", b"[1,2]")))
    assert board.board.health(0.0).connections == 1
    assert board.stuck[socket] > 0
    while board.stuck.get(socket):
        board.release(socket, min(50_000, board.stuck[socket]))
    board.release(socket)
    answers = board.take(socket)
    assert answers.endswith(result(3))
    assert board.board.health(0.0).connections == 0


def test_a_large_answer_leaves_in_slices_of_write_ahead() -> None:
    board = Board(Config(write_ahead=1000))
    socket = board.open()
    answer = board.feed(socket, post(call("blob", b"[5000]")))
    sizes = [len(action.data) for action in board.actions if isinstance(action, Write)]
    assert max(sizes) == 1000
    assert sum(sizes) == len(answer)
    assert body(answer) == result("x" * 5000)
    assert board.board.health(0.0).connections == 0


def test_a_small_answer_that_is_left_behind_for_nobody_has_a_deadline() -> None:
    board = Board(Config(write_timeout=10.0))
    socket = board.open()
    board.stuck[socket] = 0
    board.feed(socket, post(call("add", b"[1,2]")))
    assert board.board.health(0.0).connections == 0
    board.pass_time(5.0)
    board.release(socket, 10)
    board.pass_time(9.999)
    assert board.closed == {}
    board.pass_time(0.001)
    assert board.closed == {socket: False}


def test_bytes_left_behind_that_go_in_time_are_forgotten() -> None:
    board = Board(Config(write_timeout=10.0))
    socket = board.open()
    board.stuck[socket] = 0
    board.feed(socket, post(call("add", b"[1,2]")))
    board.release(socket)
    board.pass_time(20.0)
    assert board.closed == {}


# Admission


def test_a_socket_that_the_gateway_refuses_is_closed_unread() -> None:
    board = Board(Config(max_connections=1))
    board.open()
    assert board.board.opened(HERE, 0.0) is None


@pytest.mark.parametrize(
    ("text", "status"), [(post(call("add", b"[1,2]")), b"503"), (b"handshake", b"503")], ids=["exchange", "upgrade"]
)
def test_what_is_not_admitted_is_refused_over_http_with_the_reason(text: bytes, status: bytes) -> None:
    class Full(Gateway):
        @property
        def memory(self) -> int:
            return self.config.memory_budget + 1

    board = Board(gateway=Full)
    if text == b"handshake":
        browser = Browser(board)
        assert browser.client.rejected is not None
        assert status.decode() in browser.client.rejected
        return
    socket = board.open()
    answer = board.feed(socket, text)
    assert answer.startswith(b"HTTP/1.1 %b " % status)
    assert b'"code":-32009' in answer
    assert board.board.health(0.0).connections == 0


def test_a_pipe_that_is_not_admitted_is_closed() -> None:
    board = Board()
    board.board.shut_down(0.0)
    socket = board.open(PIPE)
    assert board.feed(socket, call("add", b"[1,2]") + b"\n") == b""
    assert board.closed == {socket: True}


# Probes


def test_health_is_answered_to_anybody_and_says_503_while_draining() -> None:
    board = Board()
    Browser(board)
    socket = board.open()
    probe = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    healthy = board.feed(socket, probe)
    assert healthy.startswith(b"HTTP/1.1 200 ")
    assert msgspec.json.decode(body(healthy))["status"] == "healthy"
    board.board.shut_down(0.0)
    board.run()
    draining = board.feed(socket, probe)
    assert draining.startswith(b"HTTP/1.1 503 ")
    assert b"Connection: close\r\n" in draining
    assert msgspec.json.decode(body(draining))["status"] == "draining"


@pytest.mark.parametrize(
    ("identity", "status"),
    [
        (Identity(), b"401"),
        (Identity("ada"), b"403"),
        (Identity("ada", ("admin",)), b"200"),
        (Identity(None, (ALL_SCOPES,)), b"200"),
    ],
)
def test_statistics_need_the_scope_admin(identity: Identity, status: bytes) -> None:
    board = Board(identity=identity)
    answer = board.feed(board.open(), b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status)


# Flow


def test_an_adapter_may_know_who_is_at_the_other_end_of_a_socket() -> None:
    board = Board()
    info = board.feed(board.open(PIPE, Identity("parent", ("admin",))), call("connection.info") + b"\n")
    assert (b'"user":"parent"' in info, b'"scopes":["admin"]' in info) == (True, True)
    assert b'"user":null' in board.feed(board.open(PIPE), call("connection.info") + b"\n")


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


def test_questions_that_arrived_before_the_answers_stuck_wait_with_them() -> None:
    board = Board(Config(write_ahead=100))
    browser = Browser(board)
    board.stuck[browser.socket] = 0
    for text in (call("rpc.discover"), call("later", b"[1]", b"2")):
        browser.client.send(text)
    frames = b"".join(output.data for output in browser.client.output if isinstance(output, Send))
    browser.client.output.clear()
    board.board.received(browser.socket, frames, 0.0)
    board.run()
    assert board.waiting == []
    while board.stuck[browser.socket]:
        board.release(browser.socket, board.stuck[browser.socket])
    assert len(board.waiting) == 1


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


def test_what_the_gateway_counts_as_held_is_what_the_wire_holds() -> None:
    board = Board(Config(write_ahead=100))
    browser = Browser(board, deflate=True)
    socket = browser.socket
    board.stuck[socket] = 0
    for size in (10, 5000, 50, 90):
        board.board.broadcast("news", ["x" * size], 0.0)
        board.run()
    while board.stuck[socket]:
        board.release(socket, 1)
    board.release(socket)
    assert len(browser.texts()) == 4
    assert board.board.health(0.0).memory == 0
    assert board.stopped == []


def test_more_cannot_be_sent_than_is_held() -> None:
    board = Board()
    socket = board.open()
    with pytest.raises(UsageError, match="only 0 are held"):
        board.board.sent(socket, 1, 0.0)
    board.board.sent(socket, 0, 0.0)
    board.board.held(socket, 0, 0.0)


# Closing


def test_a_close_from_the_peer_is_answered_and_the_server_closes_first() -> None:
    board = Board()
    browser = Browser(board)
    browser.client.close(1000, 0.0)
    browser.exchange()
    assert Ended(1000) in browser.outputs
    assert board.closed == {browser.socket: True}
    closed = [event for event in board.events() if isinstance(event, ConnectionClosed)]
    assert [event.code for event in closed] == [1000]
    board.drop(browser.socket)
    assert board.board.health(0.0).sockets == 0


def test_a_websocket_that_just_goes_is_reported_as_abnormal() -> None:
    board = Board()
    browser = Browser(board)
    board.drop(browser.socket)
    assert [event.code for event in board.events() if isinstance(event, ConnectionClosed)] == [1006]


def test_what_names_a_socket_that_was_closed_is_a_no_op_and_one_that_never_was_a_misuse() -> None:
    board = Board()
    socket = board.open()
    board.drop(socket)
    board.board.received(socket, b"x", 0.0)
    board.board.received_eof(socket, 0.0)
    board.board.held(socket, 1, 0.0)
    board.board.sent(socket, 1, 0.0)
    board.board.closed(socket, 0.0)
    assert board.board.outbox == []
    with pytest.raises(UsageError, match="never was a socket 9"):
        board.board.received(SocketId(9), b"x", 0.0)


def test_bytes_and_the_end_of_input_after_the_codec_has_shut_are_dropped() -> None:
    board = Board()
    browser = Browser(board)
    browser.client.close(1000, 0.0)
    browser.exchange()
    assert board.feed(browser.socket, b"more") == b""
    board.board.received_eof(browser.socket, 0.0)
    assert board.board.outbox == []


def test_a_codec_that_has_shut_is_not_asked_again_while_its_last_bytes_wait() -> None:
    board = Board(Config(head_timeout=5.0, keep_alive_timeout=5.0, write_timeout=30.0))
    socket = board.open()
    board.feed(socket, post(call("add", b"[1,2]")))
    board.stuck[socket] = 0
    board.feed(socket, b"GET /health HTTP/1.0\r\n\r\n")
    board.board.received_eof(socket, board.now)
    board.run()
    assert board.closed == {socket: True}
    board.pass_time(29.0)
    assert board.closed == {socket: True}
    board.pass_time(1.0)
    assert board.closed == {socket: False}


def test_the_last_answer_to_a_client_that_has_half_closed_closes_at_once() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, post(call("later", b"[7]")))
    board.board.received_eof(socket, 0.0)
    board.board.shut_down(0.0)
    board.board.complete(board.waiting.pop().call, 7, 0.0)
    board.run()
    assert body(board.take(socket)) == result(7)
    assert (board.half_closed, board.closed) == ([socket], {socket: True})


def test_an_answer_that_falls_due_with_the_end_of_its_socket_is_not_written_behind_it() -> None:
    board = Board(Config(call_timeout=8.0, write_timeout=9.0))
    socket = board.open()
    board.stuck[socket] = 0
    board.feed(socket, post(call("add", b"[1,2]")) + post(call("later")))
    board.now = 20.0
    board.board.handle_timeout(20.0)
    board.run()
    assert board.closed == {socket: False}
    board.drop(socket)


def test_a_socket_that_is_reset_while_it_holds_bytes_leaves_no_deadline() -> None:
    board = Board(Config(heartbeat_interval=None))
    browser = Browser(board)
    board.stuck[browser.socket] = 0
    board.board.broadcast("news", [1], 0.0)
    board.run()
    board.drop(browser.socket)
    assert board.board.next_timeout() is None


# The end of a pipe


def test_a_pipe_whose_input_has_ended_waits_for_its_calls_and_then_closes() -> None:
    board = Board()
    pipe = board.open(PIPE)
    board.feed(pipe, call("later", b"[1]") + b"\n")
    board.board.received_eof(pipe, 0.0)
    board.run()
    assert board.closed == {}
    board.board.complete(board.waiting.pop().call, 1, 0.0)
    board.run()
    assert board.take(pipe) == result(1) + b"\n"
    assert board.closed == {pipe: True}


def test_a_pipe_whose_calls_do_not_end_is_closed_after_its_grace() -> None:
    board = Board(Config(stdio_grace=5.0))
    pipe = board.open(PIPE)
    board.feed(pipe, call("later", b"[1]") + b"\n")
    board.board.received_eof(pipe, 0.0)
    board.pass_time(4.999)
    assert board.closed == {}
    board.pass_time(0.001)
    assert board.closed == {pipe: True}
    assert board.cancelled() == [board.waiting[0].call]


def test_a_pipe_that_ends_within_its_first_word_is_told_that_it_is_no_json() -> None:
    board = Board()
    pipe = board.open(PIPE)
    board.feed(pipe, b"Content")
    board.board.received_eof(pipe, 0.0)
    board.run()
    assert b"-32700" in board.take(pipe)
    assert board.closed == {pipe: True}


def test_a_pipe_that_said_nothing_is_closed_at_its_end() -> None:
    board = Board()
    pipe = board.open(PIPE)
    board.board.received_eof(pipe, 0.0)
    board.run()
    assert board.closed == {pipe: True}


# Speaking first


def test_a_notification_a_progress_report_and_a_request_reach_a_websocket() -> None:
    board = Board()
    browser = Browser(board)
    text = b'{"jsonrpc":"2.0","method":"later","params":[1],"id":1,"meta":{"progress_token":"t"}}'
    assert browser.send(text) == []
    invoke = board.waiting.pop()
    connection = invoke.caller.connection
    assert board.board.progress(invoke.call, {"fraction": 0.5}, 0.0)
    assert board.board.notify(connection, "news", [1], 0.0)
    request = board.board.request(connection, "ask", {"a": 1}, 0.0, timeout=5.0)
    gone = board.board.request(connection, "ask", None, 0.0, timeout=5.0)
    board.board.abandon(gone, 0.0)
    assert board.board.fail(invoke.call, RpcError(7, "no"), 0.0)
    board.run()
    texts = [msgspec.json.decode(text) for text in browser.texts()]
    assert [text.get("method", "error") for text in texts] == [
        "$/progress",
        "news",
        "ask",
        "ask",
        "$/cancelRequest",
        "error",
    ]
    browser.send(b'{"jsonrpc":"2.0","result":{"b":2},"id":%d}' % request)
    assert [(resolve.request, resolve.outcome) for resolve in board.resolved()] == [(request, b'{"b":2}')]


def test_a_silent_websocket_is_asked_for_a_sign_of_life_and_kept_when_it_gives_one() -> None:
    board = Board(Config(heartbeat_interval=10.0, heartbeat_timeout=5.0))
    alive, silent = Browser(board), Browser(board)
    for _ in range(4):
        board.pass_time(4.0)
        alive.exchange()
    assert Heard() in alive.outputs
    board.pass_time(5.0)
    silent.exchange()
    assert Ended(4101) in silent.outputs
    assert alive.send(call("add", b"[1,2]")) == [result(3)]


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


# Shutting down


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


def test_a_new_socket_during_the_notice_is_told_to_close() -> None:
    board = Board(Config(drain_notice=10.0))
    board.board.shut_down(0.0)
    answer = board.feed(board.open(), b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"Connection: close\r\n" in answer


# Time and memory


def test_deadlines_of_bytes_are_the_codecs_and_deadlines_of_meaning_the_gateways() -> None:
    board = Board(Config(head_timeout=5.0, call_timeout=3.0))
    silent = board.open()
    browser = Browser(board)
    assert board.board.next_timeout() == 5.0
    browser.send(call("later"))
    assert board.board.next_timeout() == 3.0
    board.pass_time(3.0)
    assert b"-32030" in browser.texts()[0]
    board.pass_time(2.0)
    assert board.closed == {silent: True}
    board.drop(silent)
    board.board.handle_timeout(100.0)


def test_a_deadline_that_moves_forward_is_moved_and_one_that_moves_back_is_looked_at_again() -> None:
    board = Board(Config(head_timeout=5.0, keep_alive_timeout=2.0, heartbeat_interval=None))
    socket = board.open()
    board.feed(socket, post(call("add", b"[1,2]")))
    assert board.board.next_timeout() == 2.0
    board.now = 1.0
    board.feed(socket, post(call("add", b"[1,2]")))
    assert board.board.next_timeout() == 2.0
    board.pass_time(1.999)
    assert board.closed == {}
    board.pass_time(0.001)
    assert board.closed == {socket: True}


def test_what_codecs_hold_counts_for_the_memory_budget() -> None:
    board = Board(Config(read_bytes=1000))
    socket = board.open()
    board.feed(socket, post(b"x" * 100_000)[:50_000])
    assert board.board.health(0.0).memory > 49_000
    board.drop(socket)
    assert board.board.health(0.0).memory <= 1000


def test_a_body_for_which_there_is_no_memory_goes_before_any_connection_does() -> None:
    board = Board(Config(memory_budget=100_000, read_bytes=1000))
    browser, first, second = Browser(board), board.open(), board.open()
    request = post(b"x" * 80_000)
    assert board.feed(first, request[:70_000]) == b""
    assert board.feed(second, request[:70_000]).startswith(b"HTTP/1.1 503 ")
    assert board.half_closed == [second]
    assert browser.send(call("add", b"[1,2]")) == [result(3)]
    assert board.feed(first, request[70_000:]).startswith(b"HTTP/1.1 400 ")
    assert board.board.stats()["http.refused.503"] == 1


def test_what_was_counted_can_be_read_and_what_http_refuses_by_itself_is_counted() -> None:
    board = Board(policy=Policy(origins=("https://app.example",)))
    Browser(board)
    assert board.board.stats()["connections.opened"] == 1
    socket = board.open()
    board.feed(socket, b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2)
    preflight = b"OPTIONS /rpc HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\n"
    board.feed(socket, preflight + b"Access-Control-Request-Method: POST\r\n\r\n")
    refused = {name: count for name, count in board.board.stats().items() if name.startswith("http.refused.")}
    assert refused == {"http.refused.404": 2}


def test_unix_time_can_be_set() -> None:
    board = Board()
    board.board.set_wall(1.0, 0.0)
    assert board.board.health(1.0).timestamp == 2.0


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


def test_a_codec_with_more_frames_than_a_turn_goes_on_after_others_had_theirs() -> None:
    board = Board(Config(frames_per_turn=2))
    browser = Browser(board)
    for number in range(5):
        browser.client.send(call("add", b"[1,2]", b"%d" % number))
    frames = b"".join(output.data for output in browser.client.output if isinstance(output, Send))
    browser.client.output.clear()
    board.board.received(browser.socket, frames, 0.0)
    board.run()
    assert board.stopped == [browser.socket]
    assert board.board.next_timeout() == 0.0
    board.pass_time(0.0)
    assert browser.texts() == [result(3, b"%d" % number) for number in range(5)]
    assert board.stopped == []


def test_a_socket_of_an_ipv6_address_is_as_good_as_any() -> None:
    board = Board()
    socket = board.open(Address("::1", 5))
    assert body(board.feed(socket, post(call("add", b"[1,2]")))) == result(3)
    assert not [action for action in board.actions if isinstance(action, CloseSocket)]
