"""The server's side of HTTP/1.1, bytes in and bytes out: one request at a time, each with one answer, in bounded time
and memory, the same however the bytes are cut."""

from __future__ import annotations

import re
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from posthouse.core.values.close_reasons import (
    DRAINING,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_ADDRESS,
    MAX_CONNECTIONS_PER_USER,
    TOO_MANY_FAILED_AUTHENTICATIONS,
    WRITE_TIMEOUT,
    CloseReason,
)
from posthouse.core.values.config import Config
from posthouse.core.values.errors import PARSE_ERROR
from posthouse.core.values.peers import Address, Meta
from posthouse.transports.codec import (
    Announced,
    Answered,
    Arrived,
    Ended,
    Exchange,
    Finish,
    HeadRead,
    Output,
    Pause,
    Probe,
    Resume,
    Send,
    Shut,
    Text,
    Upgrade,
)
from posthouse.transports.forwarding import Networks, Proxy
from posthouse.transports.http.known_heads import KnownHeads
from posthouse.transports.http.server import Http1
from posthouse.transports.policy import Policy

ORIGIN = b"https://good.example"
POLICY = Policy(origins=(ORIGIN.decode(),))
PROBE = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = (
    b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def post(body: bytes = b"{}", *headers: bytes, length: int | None = None, version: bytes = b"1.1") -> bytes:
    lines = [
        b"POST /rpc HTTP/" + version,
        b"Host: localhost",
        b"Content-Type: application/json",
        b"Content-Length: %d" % (len(body) if length is None else length),
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Line:
    """A codec, and what a switchboard does with its output: everything pending is answered, in order, at once."""

    def __init__(self, config: Config = Config(), *, answering: bool = True, proxy: Proxy | None = None) -> None:
        self.http = Http1(config, POLICY, 0.0, proxy=proxy)
        self.answering = answering
        self.sent = b""
        self.seen: list[Output] = []

    def receive(self, data: bytes, now: float = 0.0) -> None:
        self.http.receive_data(data, now)
        self.take(now)

    def eof(self, now: float = 0.0) -> None:
        self.http.receive_eof(now)
        self.take(now)

    def pass_time(self, now: float) -> None:
        self.http.handle_timeout(now)
        self.take(now)

    def take(self, now: float = 0.0) -> None:
        output = self.http.output
        while output:
            taken = output[:]
            output.clear()
            self.seen += taken
            self.sent += b"".join(each.data for each in taken if isinstance(each, Send))
            for each in taken:
                if isinstance(each, Exchange) and self.answering:
                    self.http.answer(each.data, None, None, now)
                elif isinstance(each, Arrived):
                    self.http.admit(now)
                    self.take(now)
                    continue
                elif isinstance(each, Probe) and self.answering:
                    self.http.respond(200, each.path.encode(), now)
                elif not isinstance(each, Answered):
                    continue
                if self.answering:
                    self.take(now)
                    self.http.proceed(now)

    def of(self, *types: type[Output]) -> list[Output]:
        return [each for each in self.seen if isinstance(each, types)]

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", self.sent)]

    @property
    def bodies(self) -> list[bytes]:
        return [each.data for each in self.seen if isinstance(each, Exchange)]

    @property
    def shut(self) -> bool:
        return Shut() in self.seen


def cuts(data: bytes) -> list[list[bytes]]:
    halves = [[data[:i], data[i:]] for i in range(1, len(data))]
    return [[data], [data[i : i + 1] for i in range(len(data))], *halves]


def run(data: bytes, config: Config = Config(), proxy: Proxy | None = None) -> Line:
    """The same bytes at every split must give the same answers, requests and end."""
    lines = []
    for pieces in cuts(data):
        line = Line(config, proxy=proxy)
        for piece in pieces:
            line.receive(piece)
        lines.append(line)
    for line in lines:
        assert line.sent == lines[0].sent
        assert line.of(Exchange, Probe, HeadRead, Answered) == lines[0].of(Exchange, Probe, HeadRead, Answered)
        assert (line.shut, line.of(Finish)) == (lines[0].shut, lines[0].of(Finish))
        assert line.http.next_timeout() == lines[0].http.next_timeout()
        assert line.http.buffered == lines[0].http.buffered
    return lines[0]


# Clients behind a proxy

TRUSTING = Config(trust_proxies=("10.0.0.1",))
PROXY = Proxy(TRUSTING, Networks(TRUSTING.trust_proxies), Address("10.0.0.1", 4_000))
ONE = Address("192.0.2.1", proxy="10.0.0.1")
TWO = Address("192.0.2.2", 4711, secure=True, proxy="10.0.0.1")


def test_each_request_through_a_proxy_has_its_client_at_every_split() -> None:
    line = run(
        post(b"1", b"X-Forwarded-For: 192.0.2.1")
        + PROBE
        + post(b"2", b"X-Forwarded-For: 192.0.2.2:4711", b"X-Forwarded-Proto: https"),
        TRUSTING,
        PROXY,
    )
    assert line.of(Arrived) == [Arrived(ONE), Arrived(TWO)]
    assert [(each.data, each.client) for each in line.seen if isinstance(each, Exchange)] == [(b"1", ONE), (b"2", TWO)]
    assert line.statuses == [200, 200, 200]


def test_a_client_is_named_before_its_body_is_asked_for() -> None:
    http = Http1(TRUSTING, POLICY, 0.0, proxy=PROXY)
    http.receive_data(post(b"", b"X-Forwarded-For: 192.0.2.1", b"Expect: 100-continue", length=2), 0.0)
    assert http.output == [HeadRead(), Arrived(ONE)]
    http.output.clear()
    http.admit(1.0)
    assert (http.output, http.next_timeout()) == ([Send(b"HTTP/1.1 100 Continue\r\n\r\n")], 2.0)


def test_a_client_that_is_not_admitted_is_answered_and_its_body_is_not_read() -> None:
    http = Http1(TRUSTING, POLICY, 0.0, proxy=PROXY)
    http.receive_data(post(b"{}", b"X-Forwarded-For: 192.0.2.1") + PROBE, 0.0)
    http.output.clear()
    http.refuse(MAX_CONNECTIONS_PER_ADDRESS, 0.0)
    sent, finish = http.output
    assert isinstance(sent, Send)
    assert sent.data.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert sent.data.endswith(b'"code":-32029,"message":"Rate limited"},"id":null}')
    assert (finish, http.buffered) == (Finish(), 0)


def test_a_large_body_through_a_proxy_does_not_pause_reading() -> None:
    line = Line(TRUSTING, proxy=PROXY)
    line.receive(post(bytes(40_000), b"X-Forwarded-For: 192.0.2.1", length=50_000))
    assert line.of(Arrived, Pause, Resume) == [Arrived(ONE)]
    assert line.http.buffered == 40_000


def test_the_input_may_end_while_a_client_is_judged() -> None:
    http = Http1(TRUSTING, POLICY, 0.0, proxy=PROXY)
    http.receive_data(post(b"{}", b"X-Forwarded-For: 192.0.2.1"), 0.0)
    http.receive_eof(0.0)
    http.output.clear()
    http.admit(0.0)
    assert [each.data for each in http.output if isinstance(each, Exchange)] == [b"{}"]


def test_a_malformed_client_is_refused_and_has_no_address() -> None:
    line = run(post(b"1", b"X-Forwarded-For: 192.0.2.1") + post(b"2", b"X-Forwarded-For: x"), TRUSTING, PROXY)
    assert line.statuses == [200, 400]
    assert [each.client for each in line.seen if isinstance(each, Answered)] == [None]
    assert line.shut is False


def test_a_refusal_and_a_handshake_have_the_client_of_their_request() -> None:
    forwarded = b"X-Forwarded-For: 192.0.2.1\r\n\r\n"
    line = run(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n" + forwarded, TRUSTING, PROXY)
    assert [(each.status, each.client) for each in line.seen if isinstance(each, Answered)] == [(404, ONE)]
    line = Line(TRUSTING, proxy=PROXY)
    line.receive(UPGRADE.replace(b"\r\n\r\n", b"\r\n" + forwarded))
    assert [each.client for each in line.seen if isinstance(each, Upgrade)] == [ONE]


def test_a_field_of_a_peer_that_is_not_trusted_is_named_with_each_request() -> None:
    line = run(post(b"1", b"X-Forwarded-For: 192.0.2.1") + post(b"2"))
    exchanges = [each for each in line.seen if isinstance(each, Exchange)]
    assert [(each.client, each.ignored) for each in exchanges] == [(None, b"x-forwarded-for"), (None, None)]


# Exchanges


def test_a_request_is_handed_on_whole_and_answered_at_every_split() -> None:
    line = run(post(b'{"a":1}', b"Posthouse-Timeout-Ms: 5"))
    read, exchange = line.of(HeadRead, Exchange)
    assert read == HeadRead()
    assert isinstance(exchange, Exchange)
    assert (exchange.data, exchange.meta, exchange.path) == (b'{"a":1}', Meta(timeout_ms=5), "/rpc")
    assert dict(exchange.headers)[b"posthouse-timeout-ms"] == b"5"
    assert line.sent == (
        b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        b'Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}'
    )
    assert (line.shut, line.http.buffered, line.of(Finish)) == (False, 0, [])


def test_3_pipelined_requests_are_answered_in_order_at_every_split() -> None:
    line = run(post(b"1") + PROBE + b"\r\n" + post(b"2"))
    outputs = line.of(HeadRead, Exchange, Probe)
    assert [getattr(output, "data", None) or getattr(output, "path", None) for output in outputs] == [
        None,
        b"1",
        "/health",
        b"2",
    ]
    assert line.statuses == [200, 200, 200]


def test_3_a_request_behind_one_that_waits_is_not_read_before_the_answer_has_gone() -> None:
    line = Line(answering=False)
    line.receive(post(b"1") + post(b"2"))
    line.receive(post(b"3"))
    assert line.bodies == [b"1"]
    assert line.http.next_timeout() is None
    line.http.answer(b"{}", None, None, 1.0)
    line.take()
    assert line.bodies == [b"1"]
    line.http.proceed(2.0)
    line.take()
    assert line.bodies == [b"1", b"2"]
    assert line.http.buffered == len(post(b"3"))


def test_an_answer_has_the_status_of_its_code_and_says_when_to_retry() -> None:
    for arguments, status, said in [
        ((None, None, None), b"204 No Content", b"nosniff\r\n\r\n"),
        ((b"{}", PARSE_ERROR, None), b"400 Bad Request", b"{}"),
        ((b"{}", -32009, 1.5), b"503 Service Unavailable", b"Retry-After: 2\r\n\r\n{}"),
    ]:
        line = Line(answering=False)
        line.receive(post())
        line.http.answer(*arguments, 0.0)
        line.take()
        assert line.sent.startswith(b"HTTP/1.1 " + status)
        assert line.sent.endswith(said)


def test_a_large_answer_is_not_copied_behind_its_head() -> None:
    line = Line(Config(write_ahead=4), answering=False)
    line.receive(post())
    data = b"12345"
    line.http.answer(data, None, None, 0.0)
    line.take()
    assert isinstance(line.seen[-1], Send)
    assert line.seen[-1].data is data
    line = Line(Config(write_ahead=4), answering=False)
    line.receive(post())
    line.http.answer(b"1234", None, None, 0.0)
    line.take()
    assert len(line.of(Send)) == 1


def test_a_request_may_have_an_empty_body() -> None:
    assert run(post(b"") + post(b"x")).bodies == [b"", b"x"]


def test_a_probe_is_answered_with_json_and_a_head_of_it_without() -> None:
    assert run(PROBE).sent.endswith(b"Content-Length: 7\r\n\r\n/health")
    assert run(PROBE.replace(b"GET", b"HEAD")).sent.endswith(b"Content-Length: 7\r\n\r\n")
    line = Line(answering=False)
    line.receive(PROBE)
    line.http.respond(401, b"{}", 0.0)
    line.take()
    assert b"WWW-Authenticate" in line.sent


def test_a_chunked_body_is_handed_on_whole_where_it_is_allowed() -> None:
    wire = CHUNKED + b"1\r\n{\r\n1;x\r\n}\r\n0\r\nA: b\r\n\r\n"
    line = run(wire + post(b"next"))
    assert line.bodies == [b"{}", b"next"]
    line = run(wire + post(b"next"), Config(allow_chunked=False))
    assert (line.bodies, line.statuses) == ([], [411])
    line = run(CHUNKED + b"x\r\n" + post(b"next"))
    assert (line.bodies, line.statuses, line.http.buffered) == ([], [400], 0)


def test_100_continue_is_sent_when_the_head_is_valid() -> None:
    line = run(post(b"{}", b"Expect: 100-continue"))
    assert line.sent.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    line = run(post(b"{}", b"Expect: 100-continue", b"Content-Encoding: gzip"))
    assert line.statuses == [415]


# Connection: close, half-close, end of input


@pytest.mark.parametrize("request_", [post(b"{}", b"Connection: close"), post(version=b"1.0")])
def test_a_request_with_connection_close_is_answered_and_half_closed(request_: bytes) -> None:
    line = run(request_ + post(b"more"))
    assert b"Connection: close\r\n" in line.sent
    assert (line.bodies, line.of(Finish), line.shut) == ([b"{}"], [Finish()], False)
    assert line.http.next_timeout() == 2.0
    line.pass_time(1.999)
    assert not line.shut
    line.pass_time(2.0)
    assert line.shut
    assert line.http.next_timeout() is None


def test_a_half_closed_socket_is_closed_when_the_client_has_closed_or_says_too_much() -> None:
    line = Line()
    line.receive(b"nonsense\r\n")
    assert line.of(Finish, Shut) == [Finish()]
    line.eof()
    assert line.shut
    line = Line()
    line.receive(b"nonsense\r\n")
    line.receive(b"x" * (64 * 1024 - len(b"nonsense\r\n")))
    assert not line.shut
    line.receive(b"x")
    assert line.shut
    line.receive(b"x")
    assert len(line.of(Shut)) == 1


def test_lingering_begins_when_the_answer_has_been_handed_over() -> None:
    line = Line(answering=False)
    line.receive(post(b"{}", b"Connection: close"))
    line.http.answer(b"{}", None, None, 0.0)
    assert line.http.next_timeout() is None
    line.http.proceed(9.0)
    assert line.http.next_timeout() == 11.0
    line.http.proceed(10.0)
    assert line.http.next_timeout() == 11.0


def test_3_the_end_of_input_during_an_exchange_is_a_half_close() -> None:
    line = Line(answering=False)
    line.receive(post(b"1") + post(b"2") + post(b"3")[:-1])
    line.eof()
    assert not line.shut
    for _ in range(2):
        line.http.answer(b"{}", None, None, 0.0)
        line.http.proceed(0.0)
        line.take()
    assert (line.bodies, line.statuses, line.shut) == ([b"1", b"2"], [200, 200], True)


def test_a_client_that_ended_its_input_is_taken_for_gone_when_it_had_no_answer_within_five_seconds() -> None:
    line = Line(answering=False)
    line.receive(post(b"1"))
    assert line.http.next_timeout() is None
    line.eof(10.0)
    assert line.http.next_timeout() == 15.0
    line.pass_time(14.999)
    assert line.of(Ended, Shut) == []
    line.pass_time(15.0)
    gone = "a client ended its input, and had no answer within half_close_timeout"
    assert line.of(Ended, Shut) == [Ended(None, gone), Shut(flush=False)]
    assert (line.sent, line.http.next_timeout(), line.http.buffered) == (b"", None, 0)
    line.pass_time(20.0)
    assert len(line.of(Ended, Shut)) == 2


def test_a_client_that_ended_its_input_has_its_answer_until_then_however_slowly_it_takes_it() -> None:
    line = Line(answering=False)
    line.receive(post(b"1"))
    line.eof(10.0)
    line.http.answer(b"{}", None, None, 14.999)
    assert line.http.next_timeout() is None
    line.pass_time(60.0)
    assert line.of(Ended, Shut) == []
    line.http.proceed(60.0)
    line.take()
    assert (line.of(Ended, Shut), line.statuses) == ([Shut()], [200])


def test_the_end_of_input_while_an_answer_is_taken_gives_it_no_deadline() -> None:
    for request in (post(b"1"), PROBE, post(b"x", b"Content-Encoding: gzip"), b"GET /no HTTP/1.1\r\nHost: a\r\n\r\n"):
        line = Line(answering=False)
        line.receive(request)
        if request == post(b"1"):
            line.http.answer(b"{}", None, None, 0.0)
        if request == PROBE:
            line.http.respond(200, b"{}", 0.0)
        line.eof(1.0)
        assert line.http.next_timeout() is None


def test_what_is_pipelined_before_the_end_of_input_has_the_same_five_seconds() -> None:
    line = Line(answering=False)
    line.receive(post(b"1") + post(b"2") + post(b"3"))
    line.eof(10.0)
    line.http.answer(b"{}", None, None, 13.0)
    line.http.proceed(13.0)
    line.take()
    assert (line.bodies, line.http.next_timeout()) == ([b"1", b"2"], 15.0)
    line.http.answer(b"{}", None, None, 14.0)
    line.http.proceed(15.0)
    line.take()
    assert (line.bodies, line.of(Ended, Shut)) == ([b"1", b"2"], [Shut()])


def test_a_request_that_waits_for_its_turn_is_not_begun_when_its_client_is_gone() -> None:
    for now, bodies in ((14.999, [b"1", b"2"]), (15.0, [b"1"])):
        line = Line(Config(frames_per_turn=1), answering=False)
        line.receive(post(b"1") + post(b"2"))
        line.eof(10.0)
        line.http.answer(b"{}", None, None, 11.0)
        line.http.proceed(11.0)
        line.take()
        assert line.http.next_timeout() == 11.0
        line.pass_time(now)
        assert (line.bodies, line.of(Shut)) == (bodies, [] if len(bodies) == 2 else [Shut()])


def test_the_end_of_input_behind_a_last_answer_closes_at_once() -> None:
    line = Line(answering=False)
    line.receive(post(b"1", b"Connection: close"))
    line.eof()
    line.http.answer(b"{}", None, None, 0.0)
    line.take()
    assert line.seen[-2:] == [Finish(), Shut()]


@pytest.mark.parametrize("size", [0, 1, 60, len(post()) - 1])
def test_the_end_of_input_anywhere_else_closes(size: int) -> None:
    line = Line()
    if size:
        line.receive(post()[:size])
    line.eof()
    line.eof()
    assert (line.sent, line.of(Shut), line.http.buffered) == (b"", [Shut()], 0)


# Refusals


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)),
        (400, b"SSH-2.0-OpenSSH_9.6\r\n"),
        (400, b"GET /\r\n"),
        (400, post(b"{}", b"Content-Length: 2")),
        (400, b"POST /rpc HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"),
        (501, post(b"{}", b"Transfer-Encoding: gzip").replace(b"Content-Length: 2\r\n", b"")),
        (505, post(version=b"9.9")),
        (405, b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"),
        (400, UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: websocket\r\nContent-Length: 1") + b"x"),
        (400, UPGRADE.replace(b"/ws", b"/ws?access_token=secret")),
        (403, UPGRADE.replace(b"Connection", b"Origin: null\r\nConnection")),
        (421, UPGRADE.replace(b"localhost", b"evil.example")),
        (431, PROBE[:-2] + b"X: y\r\n" * 200 + b"\r\n"),
    ],
)
def test_6_7_and_29_to_31_a_refusal_closes_and_bytes_behind_it_are_not_read(status: int, data: bytes) -> None:
    line = Line()
    line.receive(data + post(b"smuggled"))
    whole = line.sent
    assert line.statuses == [status]
    assert b"Connection: close\r\n" in whole
    assert b"secret" not in whole
    answered, finish = line.of(Finish, Answered)
    assert isinstance(answered, Answered) and answered.reason is not None
    assert (line.bodies, answered.status, finish) == ([], status, Finish())
    assert answered.reason.encode() in whole
    assert answered.rejected_value == {403: b"null", 421: b"evil.example"}.get(status)
    line = run((data + post(b"smuggled"))[:400])
    assert line.sent == whole or status == 431


def test_a_refused_request_that_was_understood_leaves_the_socket_open() -> None:
    line = run(b"GET /favicon.ico HTTP/1.1\r\nHost: localhost\r\n\r\n" + post())
    assert (line.statuses, line.bodies, line.of(Finish)) == ([404, 200], [b"{}"], [])
    line = run(UPGRADE.replace(b"13", b"12") + PROBE)
    assert line.statuses == [426, 200]
    assert b"Sec-WebSocket-Version: 13\r\n" in line.sent


def test_a_malformed_request_behind_another_is_refused_with_its_own_options() -> None:
    asked = PROBE.replace(b"GET", b"HEAD").replace(b"\r\n\r\n", b"\r\nOrigin: " + ORIGIN + b"\r\n\r\n")
    line = run(asked + b"nonsense\r\n")
    assert line.statuses == [200, 400]
    _, _, refused = line.sent.rpartition(b"HTTP/1.1 400 ")
    assert refused.endswith(b"request line.\n")
    assert b"Access-Control" not in refused
    line = Line()
    line.receive(asked)
    line.receive(b"POST", 1.0)
    line.pass_time(6.0)
    assert line.statuses == [200, 408]
    _, _, refused = line.sent.rpartition(b"HTTP/1.1 408 ")
    assert refused.endswith(b"too long.\n")
    assert b"Access-Control" not in refused


def test_an_answer_by_the_codec_alone_has_no_deadline_before_it_was_sent() -> None:
    line = Line(answering=False)
    line.receive(b"GET /favicon.ico HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (line.statuses, line.http.next_timeout()) == ([404], None)
    line.http.proceed(1.0)
    assert line.http.next_timeout() == 76.0


def test_a_body_that_is_announced_too_large_is_not_read_and_refused_in_json() -> None:
    line = run(post(b"x" * 11, b"Expect: 100-continue"), Config(max_body_bytes=10))
    assert line.statuses == [413]
    assert b'"code":-32007' in line.sent
    assert b'"id":null' in line.sent
    assert line.http.buffered == 0
    assert run(post(b"x" * 10), Config(max_body_bytes=10)).statuses == [200]


def test_33_a_preflight_and_the_answer_behind_it_name_the_allowed_origin() -> None:
    preflight = (
        b"OPTIONS /rpc HTTP/1.1\r\nHost: localhost\r\nOrigin: %b\r\n"
        b"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n"
    )
    line = run(preflight % ORIGIN + post(b"{}", b"Origin: " + ORIGIN))
    assert line.statuses == [204, 200]
    first, second = line.sent.split(b"\r\n\r\n")[:2]
    assert b"Access-Control-Allow-Methods: POST\r\n" in first
    assert b"Access-Control-Allow-Headers: Authorization, Content-Type," in first
    for head in (first, second):
        assert b"Access-Control-Allow-Origin: https://good.example\r\n" in head
        assert b"Vary: Origin" in head
    line = run(preflight % b"https://evil.example" + post())
    assert (line.statuses, b"Access-Control-Allow" in line.sent) == ([403], False)
    assert b"Access-Control" not in run(post()).sent


def test_an_allowed_page_may_read_why_it_was_refused() -> None:
    line = run(post(b"{}", b"Origin: " + ORIGIN, b"Content-Encoding: gzip"))
    assert (line.statuses, b"Access-Control-Allow-Origin" in line.sent) == ([415], True)


# Upgrades, and who is not admitted


def test_an_upgrade_is_handed_on_with_what_came_behind_it() -> None:
    line = Line(answering=False)
    line.receive(UPGRADE + b"\x81\x80")
    assert len(line.of(Upgrade)) == 1
    line.receive(b"more")  # who decides may take its time
    assert line.http.buffered == 6
    assert line.http.accept(0.0).output == [Text(b"")]
    assert line.http.buffered == 0
    line.take()
    assert line.sent.startswith(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in line.sent
    line.receive(b"not ours")
    assert line.http.buffered == 0


def test_an_exchange_that_is_admitted_is_read_on_by_the_same_codec() -> None:
    line = Line(answering=False)
    line.receive(post())
    assert line.http.accept(0.0) is line.http
    assert line.http.output == []


@pytest.mark.parametrize("behind", [b"", b"GET"])
def test_an_input_that_ended_is_closed_behind_the_answer_of_its_last_whole_request(behind: bytes) -> None:
    line = Line(answering=False)
    line.receive(post() + behind)
    line.http.receive_eof(0.0)
    assert not line.shut
    line.http.answer(b"{}", None, None, 0.0)
    line.http.proceed(0.0)
    line.take()
    assert (line.statuses, line.shut) == ([200], True)


def test_an_upgrade_that_waited_says_that_the_input_has_ended() -> None:
    line = Line(answering=False)
    line.receive(post() + UPGRADE)
    line.http.receive_eof(0.0)
    line.http.answer(b"{}", None, None, 0.0)
    line.http.proceed(0.0)
    line.take()
    assert len(line.of(Upgrade)) == 1
    assert line.http.accept(0.0).output == [Ended(1006), Shut()]


def test_bytes_behind_a_waiting_upgrade_are_bounded_and_read_after_the_decision() -> None:
    line = Line(Config(max_head_bytes=300), answering=False)
    line.receive(UPGRADE)
    line.receive(b"x" * 301)
    assert line.seen[-1:] == [Pause()]
    line.http.accept(0.0)
    line.take()
    assert line.seen[-1:] == [Resume()]


def test_bytes_behind_a_refused_upgrade_are_dropped() -> None:
    line = Line(answering=False)
    line.receive(UPGRADE)
    line.receive(b"frames")
    line.http.refuse(MAX_CONNECTIONS, 0.0)
    line.take()
    assert (line.statuses, line.http.buffered) == ([503], 0)


@pytest.mark.parametrize(
    ("reason", "status", "error"),
    [
        (DRAINING, 503, -32050),
        (MAX_CONNECTIONS, 503, -32009),
        (MAX_CONNECTIONS_PER_USER, 429, -32029),
        (WRITE_TIMEOUT, 503, -32009),
    ],
)
def test_an_exchange_that_is_not_admitted_is_answered_and_closed(reason: CloseReason, status: int, error: int) -> None:
    line = Line(answering=False)
    line.receive(post())
    line.http.refuse(reason, 0.0)
    line.take()
    assert line.statuses == [status]
    assert b'"code":%d' % error in line.sent
    assert b"Retry-After: 1\r\n" in line.sent
    assert b"Connection: close\r\n" in line.sent
    line = Line(answering=False)
    line.receive(UPGRADE)
    line.http.refuse(reason, 0.0)
    line.take()
    assert (line.statuses, b"{" in line.sent, b"Retry-After: 1\r\n" in line.sent) == ([status], False, True)


def test_a_refusal_may_say_how_long_to_wait() -> None:
    for request, body in ((post(), b'"data":{"retryable":true,"retry_after_ms":1500}'), (UPGRADE, b"authentications")):
        line = Line(answering=False)
        line.receive(request)
        line.http.refuse(TOO_MANY_FAILED_AUTHENTICATIONS, 0.0, 1500)
        line.take()
        assert (line.statuses, body in line.sent, b"Retry-After: 2\r\n" in line.sent) == ([429], True, True)


def test_an_exchange_behind_a_refused_upgrade_would_be_refused_as_one() -> None:
    line = Line(answering=False)
    line.receive(UPGRADE.replace(b"13", b"12"))
    line.http.proceed(0.0)
    line.receive(post())
    line.http.refuse(MAX_CONNECTIONS, 0.0)
    line.take()
    assert b'"code":-32009' in line.sent


# Deadlines


def test_1_a_head_that_is_dripped_ends_at_its_deadline() -> None:
    line = Line()
    for second in range(5):
        line.receive(b"GET /"[second : second + 1], float(second))
    assert line.http.next_timeout() == 5.0
    line.pass_time(4.999)
    assert line.seen == []
    line.pass_time(5.0)
    assert (line.statuses, line.shut) == ([408], True)
    assert b"Connection: close\r\n" in line.sent
    assert line.http.next_timeout() is None


def test_1_the_first_head_has_its_time_from_the_opening_on() -> None:
    line = Line()
    line.receive(b"GET", 3.0)
    assert line.http.next_timeout() == 5.0


def test_2_a_silent_socket_is_closed_without_an_answer() -> None:
    line = Line()
    line.pass_time(4.999)
    assert not line.shut
    line.pass_time(5.0)
    assert (line.seen, line.sent) == ([Shut()], b"")


def test_an_idle_socket_is_closed_and_a_next_head_has_its_own_deadline() -> None:
    line = Line()
    line.receive(post(), 1.0)
    assert line.http.next_timeout() == 76.0
    line.receive(b"\r\n", 40.0)
    assert line.http.next_timeout() == 76.0
    line.receive(b"P", 50.0)
    assert line.http.next_timeout() == 55.0
    line.receive(b"O", 54.0)
    assert line.http.next_timeout() == 55.0
    line.receive(post()[2:], 54.5)
    assert line.http.next_timeout() == 129.5
    line.pass_time(129.5)
    assert (line.statuses, line.shut) == ([200, 200], True)


@pytest.mark.parametrize("pieces", [[b"\r\n"], [b"\r", b"\n"], [b"\r"]])
def test_an_empty_line_begins_no_head_however_it_is_cut(pieces: list[bytes]) -> None:
    line = Line()
    line.receive(post(), 0.0)
    said = line.sent
    for piece in pieces:
        line.receive(piece, 1.0)
    assert line.http.next_timeout() == 75.0
    line.pass_time(75.0)
    assert (line.sent, line.shut, line.http.buffered) == (said, True, 0)


def test_2_half_an_empty_line_counts_as_silence() -> None:
    line = Line()
    line.receive(b"\r", 1.0)
    line.pass_time(5.0)
    assert (line.seen, line.sent) == ([Shut()], b"")


def test_a_head_behind_an_empty_line_has_its_time_from_its_first_byte_on() -> None:
    line = Line()
    line.receive(post(), 0.0)
    line.receive(b"\r", 1.0)
    line.receive(b"\nG", 2.0)
    assert line.http.next_timeout() == 7.0
    line.pass_time(7.0)
    assert line.statuses == [200, 408]


def test_3_a_body_that_is_dripped_ends_when_it_falls_below_its_rate() -> None:
    line = Line(Config(min_body_rate=10.0, body_timeout=30.0))
    line.receive(post(length=1000), 1.0)
    assert line.http.next_timeout() == 3.0
    line.receive(b"x" * 48, 2.5)
    assert line.http.next_timeout() == 6.0
    line.pass_time(5.999)
    assert line.sent == b""
    line.pass_time(6.0)
    assert (line.statuses, line.shut, line.http.buffered) == ([408], True, 0)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_fast_body_has_a_deadline_too(rate: float) -> None:
    line = Line(Config(min_body_rate=rate, body_timeout=30.0))
    line.receive(post(b"x" * 900, length=1000), 1.0)
    assert line.http.next_timeout() == 31.0
    line.pass_time(31.0)
    assert line.statuses == [408]


def test_while_a_request_is_answered_nothing_is_due() -> None:
    line = Line(answering=False)
    line.receive(post())
    assert line.http.next_timeout() is None
    line.pass_time(1000.0)
    assert line.sent == b""


# Bounds, turns, draining


def test_only_a_body_is_refused_for_lack_of_memory() -> None:
    line = Line()
    line.receive(post(b"[1,2]", length=100))
    assert line.http.buffered == len(b"[1,2]")
    line.http.shed(0.0)
    line.take()
    assert line.statuses == [503]
    assert b"\r\nRetry-After: 1\r\n" in line.sent
    assert line.sent.endswith(
        b'{"jsonrpc":"2.0","error":{"code":-32009,"message":"Server busy",'
        b'"data":{"retryable":true,"limit":"memory_budget"}},"id":null}'
    )
    assert line.of(Finish) == [Finish()]
    assert line.http.buffered == 0
    for data in (b"", b"POST /rp", post()):
        other = Line(answering=False)
        other.receive(data)
        other.http.shed(0.0)
        other.take()
        assert other.sent == b""


def test_bytes_behind_a_request_are_bounded() -> None:
    config = Config(max_head_bytes=100)
    line = Line(config, answering=False)
    line.receive(PROBE)
    line.receive(b"\r\n" + PROBE + b"x" * (98 - len(PROBE)))
    assert line.of(Pause) == []
    line.receive(b"x")
    assert (line.of(Pause), line.http.buffered) == ([Pause()], 101)
    line.receive(b"x")
    assert line.of(Pause) == [Pause()]
    line.http.respond(200, b"{}", 0.0)
    assert line.of(Resume) == []
    line.http.proceed(0.0)
    line.take()
    assert line.of(Resume) == [Resume()]


def test_bytes_behind_a_last_answer_are_dropped_and_reading_goes_on() -> None:
    line = Line(Config(max_head_bytes=200), answering=False)
    line.receive(post(b"{}", b"Connection: close"))
    line.receive(b"x" * 201)
    line.http.answer(b"{}", None, None, 0.0)
    line.take()
    assert (line.of(Pause, Resume), line.http.buffered) == ([Pause(), Resume()], 0)


def test_many_requests_at_once_let_others_have_their_turn() -> None:
    line = Line(Config(frames_per_turn=3))
    line.receive(PROBE * 7)
    assert len(line.of(Probe)) == 3
    assert line.http.next_timeout() == 0.0
    line.receive(PROBE, 1.0)
    line.eof(1.0)
    assert (len(line.of(Probe)), line.shut) == (3, False)
    line.pass_time(1.0)
    assert len(line.of(Probe)) == 6
    line.pass_time(1.0)
    assert (len(line.of(Probe)), line.shut) == (8, True)


def test_a_socket_that_waited_for_its_turn_is_read_again_and_each_read_is_one_turn() -> None:
    line = Line(Config(frames_per_turn=2))
    line.receive(PROBE * 3)
    line.pass_time(0.0)
    for number in range(4, 10):
        line.receive(PROBE)
        assert len(line.of(Probe)) == number
    assert line.http.next_timeout() == 75.0


def test_a_socket_that_is_closed_while_it_waits_for_its_turn_is_not_read() -> None:
    line = Line(Config(frames_per_turn=2))
    line.receive(PROBE * 3)
    line.http.close(1001, 0.0)
    line.pass_time(0.0)
    assert (line.http.next_timeout(), len(line.of(Probe)), line.seen[-1]) == (None, 2, Shut())


def test_a_draining_server_says_so_with_each_answer() -> None:
    line = Line()
    line.receive(PROBE)
    line.http.drain()
    line.receive(PROBE)
    assert line.sent.count(b"Connection: close\r\n") == 1
    assert line.of(Finish) == [Finish()]


def test_an_idle_socket_is_closed_by_a_server_that_drains_and_a_busy_one_is_not() -> None:
    for data, closes in [(b"", True), (b"GET", True), (post()[:-1], False), (post(), False)]:
        line = Line(answering=False)
        if data:
            line.receive(data)
        line.http.close_idle(0.0)
        line.take()
        assert line.shut is closes


def test_a_codec_that_is_told_to_close_closes_once() -> None:
    line = Line()
    line.http.close(1001, 0.0)
    line.http.close(1001, 0.0)
    line.http.proceed(0.0)
    line.pass_time(9.0)
    assert (line.seen, line.http.next_timeout()) == ([Shut()], None)


def test_it_is_never_pushed_to() -> None:
    http = Http1(Config(), POLICY, 0.0)
    http.heartbeat(0.0)
    assert (http.frame(b"x"), http.framing, http.output) == (b"x", None, [])


@pytest.mark.parametrize("piece", [1_000, 64 * 1024])
def test_a_body_at_its_limit_is_copied_once(piece: int) -> None:
    config = Config(max_body_bytes=4 * 1024 * 1024)
    head = post(b"", length=config.max_body_bytes)
    line = Line(config, answering=False)
    line.receive(head)
    tracemalloc.start()
    try:
        for _ in range(0, config.max_body_bytes - piece + 1, piece):
            line.http.receive_data(bytes(piece), 0.0)
        line.http.receive_data(bytes(config.max_body_bytes % piece) + b"next", 0.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    (exchange,) = line.http.output
    assert isinstance(exchange, Exchange)
    assert len(exchange.data) == config.max_body_bytes
    assert peak <= 2 * config.max_body_bytes + config.read_bytes


PARTS = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [
            post(),
            post(b"{}", b"Expect: 100-continue"),
            post(b"x" * 60),
            post()[:50],
            PROBE,
            UPGRADE,
            b"\r\n",
            b"\r\n\r\n",
            CHUNKED,
            b"2\r\n{}\r\n0\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ]
    ),
)


@settings(max_examples=150)
@given(st.lists(PARTS, min_size=1, max_size=8), st.lists(st.integers(1, 80), max_size=20), st.booleans())
def test_any_bytes_in_any_pieces_raise_nothing_and_are_bounded(
    parts: list[bytes], sizes: list[int], answering: bool
) -> None:
    config = Config(max_head_bytes=256, max_body_bytes=50, allow_chunked=True, frames_per_turn=4)
    data = b"".join(parts)
    whole, pieces = Line(config, answering=answering), Line(config, answering=answering)
    whole.receive(data)
    while sizes and data:
        size = sizes.pop(0)
        if pieces.of(Pause, Resume)[-1:] != [Pause()]:
            pieces.receive(data[:size])
            data = data[size:]
        assert pieces.http.buffered <= config.max_head_bytes + 80
    if data:
        pieces.receive(data)
    for line in (whole, pieces):
        for _ in range(20):
            if line.http.next_timeout() == 0.0:
                line.pass_time(0.0)
    assert pieces.sent == whole.sent
    assert pieces.of(Exchange, Probe, Answered, Finish) == whole.of(Exchange, Probe, Answered, Finish)


@settings(max_examples=150)
@given(
    st.lists(
        st.one_of(
            PARTS,
            st.floats(0, 100),
            st.sampled_from(["answer", "nothing", "respond", "accept", "refuse", "proceed", "eof", "drain", "idle"]),
        ),
        max_size=25,
    )
)
def test_in_any_order_of_inputs_the_promises_of_the_codec_hold(steps: list[bytes | float | str]) -> None:
    """The inputs that are owed come only when they are; time and bytes come as they like."""
    config = Config(max_head_bytes=256, max_body_bytes=50, allow_chunked=True, frames_per_turn=2)
    http = Http1(config, POLICY, 0.0)
    seen: list[Output] = []
    pending: Output | None = None
    eof, now = False, 0.0
    for step in steps:
        if isinstance(step, float):
            now += step
            http.handle_timeout(now)
        elif isinstance(step, bytes):
            if step and not eof and [each for each in seen if isinstance(each, (Pause, Resume))][-1:] != [Pause()]:
                http.receive_data(step, now)
        elif step == "eof" and not eof:
            eof = True
            http.receive_eof(now)
        elif step == "drain":
            http.drain()
        elif step == "idle":
            http.close_idle(now)
        elif step in ("answer", "nothing", "refuse") and isinstance(pending, Exchange):
            pending = Answered(200)
            if step == "refuse":
                http.refuse(MAX_CONNECTIONS, now)
            else:
                http.answer(b"{}" if step == "answer" else None, None, None, now)
        elif step == "respond" and isinstance(pending, Probe):
            pending = Answered(200)
            http.respond(200, b"{}", now)
        elif step in ("accept", "refuse") and isinstance(pending, Upgrade):
            if step == "accept":
                http.accept(now)
                return
            pending = Answered(503)
            http.refuse(MAX_CONNECTIONS, now)
        elif step == "proceed" and isinstance(pending, Answered):
            pending = None
            http.proceed(now)
        fresh, http.output = http.output, []
        assert not (Shut() in seen and fresh)
        requests = [each for each in fresh if isinstance(each, (Exchange, Probe, Upgrade, Answered))]
        assert len(requests) <= (1 if pending is None else 0)
        pending = requests[0] if requests else pending
        seen += fresh
        assert http.buffered <= config.max_head_bytes + 200
    assert seen.count(HeadRead()) <= 1
    assert seen.count(Finish()) <= 1
    assert seen.count(Shut()) <= 1
    flow = [each for each in seen if isinstance(each, (Pause, Resume))]
    assert flow == [Pause(), Resume()] * (len(flow) // 2) + [Pause()] * (len(flow) % 2)


def test_a_request_whose_head_came_before_is_handed_on_in_the_same_way() -> None:
    known = KnownHeads()
    seen = []
    for _ in range(2):
        line = Line()
        line.http = Http1(Config(), POLICY, 0.0, known)
        line.receive(post(b"[1]") + post(b"[2]"))
        line.receive(post(b"[3]"))
        seen.append((line.seen, line.sent, line.http.next_timeout()))
    assert seen[0] == seen[1]
    assert line.bodies == [b"[1]", b"[2]", b"[3]"]


def test_a_whole_request_with_a_known_head_is_handed_on_directly() -> None:
    http = Http1(Config(), POLICY, 0.0, KnownHeads())
    assert not http.receive_whole(post(b"[1]"), 0.0)  # the first head of a socket is told
    http.receive_data(post(b"[1]"), 0.0)
    (_, exchange) = http.output
    assert not http.receive_whole(post(b"[1]"), 0.0)
    http.output.clear()
    http.answer(b"1", None, None, 0.0)
    http.output.clear()
    http.proceed(2.0)
    assert not http.receive_whole(post(b"[1]")[:-1], 3.0)
    assert (http.next_timeout(), http.receive_whole(post(b"[1]"), 3.0)) == (
        2.0 + Config().keep_alive_timeout,
        (exchange,),
    )
    assert (http.next_timeout(), http.output, http.buffered) == (None, [], 0)
    http.answer(b"2", None, None, 3.0)
    assert [output.data[-5:] for output in http.output if isinstance(output, Send)] == [b"\r\n\r\n2"]


def test_no_request_is_handed_on_directly_behind_the_end_of_the_input() -> None:
    http = Http1(Config(), POLICY, 0.0, KnownHeads())
    http.receive_data(post(b"[1]"), 0.0)
    http.receive_eof(0.0)
    http.answer(b"1", None, None, 0.0)
    http.proceed(0.0)
    assert not http.receive_whole(post(b"[1]"), 0.0)


def test_a_result_on_a_socket_that_stays_open_is_handed_over_directly() -> None:
    direct, general = (Http1(Config(write_ahead=4), POLICY, 0.0) for _ in range(2))
    for http in (direct, general):
        http.receive_data(post(b"[1]", b"X-Request-Id: 7"), 0.0)
        http.output.clear()
    whole = direct.answer_whole(b"1234", None, 0.0)
    general.answer(b"1234", None, None, 0.0)
    assert (direct.output, general.output) == ([], [Send(whole or b"")])
    assert (direct.next_timeout(), general.next_timeout()) == (None, None)
    assert (whole or b"").endswith(b"Content-Length: 4\r\nX-Request-Id: 7\r\n\r\n1234")


@pytest.mark.parametrize(
    ("data", "code", "more", "draining"),
    [
        (None, None, b"X: y", False),
        (b"1", -32000, b"X: y", False),
        (b"12345", None, b"X: y", False),
        (b"1", None, b"Connection: close", False),
        (b"1", None, b"X: y", True),
    ],
)
def test_any_other_answer_is_put_into_the_output(
    data: bytes | None, code: int | None, more: bytes, draining: bool
) -> None:
    http = Http1(Config(write_ahead=4), POLICY, 0.0)
    http.receive_data(post(b"[1]", more), 0.0)
    if draining:
        http.drain()
    http.output.clear()
    assert http.answer_whole(data, code, 0.0) is None
    http.answer(data, code, None, 0.0)
    assert http.output


def test_a_probe_has_its_headers_and_comes_again_when_it_was_accepted() -> None:
    line = Line(answering=False)
    line.receive(b"GET /stats HTTP/1.1\r\nHost: localhost\r\nCookie: a=1\r\n\r\n")
    headers = ((b"host", b"localhost"), (b"cookie", b"a=1"))
    assert line.of(Probe) == [Probe("/stats", headers)]
    assert line.http.accept(0.0) is line.http
    assert line.http.output == [Probe("/stats", headers, accepted=True)]
    line.http.respond(200, b"{}", 0.0)
    line.http.proceed(0.0)
    line.receive(post())
    line.http.output.clear()
    assert line.http.accept(0.0) is line.http
    assert line.http.output == []


def test_a_probe_may_be_refused_and_its_client_is_waited_for_no_longer_than_another() -> None:
    line = Line(answering=False)
    line.receive(b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert line.http.next_timeout() is None
    line.eof(1.0)
    assert line.http.next_timeout() == 6.0
    line.http.refuse(MAX_CONNECTIONS, 2.0)
    assert b"HTTP/1.1 503 " in b"".join(output.data for output in line.http.output if isinstance(output, Send))


DEMANDING = Config(require_authentication=True, max_message_bytes_unauthenticated=10, body_timeout=5.0)
TOKEN = b"Authorization: Bearer x"


def test_a_large_call_is_announced_where_authentication_is_required_and_its_body_read_when_it_is_accepted() -> None:
    for size in (9, 10, 11):
        line = Line(DEMANDING, answering=False)
        line.receive(post(b"x" * size, TOKEN))
        announced = [each for each in line.of(Announced) if isinstance(each, Announced)]
        assert [each.path for each in announced] == ["/rpc"] * (size > 10)
        assert len(line.of(Exchange)) == (size <= 10)
        if announced:
            assert (b"authorization", b"Bearer x") in announced[0].headers
            assert line.http.accept(3.0) is line.http
            assert [output.data for output in line.http.output if isinstance(output, Exchange)] == [b"x" * 11]


def test_the_body_of_an_announced_call_has_its_time_from_its_acceptance_on() -> None:
    line = Line(replace(DEMANDING, min_body_rate=0.0), answering=False)
    line.receive(post(b"x" * 11, TOKEN)[:-1])
    assert line.http.next_timeout() is None
    line.http.accept(3.0)
    assert line.http.next_timeout() == 8.0


def test_a_client_that_ends_its_input_within_the_body_of_an_announced_call_ends_its_connection() -> None:
    line = Line(DEMANDING, answering=False)
    line.receive(post(b"x" * 11, TOKEN)[:-1])
    line.http.accept(0.0)
    line.eof(1.0)
    assert line.of(Ended, Shut) == [Ended(None), Shut()]


def test_an_announced_call_may_be_refused_before_and_within_its_body() -> None:
    for accepted in (False, True):
        line = Line(DEMANDING, answering=False)
        line.receive(post(b"x" * 11, TOKEN)[:-1])
        if accepted:
            line.http.accept(0.0)
        line.http.refuse(MAX_CONNECTIONS, 0.0)
        line.take()
        assert line.statuses == [503]
        assert line.http.buffered == 0
