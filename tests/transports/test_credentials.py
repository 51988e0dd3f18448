"""The credentials in a head: an Authorization header, and a token among the subprotocols of a handshake."""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.service.authenticators import (
    Basic,
    Bearer,
    Cookie,
    CrossSiteCredentials,
    SessionToken,
    UnreadableCredentials,
)
from posthouse.core.values.peers import SetCookie
from posthouse.transports.credentials import BEARER_PROTOCOL, cookie_field, read_credentials

UNREADABLE = UnreadableCredentials()
CROSS_SITE = CrossSiteCredentials()


def read(value: bytes) -> object:
    return read_credentials(((b"host", b"x"), (b"authorization", value), (b"accept", b"*/*")))


def test_without_the_header_there_are_no_credentials() -> None:
    assert read_credentials(()) is None
    assert read_credentials(((b"host", b"x"), (b"proxy-authorization", b"Bearer x"))) is None


@pytest.mark.parametrize(
    ("value", "credentials"),
    [
        (b"Bearer abc.DEF-1_2~3+4/5==", Bearer("abc.DEF-1_2~3+4/5==")),
        (b"bearer   x", Bearer("x")),
        (b"BEARER x", Bearer("x")),
        (b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Basic("Aladdin", "open sesame")),  # RFC 7617 section 2
        (b"Basic dGVzdDoxMjPCow==", Basic("test", "123£")),  # RFC 7617 section 2.1
        (b"basic " + b64encode(b"a:b:c"), Basic("a", "b:c")),
        (b"basic " + b64encode(b":"), Basic("", "")),
        (b"Basic " + b64encode(b"no colon"), UNREADABLE),
        (b"Basic " + b64encode(b"\xff:x"), UNREADABLE),
        (b"Basic QWxh=ZGRpbg", UNREADABLE),
        (b"Basic !!!!", UNREADABLE),
        (b"Digest x", UNREADABLE),
        (b"Bearer", UNREADABLE),
        (b"Bearer ", UNREADABLE),
        (b"Bearer a b", UNREADABLE),
        (b"Bearer \xc3\xa9", UNREADABLE),
        (b"", UNREADABLE),
    ],
)
def test_the_header_is_read(value: bytes, credentials: object) -> None:
    assert read(value) == credentials


def offered(*values: bytes) -> object:
    return read_credentials(tuple((b"sec-websocket-protocol", value) for value in values), handshake=True)


@pytest.mark.parametrize(
    ("value", "credentials"),
    [
        (b"posthouse.v1.json", None),
        (b"posthouse.v1.json, posthouse.bearer.c2VjcmV0", Bearer("secret")),
        (b"posthouse.bearer.c2VjcmV0 ,posthouse.v1.json", Bearer("secret")),
        (b"posthouse.bearer.w6k", Bearer("\xe9")),
        (b"posthouse.bearer.-_-_", UNREADABLE),  # not UTF-8
        (b"posthouse.bearer.c2VjcmV", UNREADABLE),  # bits are left over
        (b"posthouse.bearer.c2Vjc", UNREADABLE),
        (b"posthouse.bearer.c2VjcmV0+", UNREADABLE),
        (b"posthouse.bearer.c2Vj!cmV0", UNREADABLE),
        (b"posthouse.bearer.c2VjcmU=", UNREADABLE),
        (b"posthouse.bearer.", UNREADABLE),
        (b"Posthouse.bearer.c2VjcmV0", None),
        (b"posthouse.bearer", None),
        (b",,", None),
    ],
)
def test_a_token_is_read_among_the_subprotocols_of_a_handshake(value: bytes, credentials: object) -> None:
    assert offered(value) == credentials


def test_subprotocols_are_read_in_every_field_and_in_handshakes_alone() -> None:
    assert offered(b"posthouse.v1.json", b"posthouse.bearer.c2VjcmV0") == Bearer("secret")
    assert read_credentials(((b"sec-websocket-protocol", b"posthouse.bearer.c2VjcmV0"),)) is None


def test_several_credentials_are_all_read_in_their_order() -> None:
    fields = ((b"sec-websocket-protocol", b"posthouse.bearer.c2VjcmV0"), (b"authorization", b"Basic YTpi"))
    assert read_credentials(fields, handshake=True) == (Bearer("secret"), Basic("a", "b"))


