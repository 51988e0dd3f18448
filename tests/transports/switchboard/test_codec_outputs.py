"""What codecs say, told to the gateway: connections begin and end, and probes are answered."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from posthouse.core import (
    Address,
    Config,
    ConnectionClosed,
    ForwardingIgnored,
    Gateway,
    Identity,
    Invoke,
    RequestRefused,
)
from posthouse.core.values.peers import ALL_SCOPES
from posthouse.transports.codec import Ended, Heard, Send
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.actions import CloseSocket

from tests.transports.board import HERE, PIPE, Board, Browser, body, call, post, result

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


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


def test_a_request_that_the_codec_refuses_is_answered_and_the_next_is_read() -> None:
    board = Board()
    socket = board.open()
    answers = board.feed(socket, b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n" + post(call("add", b"[1,2]")))
    assert answers.startswith(b"HTTP/1.1 404 ")
    assert body(answers).endswith(result(3))


@pytest.mark.parametrize(
    ("text", "status"), [(post(call("add", b"[1,2]")), b"503"), (b"handshake", b"503")], ids=["exchange", "upgrade"]
)
def test_an_exchange_that_is_not_admitted_is_refused_with_the_reason(text: bytes, status: bytes) -> None:
    class Full(Gateway):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._shared.hold(self.config.memory_budget + 1)

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


@pytest.mark.parametrize("read_bytes", [1, 64 * 1024])
def test_health_and_stats_tell_the_memory_that_is_held_at_that_moment(read_bytes: int) -> None:
    board = Board(Config(read_bytes=read_bytes), identity=Identity("ada", ("admin",)))
    socket, other = board.open(), board.open()
    assert (
        board.feed(
            other,
            b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
            + b"x" * 40,
        )
        == b""
    )
    health = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Pad: " + b"x" * 200 + b"\r\n\r\n"
    assert board.feed(socket, health[:-1]) == b""
    assert board.board.health(0.0).memory == len(health) - 1 + 40
    assert board.board.stats()["memory.bytes"] == len(health) - 1 + 40
    assert msgspec.json.decode(body(board.feed(socket, health[-1:])))["memory"] == 40
    stats = health.replace(b"/health", b"/stats")
    board.feed(socket, stats[:-1])
    assert msgspec.json.decode(body(board.feed(socket, stats[-1:])))["memory.bytes"] == 40
    assert board.feed(socket, health * 3).count(b'"memory":40}') == 3
    board.drop(other)
    assert (board.board.health(0.0).memory, board.board.stats()["memory.bytes"]) == (0, 0)


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


def test_an_adapter_can_give_the_identity_of_a_socket() -> None:
    board = Board()
    info = board.feed(board.open(PIPE, Identity("parent", ("admin",))), call("connection.info") + b"\n")
    assert (b'"user":"parent"' in info, b'"scopes":["admin"]' in info) == (True, True)
    assert b'"user":null' in board.feed(board.open(PIPE), call("connection.info") + b"\n")


@pytest.mark.parametrize("address", [HERE, PIPE])
def test_a_socket_leaves_room_for_the_next_when_its_first_head_was_read(address: Address) -> None:
    board = Board(Config(max_in_head=1))
    socket = board.open(address)
    assert board.board.opened(HERE, 0.0) is None
    board.run()
    board.feed(socket, post(call("add", b"[1,2]")) if address is HERE else call("add", b"[1,2]") + b"\n")
    board.open()


METRICS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    ("identity", "status"),
    [(Identity(), b"401"), (Identity("ada"), b"403"), (Identity("ada", ("admin",)), b"200")],
)
def test_metrics_need_the_scope_admin(identity: Identity, status: bytes) -> None:
    board = Board(identity=identity)
    board.board.expose(lambda measured: b"text")
    assert board.feed(board.open(), METRICS).startswith(b"HTTP/1.1 " + status)


def test_metrics_are_what_the_host_makes_of_the_measurements() -> None:
    board = Board(identity=Identity(scopes=("admin",)))
    assert board.feed(board.open(), METRICS).startswith(b"HTTP/1.1 404 ")
    board.board.expose(lambda measured: b"%d %d" % (measured.counters["calls.made"], measured.levels["max_in_head"]))
    answer = board.feed(board.open(), METRICS)
    assert b"\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in answer
    assert body(answer) == b"0 1"
    assert body(board.feed(board.open(), METRICS.replace(b"GET", b"HEAD"))) == b""


def test_statistics_tell_what_is_measured_and_the_bytes() -> None:
    board = Board(Config(measure_calls=True), identity=Identity(scopes=("admin",)))
    request, statistics = post(call("add", b"[1,2]")), b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = board.feed(board.open(), request)
    stats = msgspec.json.decode(body(board.feed(board.open(), statistics)))
    assert (stats["bytes.received"], stats["bytes.sent"]) == (len(request) + len(statistics), len(answer))
    (row,) = stats["durations.calls"]
    assert (row["method"], row["outcome"], row["count"], row["counts"][0]) == ("add", "result", 1, 1)
    assert (stats["limits.highest"]["max_connections"], stats["limits"]["max_connections"]) == (2, 10_000)
    assert board.board.measurements().counters == board.board.stats()


def test_a_refusal_of_statistics_names_the_scope_that_they_need() -> None:
    board = Board()
    assert body(board.feed(board.open(), b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n")) == (
        b'{"scopes":["admin"]}'
    )


def test_the_statistics_begin_with_the_facts_of_the_process() -> None:
    board = Board(identity=Identity(scopes=(ALL_SCOPES,)), about={"version": "1.2.3", "started_at": 5.0})
    stats = msgspec.json.decode(body(board.feed(board.open(), b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n")))
    assert list(stats)[:3] == ["version", "started_at", "calls.builtin"]
    assert (stats["version"], stats["started_at"], stats["connections.open"]) == ("1.2.3", 5.0, 0)
    assert "version" not in board.board.stats()


def test_the_id_of_a_handshake_is_that_of_its_calls_and_the_id_of_an_exchange_its_own() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, UPGRADE[:-2] + b"X-Request-Id: page\r\n\r\n")
    frame = call("later", b"[]")
    board.feed(socket, b"\x81" + bytes([0x80 + len(frame)]) + b"\0\0\0\0" + frame)
    answer = board.feed(board.open(), post(call("add", b"[1,2]")).replace(b"\r\n", b"\r\nX-Request-Id: own\r\n", 1))
    invoked = [action.meta.request_id for action in board.actions if isinstance(action, Invoke)]
    assert invoked == ["page", "own"]
    assert b"\r\nX-Request-Id: own\r\n" in answer


def test_a_refused_request_is_counted_and_its_socket_half_closed() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, b"nonsense\r\n")
    assert (board.half_closed, board.board.stats()["http.refused.400"]) == ([socket], 1)


def test_the_event_of_a_refused_request_has_its_reason_and_the_host_or_origin() -> None:
    board = Board()
    probe = b"GET /stats?a=b HTTP/1.1\r\nHost: localhost\r\n"
    board.feed(board.open(), probe.replace(b"localhost", b"evil.example:80") + b"\r\n")
    board.feed(board.open(), probe + b"Origin: https://caf\xe9\r\n\r\n")
    board.feed(board.open(), probe.replace(b"/stats", b"/nowhere") + b"\r\n")
    board.feed(board.open(), probe + b"\r\n")
    assert [event for event in board.events() if isinstance(event, RequestRefused)] == [
        RequestRefused(421, "This server does not answer for that host.", "evil.example:80", HERE, 0.0),
        RequestRefused(403, "This origin is not allowed here.", "https://café", HERE, 0.0),
        RequestRefused(404, "Not found. Use POST /rpc, GET /ws, GET /health or GET /stats.", None, HERE, 0.0),
    ]


def test_an_ended_connection_is_not_found_on_its_socket() -> None:
    board = Board()
    browser = Browser(board)
    browser.client.close(1000, 0.0)
    browser.exchange()
    assert board.board._sockets.by_connection == {}
    assert board.board.health(0.0).connections == 0


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


@pytest.mark.parametrize(
    ("config", "frames", "reason"),
    [
        (Config(max_fragments=1), b"\x01\x80key1" + b"\x00\x80key1", "a message has more than max_fragments frames"),
        (
            Config(control_burst=1),
            b"\x8a\x80key1" * 3,
            "control frames came faster than control_rate and control_burst allow",
        ),
        (Config(message_timeout=1.0), b"\x01\x80key1", "a message was not finished within message_timeout"),
    ],
)
def test_failures_with_the_same_code_are_told_apart_by_their_reason(config: Config, frames: bytes, reason: str) -> None:
    board = Board(config)
    browser = Browser(board)
    written = board.feed(browser.socket, frames)
    board.pass_time(1.0)
    assert written + board.take(browser.socket) == b"\x88\x02\x03\xf0"
    closed = [event for event in board.events() if isinstance(event, ConnectionClosed)]
    assert [(event.code, event.reason) for event in closed] == [(1008, reason)]


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


def test_statistics_include_the_requests_that_http_refuses_by_itself() -> None:
    board = Board(policy=Policy(origins=("https://app.example",)))
    Browser(board)
    assert board.board.stats()["connections.opened"] == 1
    socket = board.open()
    board.feed(socket, b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2)
    preflight = b"OPTIONS /rpc HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\n"
    board.feed(socket, preflight + b"Access-Control-Request-Method: POST\r\n\r\n")
    refused = {name: count for name, count in board.board.stats().items() if name.startswith("http.refused.")}
    assert refused == {"http.refused.404": 2}


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


def test_a_socket_with_an_ipv6_address_is_accepted() -> None:
    board = Board()
    socket = board.open(Address("::1", 5))
    assert body(board.feed(socket, post(call("add", b"[1,2]")))) == result(3)
    assert not [action for action in board.actions if isinstance(action, CloseSocket)]


def test_an_exchange_has_the_path_and_the_headers_of_its_own_request() -> None:
    board = Board()
    socket = board.open()
    for tag in (b"one", b"two"):
        board.feed(socket, post(call("later"), more=b"X-Tag: %b\r\nAuthorization: Bearer secret\r\n" % tag))
        caller = board.waiting[-1].caller
        assert caller.peer.path == "/rpc"
        assert (b"authorization", b"Bearer secret") in caller.peer.headers
        assert dict(caller.headers) == {
            "host": "localhost",
            "content-type": "application/json",
            "content-length": caller.headers["content-length"],
            "x-tag": tag.decode(),
        }
        board.board.complete(board.waiting[-1].call, None, 0.0)
        board.run()


def test_the_connection_of_a_websocket_has_the_path_and_the_headers_of_its_handshake() -> None:
    board = Board()
    socket = board.open()
    board.feed(socket, UPGRADE.replace(b"/ws", b"/ws?ticket=1").replace(b"\r\n\r\n", b"\r\nCookie: sid=1\r\n\r\n"))
    (record,) = board.board.gateway._connections.records.values()
    assert record.peer.path == "/ws"
    assert record.caller.headers["upgrade"] == "websocket"
    assert "cookie" not in record.caller.headers


def test_a_pipe_has_neither_a_path_nor_headers() -> None:
    board = Board()
    board.feed(board.open(PIPE), b"{}\n")
    (record,) = board.board.gateway._connections.records.values()
    assert (record.peer.path, dict(record.caller.headers)) == ("", {})


PROXY = Address("10.0.0.1", 4_000)
FORWARDED = b"X-Forwarded-For: 192.0.2.1\r\n"
EXPECTING = FORWARDED + b"Expect: 100-continue\r\n"


def test_a_client_of_a_proxy_is_judged_once_at_its_head_or_with_its_request() -> None:
    board = Board(Config(trust_proxies=("10.0.0.1",), max_connections_per_address=1))
    one, two = board.open(PROXY), board.open(PROXY)
    waiting = post(call("later"), more=FORWARDED)
    assert board.feed(one, waiting) == b""
    for refused in (waiting, post(call("later"), more=EXPECTING)[:-9]):
        assert board.feed(two, refused).startswith(b"HTTP/1.1 429 ")
        board.drop(two)
        two = board.open(PROXY)
    board.board.complete(board.waiting.pop().call, None, 0.0)
    board.run()
    assert board.feed(two, waiting[:-9]) == b""
    assert board.feed(two, waiting[-9:]) == b""
    (invoked,) = board.waiting
    assert invoked.caller.peer.address == Address("192.0.2.1", proxy="10.0.0.1")


def test_a_header_of_a_peer_that_is_no_proxy_is_told_once_for_calls_and_handshakes() -> None:
    for first in (post(call("add", b"[1,2]"), more=FORWARDED), UPGRADE.replace(b"\r\n\r\n", b"\r\n%b\r\n" % FORWARDED)):
        board = Board()
        board.feed(board.open(), first)
        board.feed(board.open(), post(call("add", b"[1,2]"), more=FORWARDED))
        told = [event for event in board.events() if isinstance(event, ForwardingIgnored)]
        assert told == [ForwardingIgnored("x-forwarded-for", HERE, 0.0)]
