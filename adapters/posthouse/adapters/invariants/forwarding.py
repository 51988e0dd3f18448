"""The addresses of connections: that of the peer of the socket, or of the client that a trusted proxy names.

The headers are read here in another way than in `transports/forwarding.py`: from the standard, and with no regard for
speed.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from posthouse.core.values.config import Config
from posthouse.core.values.peers import Address, Headers
from posthouse.transports.switchboard.socket_state import SocketState
from posthouse.transports.switchboard.switchboard import Switchboard

from .violation import must

UNIX: Final = "unix"

Node = tuple[IPv4Address | IPv6Address, int]


def client_of(board: Switchboard, state: SocketState) -> None:
    """A connection has the address of its socket's peer. If that is a trusted proxy, it has that of the client."""
    if state.connection is None:
        return
    peer = board.gateway._connections.records[state.connection].peer
    if not peer.headers:  # a journal of the gateway has none
        return
    expected = state.address
    if is_trusted(board.config, expected.host):
        expected = named(board.config, expected, peer.headers)
    must(peer.address == expected, "proxies: a connection has another address", peer.address, expected)


def is_trusted(config: Config, host: str) -> bool:
    """Is this host that of a trusted proxy?"""
    if not host:
        return UNIX in config.trust_proxies
    networks = [ip_network(name, strict=False) for name in config.trust_proxies if name != UNIX]
    return any(_plain(ip_address(host)) in network for network in networks)


def named(config: Config, peer: Address, headers: Headers) -> Address:
    """The address of the client that this trusted proxy names. The headers are well-formed as far as they count."""
    found, secure = (peer.host, peer.port), peer.secure
    if config.proxy_headers == "x-forwarded":
        schemes = _list(headers, b"x-forwarded-proto")
        secure = schemes[-1] in ("https", "wss") if schemes else secure
    name = b"forwarded" if config.proxy_headers == "forwarded" else b"x-forwarded-for"
    for element in reversed(_list(headers, name)):
        text = element
        if name == b"forwarded":
            pairs = dict(pair.split("=", 1) for pair in element.lower().split(";"))
            text = pairs.get("for", "unknown").strip('"')
            secure = pairs["proto"] == "https" if "proto" in pairs else peer.secure
        node = _node(text)
        if node is None:
            break
        found = str(node[0]), node[1]
        if not is_trusted(config, found[0]):
            break
    return Address(*found, secure=secure, proxy=peer.host or UNIX)


def _list(headers: Headers, wanted: bytes) -> list[str]:
    joined = ",".join(value.decode("latin-1") for name, value in headers if name == wanted)
    return [element.strip(" \t") for element in joined.split(",") if element.strip(" \t")]


def _node(text: str) -> Node | None:
    """An address and a port. None: the address is hidden."""
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
    elif text.count(":") == 1:
        host, port = text.split(":")
    if host.lower().startswith(("unknown", "unix", "_")):
        return None
    digits = port.removeprefix(":")
    return _plain(ip_address(host)), int(digits) if digits.isdigit() else 0


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
