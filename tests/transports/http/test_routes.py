"""What a request asks for, and whether it may: every check of a head that is made before its body is asked for."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from posthouse.core.values.config import Config
from posthouse.core.values.errors import REQUEST_TOO_LARGE, UNAUTHENTICATED
from posthouse.core.values.peers import NO_META, Meta
from posthouse.transports.codec import Handshake, Probe
from posthouse.transports.http.head import Head, parse
from posthouse.transports.http.routes import PREFLIGHT_FIELDS, Call, Preflight, Wanted, judge, read_request_id
from posthouse.transports.paths import Paths
from posthouse.transports.policy import Policy
from posthouse.transports.refusal import Refusal

from tests.values import changeable

POLICY = Policy(origins=("https://good.example",))
CONFIG = Config(max_body_bytes=100)

HANDSHAKE = (
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def ask(line: bytes, *headers: bytes, config: Config = CONFIG) -> Wanted:
    head = parse(b"\r\n".join([line, b"Host: localhost", *headers]) + b"\r\n\r\n")
    assert isinstance(head, Head)
    return judge(head, POLICY, config)


def call(*headers: bytes, length: bytes = b"2", config: Config = CONFIG, version: bytes = b"1.1") -> Wanted:
    common = (b"Content-Type: application/json", b"Content-Length: " + length)
    return ask(b"POST /rpc HTTP/" + version, *common, *headers, config=config)


def refused(wanted: Wanted) -> int:
    assert isinstance(wanted, Refusal)
    return wanted.status


def test_a_post_to_rpc_is_a_call() -> None:
    assert call() == Call(NO_META, awaited=False)


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("path", [b"/health", b"/stats"])
def test_a_probe_may_have_any_query(method: bytes, path: bytes) -> None:
    wanted = ask(b"%b %b?verbose=1 HTTP/1.1" % (method, path))
    assert isinstance(wanted, Probe)
    assert wanted.path.encode() == path


def test_a_handshake_is_a_handshake() -> None:
    assert isinstance(ask(b"GET /ws HTTP/1.1", *HANDSHAKE), Handshake)


def test_a_handshake_that_a_host_has_read_needs_no_more_than_its_path() -> None:
    head = parse(b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert isinstance(head, Head)
    assert judge(head, POLICY, CONFIG, hosted=True) == Handshake((), deflate=False)
    assert refused(judge(head, POLICY, CONFIG)) == 426


@pytest.mark.parametrize("line", [b"GET /ws HTTP/1.1", b"GET /ws HTTP/1.0"])
def test_a_get_of_ws_without_an_upgrade_is_answered_with_426(line: bytes) -> None:
    wanted = ask(line, *(() if line.endswith(b"1.1") else HANDSHAKE))
    assert refused(wanted) == 426
    assert isinstance(wanted, Refusal)
    assert (b"Upgrade", b"websocket") in wanted.headers
    assert wanted.keep


def test_a_malformed_handshake_is_refused_and_closed() -> None:
    wanted = ask(b"GET /ws HTTP/1.1", *HANDSHAKE[:3])
    assert (refused(wanted), isinstance(wanted, Refusal) and wanted.keep) == (400, False)


def under(paths: Paths, line: bytes, *headers: bytes) -> Wanted:
    head = parse(b"\r\n".join([line, b"Host: localhost", *headers]) + b"\r\n\r\n")
    assert isinstance(head, Head)
    return judge(head, replace(POLICY, paths=paths), CONFIG)


def test_the_paths_are_those_of_the_policy() -> None:
    paths = Paths("/v1", "/", "/api")
    posted = (b"Content-Type: application/json", b"Content-Length: 2")
    assert under(paths, b"POST /api/v1 HTTP/1.1", *posted) == Call(NO_META, awaited=False)
    assert isinstance(under(paths, b"GET /api/ HTTP/1.1", *HANDSHAKE), Handshake)
    assert isinstance(under(paths, b"GET /api HTTP/1.1", *HANDSHAKE), Handshake)
    assert under(paths, b"GET /api/health HTTP/1.1") == Probe("/health")
    assert refused(under(paths, b"GET /health HTTP/1.1")) == 404
    assert refused(under(paths, b"POST /rpc HTTP/1.1", *posted)) == 404
    page = (b"Origin: https://good.example", b"Access-Control-Request-Method: POST")
    assert under(paths, b"OPTIONS /api/v1 HTTP/1.1", *page) == Preflight()
    assert refused(under(paths, b"OPTIONS /api HTTP/1.1", *page)) == 405


def test_a_path_for_both_takes_calls_and_opens_websockets() -> None:
    paths = Paths("/", "/")
    assert isinstance(under(paths, b"GET / HTTP/1.1", *HANDSHAKE), Handshake)
    assert refused(under(paths, b"GET / HTTP/1.1")) == 426
    assert isinstance(under(paths, b"POST / HTTP/1.1", b"Content-Type: application/json", b"Content-Length: 2"), Call)
    wanted = under(paths, b"PUT / HTTP/1.1")
    assert wanted == Refusal(405, "Use POST or GET for /.", ((b"Allow", b"POST, GET"),), keep=True)


@pytest.mark.parametrize("hosted", [False, True])
def test_a_subprotocol_that_the_service_names_is_selected(hosted: bool) -> None:
    lines = [b"GET /ws HTTP/1.1", b"Host: localhost", *HANDSHAKE, b"Sec-WebSocket-Protocol: chat, mcp", b"", b""]
    head = parse(b"\r\n".join(lines))
    assert isinstance(head, Head)
    found = judge(head, replace(POLICY, subprotocols=("mcp",)), CONFIG, hosted=hosted)
    assert isinstance(found, Handshake)
    assert (b"Sec-WebSocket-Protocol", b"mcp") in found.headers


@pytest.mark.parametrize("path", [b"/", b"/RPC", b"/rpc/", b"/%72pc", b"//rpc", b"/favicon.ico"])
def test_other_paths_are_not_found(path: bytes) -> None:
    assert ask(b"GET %b HTTP/1.1" % path) == Refusal(
        404, "Not found. Use POST /rpc, GET /ws, GET /health or GET /stats.", keep=True
    )


@pytest.mark.parametrize(
    ("line", "allow", "text"),
    [
        (b"GET /rpc HTTP/1.1", b"POST", "Use POST for /rpc."),
        (b"OPTIONS /rpc HTTP/1.1", b"POST", "Use POST for /rpc."),
        (b"post /rpc HTTP/1.1", b"POST", "Use POST for /rpc."),
        (b"DELETE /ws HTTP/1.1", b"GET", "Use GET for /ws."),
        (b"HEAD /ws HTTP/1.1", b"GET", "Use GET for /ws."),
        (b"OPTIONS /health HTTP/1.1", b"GET, HEAD", "Use GET or HEAD for /health."),
    ],
)
def test_another_method_is_refused_with_the_methods_that_are_allowed(line: bytes, allow: bytes, text: str) -> None:
    wanted = ask(line, b"Origin: https://good.example")
    assert wanted == Refusal(405, text, ((b"Allow", allow),), keep=True)


@pytest.mark.parametrize("line", [b"POST /nowhere HTTP/1.1", b"POST /health HTTP/1.1"])
def test_a_refused_request_with_a_body_closes(line: bytes) -> None:
    wanted = ask(line, b"Content-Length: 1")
    assert isinstance(wanted, Refusal)
    assert not wanted.keep


@pytest.mark.parametrize("line", [b"GET /health HTTP/1.1", b"GET /ws HTTP/1.1"])
@pytest.mark.parametrize("body", [b"Content-Length: 1", b"Transfer-Encoding: chunked"])
def test_6_a_get_or_an_upgrade_with_a_body_is_refused(line: bytes, body: bytes) -> None:
    assert refused(ask(line, *HANDSHAKE, body)) == 400


@pytest.mark.parametrize(
    "query",
    [
        b"token=1",
        b"a=b&access_token=1",
        b"ACCESS_TOKEN=1",
        b"%74oken=1",
        b"token",
        b"a;token=1",
        b"+token=",
        b"api_key=1",
        b"password=1",
    ],
)
@pytest.mark.parametrize("line", [b"GET /ws?%b HTTP/1.1", b"GET /health?%b HTTP/1.1", b"GET /x?%b HTTP/1.1"])
def test_29_a_credential_in_the_url_is_refused_without_its_value(line: bytes, query: bytes) -> None:
    wanted = ask(line % query)
    assert isinstance(wanted, Refusal)
    assert (wanted.status, wanted.headers, wanted.keep) == (400, (), False)


@pytest.mark.parametrize("query", [b"", b"&", b"a=token", b"tokens=3", b"to+ken=1", b"tok%", b"t%ff=1"])
def test_other_queries_are_ignored(query: bytes) -> None:
    assert isinstance(ask(b"GET /health?%b HTTP/1.1" % query), Probe)


@pytest.mark.parametrize("line", [b"POST /rpc HTTP/1.1", b"GET /ws HTTP/1.1", b"GET /stats HTTP/1.1"])
def test_30_to_32_the_policy_is_asked_on_every_path_but_health(line: bytes) -> None:
    assert refused(ask(line, *HANDSHAKE, b"Origin: null", b"Content-Type: application/json")) == 403
    head = parse(line + b"\r\nHost: evil.example\r\n\r\n")
    assert isinstance(head, Head)
    assert refused(judge(head, POLICY, CONFIG)) == 421


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("host", [b"evil.example", b"10.1.2.3:8080"])
@pytest.mark.parametrize("origin", [b"", b"Origin: null\r\n", b"Origin: https://evil.example\r\n"])
def test_health_is_answered_whatever_host_and_origin_say(method: bytes, host: bytes, origin: bytes) -> None:
    head = parse(b"%b /health HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (method, host, origin))
    assert isinstance(head, Head)
    assert judge(head, POLICY, CONFIG) == Probe("/health")


def test_30_a_page_of_the_same_origin_may_do_what_a_page_of_an_allowed_one_may() -> None:
    same = b"Origin: http://localhost"
    assert isinstance(ask(b"POST /rpc HTTP/1.1", same, b"Content-Type: application/json", b"Content-Length: 2"), Call)
    assert isinstance(ask(b"GET /ws HTTP/1.1", same, *HANDSHAKE), Handshake)
    assert isinstance(ask(b"GET /stats HTTP/1.1", same), Probe)
    assert ask(b"OPTIONS /rpc HTTP/1.1", same, b"Access-Control-Request-Method: POST") == Preflight()


def test_32_a_form_is_refused() -> None:
    assert refused(ask(b"POST /rpc HTTP/1.1", b"Content-Type: text/plain", b"Content-Length: 2")) == 415


def test_33_a_preflight_is_answered_for_an_allowed_origin_only() -> None:
    asks = b"Access-Control-Request-Method: POST"
    assert ask(b"OPTIONS /rpc HTTP/1.1", b"Origin: https://good.example", asks) == Preflight()
    assert refused(ask(b"OPTIONS /rpc HTTP/1.1", b"Origin: https://evil.example", asks)) == 403
    assert refused(ask(b"OPTIONS /rpc HTTP/1.1", b"Origin: null", asks)) == 403
    assert refused(ask(b"OPTIONS /rpc HTTP/1.1", b"Origin: https://good.example", asks, b"Content-Length: 1")) == 400


def test_33_a_preflight_says_what_may_be_asked_and_for_how_long() -> None:
    assert dict(PREFLIGHT_FIELDS) == {
        b"Access-Control-Allow-Methods": b"POST",
        b"Access-Control-Allow-Headers": (
            b"Authorization, Content-Type, Idempotency-Key, Posthouse-Timeout-Ms, Traceparent, X-Request-Id"
        ),
        b"Access-Control-Max-Age": b"600",
    }


@pytest.mark.parametrize(("length", "allowed"), [(b"99", True), (b"100", True), (b"101", False)])
def test_a_content_length_above_the_limit_is_refused_in_json(length: bytes, allowed: bool) -> None:
    wanted = call(length=length)
    if allowed:
        assert isinstance(wanted, Call)
        return
    assert isinstance(wanted, Refusal)
    assert (wanted.status, wanted.keep) == (413, False)
    assert wanted.error is not None
    assert (wanted.error.code, wanted.error.data) == (REQUEST_TOO_LARGE, {"limit": "max_body_bytes", "allowed": 100})


def test_a_call_needs_a_content_length_or_where_they_are_allowed_chunks() -> None:
    chunks = (b"Content-Type: application/json", b"Transfer-Encoding: chunked")
    assert isinstance(ask(b"POST /rpc HTTP/1.1", *chunks), Call)
    assert refused(ask(b"POST /rpc HTTP/1.1", *chunks[:1])) == 411
    refusing = Config(allow_chunked=False)
    assert refused(ask(b"POST /rpc HTTP/1.1", *chunks, config=refusing)) == 411
    assert refused(ask(b"POST /rpc HTTP/1.1", *chunks[:1], config=refusing)) == 411


def test_a_compressed_body_is_refused() -> None:
    refusal = call(b"Content-Encoding: gzip")
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.headers) == (415, ((b"Accept-Encoding", b"identity"),))
    assert isinstance(call(b"Content-Encoding: Identity"), Call)


def test_expect_100_continue_is_read() -> None:
    assert call(b"Expect: 100-Continue") == Call(NO_META, awaited=True)
    assert call(b"Expect: 100-continue", length=b"0") == Call(NO_META, awaited=False)
    assert refused(call(b"Expect: 200-ok")) == 417
    assert call(b"Expect: 200-ok", version=b"1.0") == Call(NO_META, awaited=False)


def test_the_metadata_of_a_call_is_read_from_headers() -> None:
    wanted = call(b"Idempotency-Key: a b", b"Posthouse-Timeout-Ms: 0250", b"Traceparent: " + TRACE)
    assert wanted == Call(Meta(idempotency_key="a b", timeout_ms=250, traceparent=TRACE.decode()), awaited=False)
    assert call(b"Traceparent: " + TRACE) == Call(Meta(traceparent=TRACE.decode()), awaited=False)
    assert call(b"Idempotency-Key: " + b"k" * 255) == Call(Meta(idempotency_key="k" * 255), awaited=False)


@pytest.mark.parametrize("id", [b"a", b"x" * 128, b'!"#~'])
def test_a_request_id_is_read(id: bytes) -> None:
    assert read_request_id({b"x-request-id": id}) == id
    assert call(b"X-Request-Id: " + id) == Call(Meta(request_id=id.decode()), awaited=False)


@pytest.mark.parametrize("id", [b"", b"a b", b"x" * 129, b"a\xe9", b"a\tb"])
def test_a_request_id_that_is_not_valid_is_ignored(id: bytes) -> None:
    assert read_request_id({b"x-request-id": id}) is None
    assert read_request_id({}) is None
    assert call(b"X-Request-Id: " + id) == Call(NO_META, awaited=False)


@pytest.mark.parametrize("trace", [b"", b"x", TRACE.upper(), TRACE + b"-"])
def test_a_trace_that_cannot_be_read_is_ignored(trace: bytes) -> None:
    assert call(b"Traceparent: " + trace) == Call(NO_META, awaited=False)


@pytest.mark.parametrize("value", [b"", b"0", b"-1", b"1.5", b"1e3", b"x", b"12345678901"])
def test_a_timeout_that_is_no_number_of_milliseconds_is_refused(value: bytes) -> None:
    assert refused(call(b"Posthouse-Timeout-Ms: " + value)) == 400


@pytest.mark.parametrize("value", [b"", b"k" * 256, b"\xff", b"a\tb"])
def test_an_invalid_idempotency_key_is_refused(value: bytes) -> None:
    assert refused(call(b"Idempotency-Key: " + value)) == 400


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.http.routes") == []


DEMANDING = Config(max_body_bytes=100, require_authentication=True)
OFFERED = (
    b"Authorization: Bearer token",
    b"Authorization: Negotiate abc",
    b"Cookie: a=b; __Host-posthouse=secret",
    b"Cookie: __Host-posthouse=",
)


def test_where_authentication_is_required_a_call_without_credentials_is_refused_at_its_head() -> None:
    for headers in ((), (b"Cookie: a=b",), (b"Expect: 100-continue",)):
        wanted = call(*headers, config=DEMANDING)
        assert isinstance(wanted, Refusal)
        assert (wanted.status, wanted.error and wanted.error.code, wanted.keep) == (401, UNAUTHENTICATED, False)
        assert isinstance(call(*headers), Call)


def test_such_a_refusal_of_a_call_without_a_body_keeps_the_socket() -> None:
    wanted = call(length=b"0", config=DEMANDING)
    assert isinstance(wanted, Refusal)
    assert (wanted.status, wanted.keep) == (401, True)


@pytest.mark.parametrize("offered", OFFERED)
def test_credentials_pass_the_head_right_or_wrong(offered: bytes) -> None:
    assert call(offered, config=DEMANDING) == Call(NO_META, awaited=False)


def test_refusals_that_do_not_depend_on_the_caller_come_before_it() -> None:
    for header, status in (
        (b"Origin: https://evil.example", 403),
        (b"Content-Encoding: gzip", 415),
        (b"Expect: magic", 417),
        (b"Posthouse-Timeout-Ms: no", 400),
    ):
        assert refused(call(header, config=DEMANDING)) == status
    assert refused(call(length=b"101", config=DEMANDING)) == 413
    assert refused(ask(b"POST /rpc HTTP/1.1", b"Content-Length: 2", config=DEMANDING)) == 415
    assert refused(ask(b"GET /rpc HTTP/1.1", config=DEMANDING)) == 405
    assert refused(ask(b"GET / HTTP/1.1", config=DEMANDING)) == 404


def test_where_authentication_is_required_probes_handshakes_and_preflights_need_no_credentials() -> None:
    assert ask(b"GET /health HTTP/1.1", config=DEMANDING) == Probe("/health")
    assert ask(b"GET /stats HTTP/1.1", config=DEMANDING) == Probe("/stats")
    assert isinstance(ask(b"GET /ws HTTP/1.1", *HANDSHAKE, config=DEMANDING), Handshake)
    page = (b"Origin: https://good.example", b"Access-Control-Request-Method: POST")
    assert isinstance(ask(b"OPTIONS /rpc HTTP/1.1", *page, config=DEMANDING), Preflight)


@pytest.mark.parametrize(
    ("length", "announced"),
    [(b"Content-Length: 10", False), (b"Content-Length: 11", True), (b"Transfer-Encoding: chunked", True)],
)
def test_a_large_body_is_announced_where_authentication_is_required(length: bytes, announced: bool) -> None:
    fields = (b"Content-Type: application/json", b"Authorization: Bearer x", length)
    small = replace(DEMANDING, max_message_bytes_unauthenticated=10)
    assert ask(b"POST /rpc HTTP/1.1", *fields, config=small) == Call(NO_META, awaited=False, announced=announced)
    lenient = replace(small, require_authentication=False)
    assert ask(b"POST /rpc HTTP/1.1", *fields, config=lenient) == Call(NO_META, awaited=False)
