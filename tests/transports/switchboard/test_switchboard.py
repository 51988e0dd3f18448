"""One gateway and all codecs, driven as an adapter drives it: bytes and the time in, actions out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from posthouse.core import (
    Bearer,
    Config,
    ConnectionClosed,
    Emit,
    Gateway,
    Identity,
    Resolve,
    RpcError,
    Service,
    UsageError,
    Verify,
)
from posthouse.core.values.peers import SocketId
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.actions import Reply, Write
from posthouse.transports.switchboard.switchboard import Switchboard

from tests.transports.board import HERE, PIPE, Board, Browser, Ways, body, calculator, call, counter, post, result

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


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


def test_a_request_whose_credentials_were_verified_is_answered_and_a_second_outcome_does_not_count() -> None:
    private = Service("private")

    @private.authenticator("bearer")
    def bearer(credentials: Bearer) -> Identity | None:
        raise NotImplementedError

    @private.method
    def who() -> str:
        return "ada"

    board = Board(service=private)
    socket = board.open()
    request = post(call("who")).replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer secret\r\n\r\n", 1)
    assert board.feed(socket, request) == b""
    (asked,) = [action for action in board.actions if isinstance(action, Verify)]
    assert board.board.conclude(asked.operation, Identity("ada"), 0.0) is True
    board.run()
    assert body(board.take(socket)) == result("ada")
    assert board.board.conclude(asked.operation, Identity("ada"), 0.0) is False


def test_a_reset_during_an_exchange_stops_its_handler() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, post(call("later")))
    board.drop(socket)
    assert board.cancelled() == [board.waiting[0].call]
    assert not board.board.complete(board.waiting[0].call, 1, 0.0)


def test_a_large_answer_leaves_in_slices_of_write_ahead() -> None:
    board = Board(Config(write_ahead=1000))
    socket = board.open()
    answer = board.feed(socket, post(call("blob", b"[5000]")))
    sizes = [len(action.data) for action in board.actions if isinstance(action, Write)]
    assert max(sizes) == 1000
    assert sum(sizes) == len(answer)
    assert body(answer) == result("x" * 5000)
    assert board.board.health(0.0).connections == 0


def test_a_small_answer_whose_connection_has_ended_has_a_deadline() -> None:
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


def test_a_socket_that_the_gateway_refuses_is_closed_unread() -> None:
    board = Board(Config(max_connections=1))
    board.open()
    assert board.board.opened(HERE, 0.0) is None


def test_more_cannot_be_sent_than_is_held() -> None:
    board = Board()
    socket = board.open()
    with pytest.raises(UsageError, match="only 0 are held"):
        board.board.sent(socket, 1, 0.0)
    board.board.sent(socket, 0, 0.0)
    board.board.held(socket, 0, 0.0)


def test_an_invalid_address_or_time_is_misuse() -> None:
    board = Board().board
    with pytest.raises(UsageError, match="give an Address"):
        board.opened(("127.0.0.1", 5), 0.0)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="now is nan"):
        board.handle_timeout(float("nan"))
    assert (board.outbox, board.health(0.0).sockets) == ([], 0)


def test_a_websocket_whose_socket_breaks_is_reported_as_abnormal() -> None:
    board = Board()
    browser = Browser(board)
    board.drop(browser.socket)
    assert [event.code for event in board.events() if isinstance(event, ConnectionClosed)] == [1006]
    assert board.board.stats()["connections.closed.websocket"] == 1


def test_an_input_for_a_closed_socket_is_ignored_and_for_an_unknown_one_is_misuse() -> None:
    board = Board()
    socket = board.open()
    board.drop(socket)
    board.board.received(socket, b"x", 0.0)
    board.board.received_eof(socket, 0.0)
    board.board.held(socket, 1, 0.0)
    board.board.sent(socket, 1, 0.0)
    board.board.closed(socket, 0.0)
    assert board.board.outbox == []
    with pytest.raises(UsageError, match="unknown socket 9"):
        board.board.received(SocketId(9), b"x", 0.0)


def test_bytes_and_the_end_of_input_after_the_codec_has_shut_are_dropped() -> None:
    board = Board()
    browser = Browser(board)
    browser.client.close(1000, 0.0)
    browser.exchange()
    assert board.feed(browser.socket, b"more") == b""
    board.board.received_eof(browser.socket, 0.0)
    assert board.board.outbox == []


def test_a_client_that_ended_its_input_during_a_call_is_gone_after_five_seconds() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, post(call("later")))
    (invoke,) = board.waiting
    board.now = 1.0
    board.board.received_eof(socket, board.now)
    board.run()
    board.pass_time(4.999)
    assert (board.cancelled(), board.closed) == ([], {})
    board.pass_time(0.001)
    assert (board.cancelled(), board.closed) == ([invoke.call], {socket: False})
    health = board.board.health(board.now)
    assert (health.connections, health.calls) == (0, 1)
    (closed,) = [event for event in board.events() if isinstance(event, ConnectionClosed)]
    assert closed.reason == "a client ended its input, and had no answer within half_close_timeout"
    assert not board.board.complete(invoke.call, "too late", board.now)
    board.run()
    assert board.take(socket) == b""
    board.drop(socket)
    health = board.board.health(board.now)
    assert (health.sockets, health.connections, health.calls) == (0, 0, 0)


def test_a_client_that_ended_its_input_gets_an_answer_that_is_ready_in_time_however_slowly_it_takes_it() -> None:
    board = Board(Config(write_timeout=60.0))
    socket = board.open()
    board.feed(socket, post(call("later")))
    board.board.received_eof(socket, board.now)
    board.run()
    board.pass_time(4.999)
    board.stuck[socket] = 0
    board.board.complete(board.waiting[0].call, "x" * 200_000, board.now)
    board.run()
    board.pass_time(50.0)
    assert (board.cancelled(), board.closed) == ([], {})
    board.release(socket)
    assert board.take(socket).startswith(b"HTTP/1.1 200 OK\r\n")
    assert board.closed == {socket: True}


def test_a_call_that_goes_on_without_its_caller_is_not_cancelled_when_that_is_taken_for_gone() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, post(call("finish", b"[]")))
    board.board.received_eof(socket, board.now)
    board.run()
    board.pass_time(5.0)
    assert (board.cancelled(), board.closed) == ([], {socket: False})
    assert board.board.health(board.now).calls == 1


def test_the_end_of_input_of_a_websocket_or_a_pipe_knows_no_such_time() -> None:
    board = Board(Config(half_close_timeout=1.0, stdio_grace=9.0))
    browser = Browser(board)
    browser.send(call("later"))
    pipe = board.open(PIPE)
    board.feed(pipe, call("later") + b"\n")
    for socket in (browser.socket, pipe):
        board.board.received_eof(socket, board.now)
        board.run()
    assert board.cancelled() == [1]
    board.pass_time(8.999)
    assert board.cancelled() == [1]
    board.pass_time(0.001)
    assert board.cancelled() == [1, 2]


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


def test_a_pipe_that_ends_within_its_first_word_gets_a_parse_error() -> None:
    board = Board()
    pipe = board.open(PIPE)
    board.feed(pipe, b"Content")
    board.board.received_eof(pipe, 0.0)
    board.run()
    assert b"-32700" in board.take(pipe)
    assert board.closed == {pipe: True}


def test_a_new_socket_during_the_notice_is_told_to_close() -> None:
    board = Board(Config(drain_notice=10.0))
    board.board.shut_down(0.0)
    answer = board.feed(board.open(), b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"Connection: close\r\n" in answer


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


def test_bytes_that_codecs_hold_count_for_the_memory_budget() -> None:
    board = Board(Config(read_bytes=1000))
    socket = board.open()
    board.feed(socket, post(b"x" * 100_000)[:50_000])
    assert board.board.health(0.0).memory > 49_000
    board.drop(socket)
    assert board.board.health(0.0).memory <= 1000


def test_unix_time_can_be_set() -> None:
    board = Board()
    board.board.set_wall(1.0, 0.0)
    assert board.board.health(1.0).timestamp == 2.0


def test_an_identity_that_is_valid_again_has_large_messages_again() -> None:
    config = Config(require_authentication=True, max_message_bytes=200, max_message_bytes_unauthenticated=100)
    board = Board(config)
    pipe = board.open(PIPE, Identity("ada", expires_at=1_700_000_005.0))
    large = call("add", b"[1,2]").ljust(101) + b"\n"
    assert board.feed(pipe, large) == result(3) + b"\n"
    board.pass_time(5.0)
    assert b'"code":-32007' in board.take(pipe) + board.feed(pipe, large)
    board.board.set_wall(1_700_000_000.0, 5.0)
    assert board.feed(pipe, large) == result(3) + b"\n"


def test_the_user_of_a_websocket_may_be_revoked() -> None:
    board = Board(identity=Identity("ada", namespace="tokens", issued_at=5.0))
    browser = Browser(board)
    assert board.board.revoke("ada", 0.0) == 0
    assert board.board.revoke("ada", 0.0, namespace="tokens", not_before=5.0) == 0
    assert board.board.revoke("ada", 0.0, namespace="tokens", not_before=6.0) == 1
    board.run()
    assert board.take(browser.socket)[-4:] == b"\x88\x02\x11\x33"  # the close frame of 4403


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


def test_a_shut_down_and_the_end_of_accepting_can_be_seen() -> None:
    board = Board(Config(drain_notice=1.0))
    browser = Browser(board)
    assert (board.board.draining, board.board.accepting) == (False, True)
    board.board.shut_down(0.0)
    assert (board.board.draining, board.board.accepting) == (True, True)
    board.pass_time(1.0)
    assert (board.board.draining, board.board.accepting) == (True, False)
    assert b"connection.draining" in browser.texts()[0]


# Each input alone


@pytest.mark.parametrize("given", [None, Identity("ada")])
def test_the_policy_or_the_adapter_gives_the_identity_of_a_caller(given: Identity | None) -> None:
    gateway = Gateway(calculator(), wall=0.0, entropy=counter())
    board = Switchboard(gateway)
    pipe = board.opened(PIPE, 0.0) if given is None else board.opened(PIPE, 0.0, identity=given)
    assert pipe is not None
    board.received(pipe, call("connection.info") + b"\n", 0.0)
    (written,) = [action.data for action in board.outbox if isinstance(action, Write)]
    assert (b'"user":"ada"' in written) is (given is not None)


def test_the_event_of_a_refused_socket_is_in_the_outbox_at_once() -> None:
    board = Board(Config(max_connections=1))
    board.open()
    assert board.board.opened(HERE, 0.0) is None
    assert [type(action) for action in board.board.outbox] == [Emit]


def said(board: Board, browser: Browser) -> list[str]:
    """The methods of what a browser is told without anything else happening."""
    board.run()
    return [msgspec.json.decode(text).get("method", "") for text in browser.texts()]


def test_each_push_leaves_by_itself_and_says_whether_it_did() -> None:
    board = Board(Config(drain_grace=10.0))
    browser = Browser(board)
    text = b'{"jsonrpc":"2.0","method":"later","params":[1],"id":1,"meta":{"progress_token":"t"}}'
    browser.send(text)
    invoke = board.waiting.pop()
    connection = invoke.caller.connection
    assert board.board.progress(invoke.call, 0.5, 0.0) is True
    assert said(board, browser) == ["$/progress"]
    assert board.board.notify(connection, "news", None, 0.0) is True
    assert said(board, browser) == ["news"]
    asked = board.board.request(connection, "ask", None, 0.0, timeout=5.0)
    assert said(board, browser) == ["ask"]
    board.board.abandon(asked, 0.0)
    assert said(board, browser) == ["$/cancelRequest"]
    assert board.board.complete(invoke.call, 1, 0.0) is True
    assert said(board, browser) == [""]
    assert board.board.complete(invoke.call, 1, 0.0) is False
    board.board.shut_down(0.0, grace=1.0)
    assert said(board, browser) == ["connection.draining"]


def test_a_broadcast_is_narrowed_to_kinds_and_users() -> None:
    board = Board(identity=Identity("ada"))
    browser, pipe = Browser(board), board.open(PIPE, Identity("bob"))
    board.feed(pipe, call("add", b"[1,2]") + b"\n")
    told: list[dict[str, Any]] = [
        {"kinds": ["cli"]},
        {"kinds": ["websocket"]},
        {"users": ["bob"]},
        {"users": ["ada"]},
        {},
    ]
    reached = []
    for to in told:
        delivered = board.board.broadcast("news", None, 0.0, **to)
        board.run()
        reached.append((delivered, bool(browser.texts()), bool(board.take(pipe))))
    assert reached == [(1, False, True), (1, True, False), (1, False, True), (1, True, False), (2, True, True)]


def test_the_grace_of_a_shut_down_can_be_said() -> None:
    board = Board(Config(drain_grace=10.0))
    browser = Browser(board)
    browser.send(call("later"))
    board.board.shut_down(0.0, grace=1.0)
    board.pass_time(0.999)
    assert board.cancelled() == []
    board.pass_time(0.001)
    assert board.cancelled() == [board.waiting[0].call]


def test_one_held_byte_counts_and_a_negative_number_is_misuse() -> None:
    board = Board()
    browser = Browser(board)
    headers = board.board.health(0.0).memory
    board.board.held(browser.socket, 0, 0.0)
    board.board.sent(browser.socket, 0, 0.0)
    for report in (board.board.held, board.board.sent):
        with pytest.raises(UsageError, match="-1 bytes are reported of socket 1: give a number from 0 on"):
            report(browser.socket, -1, 0.0)
    assert (board.board.health(0.0).memory, board.board.outbox) == (headers, [])
    board.board.held(browser.socket, 1, 0.0)
    assert board.board.health(0.0).memory == headers + 1
    board.board.sent(browser.socket, 1, 0.0)
    assert board.board.health(0.0).memory == headers


def test_a_closed_socket_leaves_nothing_behind() -> None:
    board = Board()
    browser, pipe, exchange = Browser(board), board.open(PIPE), board.open()
    board.feed(pipe, call("later") + b"\n")
    board.board.received_eof(pipe, 0.0)
    board.feed(exchange, post(call("later")))
    board.run()
    for socket in (browser.socket, pipe, exchange):
        board.drop(socket)
    assert [event.code for event in board.events() if isinstance(event, ConnectionClosed)] == [1006, None, None]
    assert board.board.health(0.0).sockets == 0
    assert (board.board._sockets.by_connection, board.board._sockets.records, board.board._work.at_eof) == ({}, {}, {})


def test_a_notification_behind_a_reply_leaves_in_bytes_behind_it() -> None:
    board = Board()
    browser = Browser(board)
    assert browser.send(call("later")) == []
    (invoke,) = board.waiting
    connection = invoke.caller.connection
    assert board.board.notify(connection, "event", [1], 0.0, after=invoke.call)
    board.run()
    assert browser.texts() == []
    assert board.board.complete(invoke.call, 1, 0.0)
    board.run()
    browser.exchange()
    assert browser.texts() == [result(1), b'{"jsonrpc":"2.0","method":"event","params":[1]}']


def test_a_call_of_this_process_has_the_identity_of_the_policy_unless_it_names_another_and_may_be_hung_up() -> None:
    board = Board(policy=Policy(identity=Identity("policy")))
    known, other = board.board.call("later", None, 0.0), board.board.call("later", None, 0.0, identity=Identity("ada"))
    board.run()
    assert [invoke.caller.identity.user for invoke in board.waiting] == ["policy", "ada"]
    board.board.hang_up(other, 0.0)
    board.run()
    assert board.cancelled() == [board.waiting[1].call]
    board.board.complete(board.waiting[0].call, "known", 0.0)
    board.run()
    assert [action for action in board.actions if isinstance(action, Reply)] == [Reply(known, b'"known"')]


def test_a_deadline_that_is_armed_anew_while_the_old_one_is_due_is_forgotten_with_its_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    board = Board()
    first, second = board.open(), board.open()
    states, timers = board.board._sockets.records, board.board._timers
    monkeypatch.setattr(
        states[first].codec, "handle_timeout", lambda now: board.board._sockets.schedule(states[second])
    )
    due = board.board.next_timeout()
    assert due is not None
    board.board.handle_timeout(due)
    for socket in (first, second):
        board.board.closed(socket, due)
    assert len(timers) == 0


def test_a_publication_of_the_service_reaches_its_subscribers_framed() -> None:
    published = Service("published", public=True)
    published.topic("news")
    board = Board(service=published)
    pipe = board.open(PIPE)
    board.feed(pipe, call("topic.subscribe", b'["news"]') + b"\n")
    request = board.board.publish("news", [1], board.now)
    board.run()
    outcomes = [action.outcome for action in board.actions if isinstance(action, Resolve) and action.request == request]
    assert [type(outcome) for outcome in outcomes] == [bytes]
    assert b'"method":"topic.publication"' in board.take(pipe)


def test_the_service_ends_the_subscriptions_of_a_user_and_they_are_told() -> None:
    published = Service("published", public=True)
    published.topic("news")
    board = Board(service=published)
    pipe = board.open(PIPE, Identity("ada"))
    board.feed(pipe, call("topic.subscribe", b'["news"]') + b"\n")
    assert board.board.unsubscribe(board.now, user="bob", topic="news") == 0
    assert board.board.unsubscribe(board.now, user="ada", topic="news") == 1
    board.run()
    assert b'"method":"topic.unsubscribed"' in board.take(pipe)


class Notes:
    """The adapter's end of a socket, which notes what it gets."""

    def __init__(self) -> None:
        self.given: list[tuple[bytes, bool]] = []

    def write(self, data: bytes, report: bool) -> None:
        self.given.append((data, report))


