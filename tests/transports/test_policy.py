"""Who may open a connection: hosts without their ports, origins exactly, and a media type no form can send."""

from __future__ import annotations

import pytest
from posthouse.core.values.errors import UsageError
from posthouse.transports.policy import Policy, authorize_open

from tests.values import changeable

POLICY = Policy(hosts=("Example.com", "[::1]"), origins=("https://example.com", "http://localhost:3000"))


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


@pytest.mark.parametrize("origin", [b"https://example.com", b"http://localhost:3000", None])
def test_an_allowed_origin_is_let_in_and_so_is_none(origin: bytes | None) -> None:
    assert status(origin=origin) is None


@pytest.mark.parametrize(
    "origin", [b"null", b"", b"*", b"https://EXAMPLE.com", b"https://example.com/", b"http://example.com", b"\xff"]
)
def test_30_another_origin_is_forbidden(origin: bytes) -> None:
    assert status(origin=origin) == 403


@pytest.mark.parametrize(
    "media",
    [
        b"application/json",
        b"Application/JSON; charset=UTF-8",
        b'application/json;charset="utf-8"',
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
        b"application/json-rpc",
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
    assert refusal is not None
    assert (refusal.status, refusal.headers) == (415, ((b"Accept-Post", b"application/json"),))


def test_binary_messages_are_off_by_default() -> None:
    assert not Policy().binary


def test_a_refusal_carries_the_rejected_host_or_origin() -> None:
    refusals = [
        authorize_open(POLICY, b"POST", b"evil.com:80", b"null", None),
        authorize_open(POLICY, b"POST", b"example.com", b"https://evil.com", None),
        authorize_open(POLICY, b"POST", b"example.com", None, b"text/plain"),
    ]
    assert [refusal and refusal.rejected_value for refusal in refusals] == [b"evil.com:80", b"https://evil.com", None]
