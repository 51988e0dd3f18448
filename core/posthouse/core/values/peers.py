"""Peers: ids, addresses, identities, headers, and the description of a connection as it opens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from ipaddress import AddressValueError, IPv4Network, IPv6Address, IPv6Network, ip_network
from math import isfinite
from types import MappingProxyType
from typing import Any, Final, Literal, NewType

from msgspec import Struct
from msgspec.structs import astuple, force_setattr

from .errors import UsageError

SocketId = NewType("SocketId", int)
ConnectionId = NewType("ConnectionId", int)
CallId = NewType("CallId", int)
OutgoingId = NewType("OutgoingId", int)
OperationId = NewType("OperationId", int)

WireId = NewType("WireId", bytes)
"""The id of a request as JSON text, echoed byte for byte."""

Kind = Literal["websocket", "http", "cli", "local"]
KINDS: Final[tuple[Kind, ...]] = ("websocket", "http", "cli", "local")
"""The kinds of connections. `cli` is a process at the other end of two pipes (stdio), `local` is one call that this
process makes itself."""

PUSHABLE: Final[dict[Kind, bool]] = {"websocket": True, "http": False, "cli": True, "local": False}
"""May the server send first? An HTTP exchange and a local call carry one answer only."""

BEATING: Final[dict[Kind, bool]] = {"websocket": True, "http": False, "cli": False, "local": False}
"""Are heartbeats sent? An open pipe is alive."""

ALL_SCOPES: Final = "*"

REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")
"""An id that a client or a proxy gives to a request, for logs: 1 to 128 visible characters of ASCII."""


SUBNET: Final = -1 << 64
"""RFC 4291 section 2.5.4: the last 64 bits of an IPv6 address name an interface. A host may use all of them."""


class Address(Struct, frozen=True, gc=False):
    """The address of a peer. `host` is an IP address as text. It is empty for unix sockets and pipes: limits per
    address do not apply to them. `transport` says which first bytes to expect. `secure`: the peer speaks TLS.

    `proxy` is the address of the trusted proxy at the other end of the socket, or `unix`. Then `host` and `port` are
    those of the client behind it, and `secure` says how this client speaks to the proxy. Empty: there is no proxy.
    """

    host: str = ""
    port: int = 0
    transport: Literal["stream", "pipe"] = "stream"
    secure: bool = False
    proxy: str = ""

    @property
    def private(self) -> bool:
        """Can nobody read what passes? It is encrypted, or does not leave the machine. Behind a proxy it may: if the
        proxy names no client, the address is that of the proxy."""
        if self.proxy:
            return self.secure
        host = self.host.partition("%")[0].removeprefix("::ffff:")
        return self.secure or not host or host == "::1" or host.startswith("127.")

    @property
    def key(self) -> str:
        """By this, limits count addresses: the /64 of an IPv6 address, else the host itself. An IPv4 address that is
        written as an IPv6 one (`::ffff:192.0.2.1`) is the IPv4 address."""
        host = self.host
        if ":" not in host:
            return host
        try:
            address = IPv6Address(host.partition("%")[0])
        except AddressValueError:
            return host
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"{IPv6Address(int(address) & SUBNET)}/64"


UNIX: Final = "unix"
"""Names the peers of a unix socket, which have no IP address."""

Network = IPv4Network | IPv6Network


def read_network(text: str) -> Network:
    """The network of trusted proxies that is written as CIDR, or as one address. Raises UsageError if it is neither."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        forms = f"a network such as 10.0.0.0/8 or fd00::/8, an IP address, or {UNIX} for the peers of a unix socket"
        raise UsageError(f"trust_proxies contains {text!r}: give {forms}") from None


UserKey = tuple[str, str]
"""A user: the namespace and the name."""


class Identity(Struct, frozen=True, gc=False):
    """The identity of a caller. `user` is None for an anonymous one. `scopes` is sorted; `*` stands for every scope.
    `expires_at` is Unix seconds, or None for never. `issued_at`, in Unix seconds too, is when its credentials were made
    (None: that is not known). `token`: the id of the token of the store that has proven it, with which it ends.

    A user is a name in a `namespace`: the same name in another namespace is another user. The identity that an
    authenticator returns gets the namespace of the authenticator. `scopes` may be given as any collection of strings.
    Raises UsageError for values that no identity can have.
    """

    user: str | None = None
    scopes: tuple[str, ...] = ()
    expires_at: float | None = None
    namespace: str = ""
    issued_at: float | None = None
    token: str | None = None

    def __post_init__(self) -> None:
        if self.scopes != ():
            force_setattr(self, "scopes", _sorted(self.scopes))
        if self.user is not None and (type(self.user) is not str or not self.user or not is_unicode(self.user)):
            raise UsageError(f"the user of an identity is {self.user!r}: it must be a non-empty string, or None")
        for name, seconds in (("expires_at", self.expires_at), ("issued_at", self.issued_at)):
            if seconds is not None and not is_time(seconds):
                raise UsageError(f"{name} of an identity is {seconds!r}: it must be Unix seconds, or None")
        if type(self.namespace) is not str or not is_unicode(self.namespace):
            raise UsageError(f"the namespace of an identity is {self.namespace!r}: it must be a string")

    @property
    def authenticated(self) -> bool:
        """Does this identity have a user, or every scope?"""
        return self.user is not None or ALL_SCOPES in self.scopes

    @property
    def key(self) -> UserKey | None:
        """The user with the namespace, or None for an anonymous identity."""
        return None if self.user is None else (self.namespace, self.user)

    def missing(self, required: tuple[str, ...]) -> tuple[str, ...]:
        """The scopes of `required` that this identity does not have, in the order of `required`."""
        if ALL_SCOPES in self.scopes:
            return ()
        return tuple(scope for scope in required if scope not in self.scopes)


