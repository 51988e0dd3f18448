"""What must be true of a connection that is closed by a limit, and of the addresses that limits count.

The gateway chooses when a limit closes a connection; the model only checks that the limit was reached. Limits per
address are checked exactly: `Addresses` counts by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Final

from posthouse.adapters.invariants import must
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Disconnect, Effect, Emit
from posthouse.core.values.lifecycle import LimitBreached
from posthouse.core.values.peers import Address, Peer

from .records import Connection

Reached = Callable[[Connection, float, Config], bool]


def idle(connection: Connection, now: float, config: Config) -> bool:
    """For the idle timeout no text was received and no handler ended, and no call is pending."""
    timeout = config.idle_timeout
    return timeout is not None and not connection.calls and connection.active_at + timeout <= now


def silent(connection: Connection, now: float, config: Config) -> bool:
    """A heartbeat was sent, the peer was able to answer it, and did not."""
    asked_at = connection.heartbeat_at
    if asked_at is None or connection.held:
        return False
    return connection.heard_at < asked_at and asked_at + config.heartbeat_timeout <= now


def stalled(connection: Connection, now: float, config: Config) -> bool:
    """For the write timeout the socket took none of the bytes that it holds."""
    return connection.held > 0 and connection.taken_at + config.write_timeout <= now


def backed_up(connection: Connection, now: float, config: Config) -> bool:
    """The socket holds bytes, so that new messages must be queued."""
    return connection.held > 0


def pushed(connection: Connection, now: float, config: Config) -> bool:
    """Pushes wait: for the socket, or for the replies of calls."""
    return connection.held > 0 or connection.following > 0


def pushed_many(connection: Connection, now: float, config: Config) -> bool:
    """Pushes wait for the socket, or more of them than allowed for the replies of calls."""
    return connection.held > 0 or connection.following > config.max_queued_pushes


def too_many_invalid(connection: Connection, now: float, config: Config) -> bool:
    """The peer has sent more invalid messages than allowed."""
    allowed = config.max_bad_messages
    return allowed is not None and connection.invalid_messages > allowed


def not_logged_in(connection: Connection, now: float, config: Config) -> bool:
    """A WebSocket was anonymous for too long where that is not allowed."""
    return connection.log_in_by is not None and connection.log_in_by <= now


REACHED: Final[dict[str, Reached]] = {
    "idle_timeout": idle,
    "heartbeat_timeout": silent,
    "write_timeout": stalled,
    "max_queued_replies_bytes": backed_up,
    "max_queued_pushes_bytes": pushed,
    "max_queued_pushes": pushed_many,
    "max_bad_messages": too_many_invalid,
    "authentication_timeout": not_logged_in,
}
"""The condition of each limit that the model checks, by the name of the limit."""


PER_ADDRESS: Final = "max_connections_per_address"
REFUSING: Final = (PER_ADDRESS, "accept_rate_per_address")
"""The limits that refuse a socket, or a request through a proxy, for its address."""


def counted_as(host: str) -> str:
    """An IPv4 address counts by itself, and an IPv6 address by its first 64 bits."""
    if ":" not in host:
        return host
    address = ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped) if mapped else address.exploded[:19]


class Addresses:
    """How many sockets and requests each address has. `begin` gets the effects of each input."""

    def __init__(self, config: Config) -> None:
        self._allowed: Final = config.max_connections_per_address
        self._enforced: Final = PER_ADDRESS not in config.observe
        self._counts: Final = Counter[str]()
        self._sockets: Final[dict[int, str]] = {}
        self._told: list[str] = []
        self._refused = False

    def begin(self, effects: Sequence[Effect]) -> None:
        """The next input had these effects."""
        events = [effect.event for effect in effects if type(effect) is Emit]
        self._told = [event.limit for event in events if type(event) is LimitBreached and event.connection is None]
        self._refused = any(type(effect) is Disconnect and effect.reason.name in REFUSING for effect in effects)

    def accepted(self, socket: int | None, address: Address, *, trusted: bool) -> None:
        """A socket was accepted, or refused (None)."""
        if trusted:
            must(not any(name in REFUSING for name in self._told), "limits: a trusted proxy is limited by its address")
        elif socket is not None or PER_ADDRESS in self._told:
            self._judge(counted_as(address.host), admitted=socket is not None)
        if socket is not None:
            self._count(socket, "" if trusted else counted_as(address.host))

    def arrived(self, socket: int, address: Address, *, admitted: bool) -> None:
        """A request of this client came through a proxy."""
        if socket in self._sockets:
            self._count(socket, "")
            self._judge(counted_as(address.host), admitted=admitted)
            self._count(socket, counted_as(address.host) if admitted else "")

    def connected(self, peer: Peer) -> None:
        """A connection was opened, or refused. Its client has arrived already if its socket is counted."""
        if peer.socket is not None and peer.address.proxy and not self._sockets.get(peer.socket):
            self.arrived(peer.socket, peer.address, admitted=not self._refused)

    def disconnected(self, peer: Peer) -> None:
        """A connection has ended: the next request of its socket may come from another client."""
        if peer.socket is not None and peer.address.proxy and peer.socket in self._sockets:
            self._count(peer.socket, "")

    def released(self, socket: int) -> None:
        """A socket was closed."""
        if socket in self._sockets:
            self._count(socket, "")
            del self._sockets[socket]

    def _judge(self, key: str, *, admitted: bool) -> None:
        full = bool(key) and self._allowed is not None and self._counts[key] >= self._allowed
        must((PER_ADDRESS in self._told) is full, "limits: an address has another number of sockets", key)
        must(not (full and self._enforced and admitted), "limits: an address has more sockets than it may", key)

    def _count(self, socket: int, key: str) -> None:
        before = self._sockets.get(socket, "")
        if before:
            self._counts[before] -= 1
        self._sockets[socket] = key
        if key:
            self._counts[key] += 1
