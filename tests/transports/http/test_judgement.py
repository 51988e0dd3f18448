"""How a request is judged by its head: the purpose, the client behind a proxy, and the way to answer."""

from __future__ import annotations

import pytest
from posthouse.core.values.config import Config
from posthouse.core.values.peers import NO_META, Address, Meta
from posthouse.transports.codec import Handshake, Probe
from posthouse.transports.forwarding import MALFORMED, Networks, Proxy
from posthouse.transports.http.answers import ResponseOptions
from posthouse.transports.http.challenges import Challenges
from posthouse.transports.http.head import BAD_HOST, Head, parse
from posthouse.transports.http.judgement import Judge, JudgedHead, named
from posthouse.transports.http.routes import Call
from posthouse.transports.policy import Policy
from posthouse.transports.refusal import Refusal

POLICY = Policy(origins=("https://good.example",))
HEADERS = ((b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"2"))
PLAIN = ResponseOptions(persistent=True, bodiless=False, lines=b"")
TRUSTING = Config(trust_proxies=("10.0.0.1",), trust_forwarded_host=True)
PROXY = Proxy(TRUSTING, Networks(TRUSTING.trust_proxies), Address("10.0.0.1", 4_000))


def head(*lines: bytes, line: bytes = b"POST /rpc HTTP/1.1") -> Head:
    common = (b"Host: localhost", b"Content-Type: application/json", b"Content-Length: 2")
    read = parse(b"\r\n".join([line, *(common if line.startswith(b"POST") else common[:1]), *lines]) + b"\r\n\r\n")
    assert isinstance(read, Head)
    return read


def judged(*lines: bytes, line: bytes = b"POST /rpc HTTP/1.1", proxy: Proxy | None = None) -> JudgedHead:
    return Judge(TRUSTING, POLICY).judge(head(*lines, line=line), proxy)[0]


def test_a_call_is_judged_with_all_that_its_answer_needs() -> None:
    found = Judge(Config(), POLICY).judge(head(), None)
    assert found == (JudgedHead(Call(NO_META, awaited=False), True, NO_META, 2, "/rpc", HEADERS, PLAIN), None)


def test_a_body_that_is_awaited_or_chunked_has_no_length_yet() -> None:
    assert not judged(b"Expect: 100-continue").call
    chunked = parse(
        b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert isinstance(chunked, Head)
    assert Judge(Config(), POLICY).judge(chunked, None)[0].length is None


def test_a_probe_has_the_request_id_of_its_head_and_another_path_is_kept() -> None:
    probe = judged(b"X-Request-Id: r-1", line=b"HEAD /health HTTP/1.1")
    assert (probe.wanted, probe.meta, probe.path) == (Probe("/health"), Meta(request_id="r-1"), "/health")
    assert probe.options.bodiless
    assert judged(line=b"GET /elsewhere HTTP/1.1").path == "/elsewhere"
    assert judged(line=b"GET /health HTTP/1.1").meta == NO_META


def test_the_answer_names_the_request_if_its_head_does() -> None:
    found = judged(b"X-Request-Id: r-1")
    assert found.options == PLAIN
    assert named(found).options == PLAIN.naming("r-1")
    assert named(judged()) == judged()


def test_only_a_page_of_an_allowed_origin_can_read_the_answer() -> None:
    assert b"Access-Control-Allow-Origin: https://good.example" in judged(b"Origin: https://good.example").options.lines
    assert judged(b"Origin: https://bad.example").options.lines == b""


def test_pages_are_challenged_otherwise_than_programs() -> None:
    judge = Judge(Config(), POLICY, Challenges.of(["basic"]))
    assert b"Basic" in judge.judge(head(), None)[0].options.challenge
    page = judge.judge(head(b"Origin: https://good.example"), None)[0]
    assert b"Basic" not in page.options.challenge


@pytest.mark.parametrize("name", [b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"])
def test_what_a_peer_that_is_no_trusted_proxy_says_is_ignored_and_told(name: bytes) -> None:
    assert judged(name + b": 192.0.2.1").ignored == name
    assert judged().ignored is None


def test_a_trusted_proxy_names_the_client_its_tls_and_its_host() -> None:
    lines = (b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: LOCALHOST:1")
    found, client = Judge(TRUSTING, POLICY).judge(head(*lines), PROXY)
    assert client == Address("192.0.2.1", secure=True, proxy="10.0.0.1")
    assert (found.secure, found.host, found.ignored) == (True, b"LOCALHOST:1", None)
    assert isinstance(found.wanted, Call)
    found, _ = Judge(TRUSTING, POLICY).judge(head(b"X-Forwarded-For: 192.0.2.1"), PROXY)
    assert (found.secure, found.host) == (False, None)


def test_a_client_or_a_host_that_cannot_be_is_refused() -> None:
    assert Judge(TRUSTING, POLICY).judge(head(b"X-Forwarded-For: ?"), PROXY)[1] is None
    assert judged(b"X-Forwarded-For: ?", proxy=PROXY).wanted is MALFORMED
    assert judged(b"X-Forwarded-Host: a b", proxy=PROXY).wanted is BAD_HOST
    elsewhere = judged(b"X-Forwarded-Host: other.example", proxy=PROXY).wanted
    assert isinstance(elsewhere, Refusal)
    assert elsewhere.status == 421


def test_a_host_has_read_the_handshakes_of_its_websockets() -> None:
    opened = head(line=b"GET /ws HTTP/1.1")
    assert Judge(Config(), POLICY, hosted=True).judge(opened, None)[0].wanted == Handshake((), deflate=False)
    forwarded = head(b"X-Forwarded-For: 192.0.2.1", line=b"GET /ws HTTP/1.1")
    assert Judge(TRUSTING, POLICY, hosted=True).judge(forwarded, PROXY)[0].wanted == Handshake((), deflate=False)
