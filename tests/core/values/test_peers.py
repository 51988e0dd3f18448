"""Peers, addresses, identities and metadata."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import (
    ALL_SCOPES,
    ANONYMOUS,
    BEATING,
    CREDENTIALS,
    KINDS,
    NO_META,
    PUSHABLE,
    Address,
    Caller,
    ConnectionId,
    Identity,
    Meta,
    Peer,
    SetCookie,
    read_network,
    readable,
)

from tests.values import changeable


def test_an_anonymous_identity_is_not_authenticated() -> None:
    assert not ANONYMOUS.authenticated
    assert not Identity(scopes=("reports",)).authenticated


def test_an_identity_with_a_user_or_every_scope_is_authenticated() -> None:
    assert Identity("ada").authenticated
    assert Identity(scopes=(ALL_SCOPES,)).authenticated


@pytest.mark.parametrize("given", [{"user": "\ud800"}, {"user": "a", "namespace": "\udfff"}, {"scopes": ("\ud800",)}])
def test_an_identity_that_cannot_be_sent_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match=r"ud800|udfff"):
        Identity(**given)


def test_missing_scopes_are_in_the_order_of_the_required_ones() -> None:
    identity = Identity("ada", ("b",))
    assert identity.missing(("c", "b", "a")) == ("c", "a")
    assert identity.missing(("b",)) == ()
    assert identity.missing(()) == ()


def test_an_identity_with_every_scope_misses_none() -> None:
    assert Identity(scopes=(ALL_SCOPES,)).missing(("a", "b")) == ()


def test_a_peer_is_anonymous_and_has_no_socket_by_default() -> None:
    peer = Peer("websocket")
    assert (peer.identity, peer.socket, peer.meta, peer.address) == (ANONYMOUS, None, NO_META, Address())
    assert (peer.path, peer.headers) == ("", ())
    assert Meta() == NO_META


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("2001:0DB8:0001:0002:0003:0004:0005:0006", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("", ""),
        ("pipe", "pipe"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_an_ipv6_address_counts_by_its_64_and_others_by_themselves(host: str, key: str) -> None:
    assert Address(host, 5000).key == key


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_a_host_that_changes_its_last_64_bits_keeps_its_key(address: IPv6Address, interface: int) -> None:
    other = IPv6Address(int(address) >> 64 << 64 | interface)
    if address.ipv4_mapped is None and other.ipv4_mapped is None:
        assert Address(str(address)).key == Address(str(other)).key


def test_a_peer_has_defaults() -> None:
    assert asdict(Address()) == {"host": "", "port": 0, "transport": "stream", "secure": False, "proxy": ""}
    assert asdict(ANONYMOUS) == {
        "user": None,
        "scopes": (),
        "expires_at": None,
        "namespace": "",
        "issued_at": None,
        "token": None,
    }
    members = ("idempotency_key", "timeout_ms", "traceparent", "progress_token", "request_id")
    assert asdict(NO_META) == dict.fromkeys(members)
    assert ALL_SCOPES == "*"


@pytest.mark.parametrize(
    "value", [ANONYMOUS, NO_META, Address(), Peer("cli"), Caller(ConnectionId(1), "x", Peer("cli"), ANONYMOUS)]
)
def test_these_values_cannot_change(value: Any) -> None:
    for name in value.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(value, name, None)


def test_every_kind_says_whether_it_can_be_pushed_to_and_asked_for_a_sign_of_life() -> None:
    assert tuple(PUSHABLE) == tuple(BEATING) == KINDS
    assert PUSHABLE == {"websocket": True, "http": False, "cli": True, "local": False}
    assert BEATING == {"websocket": True, "http": False, "cli": False, "local": False}
    assert all(PUSHABLE[kind] for kind in KINDS if BEATING[kind])


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.values.peers") == []


def test_own_metadata_takes_precedence_over_given_metadata() -> None:
    own, given = Meta(traceparent="own"), Meta(timeout_ms=500, traceparent="given")
    assert own.or_else(given) == Meta(timeout_ms=500, traceparent="own")
    assert own.or_else(NO_META) is own


FIELDS = ((b"host", b"example.org"), (b"authorization", b"Bearer secret"))


def test_a_peer_that_is_printed_shows_no_header() -> None:
    peer = Peer("http", path="/rpc", headers=FIELDS)
    assert repr(peer) == (
        "Peer('http', Address(host='', port=0, transport='stream', secure=False, proxy=''), None, "
        "Identity(user=None, scopes=(), expires_at=None, namespace='', issued_at=None, token=None), "
        "Meta(idempotency_key=None, timeout_ms=None, traceparent=None, progress_token=None, request_id=None), "
        "'/rpc', headers=<2 fields>)"
    )
    caller = Caller(ConnectionId(1), "x", peer, ANONYMOUS)
    identity = "Identity(user=None, scopes=(), expires_at=None, namespace='', issued_at=None, token=None)"
    assert repr(caller) == f"Caller(1, 'x', 'http', {identity})"


def test_the_size_of_headers_is_that_of_their_names_and_values() -> None:
    assert Peer("websocket").header_bytes == 0
    assert Peer("websocket", headers=((b"host", b"a.b"), (b"x", b""))).header_bytes == 8


def test_a_caller_has_the_headers_of_its_peer_without_credentials_and_makes_them_once() -> None:
    caller = Caller(ConnectionId(1), "x", Peer("http", headers=FIELDS), ANONYMOUS)
    assert dict(caller.headers) == {"host": "example.org"}
    assert caller.headers is caller.headers
    assert caller.kind == "http"


def test_a_caller_has_one_state_and_another_caller_has_another() -> None:
    one, two = (Caller(ConnectionId(1), "x", Peer("cli"), ANONYMOUS) for _ in range(2))
    one.connection_state["name"] = "ada"
    assert one.connection_state == {"name": "ada"}
    assert two.connection_state == {}
    assert one == two


def test_names_are_in_lower_case_and_values_are_decoded_as_latin_1() -> None:
    headers = readable(((b"Host", b"example.org"), (b"x-name", b"Andr\xe9")))
    assert dict(headers) == {"host": "example.org", "x-name": "André"}


def test_the_values_of_a_repeated_header_are_joined_in_their_order() -> None:
    headers = readable(((b"x-tag", b"a"), (b"host", b"h"), (b"X-Tag", b"b, c"), (b"x-tag", b"")))
    assert dict(headers) == {"x-tag": "a, b, c, ", "host": "h"}


def test_credentials_are_left_out_however_they_are_written() -> None:
    assert CREDENTIALS == (
        "authorization",
        "cookie",
        "posthouse-session",
        "proxy-authorization",
        "sec-websocket-protocol",
        "set-cookie",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
        "x-xsrf-token",
    )
    names = [name.encode() for name in CREDENTIALS]
    fields = tuple((written, b"secret") for name in names for written in (name, name.title(), name.upper()))
    assert dict(readable((*fields, (b"accept", b"*/*")))) == {"accept": "*/*"}


@pytest.mark.parametrize("fields", [(), ((b"host", b"h"),)])
def test_the_mapping_cannot_change(fields: Any) -> None:
    headers: Any = readable(fields)
    with pytest.raises(TypeError):
        headers["host"] = "other"


def test_scopes_are_sorted_and_a_user_has_a_key() -> None:
    scopes: Any = ["write", "read", "write"]
    ada = Identity("ada", scopes, 7, "idp")
    assert ada == Identity("ada", ("read", "write"), 7, "idp")
    assert (ada.scopes, ada.key, ANONYMOUS.key) == (("read", "write"), ("idp", "ada"), None)
    empty: Any = []
    assert Identity("ada", empty).scopes == ()


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"scopes": "admin"}, r"^the scopes of an identity are 'admin': give a collection of strings$"),
        ({"scopes": 3}, r"^the scopes of an identity are 3: give a collection of strings$"),
        ({"scopes": ("",)}, r"^'' is not a scope: it must be a non-empty string$"),
        ({"scopes": (3,)}, r"^3 is not a scope: it must be a non-empty string$"),
        ({"user": ""}, r"^the user of an identity is '': it must be a non-empty string, or None$"),
        ({"user": 3}, r"^the user of an identity is 3: it must be a non-empty string, or None$"),
        ({"expires_at": float("inf")}, r"^expires_at of an identity is inf: it must be Unix seconds, or None$"),
        ({"expires_at": True}, r"^expires_at of an identity is True: it must be Unix seconds, or None$"),
        ({"expires_at": "soon"}, r"^expires_at of an identity is 'soon': it must be Unix seconds, or None$"),
        ({"issued_at": "now"}, r"^issued_at of an identity is 'now': it must be Unix seconds, or None$"),
        ({"namespace": None}, r"^the namespace of an identity is None: it must be a string$"),
    ],
)
def test_an_identity_that_cannot_be_is_not_built(fields: Any, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        Identity(**fields)


def test_a_network_of_proxies_is_read_as_cidr_or_as_one_address() -> None:
    assert read_network("10.1.2.3/8") == IPv4Network("10.0.0.0/8")
    assert read_network("192.0.2.1") == IPv4Network("192.0.2.1/32")
    assert read_network("fd00::/8") == IPv6Network("fd00::/8")
    with pytest.raises(UsageError, match=r"trust_proxies contains 'proxy.example': give a network such as"):
        read_network("proxy.example")


@pytest.mark.parametrize(
    ("address", "private"),
    [
        (Address(proxy="unix"), False),
        (Address("127.0.0.1", proxy="127.0.0.1"), False),
        (Address("203.0.113.9", secure=True, proxy="127.0.0.1"), True),
        *(
            (Address(), True),
            (Address("127.0.0.1"), True),
            (Address("::1%lo"), True),
            (Address("::ffff:127.8.9.1"), True),
        ),
        *((Address("192.0.2.1", secure=True), True), (Address("192.0.2.1"), False), (Address("::2"), False)),
    ],
)
def test_nobody_can_read_along_on_the_same_machine_or_behind_tls(address: Address, private: bool) -> None:
    assert address.private is private


def test_a_cookie_does_not_show_its_secret() -> None:
    assert repr(SetCookie("canary", 5)) == "SetCookie(secret=<hidden>, max_age=5)"