def _sorted(scopes: object) -> tuple[str, ...]:
    if isinstance(scopes, str) or not isinstance(scopes, Iterable):
        raise UsageError(f"the scopes of an identity are {scopes!r}: give a collection of strings")
    given = tuple(scopes)
    for scope in given:
        if type(scope) is not str or not scope or not is_unicode(scope):
            raise UsageError(f"{scope!r} is not a scope: it must be a non-empty string")
    return tuple(sorted(dict.fromkeys(given)))


def is_unicode(text: str) -> bool:
    """Can this be sent? A text with half of a surrogate pair, which some readers of JSON let through, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_time(seconds: object) -> bool:
    """Is this a time in Unix seconds?"""
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and isfinite(seconds)


ANONYMOUS: Final = Identity()


class SetCookie(Struct, frozen=True, gc=False):
    """A cookie that a browser is to keep for `max_age` seconds. An empty one: it forgets its cookie. Its repr does not
    show the secret."""

    secret: str
    max_age: int

    def __repr__(self) -> str:
        return f"SetCookie(secret=<hidden>, max_age={self.max_age})"


class Meta(Struct, frozen=True, gc=False):
    """The metadata of a request: its member `meta`, or headers over HTTP. `request_id` is for logs."""

    idempotency_key: str | None = None
    timeout_ms: int | None = None
    traceparent: str | None = None
    progress_token: str | int | None = None
    request_id: str | None = None

    def or_else(self, given: Meta) -> Meta:
        """This metadata, with missing members taken from `given`."""
        if given == NO_META:
            return self
        pairs = zip(astuple(self), astuple(given), strict=True)
        return Meta(*(other if value is None else value for value, other in pairs))


NO_META: Final = Meta()


Headers = tuple[tuple[bytes, bytes], ...]
"""Names and values, in the order in which they were received."""

CREDENTIALS: Final = (
    *("authorization", "cookie", "posthouse-session", "proxy-authorization", "sec-websocket-protocol", "set-cookie"),
    *("x-api-key", "x-auth-token", "x-csrf-token", "x-xsrf-token"),
)
"""The headers that no handler gets, in lower case. `Sec-WebSocket-Protocol` may carry a bearer token."""

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Peer(Struct, frozen=True, gc=False):
    """A connection as it opens. `socket` is None if a host owns the sockets. `meta` is the default for its calls.

    `path` and `headers` are those of the request or handshake. Pipes have none. `host_scope` is what a host that owns
    the sockets says of it to handlers, such as the scope of ASGI.
    """

    kind: Kind
    address: Address = Address()
    socket: SocketId | None = None
    identity: Identity = ANONYMOUS
    meta: Meta = NO_META
    path: str = ""
    headers: Headers = ()
    host_scope: Any = None

    @property
    def header_bytes(self) -> int:
        """The size of the headers."""
        return sum(len(name) + len(content) for name, content in self.headers)

    def __repr__(self) -> str:
        # Headers may be credentials, and a repr may be logged.
        return (
            f"Peer({self.kind!r}, {self.address!r}, {self.socket!r}, {self.identity!r}, {self.meta!r}, {self.path!r}, "
            f"headers=<{len(self.headers)} fields>)"
        )


def readable(headers: Headers) -> Mapping[str, str]:
    """The headers for a handler: by name in lower case, without credentials.

    Values are decoded as latin-1, so that each byte is one character. RFC 9110 section 5.3: the values of a repeated
    header are joined, in order, "separated by a comma".
    """
    if not headers:
        return NO_HEADERS
    found: dict[str, str] = {}
    for field, content in headers:
        name, value = field.decode("latin-1").lower(), content.decode("latin-1")
        if name not in CREDENTIALS:
            found[name] = f"{found[name]}, {value}" if name in found else value
    return MappingProxyType(found)


class Caller(Struct, frozen=True, dict=True):
    """A connection as its handlers see it: one value for all calls of a connection. `public_id` is the id that peers
    see. A connection whose identity changes gets a new `Caller`, and with it a new `connection_state`."""

    connection: ConnectionId
    public_id: str
    peer: Peer
    identity: Identity

    def __repr__(self) -> str:
        return f"Caller({self.connection!r}, {self.public_id!r}, {self.kind!r}, {self.identity!r})"

    @property
    def kind(self) -> Kind:
        """The kind of the connection."""
        return self.peer.kind

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The headers of the request or handshake, without credentials. Made when it is first asked for."""
        return readable(self.peer.headers)

    @property
    def connection_state(self) -> dict[str, Any]:
        """A dict of the service's own. Made when it is first asked for; it lives as long as the connection."""
        # `setdefault` is atomic: threads may ask, too.
        state: dict[str, Any] = self.__dict__.setdefault("connection_state", {})
        return state
