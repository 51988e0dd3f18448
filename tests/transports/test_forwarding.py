"""The client behind a trusted proxy: whose word counts, what is read, and what is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Address
from posthouse.transports.fields import Fields
from posthouse.transports.forwarding import MALFORMED, Client, Networks, Proxy
from posthouse.transports.refusal import Refusal

PROXY = Address("10.0.0.1", 4_000)
TRUSTED = ("10.0.0.0/8", "2001:db8:ffff::/48", "198.51.100.7", "unix")
X = Config(trust_proxies=TRUSTED)
RFC = Config(trust_proxies=TRUSTED, proxy_headers="forwarded")


def read(config: Config, *headers: tuple[bytes, bytes], peer: Address = PROXY) -> Client | Refusal:
    return Proxy(config, Networks(config.trust_proxies), peer).client_of(((b"host", b"x"), *headers))


def client(config: Config, *headers: tuple[bytes, bytes], peer: Address = PROXY) -> tuple[str, int, bool]:
    found = read(config, *headers, peer=peer)
    assert isinstance(found, Client), found
    assert found.address.proxy == (peer.host or "unix")
    return found.address.host, found.address.port, found.address.secure


def x_for(*values: bytes) -> Fields:
    return tuple((b"x-forwarded-for", value) for value in values)


def forwarded(*values: bytes) -> Fields:
    return tuple((b"forwarded", value) for value in values)


# Who is trusted


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("10.0.0.0", True),
        ("10.255.255.255", True),
        ("9.255.255.255", False),
        ("11.0.0.0", False),
        ("198.51.100.7", True),
        ("198.51.100.6", False),
        ("198.51.100.8", False),
        ("::ffff:10.0.0.1", True),
        ("::ffff:11.0.0.1", False),
        ("2001:db8:ffff::", True),
        ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", True),
        ("2001:db8:fffe:ffff::1", False),
        ("2001:db9::", False),
        ("2001:db8:ffff::1%eth0", True),
        ("", True),
        ("no address", False),
    ],
)
def test_a_peer_is_trusted_if_it_is_in_a_network_of_the_list(host: str, trusted: bool) -> None:
    assert Networks(TRUSTED).trust(Address(host, 5)) is trusted


def test_only_unix_trusts_a_peer_without_an_address_and_nothing_trusts_a_pipe() -> None:
    assert Networks(["unix"]).trust(Address())
    assert not Networks(["0.0.0.0/0", "::/0"]).trust(Address())
    assert not Networks(["unix"]).trust(Address(transport="pipe"))
    assert not Networks(["0.0.0.0/0"]).trust(Address("127.0.0.1", transport="pipe"))


def test_without_a_list_nobody_is_trusted() -> None:
    networks = Networks(())
    assert not any(map(networks.trust, (Address(), Address("127.0.0.1"), Address("::1"))))


def test_every_address_may_be_trusted() -> None:
    networks = Networks(["0.0.0.0/0", "::/0"])
    assert networks.trust(Address("203.0.113.9"))
    assert networks.trust(Address("2001:db8::1"))


def test_anything_else_than_an_address_is_not_trusted() -> None:
    peer: Any = ("10.0.0.1", 5)
    assert not Networks(["10.0.0.1"]).trust(peer)


# X-Forwarded-For


@pytest.mark.parametrize(
    ("lines", "host", "port"),
    [
        # the proxy names its client
        ([b"192.0.2.1"], "192.0.2.1", 0),
        ([b"192.0.2.1:4711"], "192.0.2.1", 4711),
        ([b"192.0.2.1:0"], "192.0.2.1", 0),
        ([b"192.0.2.1:65535"], "192.0.2.1", 65535),
        ([b"2001:db8::1"], "2001:db8::1", 0),
        ([b"[2001:db8::1]"], "2001:db8::1", 0),
        ([b"[2001:DB8:0::1]:4711"], "2001:db8::1", 4711),
        ([b"::ffff:192.0.2.1"], "192.0.2.1", 0),
        ([b"[::FFFF:c000:201]:5"], "192.0.2.1", 5),
        # a client's own words stand to the left
        ([b"192.0.2.9, 192.0.2.1"], "192.0.2.1", 0),
        ([b"10.0.0.5, 192.0.2.1"], "192.0.2.1", 0),
        ([b"<script>, \xff\xfe, 192.0.2.1"], "192.0.2.1", 0),
        ([b"999.1.1.1,192.0.2.1"], "192.0.2.1", 0),
        # a chain of trusted proxies
        ([b"192.0.2.9, 192.0.2.1, 10.0.0.5, 198.51.100.7"], "192.0.2.1", 0),
        ([b"192.0.2.1, 10.0.0.5, 2001:db8:ffff::5"], "192.0.2.1", 0),
        ([b"10.0.0.7, 10.0.0.6, 10.0.0.5"], "10.0.0.7", 0),
        # several lines are one list, in their order
        ([b"192.0.2.9", b"192.0.2.1"], "192.0.2.1", 0),
        ([b"192.0.2.1", b"10.0.0.5"], "192.0.2.1", 0),
        ([b"192.0.2.9", b"192.0.2.1, 10.0.0.6", b"10.0.0.5"], "192.0.2.1", 0),
        # empty elements and blanks
        ([b""], "10.0.0.1", 4_000),
        ([b" , ,\t,"], "10.0.0.1", 4_000),
        ([b",,192.0.2.1,,\t,"], "192.0.2.1", 0),
        ([b"192.0.2.1", b"", b","], "192.0.2.1", 0),
        ([b"192.0.2.1\t ,  10.0.0.5 "], "192.0.2.1", 0),
        # a proxy that hides its client is the client
        ([b"unknown"], "10.0.0.1", 4_000),
        ([b"Unknown:80"], "10.0.0.1", 4_000),
        ([b"_hidden"], "10.0.0.1", 4_000),
        ([b"unix:"], "10.0.0.1", 4_000),
        ([b"192.0.2.1, _hidden, 10.0.0.5"], "10.0.0.5", 0),
        ([b"192.0.2.1:_port"], "192.0.2.1", 0),
        ([], "10.0.0.1", 4_000),
    ],
)
def test_the_first_address_from_the_right_that_is_not_trusted_is_the_client(
    lines: list[bytes], host: str, port: int
) -> None:
    assert client(X, *x_for(*lines)) == (host, port, False)


@pytest.mark.parametrize(
    "value",
    [
        b"example.org",
        b"192.0.2.256",
        b"192.0.2",
        b"192.0.2.01",
        b"0x7f.0.0.1",
        b"192.0.2.1.",
        b"192.0.2.1:",
        b"192.0.2.1:65536",
        b"192.0.2.1:123456",
        b"192.0.2.1:http",
        b"unix",
        b"unix:/run/front",
        b"192.0.2.1 10.0.0.5",
        b'"192.0.2.1"',
        b"[192.0.2.1]",
        b"[2001:db8::1",
        b"2001:db8::1]",
        b"[2001:db8::1]4711",
        b"[]",
        b"2001:db8:::1",
        b"1:2:3:4:5:6:7:8:9",
        b"fe80::1%eth0",
        b"[fe80::1%25eth0]",
        b":",
        b"_",
        b"_hi den",
        b"for=192.0.2.1",
        b"\xd9\xa1.2.3.4",
        b"192.0.2.1\xa0",
        b"192.0.2.1;",
        b"-",
        b"null",
    ],
)
def test_an_element_that_is_no_address_is_malformed_if_it_is_read(value: bytes) -> None:
    assert read(X, *x_for(value)) == MALFORMED
    assert read(X, *x_for(b"192.0.2.1," + value + b",10.0.0.5")) == MALFORMED
    assert client(X, *x_for(value + b", 192.0.2.1"))[0] == "192.0.2.1"
    assert MALFORMED.status == 400


def test_so_many_trusted_proxies_may_be_passed_and_no_more() -> None:
    assert client(X, *x_for(b"192.0.2.1" + b",10.0.0.5" * 31))[0] == "192.0.2.1"
    assert client(X, *x_for(b",".join([b"10.0.0.5"] * 32)))[0] == "10.0.0.5"
    assert read(X, *x_for(b"192.0.2.1" + b",10.0.0.5" * 32)) == MALFORMED
    assert client(X, *x_for(b"10.0.0.5," * 1_000 + b"192.0.2.1"))[0] == "192.0.2.1"


@pytest.mark.parametrize("value", [b"," * 16_000, b'for="' * 3_200, b";" * 16_000, b"a=" * 8_000, b"[" * 16_000])
def test_a_head_full_of_separators_names_nobody(value: bytes) -> None:
    nobody = Client(Address("10.0.0.1", 4_000, proxy="10.0.0.1"), None)
    assert read(X, *x_for(value)) == (nobody if value.startswith(b",") else MALFORMED)
    assert read(RFC, *forwarded(value)) == (nobody if value.startswith((b",", b";")) else MALFORMED)


# The scheme and the host


@pytest.mark.parametrize(
    ("schemes", "secure"),
    [
        ([b"https"], True),
        ([b"HTTPS"], True),
        ([b"wss"], True),
        ([b"http"], False),
        ([b"ws"], False),
        ([b"http", b"https"], True),
        ([b"https, http"], False),
        ([b"https", b"http"], False),
        ([b"https", b""], True),
        ([b"https, ,"], True),
        ([b""], False),
        ([], False),
    ],
)
def test_the_scheme_is_that_of_the_proxy_itself(schemes: list[bytes], secure: bool) -> None:
    lines = [(b"x-forwarded-proto", scheme) for scheme in schemes]
    assert client(X, *x_for(b"192.0.2.1"), *lines) == ("192.0.2.1", 0, secure)


def test_a_proxy_that_names_no_scheme_speaks_for_its_own_connection() -> None:
    over_tls = Address("10.0.0.1", 4_000, secure=True)
    assert client(X, *x_for(b"192.0.2.1"), peer=over_tls) == ("192.0.2.1", 0, True)
    assert client(X, *x_for(b"192.0.2.1"), (b"x-forwarded-proto", b"http"), peer=over_tls) == ("192.0.2.1", 0, False)
    assert client(RFC, *forwarded(b"for=192.0.2.1"), peer=over_tls) == ("192.0.2.1", 0, True)
    assert client(RFC, *forwarded(b"for=192.0.2.1;proto=http"), peer=over_tls) == ("192.0.2.1", 0, False)


@pytest.mark.parametrize("scheme", [b"ftp", b"https:", b"on", b"1", b"https;q=1", b"\xff"])
def test_another_scheme_is_malformed(scheme: bytes) -> None:
    assert read(X, *x_for(b"192.0.2.1"), (b"x-forwarded-proto", scheme)) == MALFORMED
    assert read(RFC, *forwarded(b'for=192.0.2.1;proto="' + scheme + b'"')) == MALFORMED


def test_the_host_counts_only_if_it_is_trusted() -> None:
    lines = (*x_for(b"192.0.2.1"), (b"x-forwarded-host", b"evil.example, api.example.org:8443"))
    element = forwarded(b'for=1.1.1.1;host=evil.example, for=192.0.2.1;host="api.example.org:8443"')
    trusting = Config(trust_proxies=TRUSTED, trust_forwarded_host=True)
    trusting_rfc = Config(trust_proxies=TRUSTED, trust_forwarded_host=True, proxy_headers="forwarded")
    found = [read(X, *lines), read(RFC, *element), read(trusting, *lines), read(trusting_rfc, *element)]
    assert [each.host for each in found if isinstance(each, Client)] == [
        *(None, None),
        *(b"api.example.org:8443", b"api.example.org:8443"),
    ]
    without = read(trusting, *x_for(b"192.0.2.1"))
    assert isinstance(without, Client)
    assert without.host is None


def test_a_peer_of_a_unix_socket_is_named_unix() -> None:
    assert client(X, *x_for(b"192.0.2.1"), peer=Address()) == ("192.0.2.1", 0, False)
    assert client(X, peer=Address()) == ("", 0, False)


# Forwarded (RFC 7239)


@pytest.mark.parametrize(
    ("lines", "host", "port", "secure"),
    [
        # the examples of RFC 7239 sections 4 and 7.1
        ([b"for=192.0.2.60;proto=http;by=203.0.113.43"], "192.0.2.60", 0, False),
        ([b'For="[2001:db8:cafe::17]:4711"'], "2001:db8:cafe::17", 4711, False),
        ([b'for="_gazonk"'], "10.0.0.1", 4_000, False),
        ([b"for=192.0.2.43, for=198.51.100.17"], "198.51.100.17", 0, False),
        ([b'for=192.0.2.43, for="[2001:db8:cafe::17]"'], "2001:db8:cafe::17", 0, False),
        ([b"for=_hidden, for=_SEVKISEK"], "10.0.0.1", 4_000, False),
        # the scheme of the element that names the client
        ([b"for=192.0.2.1;proto=https, for=10.0.0.5;proto=http"], "192.0.2.1", 0, True),
        ([b"for=192.0.2.1;proto=http, for=10.0.0.5;proto=https"], "192.0.2.1", 0, False),
        ([b"for=192.0.2.1, for=10.0.0.5;proto=https"], "192.0.2.1", 0, False),
        ([b"proto=https"], "10.0.0.1", 4_000, True),
        ([b"for=192.0.2.1, proto=https"], "10.0.0.1", 4_000, True),
        ([b"for=unknown;proto=https"], "10.0.0.1", 4_000, True),
        # a client's own words stand to the left
        ([b"for=10.0.0.5;proto=https, for=192.0.2.1"], "192.0.2.1", 0, False),
        ([b'for="evil, for=192.0.2.1'], "192.0.2.1", 0, False),
        ([b'for="', b"for=192.0.2.1"], "192.0.2.1", 0, False),
        ([b'x="a, for="[2001:db8::1]"'], "2001:db8::1", 0, False),
        ([b'\\", for=192.0.2.1'], "192.0.2.1", 0, False),
        ([b"\xff, for=192.0.2.1"], "192.0.2.1", 0, False),
        # a quoted value may contain what separates others
        ([b'for=192.0.2.1;x="a,b;c=d"'], "192.0.2.1", 0, False),
        ([b'for=192.0.2.1;x="\xe9"'], "192.0.2.1", 0, False),
        ([b'for=1.1.1.1, x="a,for=9.9.9.9,b";for=192.0.2.1'], "192.0.2.1", 0, False),
        # several lines, empty elements, empty pairs, blanks
        ([b"for=192.0.2.1;proto=https", b"for=10.0.0.5"], "192.0.2.1", 0, True),
        ([b" , for=192.0.2.1 ,,\t"], "192.0.2.1", 0, False),
        ([b";for=192.0.2.1;;proto=https;"], "192.0.2.1", 0, True),
        ([b"for=192.0.2.1 ; proto=https"], "192.0.2.1", 0, True),
        ([b";,;"], "10.0.0.1", 4_000, False),
        ([b""], "10.0.0.1", 4_000, False),
        ([], "10.0.0.1", 4_000, False),
        ([b"FOR=192.0.2.1;PROTO=HTTPS"], "192.0.2.1", 0, True),
        ([b'for="192.0.2.1:80"'], "192.0.2.1", 80, False),
        ([b'for="10.0.0.6", for="[2001:db8:ffff::1]:9"'], "10.0.0.6", 0, False),
    ],
)
def test_an_element_of_forwarded_names_the_client_and_the_scheme(
    lines: list[bytes], host: str, port: int, secure: bool
) -> None:
    assert client(RFC, *forwarded(*lines)) == (host, port, secure)


@pytest.mark.parametrize(
    "value",
    [
        b"192.0.2.1",
        b"for",
        b"for=",
        b'for=""',
        b"for==192.0.2.1",
        b"for = 192.0.2.1",
        b"for=192.0.2.1;for=192.0.2.1",
        b"for=192.0.2.1;For=192.0.2.2",
        b"for=192.0.2.1;proto=https;proto=https",
        b"for=192.0.2.1:80",
        b"for=[2001:db8::1]",
        b'for="2001:db8::1"',
        b'for="[2001:db8::1"',
        b'for="192.0.2.1',
        b'for=192.0.2.1"',
        b'for="192.0.2.1"x',
        b'for="192.0.2\\.1"',
        b'for="[192.0.2.1]"',
        b"for='192.0.2.1'",
        b"for=example.org",
        b"for=192.0.2.1 proto=https",
        b"for=192.0.2.1/24",
        b'for="192.0.2.1:99999"',
        b"\xff=1",
    ],
)
def test_an_element_of_forwarded_that_breaks_the_grammar_is_malformed_if_it_is_read(value: bytes) -> None:
    assert read(RFC, *forwarded(value)) == MALFORMED
    assert read(RFC, *forwarded(value, b"for=10.0.0.5")) == MALFORMED
    assert client(RFC, *forwarded(value, b"for=192.0.2.1"))[0] == "192.0.2.1"


def test_so_many_elements_of_forwarded_are_read_and_no_more() -> None:
    assert client(RFC, *forwarded(b"for=192.0.2.1" + b",for=10.0.0.5" * 31))[0] == "192.0.2.1"
    assert read(RFC, *forwarded(b"for=192.0.2.1" + b",for=10.0.0.5" * 32)) == MALFORMED
    assert client(RFC, *forwarded(b"for=1.1.1.1," * 1_000 + b"for=192.0.2.1"))[0] == "192.0.2.1"


def test_exactly_one_family_of_headers_is_read() -> None:
    both = (*x_for(b"192.0.2.1"), (b"x-forwarded-proto", b"https"), *forwarded(b"for=192.0.2.2"))
    assert client(X, *both) == ("192.0.2.1", 0, True)
    assert client(RFC, *both) == ("192.0.2.2", 0, False)
    assert client(X, *forwarded(b"for=192.0.2.2")) == ("10.0.0.1", 4_000, False)
    assert client(RFC, *x_for(b"192.0.2.1")) == ("10.0.0.1", 4_000, False)
    garbage = (b"forwarded", b"=;\xff")
    assert client(X, *x_for(b"192.0.2.1"), garbage) == ("192.0.2.1", 0, False)


# Whatever is sent


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
hops = st.lists(st.integers(0, 2**24 - 1).map(lambda n: str(IPv4Address((10 << 24) + n))), max_size=5)
noise = st.binary(max_size=60).map(lambda text: bytes(byte for byte in text if byte >= 32 or byte == 9))


def outside(address: IPv4Address | IPv6Address) -> bool:
    return not Networks(TRUSTED).trust(Address(str(address)))


def written(address: IPv4Address | IPv6Address) -> str:
    """As it is told: IPv4 as IPv4, and IPv6 in its short form."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


