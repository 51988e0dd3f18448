"""Behind proxies: the address of each request's own client, the limits that count it, and the words of others."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core import (
    Address,
    Config,
    ConnectionOpened,
    ForwardingIgnored,
    LimitBreached,
    RequestRefused,
)
from posthouse.core.values.peers import SocketId
from posthouse.transports.policy import Policy

from tests.transports.board import UPGRADE, Board, body, call, post, result

PROXY = Address("10.0.0.1", 4_000)
ADD = call("add", b"[1,2]")
LATER = call("later")
RATE_LIMITED = b'{"jsonrpc":"2.0","error":{"code":-32029,"message":"Rate limited"},"id":null}'


class Behind(Board):
    """A board behind a trusted proxy, whose sockets a test opens."""

    def __init__(self, *, policy: Policy | None = None, **limits: Any) -> None:
        limits.setdefault("trust_proxies", ("10.0.0.1", "unix"))
        super().__init__(Config(**limits), policy=policy)

    def proxy(self) -> SocketId:
        return self.open(PROXY)

    def opened(self) -> list[tuple[str, str, str]]:
        events = [event for event in self.events() if isinstance(event, ConnectionOpened)]
        return [(event.kind, event.address.host, event.address.proxy) for event in events]

    @property
    def counted(self) -> dict[str, int]:
        return self.board.gateway._connections.by_address


def request(client: bytes, text: bytes = ADD, more: bytes = b"") -> bytes:
    return post(text, more=b"X-Forwarded-For: %b\r\n%b" % (client, more))


def handshake(client: bytes) -> bytes:
    return UPGRADE.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: %b\r\n\r\n" % client)


def status(answer: bytes) -> int:
    return int(answer[9:12])


# Whose address


def test_each_request_of_a_proxys_socket_has_its_own_client() -> None:
    board = Behind()
    socket = board.proxy()
    for client in (b"192.0.2.1", b"192.0.2.2", b"192.0.2.1"):
        assert body(board.feed(socket, request(client))) == result(3)
    assert board.feed(socket, post(ADD)).startswith(b"HTTP/1.1 200 OK")
    assert board.opened() == [
        ("http", "192.0.2.1", "10.0.0.1"),
        ("http", "192.0.2.2", "10.0.0.1"),
        ("http", "192.0.2.1", "10.0.0.1"),
        ("http", "10.0.0.1", "10.0.0.1"),
    ]


def test_pipelined_requests_of_a_proxy_have_their_own_clients() -> None:
    board = Behind()
    answers = board.feed(board.proxy(), request(b"192.0.2.1") + request(b"192.0.2.2") + request(b"2001:db8::1"))
    assert answers.count(result(3)) == 3
    assert [host for _, host, _ in board.opened()] == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]


def test_requests_that_wait_behind_another_are_not_read_beyond_the_limit_while_their_clients_are_admitted() -> None:
    board = Behind(max_head_bytes=200)
    socket = board.proxy()
    waiting = b"".join(request(b"192.0.2.%d" % number) for number in range(1, 6))
    board.feed(socket, request(b"192.0.2.9", LATER) + waiting)
    assert board.stopped == [socket]
    before = len(board.actions)
    (later,) = board.waiting
    board.board.complete(later.call, None, 0.0)
    board.run()
    kinds = [type(action).__name__ for action in board.actions[before:]]
    assert board.take(socket).count(result(3)) == 5
    assert (kinds.count("StopReading"), kinds.count("StartReading")) == (0, 1)


@pytest.mark.unmeasured
def test_a_request_that_is_cut_anywhere_has_its_client() -> None:
    whole = request(b"192.0.2.1", more=b"X-Forwarded-Proto: https\r\n")
    for cut in range(1, len(whole)):
        board = Behind(max_connections_per_address=1)
        socket = board.proxy()
        assert board.feed(socket, whole[:cut]) + board.feed(socket, whole[cut:]) != b""
        (event,) = [event for event in board.events() if isinstance(event, ConnectionOpened)]
        assert event.address == Address("192.0.2.1", secure=True, proxy="10.0.0.1")
        assert board.counted == {}


def test_a_websocket_keeps_the_client_of_its_handshake() -> None:
    board = Behind()
    assert status(board.feed(board.proxy(), handshake(b"192.0.2.1"))) == 101
    assert board.opened() == [("websocket", "192.0.2.1", "10.0.0.1")]


def test_the_proxy_of_a_unix_socket_names_clients_too() -> None:
    board = Behind()
    board.feed(board.open(Address()), request(b"192.0.2.1"))
    assert board.opened() == [("http", "192.0.2.1", "unix")]


def test_a_refused_request_is_told_with_the_address_of_its_client() -> None:
    board = Behind()
    socket = board.proxy()
    board.feed(socket, request(b"192.0.2.1"))
    board.feed(socket, b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.2\r\n\r\n")
    board.feed(socket, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.3\r\nbroken\r\n\r\n")
    told = [event for event in board.events() if isinstance(event, RequestRefused)]
    assert [(event.status, event.address.host) for event in told] == [(404, "192.0.2.2"), (400, "10.0.0.1")]


def test_a_head_that_is_never_whole_is_not_told_as_that_of_the_client_before() -> None:
    board = Behind()
    socket = board.proxy()
    board.feed(socket, request(b"192.0.2.1") + b"POST /rpc")
    board.pass_time(6.0)
    told = [event for event in board.events() if isinstance(event, RequestRefused)]
    assert [(event.status, event.address.host) for event in told] == [(408, "10.0.0.1")]


@pytest.mark.parametrize("value", [b"nonsense", b"192.0.2.999", b"1.2.3.4:x"])
def test_a_malformed_header_of_a_proxy_is_refused_and_no_call_is_made(value: bytes) -> None:
    board = Behind()
    socket = board.proxy()
    board.feed(socket, request(b"192.0.2.1"))
    assert status(board.feed(socket, request(value))) == 400
    assert board.half_closed == [socket]
    assert len(board.opened()) == 1


def test_the_headers_of_a_peer_that_is_not_trusted_are_ignored_and_told_once() -> None:
    board = Behind()
    outsider = board.open(Address("192.0.2.66", 5))
    for client in (b"10.9.9.9", b"nonsense", b"127.0.0.1"):
        assert body(board.feed(outsider, request(client, more=b"Forwarded: for=8.8.8.8\r\n"))) == result(3)
    assert status(board.feed(board.open(Address("192.0.2.67", 5)), handshake(b"10.9.9.9"))) == 101
    events = board.events()
    told = [event for event in events if isinstance(event, ForwardingIgnored)]
    assert told == [ForwardingIgnored("x-forwarded-for", Address("192.0.2.66", 5), 0.0)]
    opened = [event for event in events if isinstance(event, ConnectionOpened)]
    assert [event.address for event in opened] == [Address("192.0.2.66", 5)] * 3 + [Address("192.0.2.67", 5)]


@pytest.mark.parametrize(
    "header", [b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: x", b"Forwarded: for=_x"]
)
def test_each_header_of_a_proxy_is_told_where_none_is_trusted(header: bytes) -> None:
    for text in (post(ADD, more=header + b"\r\n"), UPGRADE.replace(b"\r\n\r\n", b"\r\n%b\r\n\r\n" % header)):
        board = Behind(trust_proxies=())
        for _ in range(2):
            board.feed(board.proxy(), text)
        told = [event for event in board.events() if isinstance(event, ForwardingIgnored)]
        name = header.partition(b":")[0].decode().lower()
        assert told == [ForwardingIgnored(name, PROXY, 0.0)]


def test_headers_of_the_other_family_of_a_trusted_proxy_are_not_told() -> None:
    board = Behind()
    board.feed(board.proxy(), request(b"192.0.2.1", more=b"Forwarded: for=8.8.8.8\r\n"))
    assert not any(isinstance(event, ForwardingIgnored) for event in board.events())


def test_forwarded_is_read_where_it_is_chosen() -> None:
    board = Behind(proxy_headers="forwarded")
    socket = board.proxy()
    for client in (b"192.0.2.1", b'"[2001:db8::1]:4711"'):
        more = b"Forwarded: for=%b;proto=https\r\nX-Forwarded-For: 8.8.8.8\r\n" % client
        assert body(board.feed(socket, post(ADD, more=more))) == result(3)
    opened = [event.address for event in board.events() if isinstance(event, ConnectionOpened)]
    assert opened == [
        Address("192.0.2.1", 0, secure=True, proxy="10.0.0.1"),
        Address("2001:db8::1", 4711, secure=True, proxy="10.0.0.1"),
    ]


# The scheme and the host


def page(origin: bytes, host: bytes, more: bytes) -> bytes:
    head = b"POST /rpc HTTP/1.1\r\nHost: %b\r\nOrigin: %b\r\nContent-Type: application/json\r\n" % (host, origin)
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, more, len(ADD), ADD)


SITE = Policy(hosts=("api.example.org",))


@pytest.mark.parametrize(
    ("origin", "proto", "expected"),
    [
        (b"https://api.example.org", b"https", 200),
        (b"http://api.example.org", b"https", 403),
        (b"http://api.example.org", b"http", 200),
        (b"https://api.example.org", b"http", 200),
        (b"https://api.example.org:8443", b"https", 403),
        (b"https://evil.example", b"https", 403),
        (b"https://api.example.org", b"ftp", 400),
    ],
)
def test_a_page_is_of_the_same_origin_by_the_scheme_that_the_proxy_names(
    origin: bytes, proto: bytes, expected: int
) -> None:
    for config, more in (
        ({}, b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: %b\r\n" % proto),
        ({"proxy_headers": "forwarded"}, b"Forwarded: for=192.0.2.1;proto=%b\r\n" % proto),
    ):
        board = Behind(policy=SITE, **config)
        socket = board.proxy()
        for _ in range(2):
            assert status(board.feed(socket, page(origin, b"api.example.org", more))) == expected
            if expected != 200:
                break


def test_a_head_that_differs_by_its_scheme_alone_is_judged_anew() -> None:
    board = Behind(policy=SITE, proxy_headers="forwarded")
    socket = board.proxy()

    def told(proto: bytes) -> int:
        more = b"Forwarded: for=192.0.2.1;proto=%b\r\n" % proto
        return status(board.feed(socket, page(b"http://api.example.org", b"api.example.org", more)))

    assert [told(proto) for proto in (b"http", b"http", b"https")] == [200, 200, 403]


def test_the_scheme_that_another_peer_names_does_not_count() -> None:
    board = Behind(policy=SITE)
    more = b"X-Forwarded-Proto: https\r\n"
    assert status(board.feed(board.open(), page(b"http://api.example.org", b"api.example.org", more))) == 200


def test_a_head_that_a_trusted_proxy_sent_is_not_judged_alike_from_another_peer() -> None:
    board = Behind(policy=SITE)
    head = page(b"http://api.example.org", b"api.example.org", b"X-Forwarded-Proto: https\r\n")
    outsider = board.open()
    assert [status(board.feed(outsider, head)) for _ in range(2)] == [200, 200]
    assert status(board.feed(board.proxy(), head)) == 403
    assert status(board.feed(outsider, head)) == 200


@pytest.mark.parametrize(
    ("trusted", "forwarded", "host", "expected"),
    [
        (False, b"api.example.org", b"inner", 421),
        (False, b"evil.example", b"api.example.org", 200),
        (True, b"api.example.org", b"inner", 200),
        (True, b"evil.example", b"api.example.org", 421),
        (True, b"inner, api.example.org", b"inner", 200),
        (True, b"", b"api.example.org", 200),
        (True, b"api.example.org/", b"inner", 400),
        (True, b"a b", b"api.example.org", 400),
    ],
)
def test_the_host_of_a_proxy_is_judged_by_the_list_if_it_is_trusted(
    trusted: bool, forwarded: bytes, host: bytes, expected: int
) -> None:
    for config, more in (
        ({}, b"X-Forwarded-Host: %b\r\n" % forwarded),
        ({"proxy_headers": "forwarded"}, b'Forwarded: for=192.0.2.1;host="%b"\r\n' % forwarded.split(b", ")[-1]),
    ):
        board = Behind(policy=SITE, trust_forwarded_host=trusted, **config)
        socket = board.proxy()
        for _ in range(2):
            assert status(board.feed(socket, page(b"https://api.example.org", host, more))) == (
                403 if expected == 200 and host == b"inner" and not trusted else expected
            )
            if expected != 200:
                break


def test_hosts_that_differ_in_forwarded_alone_are_each_judged() -> None:
    board = Behind(policy=SITE, trust_forwarded_host=True, proxy_headers="forwarded")
    socket = board.proxy()

    def told(host: bytes) -> int:
        return status(board.feed(socket, post(ADD, more=b"Forwarded: for=192.0.2.1;host=%b\r\n" % host)))

    assert [told(host) for host in (b"api.example.org", b"api.example.org", b"evil.example")] == [200, 200, 421]


# Limits per address


def test_the_limit_on_an_address_counts_the_clients_of_a_proxy_and_not_the_proxy() -> None:
    board = Behind(max_connections_per_address=2)
    first, second, third, other = (board.proxy() for _ in range(4))
    assert board.counted == {}
    assert status(board.feed(first, handshake(b"192.0.2.1"))) == 101
    assert board.feed(second, request(b"192.0.2.1", LATER)) == b""
    assert board.counted == {"192.0.2.1": 2}
    refused = board.feed(third, request(b"192.0.2.1"))
    assert (status(refused), body(refused)) == (429, RATE_LIMITED)
    assert b"\r\nRetry-After: 1\r\n" in refused
    assert status(board.feed(board.proxy(), handshake(b"192.0.2.1"))) == 429
    assert status(board.feed(other, request(b"192.0.2.2"))) == 200
    board.board.complete(board.waiting.pop().call, None, board.now)
    board.run()
    assert board.counted == {"192.0.2.1": 1}
    assert status(board.feed(second, request(b"192.0.2.1"))) == 200
    board.drop(first)
    assert board.counted == {}
    breaches = [event for event in board.events() if isinstance(event, LimitBreached)]
    assert {(event.limit, event.address.host, event.address.proxy) for event in breaches} == {
        ("max_connections_per_address", "192.0.2.1", "10.0.0.1")
    }
    assert len(breaches) == 2


def test_a_socket_of_a_proxy_that_waits_for_a_request_counts_for_nobody() -> None:
    board = Behind(max_connections_per_address=1)
    sockets = [board.proxy() for _ in range(3)]
    for socket in sockets:
        assert status(board.feed(socket, request(b"192.0.2.1"))) == 200
    assert board.counted == {}


def test_the_addresses_of_one_ipv6_network_behind_a_proxy_count_together() -> None:
    board = Behind(max_connections_per_address=1)
    assert status(board.feed(board.proxy(), handshake(b"2001:db8::1"))) == 101
    assert board.counted == {"2001:db8::/64": 1}
    assert status(board.feed(board.proxy(), request(b"2001:db8::ffff:1"))) == 429
    assert status(board.feed(board.proxy(), request(b"2001:db8:0:1::1"))) == 200


def test_a_client_is_refused_at_the_head_before_its_body_comes() -> None:
    board = Behind(max_connections_per_address=1)
    assert status(board.feed(board.proxy(), handshake(b"192.0.2.1"))) == 101
    socket = board.proxy()
    whole = request(b"192.0.2.1", more=b"Expect: 100-continue\r\n")
    answer = board.feed(socket, whole[: -len(ADD)])
    assert (status(answer), body(answer)) == (429, RATE_LIMITED)
    assert b"\r\nConnection: close\r\n" in answer
    assert board.half_closed == [socket]
    assert board.feed(socket, ADD) == b""
    assert [host for _, host, _ in board.opened()] == ["192.0.2.1"]


def test_a_client_whose_body_is_on_its_way_is_counted_until_it_is_answered() -> None:
    board = Behind(max_connections_per_address=1)
    slow = board.proxy()
    whole = request(b"192.0.2.1", more=b"Expect: 100-continue\r\n")
    assert board.feed(slow, whole[: -len(ADD)]) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert board.counted == {"192.0.2.1": 1}
    assert status(board.feed(board.proxy(), request(b"192.0.2.1"))) == 429
    assert status(board.feed(slow, ADD)) == 200
    assert board.counted == {}


def test_a_client_whose_body_never_comes_is_counted_until_its_socket_is_closed() -> None:
    board = Behind(max_connections_per_address=1)
    slow = board.proxy()
    board.feed(slow, request(b"192.0.2.1")[: -len(ADD)])
    board.pass_time(31.0)
    assert board.closed == {slow: True}
    board.drop(slow)
    assert board.counted == {}


def test_the_rate_of_an_address_counts_each_request_of_a_client_of_a_proxy() -> None:
    board = Behind(accept_rate_per_address=2.0)
    socket = board.proxy()
    assert [status(board.feed(socket, request(b"192.0.2.1"))) for _ in range(3)] == [200, 200, 429]
    assert status(board.feed(board.proxy(), request(b"192.0.2.2"))) == 200
    board.pass_time(0.5)
    again = board.proxy()
    assert [status(board.feed(again, request(b"192.0.2.1"))) for _ in range(2)] == [200, 429]


def test_one_request_takes_one_token_however_its_bytes_come() -> None:
    board = Behind(accept_rate_per_address=2.0)
    socket = board.proxy()
    for _ in range(2):
        whole = request(b"192.0.2.1")
        assert status(b"".join(board.feed(socket, whole[at : at + 1]) for at in range(len(whole)))) == 200
    assert status(board.feed(socket, request(b"192.0.2.1")[: -len(ADD)])) == 429


def test_limits_per_address_that_are_only_observed_refuse_no_client_of_a_proxy() -> None:
    board = Behind(max_connections_per_address=1, observe=("max_connections_per_address",))
    assert [status(board.feed(board.proxy(), handshake(b"192.0.2.1"))) for _ in range(2)] == [101, 101]
    assert board.board.stats()["limit.max_connections_per_address.would_refuse"] == 1
    assert board.counted == {"192.0.2.1": 2}


def test_a_trusted_proxy_may_open_more_sockets_than_an_address_may() -> None:
    board = Behind(max_connections_per_address=1, accept_rate_per_address=1.0)
    assert [board.board.opened(PROXY, 0.0) is None for _ in range(5)] == [False] * 5
    outsider = Address("192.0.2.66", 5)
    assert [board.board.opened(outsider, 0.0) is None for _ in range(2)] == [False, True]


def test_a_client_behind_a_proxy_and_without_it_is_counted_once_for_each() -> None:
    board = Behind(max_connections_per_address=1)
    board.open(Address("192.0.2.1", 5))
    assert status(board.feed(board.proxy(), request(b"192.0.2.1"))) == 429


def test_clients_of_a_proxy_that_names_none_are_counted_as_the_proxy() -> None:
    board = Behind(max_connections_per_address=1)
    assert status(board.feed(board.proxy(), UPGRADE)) == 101
    assert board.counted == {"10.0.0.1": 1}
    assert status(board.feed(board.proxy(), post(ADD))) == 429


def test_the_rate_of_calls_of_anonymous_callers_counts_the_clients_of_a_proxy() -> None:
    board = Behind(call_rate=1.0)
    socket = board.proxy()
    first = [board.feed(socket, request(client)) for client in (b"192.0.2.1", b"192.0.2.2", b"192.0.2.1")]
    assert [status(answer) for answer in first] == [200, 200, 429]


def test_a_client_that_is_refused_has_had_no_connection_and_its_body_is_not_counted_as_rubbish() -> None:
    board = Behind(max_connections_per_address=1)
    first, refused = board.proxy(), board.proxy()
    board.feed(first, handshake(b"192.0.2.1"))
    assert status(board.feed(refused, request(b"192.0.2.1"))) == 429
    assert board.board.health(0.0).connections == 1
    board.feed(board.proxy(), request(b"192.0.2.2"))
    opened = [event for event in board.events() if isinstance(event, ConnectionOpened)]
    assert [(event.connection, event.public_id[-1]) for event in opened] == [(1, "1"), (2, "3")]
    board.feed(refused, bytes(64 * 1024))
    assert refused not in board.closed
    board.feed(refused, b"x")
    assert board.closed[refused] is True


def test_a_client_that_was_admitted_at_its_head_is_not_judged_again_and_its_next_request_is() -> None:
    board = Behind(accept_rate_per_address=1.0)
    socket = board.proxy()
    whole = request(b"192.0.2.1")
    assert board.feed(socket, whole[:-1]) == b""
    assert status(board.feed(socket, whole[-1:])) == 200
    assert status(board.feed(socket, request(b"192.0.2.1"))) == 429
