"""The client behind a trusted proxy: header fields in which proxies name it, read from right to left.

Each proxy appends the address that it heard from, so that only the rightmost elements come from proxies that are
trusted. Reading stops at the first address that is none of theirs: nothing to the left of it is looked at, for a client
may have written it. One family of fields is read, never both. This module may not know connections or limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from msgspec import Struct
from posthouse.core.values.config import Config
from posthouse.core.values.peers import UNIX, Address, read_network

from .fields import TCHAR, Fields
from .refusal import Refusal

X_FORWARDED: Final = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")
FORWARDED: Final = b"forwarded"
FORWARDING_FIELDS: Final = (*X_FORWARDED, FORWARDED)
"""The fields that count from a trusted proxy alone."""

MAX_HOPS: Final = 32
"""The most elements that are read: a request does not pass more trusted proxies."""

SECURE_SCHEMES: Final = {b"https": True, b"wss": True, b"http": False, b"ws": False}
"""Some proxies give the scheme of a WebSocket."""

NODE: Final = re.compile(
    rb"(?:([0-9.]++)|\[([0-9A-Fa-f:.]++)\]|(?:unknown|unix:|_[0-9A-Za-z._-]++))(?::(?:([0-9]{1,5}+)|_[0-9A-Za-z._-]++))?",
    re.IGNORECASE,
)
"""RFC 7239 section 6: an IPv4 address, an IPv6 address in brackets, `unknown`, or a name that hides the address; and a
port. nginx writes `unix:` for the peer of a unix socket."""

BARE_IPV6: Final = re.compile(rb"[0-9A-Fa-f]*+:[0-9A-Fa-f:.]++")
"""In X-Forwarded-For, IPv6 addresses have brackets only where a port follows."""

BLANK: Final = rb"[ \t]*+"
PAIR_REVERSED: Final = rb'("[^"\\]*+"|%b++)=(%b++)' % (TCHAR, TCHAR)
PAIRS_REVERSED: Final = re.compile(PAIR_REVERSED)
ELEMENT_REVERSED: Final = re.compile(
    rb"%b((?:%b)?+(?:%b;%b(?:%b)?+)*+)%b(?:,|\Z)" % (BLANK, PAIR_REVERSED, BLANK, BLANK, PAIR_REVERSED, BLANK)
)
"""RFC 7239 section 4: forwarded-element, reversed byte by byte. So the text is read from the right in one pass, and no
quote that a client opened further left can swallow the element of a proxy. Values with escapes are refused."""

MAX_PORT: Final = 65_535
MAX_NODE_BYTES: Final = 100
KEPT_NODES: Final = 1_024
"""So many nodes are not read anew: most clients call more than once. Longer texts are no nodes."""

MALFORMED: Final = Refusal(400, "The header that names the client of a proxy is malformed.")

Ip = IPv4Address | IPv6Address


class Node(Struct, frozen=True, gc=False):
    """One hop of a request: its `address`, None if it is hidden, and as text; and its port, 0 if there is none."""

    address: Ip | None
    host: str
    port: int


class Networks:
    """The networks of the trusted proxies. `unix`: the peers of unix sockets are trusted, too."""

    def __init__(self, names: Iterable[str]) -> None:
        names = tuple(names)
        self.unix: Final = UNIX in names
        self._prefixes: Final[dict[tuple[int, int], dict[int, None]]] = {}
        for network in [read_network(name) for name in names if name != UNIX]:
            shift = network.max_prefixlen - network.prefixlen
            prefixes = self._prefixes.setdefault((network.version, shift), {})
            prefixes[int(network.network_address) >> shift] = None

    def have(self, address: Ip) -> bool:
        """Is this the address of a trusted proxy?"""
        number = int(address)
        for (version, shift), prefixes in self._prefixes.items():
            if version == address.version and number >> shift in prefixes:
                return True
        return False

    def trust(self, peer: Address) -> bool:
        """Is this peer of a socket a trusted proxy? Anything else than an Address is not: the gateway refuses it."""
        if not isinstance(peer, Address):
            return False
        if peer.transport == "pipe" or not peer.host:
            return self.unix and peer.transport == "stream"
        if not self._prefixes:
            return False
        address = _read_ip(peer.host.partition("%")[0])
        return address is not None and self.have(address)


class Client(Struct, frozen=True, gc=False):
    """The client for which a proxy forwards a request. `host`: the Host that the client used, None if that is the Host
    of the request."""

    address: Address
    host: bytes | None


class Proxy:
    """The trusted proxy at the other end of one socket."""

    __slots__ = ("_name", "_networks", "_peer", "_reads_forwarded", "_reads_host")

    def __init__(self, config: Config, networks: Networks, peer: Address) -> None:
        self._networks: Final = networks
        self._peer: Final = peer
        self._name: Final = peer.host or UNIX
        self._reads_forwarded: Final = config.proxy_headers == "forwarded"
        self._reads_host: Final = config.trust_forwarded_host

    def client_of(self, headers: Fields) -> Client | Refusal:
        """The client that these headers name, whose names are in lower case. A proxy that names none is the client."""
        return self._read_forwarded(headers) if self._reads_forwarded else self._read_x_forwarded(headers)

    def _read_x_forwarded(self, headers: Fields) -> Client | Refusal:
        said: dict[bytes, bytes] = {}
        for name, value in headers:
            if name in X_FORWARDED:
                said[name] = b"%b,%b" % (said[name], value) if name in said else value
        found = self._peer.host, self._peer.port
        for place, element in enumerate(_from_the_right(said.get(b"x-forwarded-for", b""))):
            node = None if place >= MAX_HOPS else _read_node(element, bare=True)
            if node is None:
                return MALFORMED
            if node.address is None:
                break
            found = node.host, node.port
            if not self._networks.have(node.address):
                break
        scheme, *_ = _from_the_right(said.get(b"x-forwarded-proto", b"")) or (b"",)
        host, *_ = _from_the_right(said.get(b"x-forwarded-host", b"")) or (b"",)
        return self._client(found, scheme, host)

    def _read_forwarded(self, headers: Fields) -> Client | Refusal:
        found = self._peer.host, self._peer.port
        parameters: dict[bytes, bytes] = {}
        text = _join(headers, FORWARDED)[::-1]
        end, hops = 0, 0
        while end < len(text):
            matched = ELEMENT_REVERSED.match(text, end)
            if matched is None:
                return MALFORMED
            end = matched.end()
            pairs = PAIRS_REVERSED.findall(matched[1])
            if not pairs:
                continue
            hops += 1
            parameters = {name[::-1].lower(): value[::-1].strip(b'"') for value, name in pairs}
            if hops > MAX_HOPS or len(parameters) < len(pairs):
                # RFC 7239 section 4: "Each parameter MUST NOT occur more than once per field-value."
                return MALFORMED
            node = _read_node(parameters.get(b"for", b"unknown"), bare=False)
            if node is None:
                return MALFORMED
            if node.address is None:
                break
            found = node.host, node.port
            if not self._networks.have(node.address):
                break
        return self._client(found, parameters.get(b"proto", b""), parameters.get(b"host", b""))

    def _client(self, found: tuple[str, int], scheme: bytes, host: bytes) -> Client | Refusal:
        secure = SECURE_SCHEMES.get(scheme.lower()) if scheme else self._peer.secure
        if secure is None:
            return MALFORMED
        address = Address(found[0], found[1], secure=secure, proxy=self._name)
        return Client(address, host if host and self._reads_host else None)


def _join(headers: Fields, wanted: bytes) -> bytes:
    """The values of a field that is a list (RFC 9110 section 5.3)."""
    values = [value for name, value in headers if name == wanted]
    return values[0] if len(values) == 1 else b",".join(values)


def _from_the_right(joined: bytes) -> list[bytes]:
    """The elements of a list, the last one first. RFC 9110 section 5.6.1.2: a recipient "MUST parse and ignore a
    reasonable number of empty list elements"."""
    if b"," not in joined:
        return [joined] if joined else []
    return [element for part in reversed(joined.split(b",")) if (element := part.strip(b" \t"))]


@lru_cache(KEPT_NODES)
def _read_node(text: bytes, *, bare: bool) -> Node | None:
    """The node that this text names, or None if it names none. `bare`: IPv6 addresses need no brackets."""
    if len(text) > MAX_NODE_BYTES:
        return None
    matched = NODE.fullmatch(text)
    if matched is None:
        address = _read_ip(text.decode("ascii")) if bare and BARE_IPV6.fullmatch(text) else None
        return None if address is None else Node(address, str(address), 0)
    ipv4, ipv6, digits = matched.groups()
    port = int(digits or b"0")
    if port > MAX_PORT:
        return None
    if ipv4 is None and ipv6 is None:
        return Node(None, "", port)
    address = _read_ip((ipv4 or ipv6).decode("ascii"))
    return None if address is None or (ipv6 is not None and b":" not in ipv6) else Node(address, str(address), port)


def _read_ip(text: str) -> Ip | None:
    """An IP address. An IPv4 address that is written as IPv6 is one of IPv4."""
    try:
        if ":" not in text:
            return IPv4Address(text)
        address = IPv6Address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address
