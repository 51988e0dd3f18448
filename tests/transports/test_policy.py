"""Who may open a connection: hosts without their ports, origins exactly, and a media type no form can send."""

from __future__ import annotations

import pytest
from posthouse.core.values.errors import UsageError
from posthouse.transports.paths import Paths
from posthouse.transports.policy import Policy, authorize_open
from posthouse.transports.refusal import Refusal

from tests.values import changeable

POLICY = Policy(hosts=("Example.com", "[::1]"), origins=("https://app.example", "http://localhost:3000"))


def status(
    method: bytes = b"POST",
    host: bytes | None = b"example.com",
    origin: bytes | None = None,
    content_type: bytes | None = b"application/json",
) -> int | None:
    refusal = authorize_open(POLICY, method, host, origin, content_type)
    return None if refusal is None else refusal.status


@pytest.mark.parametrize("host", [b"example.com", b"EXAMPLE.COM:8000", b"example.com:", b"[::1]", b"[::1]:80", None])
def test_an_allowed_host_may_have_any_port_and_case(host: bytes | None) -> None:
    assert status(host=host) is None


@pytest.mark.parametrize("host", [b"", b"evil.com", b"example.com.evil.com", b"::1", b"[::2]", b"example.com:80:80"])
def test_31_a_foreign_host_is_misdirected(host: bytes) -> None:
    assert status(host=host) == 421


WILDCARD = Policy(hosts=("*.Example.org", "api.example.net"))


@pytest.mark.parametrize("host", [b"a.example.org", b"A.B.example.ORG:8443", b"-.example.org", b"api.example.net"])
def test_a_star_stands_for_all_names_below_a_name(host: bytes) -> None:
    assert WILDCARD.allows_host(host)


@pytest.mark.parametrize(
    "host",
    [
        b"example.org",
        b".example.org",
        b"aexample.org",
        b"a.example.org.evil.net",
        b"*.example.net",
        b"x.api.example.net",
    ],
)
def test_31_a_star_stands_for_no_other_name(host: bytes) -> None:
    assert not WILDCARD.allows_host(host)


@pytest.mark.parametrize("origin", [b"https://app.example", b"http://localhost:3000", None])
def test_an_allowed_origin_is_let_in_and_so_is_none(origin: bytes | None) -> None:
    assert status(origin=origin) is None


@pytest.mark.parametrize(
    "origin",
    [
        b"null",
        b"",
        b"*",
        b"https://APP.example",
        b"https://app.example/",
        b"http://app.example",
        b"https://app.example:8443",
        b"http://localhost:3001",
        b"\xff",
    ],
)
def test_30_another_origin_is_forbidden(origin: bytes) -> None:
    assert status(origin=origin) == 403


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (b"example.com", b"http://example.com"),
        (b"example.com", b"https://example.com"),
        (b"EXAMPLE.com:80", b"http://example.com"),
        (b"example.com:443", b"https://example.com"),
        (b"example.com:", b"https://example.com"),
        (b"example.com", b"https://example.com:443"),
        (b"example.com:8000", b"http://example.com:8000"),
        (b"example.com:8000", b"https://example.com:8000"),
        (b"[::1]", b"http://[::1]"),
        (b"[::1]:8000", b"http://[::1]:8000"),
    ],
)
def test_a_page_from_the_host_and_port_of_the_host_header_is_of_the_same_origin(host: bytes, origin: bytes) -> None:
    assert status(host=host, origin=origin) is None


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (b"example.com:8000", b"http://example.com"),
        (b"example.com", b"http://example.com:8000"),
        (b"example.com:8000", b"http://example.com:8001"),
        (b"example.com:80", b"https://example.com"),
        (b"example.com:443", b"http://example.com"),
        (b"example.com:080", b"http://example.com"),
        (b"example.com", b"http://[::1]"),
        (b"[::1]", b"http://example.com"),
        (b"example.com", b"http://sub.example.com"),
        (b"example.com", b"http://example.com.evil.com"),
        (b"example.com", b"http://example.com@evil.com"),
        (b"example.com", b"http://example.com/"),
        (b"example.com", b"http://example.com:"),
        (b"example.com", b"http://EXAMPLE.com"),
        (b"example.com", b"ws://example.com"),
        (b"example.com", b"chrome-extension://example.com"),
        (b"example.com", b"example.com"),
        (b"example.com:8000", b"http://example.com:8000\n"),
        (b"example.com:" + b"9" * 5000, b"http://example.com"),
        (b"example.com", b"null"),
        (None, b"http://example.com"),
    ],
)
def test_30_a_page_from_another_host_or_port_is_not_of_the_same_origin(host: bytes | None, origin: bytes) -> None:
    assert status(host=host, origin=origin) == 403


