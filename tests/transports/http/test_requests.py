"""Requests out of bytes: each head and each body once, and nothing of what follows them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from posthouse.core.values.config import Config
from posthouse.core.values.peers import NO_META, Address, Meta
from posthouse.transports.codec import Exchange, Handshake, Probe
from posthouse.transports.forwarding import MALFORMED, Networks, Proxy
from posthouse.transports.http.answers import UNKNOWN, ResponseOptions
from posthouse.transports.http.bodies import RATE_GRACE
from posthouse.transports.http.known_heads import NO_HEADS, KnownHeads
from posthouse.transports.http.requests import RequestReader
from posthouse.transports.http.routes import Call, Preflight
from posthouse.transports.policy import Policy
from posthouse.transports.refusal import Refusal

POLICY = Policy(origins=("https://good.example",))
PROBE = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%b\r\n"  # and fields
COUNTED = POST % b"Content-Length: 4\r\n"
HEADERS = ((b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"4"))
CHUNKED = POST % b"Transfer-Encoding: chunked\r\n"


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)


def reader(config: Config = Config()) -> RequestReader:
    return RequestReader(config, POLICY, KnownHeads())


def refused(verdict: object, status: int) -> bool:
    return isinstance(verdict, Refusal) and verdict.status == status


def test_a_head_is_read_when_it_is_whole() -> None:
    requests = reader()
    assert requests.read_head(0.0) is None
    for i in range(len(PROBE) - 1):
        requests.buffer += PROBE[i : i + 1]
        assert requests.read_head(0.0) is None
    assert (requests.head_read, requests.begun, requests.buffered) == (False, True, len(PROBE) - 1)
    requests.buffer += PROBE[-1:] + b"GET"
    assert requests.read_head(0.0) == Probe("/health")
    assert requests.options == ResponseOptions(persistent=True, bodiless=False, lines=b"")
    assert (requests.head_read, requests.begun, requests.buffered) == (True, True, 3)
    assert requests.take() == b"GET"
    assert (requests.begun, requests.buffered) == (False, 0)


def test_half_of_an_empty_line_begins_no_head() -> None:
    requests = reader()
    requests.buffer += b"\r"
    assert not requests.begun
    requests.buffer += b"\n"
    assert requests.read_head(0.0) is None
    assert not requests.begun


@pytest.mark.parametrize("head, body", [(COUNTED, b"true"), (CHUNKED, b"2\r\ntr\r\n2\r\nue\r\n0\r\n\r\n")])
def test_a_body_is_read_at_every_split_and_nothing_behind_it(head: bytes, body: bytes) -> None:
    for cut in range(len(body)):
        requests = reader(Config(allow_chunked=True))
        requests.buffer += head + body[:cut]
        assert requests.read_head(0.0) == Call(NO_META, awaited=False)
        request = requests.read_body(requests.take())
        assert request is None
        request = requests.read_body(body[cut:] + b"next")
        assert isinstance(request, Exchange)
        assert (request.data, request.meta, request.path) == (b"true", NO_META, "/rpc")
        assert request.headers[:2] == ((b"host", b"localhost"), (b"content-type", b"application/json"))
        assert requests.take() == b"next"


def test_a_refusal_says_whether_its_head_was_read() -> None:
    requests = reader()
    requests.buffer += b"G@T / HTTP/1.1\r\n"
    assert refused(requests.read_head(0.0), 400)
    assert (requests.head_read, requests.options) == (False, UNKNOWN)
    requests = reader()
    requests.buffer += b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"
    assert refused(requests.read_head(0.0), 400)
    assert (requests.head_read, requests.options) == (True, UNKNOWN)


def test_a_body_that_is_too_large_is_refused() -> None:
    requests = reader(Config(allow_chunked=True, max_body_bytes=3))
    requests.buffer += CHUNKED
    requests.read_head(0.0)
    assert refused(requests.read_body(b"4\r\ntrue\r\n"), 413)


def test_an_allowed_page_may_read_the_answer() -> None:
    requests = reader()
    origin = b"Origin: https://good.example\r\n"
    requests.buffer += (
        b"OPTIONS /rpc HTTP/1.1\r\nHost: localhost\r\n%bAccess-Control-Request-Method: POST\r\n\r\n" % origin
    )
    assert requests.read_head(0.0) == Preflight()
    assert requests.options.lines.startswith(b"Access-Control-Allow-Origin: https://good.example\r\n")
    requests.buffer += b"GET /ws HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n"
    assert refused(requests.read_head(0.0), 403)
    assert requests.options.lines == b""


def test_a_handshake_is_passed_on() -> None:
    requests = reader()
    requests.buffer += HANDSHAKE % b""
    assert isinstance(requests.read_head(0.0), Handshake)
    assert requests.meta == NO_META


def test_the_request_id_of_a_handshake_is_the_metadata_of_its_calls() -> None:
    requests = reader()
    requests.buffer += HANDSHAKE % b"X-Request-Id: abc\r\nTraceparent: no\r\nPosthouse-Timeout-Ms: 5\r\n"
    assert isinstance(requests.read_head(0.0), Handshake)
    assert requests.meta == Meta(request_id="abc")


def test_a_valid_request_id_is_sent_back_with_the_answer() -> None:
    requests = reader()
    for id, lines in ((b"abc", b"X-Request-Id: abc\r\n"), (b"a b", b""), (b"x" * 129, b"")):
        requests.buffer += b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: %b\r\n\r\n" % id
        assert requests.read_head(0.0) == Probe("/health")
        assert requests.options.lines == lines
    origin = b"Origin: https://good.example\r\n"
    requests.buffer += b"GET /health HTTP/1.1\r\nHost: localhost\r\n%bX-Request-Id: abc\r\n\r\n" % origin
    requests.read_head(0.0)
    assert requests.options.lines.startswith(b"Access-Control-Allow-Origin: https://good.example\r\n")
    assert requests.options.lines.endswith(b"X-Request-Id: abc\r\n")


@pytest.mark.parametrize("rate, received, due", [(0, 0, 40.0), (1, 0, 12.0), (1, 3, 13.0), (1000, 3, 12.0)])
def test_a_body_has_so_much_time_and_more_for_each_byte(rate: int, received: int, due: float) -> None:
    assert RATE_GRACE == 2.0
    requests = reader(Config(body_timeout=30.0, min_body_rate=rate))
    requests.buffer += COUNTED
    requests.read_head(10.0)
    requests.read_body(b"tru"[:received])
    assert requests.body_deadline == due


def test_a_body_that_is_dropped_is_not_held() -> None:
    for drop in (RequestReader.drop_body, RequestReader.drop):
        requests = reader()
        requests.buffer += COUNTED
        requests.read_head(0.0)
        requests.read_body(b"tru")
        assert requests.buffered == 3
        drop(requests)
        assert requests.buffered == 0


def test_the_answer_to_a_head_request_has_no_body() -> None:
    requests = reader()
    requests.buffer += b"HEAD /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert requests.read_head(0.0) == Probe("/health")
    assert requests.options == ResponseOptions(persistent=False, bodiless=True, lines=b"")


@pytest.mark.parametrize("request_line", [b"GET /health HTTP/1.1\n", b"GET  /health HTTP/1.1\r\n"])
def test_nothing_is_known_of_how_to_answer_a_head_that_is_refused(request_line: bytes) -> None:
    requests = reader()
    requests.buffer += b"HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    requests.read_head(0.0)
    requests.buffer += request_line + b"Host: localhost\r\n\r\n"
    assert refused(requests.read_head(0.0), 400)
    assert requests.options == UNKNOWN


def test_a_body_of_no_bytes_is_whole_at_once_and_keeps_its_meta() -> None:
    requests = reader()
    requests.buffer += POST % b"Content-Length: 0\r\nIdempotency-Key: k\r\n"
    requests.buffer += b"GET"
    request = requests.read_head(0.0)
    headers = (*HEADERS[:2], (b"content-length", b"0"), (b"idempotency-key", b"k"))
    assert request == Exchange(b"", Meta(idempotency_key="k"), "/rpc", headers)
    assert requests.take() == b"GET"
    requests = RequestReader(Config(), POLICY, NO_HEADS)
    requests.buffer += POST % b"Content-Length: 0\r\nIdempotency-Key: k\r\n"
    assert requests.read_head(0.0) == Call(Meta(idempotency_key="k"), awaited=False)
    assert requests.read_body(b"GET") == request
    assert requests.take() == b"GET"


def test_a_dropped_reader_holds_nothing() -> None:
    requests = reader()
    requests.buffer += COUNTED
    requests.read_head(0.0)
    requests.buffer += b"rest"
    requests.drop()
    assert (requests.buffered, requests.take()) == (0, b"")


@pytest.mark.parametrize("known", [True, False])
def test_a_request_that_comes_whole_is_read_whole_and_nothing_behind_it(known: bool) -> None:
    request = COUNTED + b"true"
    heads = KnownHeads()
    for size in range(len(COUNTED), len(request)):
        requests = RequestReader(Config(), POLICY, heads if known else KnownHeads())
        requests.buffer += request[:size]
        assert requests.read_head(0.0) == Call(NO_META, awaited=False)
        assert (requests.head_read, bytes(requests.buffer)) == (True, request[len(COUNTED) : size])
        assert requests.read_body(requests.take() + request[size:]) == Exchange(b"true", NO_META, "/rpc", HEADERS)
    requests = RequestReader(Config(), POLICY, heads if known else KnownHeads())
    requests.buffer += request + b"POST"
    assert requests.read_head(0.0) == Exchange(b"true", NO_META, "/rpc", HEADERS)
    assert (requests.head_read, bytes(requests.buffer), requests.buffered) == (True, b"POST", 4)
    assert requests.options == ResponseOptions(persistent=True, bodiless=False, lines=b"")


def test_a_request_with_a_known_head_is_read_without_the_buffer() -> None:
    requests = reader()
    assert requests.read_whole(COUNTED + b"1234") is None
    requests.buffer += COUNTED + b"1234"
    assert requests.read_head(0.0) == Exchange(b"1234", NO_META, "/rpc", HEADERS)
    requests.options = UNKNOWN
    for other in (COUNTED, COUNTED + b"123", COUNTED + b"12345", PROBE, CHUNKED, b"x"):
        assert requests.read_whole(other) is None
    assert (requests.options, requests.buffered) == (UNKNOWN, 0)
    assert requests.read_whole(COUNTED + b"5678") == Exchange(b"5678", NO_META, "/rpc", HEADERS)
    assert requests.options == ResponseOptions(persistent=True, bodiless=False, lines=b"")
    requests.buffer += b"P"
    assert requests.read_whole(COUNTED + b"1234") is None


def test_a_body_that_is_asked_for_is_read_behind_its_head() -> None:
    requests = reader()
    requests.buffer += POST % b"Content-Length: 4\r\nExpect: 100-continue\r\n" + b"true"
    assert requests.read_head(0.0) == Call(NO_META, awaited=True)
    request = requests.read_body(requests.take())
    assert isinstance(request, Exchange)
    assert request.data == b"true"


def test_each_request_of_a_known_head_has_its_own_metadata_and_answer() -> None:
    requests = reader()
    for number in (b"1", b"2"):
        requests.buffer += POST % b"Content-Length: 4\r\nX-Request-Id:  %b \r\nTraceparent: no\r\n" % number + b"true"
        request = requests.read_head(0.0)
        assert isinstance(request, Exchange)
        assert request.meta == Meta(request_id=number.decode())
        assert request.headers == (*HEADERS, (b"x-request-id", number), (b"traceparent", b"no"))
        assert requests.options.lines == b"X-Request-Id: %b\r\n" % number
    requests.buffer += COUNTED + b"true"
    assert requests.read_head(0.0) == Exchange(b"true", NO_META, "/rpc", HEADERS)
    assert requests.options.lines == b""


def test_a_request_with_a_new_head_is_read_without_the_buffer() -> None:
    requests = reader()
    requests.buffer += PROBE
    requests.read_head(0.0)
    for number in (b"1", b"2"):
        head = POST % b"Content-Length: 4\r\nX-Request-Id: %b\r\n" % number
        headers = (*HEADERS, (b"x-request-id", number))
        request = Exchange(b"true", Meta(request_id=number.decode()), "/rpc", headers)
        assert requests.read_whole(head + b"true") == request
        assert requests.options.lines == b"X-Request-Id: %b\r\n" % number
        assert requests.read_whole(head + b"tru") is None
    for other in (b"Content-Length: 4\r\nExpect: 100-continue\r\n", b"Content-Length: 4\r\nTimeout : 1\r\n"):
        assert requests.read_whole(POST % other + b"true") is None
    assert requests.read_whole(POST % b"Content-Length: 0\r\n") is None
    without = RequestReader(Config(), POLICY, NO_HEADS)
    without.head_read = True
    assert without.read_whole(COUNTED + b"true") is None


def test_no_request_is_read_without_the_buffer_behind_an_empty_line() -> None:
    requests = reader()
    requests.buffer += PROBE
    requests.read_head(0.0)
    requests.buffer += b"\r\n"
    assert requests.read_head(0.0) is None
    assert not requests.buffer
    assert requests.read_whole(COUNTED + b"true") is None
    requests.buffer += COUNTED + b"true\r\n" + PROBE
    assert isinstance(requests.read_head(0.0), Exchange)
    assert requests.read_head(0.0) == Probe("/health")


# Clients behind a proxy

TRUSTING = Config(trust_proxies=("10.0.0.1",), proxy_headers="forwarded", trust_forwarded_host=True)
CLIENT = Address("192.0.2.1", secure=True, proxy="10.0.0.1")


def behind() -> RequestReader:
    """A reader of a trusted proxy, which has read a head."""
    proxy = Proxy(TRUSTING, Networks(TRUSTING.trust_proxies), Address("10.0.0.1", 4_000))
    requests = RequestReader(TRUSTING, POLICY, KnownHeads(), proxy=proxy)
    requests.buffer += PROBE
    assert requests.read_head(0.0) == Probe("/health")
    assert requests.client == Address("10.0.0.1", 4_000, proxy="10.0.0.1")
    return requests


def named(element: bytes) -> bytes:
    return POST % (b"Content-Length: 2\r\nForwarded: %b\r\n" % element) + b"{}"


def client_of(requests: RequestReader, data: bytes) -> Address | None:
    """The client of a request that is read at once."""
    exchange = requests.read_whole(data)
    assert isinstance(exchange, Exchange)
    assert exchange.client == requests.client
    return exchange.client


def test_a_known_head_has_the_client_of_each_request() -> None:
    requests = behind()
    for _ in range(2):
        assert client_of(requests, named(b"for=192.0.2.1;proto=https")) == CLIENT
        assert client_of(requests, named(b"for=192.0.2.2;proto=https")) == replace(CLIENT, host="192.0.2.2")


@pytest.mark.parametrize("element", [b"for=192.0.2.1", b"for=192.0.2.1;proto=https;host=localhost"])
def test_a_known_head_with_another_scheme_or_host_is_judged_anew(element: bytes) -> None:
    requests = behind()
    assert client_of(requests, named(b"for=192.0.2.1;proto=https")) == CLIENT
    assert requests.read_whole(named(element)) is None
    requests.buffer += named(element)
    assert isinstance(requests.read_head(0.0), Exchange)
    assert requests.client == replace(CLIENT, secure=b"https" in element)


def test_a_malformed_client_is_refused_and_forgets_the_one_before() -> None:
    requests = behind()
    assert client_of(requests, named(b"for=192.0.2.1;proto=https")) == CLIENT
    assert requests.read_whole(named(b"for=x")) is None
    requests.buffer += named(b"for=x")
    assert requests.read_head(0.0) is MALFORMED
    assert requests.client is None


@pytest.mark.parametrize(("host", "status"), [(b"evil.example", 421), (b'"a b"', 400)])
def test_the_host_that_a_proxy_names_is_judged(host: bytes, status: int) -> None:
    requests = behind()
    requests.buffer += named(b"for=192.0.2.1;host=%b" % host)
    assert refused(requests.read_head(0.0), status)


def test_a_field_that_is_ignored_is_named_with_its_request() -> None:
    requests = reader()
    requests.buffer += POST % b"Content-Length: 0\r\nX-Forwarded-For: 192.0.2.1\r\n"
    exchange = requests.read_head(0.0)
    assert isinstance(exchange, Exchange)
    assert (exchange.client, exchange.ignored) == (None, b"x-forwarded-for")


@pytest.mark.parametrize(("head", "left"), [(COUNTED, b"next"), (CHUNKED, b"bodynext")])
def test_a_body_that_is_skipped_is_dropped_as_far_as_its_length_is_known(head: bytes, left: bytes) -> None:
    requests = reader()
    requests.buffer += head
    requests.read_head(0.0)
    requests.buffer += b"bodynext"
    requests.skip_body()
    assert requests.take() == left


@pytest.mark.parametrize("demanding", [True, False])
def test_where_authentication_is_required_a_known_head_with_another_cookie_has_no_credentials(demanding: bool) -> None:
    config, known, refusals = Config(require_authentication=demanding), KnownHeads(), []
    for cookie in (b"__Host-posthouse=secret", b"theme=dark", b"__Host-posthouse=another"):
        request = POST % b"Content-Length: 4\r\nCookie: %b\r\n" % cookie + b"true"
        requests = RequestReader(config, POLICY, known)
        requests.head_read = True
        whole = requests.read_whole(request)
        requests.buffer += request
        wanted = requests.read_head(0.0)
        assert whole == (wanted if isinstance(wanted, Exchange) else None)
        refusals.append(refused(wanted, 401))
    assert refusals == [False, demanding, False]


def token(value: bytes) -> bytes:
    return b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n" + (
        b"Authorization: Bearer %b\r\n\r\n{}" % value
    )


def test_a_head_that_comes_again_on_its_socket_is_not_read_again_and_another_one_is() -> None:
    known = KnownHeads()
    first, other = (RequestReader(Config(), Policy(), known) for _ in range(2))
    for each in (first, other):
        each.buffer += token(b"a")
        assert isinstance(each.read_head(0.0), Exchange)
    exchanges = [first.read_whole(token(value)) for value in (b"a", b"a", b"b", b"a")]
    headers = [each.headers for each in exchanges if each is not None]
    assert [dict(each)[b"authorization"] for each in headers] == [b"Bearer a", b"Bearer a", b"Bearer b", b"Bearer a"]
    assert headers[0] is headers[1]
    theirs = other.read_whole(token(b"c"))
    assert theirs is not None
    assert dict(theirs.headers)[b"authorization"] == b"Bearer c"


def test_a_long_head_is_not_kept_for_its_socket() -> None:
    requests = RequestReader(Config(), Policy(), KnownHeads())
    requests.buffer += token(b"a")
    assert isinstance(requests.read_head(0.0), Exchange)
    assert requests.read_whole(token(b"x" * 1_024)) is not None
    assert requests._last is None