@pytest.mark.parametrize("direct", [True, False])
def test_bytes_go_to_the_attached_writer_while_no_action_is_queued(direct: bool) -> None:
    board = Board(ways=Ways(direct=direct))
    socket, notes = board.open(), Notes()
    board.board.attach(socket, notes)
    board.board.received(socket, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 0.0)
    writes = [action.data for action in board.board.outbox if isinstance(action, Write)]
    assert [data[:15] for data in writes] == ([] if direct else [b"HTTP/1.1 200 OK"])
    assert [data[:15] for data, _ in notes.given] == ([b"HTTP/1.1 200 OK"] if direct else [])
    board.board.outbox.clear()
    board.board.outbox.append(Write(socket, b"before"))
    board.board.received(socket, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 0.0)
    assert [type(action) for action in board.board.outbox] == [Write, Write]


def test_no_writer_is_attached_to_a_socket_that_has_closed() -> None:
    board = Board()
    socket = board.open()
    board.board.closed(socket, 0.0)
    board.board.attach(socket, Notes())
    with pytest.raises(UsageError, match="unknown socket 9"):
        board.board.attach(SocketId(9), Notes())


def test_a_socket_of_a_port_for_probes_takes_no_calls_even_from_an_operator() -> None:
    board = Board(Config(require_authentication=True), policy=Policy(hosts=("example.org",)))
    operator = Identity(scopes=("admin",))
    socket = board.open(HERE, operator, probes=True)
    assert board.feed(socket, b"GET /stats HTTP/1.1\r\nHost: 127.0.0.1:9100\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert board.feed(socket, b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n").startswith(b"HTTP/1.1 421 ")
    refused = board.feed(board.open(HERE, operator, probes=True), post(call("add", b"[1,2]")))
    assert body(refused) == b"Not found. Use GET /health, GET /stats or GET /metrics.\n"


def test_a_socket_of_a_port_for_probes_may_need_credentials() -> None:
    board = Board()
    assert board.feed(board.open(probes=True), b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").startswith(
        b"HTTP/1.1 401 "
    )