def test_31_a_page_whose_own_name_was_bound_to_this_address_is_misdirected() -> None:
    for policy in (POLICY, Policy(loopback_origins=True)):
        refusal = authorize_open(policy, b"GET", b"evil.com:8000", b"http://evil.com:8000", None)
        assert refusal is not None
        assert (refusal.status, refusal.rejected_value) == (421, b"evil.com:8000")


def test_where_the_server_does_tls_a_page_loaded_without_it_is_not_of_the_same_origin() -> None:
    policy = Policy(hosts=("example.com",), secure=True)
    assert policy.is_same_origin(b"https://example.com:8443", b"example.com:8443")
    assert not policy.is_same_origin(b"http://example.com:8443", b"example.com:8443")
    assert policy.is_same_origin(b"https://example.com", b"example.com")
    assert not policy.is_same_origin(b"http://example.com", b"example.com")


@pytest.mark.parametrize("own", [False, True])
def test_the_word_of_a_trusted_proxy_about_tls_counts_more_than_the_servers_own(own: bool) -> None:
    policy = Policy(hosts=("example.com",), secure=own)
    schemes = (b"http://example.com", b"https://example.com")
    assert [policy.is_same_origin(origin, b"example.com", True) for origin in schemes] == [False, True]
    assert [policy.is_same_origin(origin, b"example.com", False) for origin in schemes] == [True, True]
    refusal = authorize_open(policy, b"GET", b"example.com", b"http://example.com", None, True)
    assert refusal is not None
    assert refusal.status == 403
    assert authorize_open(policy, b"GET", b"example.com", b"http://example.com", None, False) is None


@pytest.mark.parametrize(
    "origin",
    [
        b"http://localhost",
        b"https://localhost:5173",
        b"http://127.0.0.1:3000",
        b"http://127.255.3.4",
        b"https://[::1]",
        b"http://[::1]:65535",
    ],
)
def test_a_loopback_origin_is_allowed_where_all_of_them_are(origin: bytes) -> None:
    assert Policy(loopback_origins=True).allows_origin(origin)
    assert not Policy().allows_origin(origin)


@pytest.mark.parametrize(
    "origin",
    [
        b"null",
        b"",
        b"http://localhost.evil.com",
        b"http://evil.com",
        b"http://127.0.0.1.nip.io",
        b"http://127.0.0.256",
        b"http://127.1",
        b"http://128.0.0.1",
        b"http://0.0.0.0",
        b"http://[::2]",
        b"http://localhost/",
        b"http://localhost:",
        b"http://LOCALHOST",
        b"http://localhost@evil.com",
        b"http://localhost:3000\n",
        b"file://localhost",
    ],
)
def test_30_no_other_origin_is_a_loopback_origin(origin: bytes) -> None:
    assert not Policy(loopback_origins=True).allows_origin(origin)


@pytest.mark.parametrize(
    "media",
    [
        b"application/json",
        b"Application/JSON; charset=UTF-8",
        b'application/json;charset="utf-8"',
        b"application/json;",
        b"application/json ; ; charset=utf-8 ;",
        b"application/json\t;\t",
        b"application/json-rpc",
        b"application/JSON-RPC; charset=utf-8",
    ],
)
def test_a_post_of_json_in_utf_8_is_let_in(media: bytes) -> None:
    assert status(content_type=media) is None


