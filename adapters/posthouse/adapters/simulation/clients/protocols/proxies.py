"""The header fields of a proxy in front of a client, and of liars: clients whose address no server trusts.

All of them write alike. Whom the server believes is a matter of the address from which they connect.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from posthouse.adapters.simulation.chance import Stream
from posthouse.core.values.config import PROXY_HEADERS, Config
from posthouse.transports.fields import Fields

TRUSTED: Final[tuple[tuple[str, ...], ...]] = (
    ("10.0.0.0/30", "10.1.0.0/30"),
    ("10.0.0.0/30", "10.1.0.0/29", "unix"),
    ("10.0.0.0/8", "unix"),
    ("unix",),
)
"""The proxies that servers trust: the first clients, all of them, or the peers of unix sockets."""

CLIENTS: Final = (
    *(b"192.0.2.1", b"192.0.2.1", b"192.0.2.2", b"192.0.2.1:4711", b"[2001:db8::1]", b"[2001:db8::2]:80"),
    *(b"[::ffff:192.0.2.2]", b"unknown", b"_hidden"),
)
"""The clients of proxies. Some share an address or a network, and some are hidden."""

CLAIMS: Final = (b"", b"", b"10.0.0.1", b"203.0.113.9", b"192.0.2.2", b"nonsense")
"""Elements that a client wrote, left of the one that its proxy wrote."""

HOPS: Final = (b"", b"", b"10.0.0.1", b"[::ffff:10.0.0.2]")
"""A trusted proxy between the client and the last one."""

SCHEMES: Final = (None, b"http", b"https")

VARIANTS: Final = 3
"""So many different sets of fields are sent on one connection, in turn: those of different clients."""


def trusting(config: Config, stream: Stream, *, fair: bool) -> Config:
    """This config, with proxies that are trusted in some storms. Most that are not `fair` then limit addresses, too. In
    a small head, the fields of proxies have no room."""
    usual = Config()
    small = (config.max_head_bytes, config.max_headers) != (usual.max_head_bytes, usual.max_headers)
    if small or not stream.happens(400):
        return config
    limits: dict[str, int] = {}
    if not fair and stream.happens(700):
        limits["max_connections_per_address"] = stream.pick((1, 2))
    return replace(config, trust_proxies=stream.pick(TRUSTED), proxy_headers=stream.pick(PROXY_HEADERS), **limits)


def draw_forwarding(stream: Stream, family: str, *, origin: bytes | None) -> tuple[Fields, ...]:
    """The fields of the requests of one connection, in turn. `origin`: that of the page; the scheme fits to it."""
    return tuple(_draw_fields(stream, family, origin) for _ in range(VARIANTS))


def _draw_fields(stream: Stream, family: str, origin: bytes | None) -> Fields:
    elements = [element for element in (stream.pick(CLAIMS), stream.pick(CLIENTS), stream.pick(HOPS)) if element]
    scheme = stream.pick(SCHEMES)
    if origin is not None and origin.startswith(b"http:"):
        scheme = b"http"
    if family == "x-forwarded":
        cut = stream.choose(2)  # a list may be in one field or in several
        lists = [b",".join(elements)] if cut else elements
        fields = tuple((b"X-Forwarded-For", each) for each in lists)
        lie = (b"Forwarded", b"for=198.51.100.1;proto=https")
        return (*fields, lie) if scheme is None else (*fields, (b"X-Forwarded-Proto", scheme), lie)
    named = b"" if scheme is None else b";proto=" + scheme
    pairs = [
        b'for="%b"%b' % (each, named) if b"[" in each or b":" in each else b"for=" + each + named for each in elements
    ]
    return ((b"Forwarded", b", ".join(pairs)), (b"X-Forwarded-For", b"198.51.100.1"))
