"""Who may open a connection: hosts, origins and media types, by the same rules for every transport.

The policy comes before credentials. It knows header values and nothing else of a request.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct
from msgspec.structs import force_setattr, replace
from posthouse.core.service.declarations import subprotocols_of
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import ANONYMOUS, Identity

from .paths import Paths
from .refusal import Refusal

HOST_NAME: Final = re.compile(r"(?:\*\.)?[a-z0-9._-]+|\[[0-9a-f:.]+\]")
"""A host in the allow-list: a lower-case name or address without a port, IPv6 in brackets. After `*.`: all names below
this one."""

LABELS: Final = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
"""The labels of a name before a star's own."""

ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9._:\[\]-]+")
"""A serialised origin (RFC 6454 section 6.2): scheme, host, and a port unless it is the scheme's default; no path."""

USUAL_PORT: Final = re.compile(r"(?:http://.*:80|https://.*:443)\Z")

PORT: Final = re.compile(r":[0-9]*\Z")

PAGE_ORIGIN: Final = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]+)?")
"""The origin of a page that was loaded over HTTP, as a browser writes it."""

LOOPBACK_ORIGIN: Final = re.compile(
    r"https?://(?:localhost|127(?:\.(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}|\[::1\])(?::[0-9]{1,5})?"
)

DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}

USUAL_MEDIA_TYPE: Final = b"application/json"

JSON_MEDIA_TYPE: Final = re.compile(
    rb'application/json(?:-rpc)?(?:[ \t]*+;[ \t]*+(?:charset=(?:utf-8|"utf-8"))?+)*+', re.IGNORECASE
)
"""RFC 8259 section 8.1: JSON text "MUST be encoded using UTF-8"; the only parameter allowed says that. RFC 9110 section
5.6.6: parameters may be empty."""

ACCEPT_POST: Final = ((b"Accept-Post", b"application/json, application/json-rpc"),)


LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "[::1]")


class Policy(Struct, frozen=True):
    """Who may open connections. Raises UsageError for a host or an origin that no request can match.

    `hosts` are compared without port and case, `origins` exactly. `*.example.org` is every name below example.org.
    `identity` is that of callers who have not authenticated. If it has a user, credentials of another user are refused.
    `binary`: WebSocket binary messages are passed on, as `codec.Binary`. `loopback_origins`: pages from this machine
    are allowed, whatever their port. `secure`: the server itself does TLS, so that a page of the same origin was loaded
    over https. `paths` are those of the server. `subprotocols`: those of WebSocket that the service speaks beside
    `posthouse.v1.json`; the first one that a client offers is selected.
    """

    hosts: tuple[str, ...] = LOOPBACK_HOSTS
    origins: tuple[str, ...] = ()
    identity: Identity = ANONYMOUS
    binary: bool = False
    loopback_origins: bool = False
    secure: bool = False
    paths: Paths = Paths()
    subprotocols: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        force_setattr(self, "hosts", tuple(host.lower() for host in self.hosts))
        force_setattr(self, "subprotocols", subprotocols_of(self.subprotocols))
        for host in self.hosts:
            if not HOST_NAME.fullmatch(host):
                raise UsageError(f"host {host!r}: it must be a name or an address without a port, IPv6 in brackets")
        for origin in self.origins:
            if not ORIGIN.fullmatch(origin):
                raise UsageError(f"origin {origin!r}: write it as a browser does, such as https://example.com")
            if USUAL_PORT.match(origin):
                without = PORT.sub("", origin)
                raise UsageError(f"origin {origin!r}: a browser leaves the scheme's own port out: write {without}")

    def speaking(self, subprotocols: tuple[str, ...]) -> Policy:
        """This policy, with these subprotocols if it names none."""
        return replace(self, subprotocols=subprotocols) if subprotocols and not self.subprotocols else self

    def for_probes(self) -> Policy:
        """The policy of a port for probes alone, which programs on this machine ask, too."""
        return replace(self, hosts=(*self.hosts, *LOOPBACK_HOSTS), paths=Paths(probes_only=True))

    def allows_host(self, host: bytes) -> bool:
        """Is this Host header's name in the list?"""
        text = host.decode("latin-1")
        if text in self.hosts:
            return True
        name = PORT.sub("", text).lower()
        if name in self.hosts:
            return True
        below = [listed[1:] for listed in self.hosts if listed.startswith("*.")]
        return any(name.endswith(end) and LABELS.fullmatch(name.removesuffix(end)) for end in below)

    def allows_origin(self, origin: bytes) -> bool:
        """Is this Origin header in the list, or that of a loopback page where those are allowed? `null` never is: every
        sandboxed page sends it."""
        text = origin.decode("latin-1")
        return text in self.origins or (self.loopback_origins and LOOPBACK_ORIGIN.fullmatch(text) is not None)

    def is_same_origin(self, origin: bytes, host: bytes | None, secure: bool | None = None) -> bool:
        """Is this Origin header that of a page from the host and port of this Host header?

        A missing port is the default one of the origin's scheme. Both schemes are taken, unless the request came over
        TLS: to this server (`secure` None), or to a trusted proxy that says so. Another proxy may do TLS unseen.
        """
        page = PAGE_ORIGIN.fullmatch(origin.decode("latin-1"))
        over_tls = self.secure if secure is None else secure
        if page is None or host is None or (over_tls and page[1] != "https"):
            return False
        default = DEFAULT_PORTS[page[1]]
        text = host.decode("latin-1").lower()
        name = PORT.sub("", text)
        port = text.removeprefix(name).removesuffix(":") or default
        return (page[2], page[3] or default) == (name, port)


def authorize_open(
    policy: Policy,
    method: bytes,
    host: bytes | None,
    origin: bytes | None,
    content_type: bytes | None,
    secure: bool | None = None,
) -> Refusal | None:
    """Judge the opening of a connection by its headers (None: absent). Returns a refusal, or None if it is allowed.
    `secure`: what a trusted proxy says of TLS.

    An absent Origin is allowed: browsers send one with each request that could do harm. Whether Host may be absent
    depends on the version of HTTP.
    """
    if host is not None and not policy.allows_host(host):
        # RFC 9110 section 15.5.20. This check stops DNS rebinding, also by a page that is of the same origin then.
        return Refusal(421, "This server does not answer for that host.", rejected_value=host)
    if origin is not None and not policy.allows_origin(origin) and not policy.is_same_origin(origin, host, secure):
        return Refusal(403, "This origin is not allowed here.", rejected_value=origin)
    if method != b"POST" or content_type == USUAL_MEDIA_TYPE:
        return None
    if content_type is None or not JSON_MEDIA_TYPE.fullmatch(content_type):
        # A page can send other types in a cross-site POST without a preflight.
        return Refusal(415, "Content-Type must be application/json, in UTF-8.", ACCEPT_POST)
    return None
