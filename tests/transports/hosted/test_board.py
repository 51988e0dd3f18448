"""A switchboard for a host: its requests are calls, its WebSockets last, and every limit counts."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core import Address, Bearer, Cancel, Config, Identity, Service
from posthouse.core.values.lifecycle import ConnectionClosed, RequestRefused
from posthouse.core.values.peers import SocketId
from posthouse.transports.hosted.messages import Accepted, Closing, Response
from posthouse.transports.policy import Policy

from tests.transports.board import HERE, result
from tests.transports.board import call as text

from .host import Host, call, handshake, head

ADD = text("add", b"[1,2]")


def test_a_request_is_answered_and_its_socket_closes() -> None:
    host = Host()
    assert host.answered(call(size=len(ADD)), ADD) == result(3)
    assert host.answered(call(path="/"), b"{").status == 400
    assert host.answered(call(), text("add", b"[1,2]", None)).status == 204
    host.at_rest()


def test_an_answer_may_come_later_and_a_client_that_has_gone_cancels_its_call() -> None:
    host = Host()
    socket = host.open(call())
    host.body(socket, text("later", b"[5]"))
    host.board.complete(host.waiting[0].call, 5, host.now)
    host.run()
    assert host.sent[socket] == [result(5)]
    socket = host.open(call())
    host.body(socket, text("later", b"[5]"))
    host.board.closed(socket, host.now)
    host.run()
    assert [action.call for action in host.actions if isinstance(action, Cancel)] == [host.waiting[1].call]
    host.body(socket, b"late")


def test_a_request_that_its_host_gives_wrongly_leaves_nothing_behind() -> None:
    host = Host()
    field: Any = ("x-name", "a text")
    with pytest.raises((TypeError, AttributeError)):
        host.board.requested(call(field, size=len(ADD)), HERE, host.now)
    host.run()
    host.at_rest()


def test_a_body_that_its_host_gives_wrongly_leaves_nothing_behind() -> None:
    host = Host()
    request = call(size=len(ADD))
    assert host.answered(request, ADD) == result(3)
    judged = host.board.find(request, HERE)
    assert judged is not None
    view: Any = memoryview(ADD)
    with pytest.raises((TypeError, AttributeError)):
        host.board.exchanged(request, judged, view, HERE, host.now)
    host.run()
    assert host.answered(request, ADD) == result(3)
    host.at_rest()


def test_a_websocket_carries_texts_both_ways_and_closes() -> None:
    host = Host()
    socket = host.open(handshake())
    host.say(socket, ADD.decode())
    assert host.sent[socket] == [b"", result(3)]
    assert isinstance(host.sent[socket][0], Accepted)
    assert host.board.broadcast("news", None, host.now) == 1
    host.run()
    assert host.sent[socket][2] == b'{"jsonrpc":"2.0","method":"news"}'
    host.board.left(socket, 1001, host.now)
    host.run()
    assert host.closed == {socket: False}
    assert [event.code for event in host.events(ConnectionClosed)] == [1001]
    host.say(socket, "late")
    host.board.left(socket, 1001, host.now)
    host.at_rest()


def test_a_websocket_that_breaks_off_has_no_close_code() -> None:
    host = Host()
    socket = host.open(handshake())
    host.board.closed(socket, host.now)
    host.run()
    assert [event.code for event in host.events(ConnectionClosed)] == [1006]


def test_a_message_that_is_too_large_closes_its_websocket() -> None:
    host = Host(Config(max_message_bytes=100))
    socket = host.open(handshake())
    host.say(socket, "x" * 101)
    last = host.sent[socket][-1]
    assert isinstance(last, Closing)
    assert last.code == 1009
    assert host.closed == {socket: True}


def test_bodies_are_for_requests_and_messages_for_websockets() -> None:
    host = Host()
    asked, opened = host.open(call()), host.open(handshake())
    host.say(asked, ADD.decode())
    host.body(opened, ADD)
    host.board.left(asked, 1000, host.now)
    host.run()
    assert (host.sent[asked], host.sent[opened][1:], host.closed) == ([], [], {})


def test_a_large_answer_is_handed_over_whole() -> None:
    host = Host()
    asked = text("blob", b"[1000000]")
    assert len(host.answered(call(size=len(asked)), asked)) > 1_000_000
    socket = host.open(handshake())
    host.say(socket, asked.decode())
    assert len(host.sent[socket]) == 2


def test_a_websocket_that_does_not_take_its_texts_is_not_read_until_it_does() -> None:
    host = Host()
    socket = host.open(handshake())
    host.slow[socket] = 0
    host.say(socket, ADD.decode())
    assert host.stopped == [socket]
    host.say(socket, ADD.decode())
    assert host.sent[socket][1:] == [result(3)]
    host.take(socket)
    assert host.stopped == []
    assert host.sent[socket][1:] == [result(3), result(3)]


def test_a_websocket_that_takes_nothing_is_closed_and_then_cut() -> None:
    host = Host(Config(write_timeout=10.0))
    socket = host.open(handshake())
    host.slow[socket] = 0
    host.say(socket, ADD.decode())
    host.pass_time(10.0)
    assert isinstance(host.sent[socket][-1], Closing)
    assert socket not in host.closed
    host.pass_time(10.0)
    assert host.closed == {socket: False}


# Whole calls


def whole(host: Host, identity: Identity | None = None, *more: tuple[bytes, bytes], data: bytes = ADD) -> Response:
    """The response to a whole call."""
    socket = host.whole(call(*more, size=len(data)), data, identity=identity)
    assert socket is not None
    (response,) = host.sent[socket]
    assert isinstance(response, Response)
    assert host.closed[socket]
    return response


def test_a_whole_call_whose_head_is_known_is_one_input() -> None:
    host = Host()
    assert host.board.find(call(size=len(ADD)), HERE) is None
    assert whole(host) == result(3)
    assert host.board.find(call(size=len(ADD)), HERE) is not None
    assert whole(host) == result(3)
    later = text("later", b"[5]")
    host.whole(call(size=len(later)), later)
    socket = host.whole(call(size=len(later)), later)
    assert socket is not None
    host.board.complete(host.waiting[1].call, 5, host.now)
    host.run()
    assert host.sent[socket] == [result(5)]
    host.board.complete(host.waiting[0].call, 5, host.now)
    host.run()
    host.at_rest()


@pytest.mark.parametrize("data", [ADD, b"{", text("nope"), text("add", b"[1,2]", None), b"x" * 101])
@pytest.mark.parametrize("draining", [False, True])
def test_a_whole_call_is_answered_like_one_in_pieces(data: bytes, draining: bool) -> None:
    answers = []
    for direct in (True, False):
        host = Host(Config(max_body_bytes=100, drain_notice=5.0), direct=direct)
        whole(host, data=data)
        if draining:
            host.board.shut_down(host.now)
        response = whole(host, data=data)
        assert (host.board.find(call(size=len(data)), HERE) is None) is (not direct or len(data) > 100)
        answers.append((response, response.status, response.fields))
    assert answers[0] == answers[1]


def test_a_body_that_is_larger_than_its_head_says_is_refused() -> None:
    host = Host(Config(max_body_bytes=100))
    host.answered(call(), b"{}")
    socket = host.whole(call(), b"x" * 101)
    assert socket is not None
    assert [getattr(data, "status", None) for data in host.sent[socket]] == [413]
    host.at_rest()


def test_a_whole_call_above_a_limit_is_turned_away() -> None:
    host = Host(Config(max_connections=1))
    assert whole(host) == result(3)
    host.open(handshake())
    assert host.whole(call(size=len(ADD)), ADD) is None


def test_a_known_head_says_nothing_about_its_caller() -> None:
    host = Host(DEMANDING, service=guarded())
    right, cookie = (b"authorization", b"Bearer right"), (b"cookie", b"__Host-posthouse=a")
    for _ in range(2):
        assert whole(host, Identity("ada")) == result(3)
        assert whole(host).status == 401
        assert host.board.find(call((b"cookie", b"other=a"), size=len(ADD)), HERE) is None
    for _ in range(2):
        host.whole(call(right, size=len(ADD)), ADD)
        host.whole(call(cookie, size=len(ADD)), ADD)
    assert host.board.find(call(right, size=len(ADD)), HERE) is not None
    assert host.board.find(call(cookie, size=len(ADD)), HERE) is not None
    assert host.board.find(call((b"cookie", b"other=a"), size=len(ADD)), HERE) is None
    assert host.board.find(call(size=len(ADD)), HERE) is None


def test_a_head_that_came_through_a_trusted_proxy_is_not_known() -> None:
    host = Host(Config(trust_proxies=("10.0.0.1",)))
    proxy = Address("10.0.0.1")
    for _ in range(2):
        assert host.board.find(call(), proxy) is None
        host.whole(call(), b"{}", proxy)


def test_a_body_that_may_not_be_read_yet_is_given_again() -> None:
    host = Host(Config(require_authentication=True, max_message_bytes_unauthenticated=10), service=guarded())
    socket = host.board.requested(call((b"authorization", b"Bearer right"), size=len(ADD)), HERE, host.now)
    assert socket is not None
    host.sent[socket] = []
    assert not host.board.received_body(socket, ADD, host.now, more=False)
    host.run()


# Limits


@pytest.mark.parametrize(("before", "turned_away"), [(0, False), (1, False), (2, True)])
def test_requests_count_as_sockets_and_one_too_many_is_turned_away(before: int, turned_away: bool) -> None:
    host = Host(Config(max_connections=2))
    for _ in range(before):
        host.open(call())
    assert (host.request(handshake()) is None) is turned_away


def test_a_request_that_is_turned_away_has_an_answer_of_its_own() -> None:
    host = Host(Config(max_connections=1))
    host.open(handshake())
    away = host.board.turned_away(call())
    assert (away.status, b"-32009" in bytes(away)) == (503, True)
    assert host.board.turned_away(handshake()) == b"Server busy\n"
    host.board.shut_down(host.now)
    host.pass_time(60.0)
    away = host.board.turned_away(call())
    assert (away.status, b"-32050" in bytes(away)) == (503, True)


def test_during_a_shut_down_answers_close_their_sockets() -> None:
    host = Host(Config(drain_notice=5.0))
    host.board.shut_down(host.now)
    away = host.answered(call(size=len(ADD)), ADD)
    assert dict(away.fields)[b"connection"] == b"close"


def test_bodies_count_as_memory_and_one_without_room_is_refused() -> None:
    host = Host(Config(memory_budget=100_000, max_body_bytes=200_000))
    socket = host.open(call(size=150_000))
    host.body(socket, b"x" * 90_000, more=True)
    assert host.board.health(host.now).memory == 90_000
    host.body(socket, b"x" * 20_000, more=True)
    (refused,) = host.sent[socket]
    assert isinstance(refused, Response)
    assert refused.status == 503
    assert host.board.health(host.now).memory == 0


def test_a_body_that_does_not_come_is_refused_in_time() -> None:
    host = Host(Config(body_timeout=30.0, min_body_rate=0.0))
    socket = host.open(call())
    host.pass_time(29.9)
    assert host.sent[socket] == []
    host.pass_time(0.1)
    assert host.events(RequestRefused)[0].status == 408


def test_a_client_behind_a_trusted_proxy_is_counted_for_itself() -> None:
    host = Host(Config(trust_proxies=("10.0.0.1",), max_connections_per_address=1))
    proxy, client = Address("10.0.0.1"), (b"x-forwarded-for", b"192.0.2.1")
    assert host.request(handshake(client), proxy) == 1
    refused = host.open(call(client), proxy)
    assert [getattr(data, "status", None) for data in host.sent[refused]] == [429]
    assert host.sent[host.open(call((b"x-forwarded-for", b"192.0.2.2")), proxy)] == []


# Callers


def guarded() -> Service:
    service = Service("guarded")

    @service.authenticator("bearer")
    def read(bearer: Bearer) -> Identity | None:
        return Identity("ada") if bearer.token == "right" else None

    @service.method
    def add(a: int, b: int) -> int:
        return a + b

    return service


DEMANDING = Config(require_authentication=True)


def test_a_host_says_who_calls() -> None:
    host = Host(service=guarded())
    assert b"-32020" in host.answered(call(size=len(ADD)), ADD)
    assert host.answered(call(size=len(ADD)), ADD, Identity("ada")) == result(3)


def test_where_authentication_is_required_a_caller_that_the_host_knows_needs_no_credentials() -> None:
    host = Host(DEMANDING, service=guarded())
    assert host.answered(call(size=len(ADD)), ADD).status == 401
    assert host.answered(call(size=len(ADD)), ADD, Identity("ada")) == result(3)


def test_the_policy_has_the_identity_of_all_others() -> None:
    host = Host(service=guarded(), policy=Policy(identity=Identity("everybody")))
    assert host.answered(call(size=len(ADD)), ADD) == result(3)


def test_probes_are_answered_below_the_mount() -> None:
    host = Host()
    health = host.answered(head(b"GET", "/health", mount="/api"))
    assert (health.status, health.startswith(b'{"status":"healthy"')) == (200, True)
    assert host.answered(head(b"GET", "/stats")).status == 401


def test_a_socket_that_never_was_is_misuse() -> None:
    host = Host()
    with pytest.raises(Exception, match="unknown socket 7"):
        host.body(SocketId(7), b"")