@pytest.mark.parametrize(
    "media",
    [
        None,
        b"",
        b"text/plain",
        b"application/x-www-form-urlencoded",
        b"application/json; charset=latin-1",
        b"application/json-rpc; charset=latin-1",
        b"application/json-rpcs",
        b"application/jsonrequest",
        b"application/json charset=utf-8",
        b"application/json; charset",
        b"application/json; charset =utf-8",
        b"application/json; odata=verbose",
        b"application/json, text/plain",
        b"text/plain; application/json",
    ],
)
def test_32_a_post_of_another_media_type_is_refused(media: bytes | None) -> None:
    assert status(content_type=media) == 415
    assert status(method=b"GET", content_type=media) is None


def test_the_host_is_judged_before_the_origin_and_the_origin_before_the_media_type() -> None:
    assert status(host=b"evil.com", origin=b"null", content_type=None) == 421
    assert status(origin=b"null", content_type=None) == 403


@pytest.mark.parametrize("host", ["", "*", "a:80", "::1", "a b", "a\r\n"])
def test_a_host_that_no_request_could_name_is_misuse(host: str) -> None:
    with pytest.raises(UsageError, match="host"):
        Policy(hosts=(host,))


@pytest.mark.parametrize("origin", ["", "*", "null", "https://example.com/", "https://EXAMPLE.com", "http://a\r\nX: y"])
def test_an_origin_that_no_browser_could_send_is_misuse(origin: str) -> None:
    with pytest.raises(UsageError, match="origin"):
        Policy(origins=(origin,))


@pytest.mark.parametrize(
    ("origin", "written"),
    [("https://a.example:443", "https://a.example"), ("http://[::1]:80", r"http://\[::1\]")],
)
def test_the_error_for_an_origin_with_its_default_port_shows_the_right_form(origin: str, written: str) -> None:
    with pytest.raises(UsageError, match=f"write {written}$"):
        Policy(origins=(origin,))
    others = ("http://a.example:443", "https://a.example:80", "https://a.example:8443", "https://[::443]")
    assert Policy(origins=others).allows_origin(b"https://a.example:8443")


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.policy") == []


def test_the_refusal_of_a_media_type_names_the_accepted_one() -> None:
    refusal = authorize_open(Policy(), b"POST", b"localhost", None, b"text/plain")
    accepted = ((b"Accept-Post", b"application/json, application/json-rpc"),)
    assert refusal == Refusal(415, "Content-Type must be application/json, in UTF-8.", accepted)


def test_a_media_type_of_many_empty_parameters_is_judged_in_linear_time() -> None:
    assert status(content_type=b"application/json" + b";   " * 4_000 + b"x") == 415


def test_binary_messages_are_off_by_default() -> None:
    assert not Policy().binary


def test_a_refusal_carries_the_rejected_host_or_origin() -> None:
    refusals = [
        authorize_open(POLICY, b"POST", b"evil.com:80", b"null", None),
        authorize_open(POLICY, b"POST", b"example.com", b"https://evil.com", None),
        authorize_open(POLICY, b"POST", b"example.com", None, b"text/plain"),
    ]
    assert [refusal and refusal.rejected_value for refusal in refusals] == [b"evil.com:80", b"https://evil.com", None]


def test_a_policy_speaks_the_subprotocols_of_a_service_unless_it_names_some() -> None:
    assert Policy().speaking(("mcp",)).subprotocols == ("mcp",)
    assert Policy(subprotocols=("wamp",)).speaking(("mcp",)).subprotocols == ("wamp",)
    assert Policy().speaking(()) == Policy()


def test_a_subprotocol_that_no_client_can_offer_is_misuse() -> None:
    with pytest.raises(UsageError, match="subprotocol"):
        Policy(subprotocols=("a b",))


def test_the_policy_of_a_port_for_probes_has_the_names_of_this_machine_too() -> None:
    policy = Policy(hosts=("example.org",), paths=Paths(root="/api")).for_probes()
    assert policy.hosts == ("example.org", "localhost", "127.0.0.1", "[::1]")
    assert policy.paths == Paths(probes_only=True)