@pytest.mark.unmeasured
@given(st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_every_token_can_be_offered(token: str) -> None:
    word = urlsafe_b64encode(token.encode()).rstrip(b"=")
    assert offered(b"posthouse.v1.json, " + BEARER_PROTOCOL + word) == Bearer(token)


@given(st.binary(max_size=12))
def test_a_subprotocol_means_one_token_at_most_and_one_token_has_one_subprotocol(word: bytes) -> None:
    read = offered(BEARER_PROTOCOL + word.replace(b",", b"").strip(b" \t"))
    if isinstance(read, Bearer):
        assert urlsafe_b64encode(read.token.encode()).rstrip(b"=") == word.replace(b",", b"").strip(b" \t")
    else:
        assert read == UNREADABLE


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ((), False),
        (((b"sec-fetch-site", b"same-origin"),), False),
        (((b"sec-fetch-site", b"none"),), False),
        (((b"sec-fetch-site", b"same-site"),), True),
        (((b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"no-cors")), True),
        (((b"sec-fetch-mode", b"no-cors"),), True),
        (((b"origin", b"http://localhost"), (b"sec-fetch-site", b"cross-site")), False),
    ],
)
def test_a_browser_may_not_add_a_password_to_the_request_of_another_site(
    fields: tuple[tuple[bytes, bytes], ...], refused: bool
) -> None:
    basic, bearer = (b"authorization", b"Basic YTpi"), (b"authorization", b"Bearer x")
    assert read_credentials((*fields, basic)) == (CROSS_SITE if refused else Basic("a", "b"))
    assert read_credentials((*fields, bearer)) == Bearer("x")
    assert read_credentials(fields) is None


def cookies(*values: bytes) -> object:
    return read_credentials(tuple((b"cookie", value) for value in values))


@pytest.mark.parametrize(
    ("value", "credentials"),
    [
        (b"__Host-posthouse=abc_-1", Cookie("abc_-1")),
        (b"a=b; __Host-posthouse=abc; c=d", Cookie("abc")),
        (b"a=b;__Host-posthouse=abc;", Cookie("abc")),
        (b"__Host-posthouse=", Cookie("")),
        (b'__Host-posthouse="abc"', Cookie('"abc"')),  # of no log-in: the gateway refuses it
        (b"__Host-posthouse=a=b", Cookie("a=b")),
        (b"__Host-posthouse=\xff", Cookie("\xff")),
        (b"__Host-posthouse", Cookie("")),
        (b"__host-posthouse=abc", None),
        (b"x__Host-posthouse=abc", None),
        (b"a=__Host-posthouse=abc", None),
        (b"__Host-posthouse2=abc", None),
        (b"__Host-posthouse=a; __Host-posthouse=a", UNREADABLE),
        (b"", None),
        (b";;;", None),
    ],
)
def test_the_cookie_of_this_server_is_read_among_all_cookies(value: bytes, credentials: object) -> None:
    assert cookies(value) == credentials


def test_cookies_in_several_fields_are_several_credentials() -> None:
    assert cookies(b"a=b", b"__Host-posthouse=c") == Cookie("c")
    assert cookies(b"__Host-posthouse=b", b"__Host-posthouse=c") == (Cookie("b"), Cookie("c"))


PIECES = (b"a=b", b" ", b";", b"=", b"__Host-posthouse", b"__Host-posthouse=x", b",", b'"')


@given(st.lists(st.sampled_from(PIECES), max_size=9))
def test_any_cookie_header_is_read(pieces: list[bytes]) -> None:
    value = b"".join(pieces)
    named = [pair for pair in value.split(b";") if re.fullmatch(rb"[ \t]*__Host-posthouse(=.*)?", pair)]
    expected = [None, Cookie, UnreadableCredentials][min(len(named), 2)]
    read = cookies(value)
    assert (None if read is None else type(read)) is expected


@pytest.mark.parametrize("site", [b"cross-site", b"same-site", None])
def test_a_cookie_that_another_site_causes_is_refused(site: bytes | None) -> None:
    fields = ((b"cookie", b"__Host-posthouse=x"), (b"sec-fetch-mode", b"cors"))
    assert read_credentials(fields if site is None else (*fields, (b"sec-fetch-site", site))) == CROSS_SITE
    assert read_credentials((*fields, (b"sec-fetch-site", b"same-origin"))) == Cookie("x")
    assert read_credentials((*fields, (b"origin", b"http://localhost"))) == Cookie("x")


def test_the_header_that_sets_a_cookie() -> None:
    attributes = b"; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Strict"
    assert cookie_field(SetCookie("abc", 60)) == (b"Set-Cookie", b"__Host-posthouse=abc" + attributes)
    cleared = b"__Host-posthouse=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"
    assert cookie_field(SetCookie("", 0)) == (b"Set-Cookie", cleared)


def test_the_header_of_a_session_is_read_and_only_one_of_them() -> None:
    one, two = (b"posthouse-session", b"one.secret"), (b"posthouse-session", b"two.secret")
    token = SessionToken("one.secret")
    assert read_credentials((one,)) == token
    assert read_credentials((one, (b"sec-fetch-site", b"cross-site"))) == token  # no browser sends it by itself
    assert read_credentials((one, two)) == (token, SessionToken("two.secret"), UnreadableCredentials())
    assert repr(token) == "SessionToken(key=<hidden>)"