@given(noise, addresses.filter(outside), hops, st.integers(0, 4))
def test_no_text_of_a_client_changes_the_address_that_its_proxy_saw(
    text: bytes, address: IPv4Address | IPv6Address, trusted: list[str], cut: int
) -> None:
    host = str(address).encode()
    chain = [text, host, *(hop.encode() for hop in trusted)]
    lines = [b",".join(chain[: cut + 1]), *([b", ".join(chain[cut + 1 :])] if chain[cut + 1 :] else [])]
    assert client(X, *x_for(*lines)) == (written(address), 0, False)
    quoted = b'"[%b]"' % host if address.version == 6 else host
    pairs = [text, b"for=%b;proto=https" % quoted, *(b"for=" + hop.encode() for hop in trusted)]
    assert client(RFC, *forwarded(b",".join(pairs))) == (written(address), 0, True)


@given(st.lists(noise, max_size=3), st.sampled_from([X, RFC]))
def test_whatever_is_sent_is_refused_or_names_an_address(lines: list[bytes], config: Config) -> None:
    found = read(config, *x_for(*lines), *forwarded(*lines))
    if isinstance(found, Client):
        assert str(ip_address(found.address.host)) == found.address.host
    else:
        assert found is MALFORMED


TOKENS = [b"for", b"proto", b"=", b";", b",", b'"', b"\\", b" ", b"192.0.2.1", b"10.0.0.5", b"[2001:db8::1]", b":80"]


@given(st.lists(st.sampled_from([*TOKENS, b"unknown", b"_x", b"https", b"\xff"]), max_size=14).map(b"".join))
def test_a_list_is_read_alike_however_it_is_cut_into_lines(text: bytes) -> None:
    parts = text.split(b",")
    for config, name in ((X, b"x-forwarded-for"), (RFC, b"forwarded")):
        whole = read(config, (name, text))
        assert read(config, *((name, part) for part in parts)) == whole
