"""One hosted request: its head is judged, its body collected, its answer whole."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.values.close_reasons import DRAINING, MAX_CONNECTIONS_PER_USER
from posthouse.core.values.config import Config
from posthouse.core.values.errors import PARSE_ERROR
from posthouse.core.values.peers import NO_META, Address, Meta
from posthouse.transports.codec import (
    Announced,
    Answered,
    Arrived,
    Exchange,
    HeadRead,
    Pause,
    Probe,
    Resume,
    Send,
    Shut,
    Text,
    Upgrade,
)
from posthouse.transports.forwarding import Networks, Proxy
from posthouse.transports.hosted.exchange import HostedExchange, Judging
from posthouse.transports.hosted.known_requests import KnownRequests
from posthouse.transports.hosted.messages import Accepted, Response
from posthouse.transports.hosted.request import HostedRequest
from posthouse.transports.hosted.websocket import HostedWebSocket
from posthouse.transports.http.judgement import Judge, JudgedHead
from posthouse.transports.paths import Paths
from posthouse.transports.policy import Policy
from posthouse.transports.websocket.handshake import SUBPROTOCOL

from .host import call, handshake, head

SMALL = Config(max_body_bytes=10, body_timeout=30.0, min_body_rate=10.0)
TRUSTING = Config(trust_proxies=("10.0.0.1",))
PROXY = Proxy(TRUSTING, Networks(TRUSTING.trust_proxies), Address("10.0.0.1"))


def judging(config: Config = SMALL) -> Judging:
    policy = Policy(origins=("https://good.example",))
    return Judging(Judge(config, policy, hosted=True), KnownRequests(config.max_head_bytes))


def begun(request: HostedRequest, config: Config = SMALL, proxy: Proxy | None = None) -> HostedExchange:
    """The codec behind the judgement of a head."""
    codec = HostedExchange(config, judging(config), binary=False, now=0.0)
    codec.begin(request, proxy)
    assert codec.output[0] == HeadRead()
    del codec.output[0]
    return codec


def response(codec: HostedExchange) -> Response:
    """The response that it sends last."""
    sent = codec.output[-1]
    assert isinstance(sent, Send)
    assert isinstance(sent.data, Response)
    return sent.data


def fields(codec: HostedExchange) -> dict[bytes, bytes]:
    return dict(response(codec).fields)


# Calls


@pytest.mark.parametrize("pieces", [[b"{}"], [b"{", b"}"], [b"", b"{}", b""], [b"x" * 5, b"x" * 5]])
def test_a_call_is_whole_with_the_last_piece_of_its_body(pieces: list[bytes]) -> None:
    codec = begun(call(path="/rpc"))
    for piece in pieces[:-1]:
        codec.receive_body(piece, 0.0, more=True)
        assert codec.output == []
    assert codec.buffered == sum(map(len, pieces[:-1]))
    codec.receive_body(pieces[-1], 0.0, more=False)
    assert codec.output == [Exchange(b"".join(pieces), NO_META, "/rpc", call().headers)]
    assert (codec.buffered, codec.next_timeout()) == (0, None)
    codec.receive_body(b"more", 0.0, more=False)
    assert len(codec.output) == 1


def test_handlers_see_the_whole_path_and_the_metadata() -> None:
    codec = begun(head(b"POST", "/rpc", *call((b"x-request-id", b"r-1")).headers[1:], mount="/api"))
    codec.receive_body(b"{}", 0.0, more=False)
    (exchange,) = codec.output
    assert isinstance(exchange, Exchange)
    assert (exchange.path, exchange.meta) == ("/api/rpc", Meta(request_id="r-1"))
    codec.answer(b"1", None, None, 0.0)
    assert fields(codec)[b"x-request-id"] == b"r-1"


@pytest.mark.parametrize(("size", "refused"), [(9, False), (10, False), (11, True)])
def test_a_body_has_at_most_max_body_bytes(size: int, refused: bool) -> None:
    codec = begun(head(b"POST", "/rpc", call().headers[1], (b"transfer-encoding", b"chunked")))
    codec.receive_body(b"x" * 8, 0.0, more=True)
    codec.receive_body(b"x" * (size - 8), 0.0, more=False)
    if refused:
        assert codec.output[0] == Answered(413, "The body is too large.")
        assert response(codec).status == 413
    else:
        assert isinstance(codec.output[0], Exchange)
    assert codec.buffered == 0


def test_a_length_above_the_limit_is_refused_before_the_body() -> None:
    assert response(begun(call(size=11))).status == 413


def test_a_body_that_comes_too_slowly_is_refused() -> None:
    codec = begun(call())
    assert codec.next_timeout() == 2.0
    codec.handle_timeout(1.9)
    assert codec.output == []
    codec.handle_timeout(2.0)
    assert response(codec).status == 408
    codec.handle_timeout(3.0)
    assert len(codec.output) == 2


def test_a_body_for_which_there_is_no_memory_is_refused() -> None:
    codec = begun(call())
    codec.shed(0.0)
    assert response(codec).status == 503
    codec.shed(0.0)
    assert len(codec.output) == 2


# The direct ways


def known(request: HostedRequest, rules: Judging) -> JudgedHead:
    """The judgement of a head that came before."""
    HostedExchange(SMALL, rules, binary=False, now=0.0).begin(request, None)
    found = rules.known.find(request)
    assert found is not None
    return found


@pytest.mark.parametrize(("size", "whole"), [(9, True), (10, True), (11, False)])
def test_a_call_with_a_known_head_comes_at_once_if_its_body_is_within_the_limit(size: int, whole: bool) -> None:
    rules = judging()
    head = known(call(), rules)
    codec = HostedExchange(SMALL, rules, binary=False, now=0.0)
    exchange = codec.receive_whole_request(call(), head, b"x" * size)
    if whole:
        assert exchange == Exchange(b"x" * size, NO_META, "/rpc", call().headers)
        assert (codec.output, codec.next_timeout(), codec.buffered) == ([], None, 0)
    else:
        assert exchange is None
        assert response(codec).status == 413


def test_a_result_goes_at_once_as_it_would_otherwise() -> None:
    origin, request_id = (b"origin", b"https://good.example"), (b"x-request-id", b"abc")
    for more in ((), (origin,), (request_id,), (origin, request_id)):
        one, other = begun(call(*more)), begun(call(*more))
        for codec in (one, other):
            codec.receive_body(b"{}", 0.0, more=False)
            codec.output.clear()
        whole = one.answer_whole(b"[1]", None, 0.0)
        assert one.output == []
        other.answer(b"[1]", None, None, 0.0)
        assert isinstance(whole, Response)
        assert (whole, whole.status, whole.fields) == (b"[1]", 200, response(other).fields)


@pytest.mark.parametrize(("data", "code"), [(None, None), (b"{}", PARSE_ERROR)])
def test_other_answers_go_the_usual_way(data: bytes | None, code: int | None) -> None:
    codec = begun(call())
    assert codec.answer_whole(data, code, 0.0) is None
    codec = begun(call())
    codec.drain()
    assert codec.answer_whole(b"{}", None, 0.0) is None


def test_heads_of_trusted_proxies_are_not_kept() -> None:
    rules = judging(TRUSTING)
    request = call((b"x-forwarded-for", b"192.0.2.1"))
    HostedExchange(TRUSTING, rules, binary=False, now=0.0).begin(request, PROXY)
    assert rules.known.find(request) is None


# What is not a call


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (call(path="/elsewhere"), 404),
        (head(b"GET", "/rpc"), 405),
        (head(b"POST", "/rpc", (b"content-type", b"text/plain"), (b"content-length", b"2")), 415),
        (call((b"origin", b"https://bad.example")), 403),
        (call((b"content-length", b"3")), 400),
        (head(b"POST", "/rpc", call().headers[1]), 411),
        (head(b"GET", "/ws"), 426),
        (handshake(path="/rpc"), 405),
        (handshake(path="/elsewhere"), 404),
        (handshake((b"sec-websocket-protocol", b"posthouse.bearer.YQ")), 400),
    ],
)
def test_a_request_that_the_rules_refuse_is_answered_at_once(request_: HostedRequest, status: int) -> None:
    codec = begun(request_)
    answered, _ = codec.output
    assert isinstance(answered, Answered)
    assert (answered.status, response(codec).status) == (status, status)
    assert (fields(codec).get(b"connection") == b"close") is (
        status not in (404, 405, 426) or request_.method == b"POST"
    )
    assert codec.next_timeout() is None


@pytest.mark.parametrize("path", ["/health", "/stats"])
def test_a_websocket_opens_nowhere_else(path: str) -> None:
    assert response(begun(handshake(path=path))) == b"No WebSocket opens here. Use /ws.\n"


def test_the_paths_are_those_of_the_policy() -> None:
    def first(request: HostedRequest) -> object:
        judge = Judge(SMALL, Policy(paths=Paths("/calls", "/", "/api"), subprotocols=("mcp",)), hosted=True)
        codec = HostedExchange(SMALL, Judging(judge, KnownRequests(1_024)), binary=False, now=0.0)
        codec.begin(request, None)
        return codec.output[1] if len(codec.output) > 1 else None

    assert first(call(path="")) is first(call(path="/api/calls")) is None  # their bodies are awaited
    assert isinstance(first(head(b"GET", "/api/health")), Probe)
    opened = first(handshake((b"sec-websocket-protocol", b"mcp"), path="/api/"))
    assert isinstance(opened, Upgrade)
    assert opened.handshake.headers == ((b"Sec-WebSocket-Protocol", b"mcp"),)
    nowhere = first(handshake(path="/api/health"))
    assert isinstance(nowhere, Answered)
    assert nowhere.reason == "No WebSocket opens here. Use /api/."


@pytest.mark.parametrize(("method", "body"), [(b"GET", b"{}"), (b"HEAD", b"")])
def test_a_probe_is_owed_its_response(method: bytes, body: bytes) -> None:
    codec = begun(head(method, "/health"))
    assert codec.output == [Probe("/health", head(method, "/health").headers)]
    codec.respond(200, b"{}", 0.0)
    assert (response(codec), response(codec).status, fields(codec)[b"content-length"]) == (body, 200, b"2")


def test_a_page_may_ask_before_it_calls() -> None:
    asked = ((b"origin", b"https://good.example"), (b"access-control-request-method", b"POST"))
    codec = begun(head(b"OPTIONS", "/", *asked))
    assert codec.output[0] == Answered(204)
    assert fields(codec)[b"access-control-allow-origin"] == b"https://good.example"
    assert fields(codec)[b"access-control-allow-methods"] == b"POST"


# Answers


def asked(request: HostedRequest = call()) -> HostedExchange:
    codec = begun(request)
    codec.receive_body(b"{}", 0.0, more=False)
    codec.output.clear()
    return codec


@pytest.mark.parametrize(("data", "code", "status"), [(b"1", None, 200), (None, None, 204), (b"{}", PARSE_ERROR, 400)])
def test_an_answer_is_one_whole_response_and_nothing_follows(data: bytes | None, code: int | None, status: int) -> None:
    codec = asked()
    codec.answer(data, code, 1.5, 0.0, fields=((b"Set-Cookie", b"a=b"),))
    assert (response(codec), response(codec).status) == (data or b"", status)
    assert fields(codec)[b"set-cookie"] == b"a=b"
    codec.proceed(0.0)
    codec.close(1000, 0.0)
    assert codec.output[1:] == []


def test_a_close_behind_the_answer_ends_it() -> None:
    codec = asked()
    codec.answer(b"1", None, None, 0.0)
    codec.close(1012, 0.0)
    codec.proceed(0.0)
    assert codec.output[1:] == [Shut()]


def test_a_call_that_is_not_admitted_gets_the_error_of_the_reason() -> None:
    codec = asked()
    codec.refuse(DRAINING, 0.0)
    assert response(codec).status == 503
    assert b"-32050" in bytes(response(codec))


@pytest.mark.parametrize(("version", "closes"), [(b"1.1", True), (b"1.0", True), (b"2", False), (b"3", False)])
def test_during_a_shut_down_the_answer_closes_the_socket_if_http_can(version: bytes, closes: bool) -> None:
    codec = asked(call(version=version))
    codec.answer(b"1", None, None, 0.0)
    assert b"connection" not in fields(codec)
    codec = asked(call(version=version))
    codec.drain()
    codec.answer(b"1", None, None, 0.0)
    assert (fields(codec).get(b"connection") == b"close") is closes


# Handshakes


@pytest.mark.parametrize("subprotocol", [None, "posthouse.v1.json"])
def test_a_handshake_becomes_a_websocket_with_the_subprotocol_that_was_selected(subprotocol: str | None) -> None:
    codec = begun(handshake() if subprotocol is None else handshake((b"sec-websocket-protocol", SUBPROTOCOL)))
    (upgrade,) = codec.output
    assert isinstance(upgrade, Upgrade)
    assert upgrade.path == "/ws"
    assert isinstance(codec.accept(0.0), HostedWebSocket)
    sent = codec.output[-1]
    assert isinstance(sent, Send)
    assert isinstance(sent.data, Accepted)
    assert sent.data.subprotocol == subprotocol


def test_a_handshake_that_is_not_admitted_gets_the_reason_as_text() -> None:
    codec = begun(handshake())
    codec.refuse(MAX_CONNECTIONS_PER_USER, 0.0)
    assert response(codec).status == 429
    assert not response(codec).startswith(b"{")


def test_a_request_is_accepted_as_it_is() -> None:
    codec = asked()
    assert codec.accept(0.0) is codec
    assert codec.output == []


# Behind a proxy


def forwarded(value: bytes, proxy: Proxy | None = PROXY) -> list[Any]:
    codec = begun(call((b"x-forwarded-for", value)), TRUSTING, proxy)
    if codec.output == [Arrived(Address("192.0.2.1", proxy="10.0.0.1"))]:
        codec.output.clear()
        codec.admit(0.0)
    codec.receive_body(b"{}", 0.0, more=False)
    return list(codec.output)


def test_the_client_of_a_trusted_proxy_is_judged_before_the_body() -> None:
    (exchange,) = forwarded(b"192.0.2.1")
    assert exchange.client == Address("192.0.2.1", proxy="10.0.0.1")
    (exchange,) = forwarded(b"192.0.2.1", None)
    assert (exchange.client, exchange.ignored) == (None, b"x-forwarded-for")
    assert forwarded(b"?")[0].status == 400


def test_a_client_that_is_not_admitted_gets_its_answer_before_the_body() -> None:
    codec = begun(call((b"x-forwarded-for", b"192.0.2.1")), TRUSTING, PROXY)
    codec.receive_body(b"{}", 0.0, more=False)
    assert codec.output == [Arrived(Address("192.0.2.1", proxy="10.0.0.1"))]
    codec.refuse(MAX_CONNECTIONS_PER_USER, 0.0)
    assert response(codec).status == 429


# Where authentication is required

DEMANDING = Config(
    require_authentication=True,
    max_message_bytes_unauthenticated=10,
    max_message_bytes=20,
    min_body_rate=0.0,
    body_timeout=5.0,
    trust_proxies=("10.0.0.1",),
)
TOKEN = (b"authorization", b"Bearer x")


@pytest.mark.parametrize("proxy", [None, PROXY])
@pytest.mark.parametrize(("size", "announced"), [(9, False), (10, False), (11, True)])
def test_a_large_body_is_read_when_its_credentials_were_verified(
    size: int, announced: bool, proxy: Proxy | None
) -> None:
    codec = begun(call(TOKEN, size=size), DEMANDING, proxy)
    if proxy is not None:
        codec.output.clear()
        codec.admit(0.0)
    assert [type(output) for output in codec.output] == ([Pause, Announced] if announced else [])
    if announced:
        assert codec.next_timeout() is None
        codec.output.clear()
        assert codec.accept(3.0) is codec
        assert codec.output == [Resume()]
        assert codec.next_timeout() == 8.0
    codec.output.clear()
    codec.receive_body(b"x" * size, 3.0, more=False)
    assert [output.data for output in codec.output if isinstance(output, Exchange)] == [b"x" * size]


def test_a_large_body_whose_credentials_are_refused_is_not_read() -> None:
    codec = begun(call(TOKEN, size=11), DEMANDING)
    codec.refuse(MAX_CONNECTIONS_PER_USER, 0.0)
    assert response(codec).status == 429
    codec.receive_body(b"x", 0.0, more=True)
    assert codec.buffered == 0


def test_a_probe_has_its_headers_and_comes_again_when_it_was_accepted() -> None:
    request = head(b"GET", "/stats", TOKEN)
    codec = begun(request)
    assert codec.accept(0.0) is codec
    assert codec.output == [Probe("/stats", request.headers), Probe("/stats", request.headers, accepted=True)]


def test_a_websocket_has_the_limit_of_its_caller() -> None:
    for authenticated, size in ((False, 10), (True, 20)):
        codec = begun(handshake(), DEMANDING)
        codec.limit_messages(authenticated=authenticated)
        websocket = codec.accept(0.0)
        assert isinstance(websocket, HostedWebSocket)
        websocket.receive_message("x" * size, 0.0)
        websocket.receive_message("x" * (size + 1), 0.0)
        assert [type(output) for output in websocket.output][:2] == [Text, Send]
