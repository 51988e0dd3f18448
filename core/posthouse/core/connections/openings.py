"""Openings: a socket is accepted or a peer connects, or a limit refuses it."""

from __future__ import annotations

from typing import Final

from posthouse.core.values.close_reasons import DRAINING, MEMORY_BUDGET, CloseReason
from posthouse.core.values.effects import Accept, Disconnect, Emit
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import ConnectionOpened
from posthouse.core.values.peers import KINDS, PUSHABLE, Address, ConnectionId, Identity, Kind, Peer, SocketId
from posthouse.core.values.shared import Shared

from .connections import Connection, Connections
from .liveness import Liveness
from .state import Trigger

OPENED: Final[dict[Kind, str]] = {kind: f"connections.opened.{kind}" for kind in KINDS}


class Openings:
    """Opens sockets and connections."""

    def __init__(self, shared: Shared, connections: Connections, liveness: Liveness) -> None:
        self._shared = shared
        self._connections = connections
        self._liveness = liveness

    def accept(self, address: Address, now: float, *, accepting: bool, trusted: bool = False) -> SocketId | None:
        """Record one more socket, of a `trusted` proxy if that is so. None: a limit or a shut-down refuses it. Raises
        UsageError if it has no Address."""
        if not isinstance(address, Address):
            raise UsageError(f"the address is {address!r}: give an Address, such as Address('127.0.0.1', 5000)")
        if not accepting:
            return None
        for limit in self._connections.socket_limits(address, now, trusted=trusted):
            if self._shared.enforces(limit, None, address, now):
                return None
        return self._connections.add_socket(address, trusted=trusted)

    def arrive(self, socket: SocketId, address: Address, now: float) -> CloseReason | None:
        """A trusted proxy sends a request of this client: count its socket for the client. Returns the limit that
        refuses the request."""
        if not self._connections.limits_addresses:
            return None
        self._connections.count(socket, "")
        for limit in self._connections.address_limits(address, now):
            if self._shared.enforces(limit, None, address, now):
                return limit
        self._connections.count(socket, address.key)
        return None

    def connect(
        self,
        peer: Peer,
        now: float,
        *,
        draining: bool,
        identity: Identity | None = None,
        unverified: bool = False,
        ahead: bool = False,
    ) -> ConnectionId:
        """Record a new connection, admitted or refused. `identity`: that of its credentials, if they are known.
        `unverified`: it is not admitted before `admit`. `ahead`: the text of this exchange comes after `Accept`. Raises
        UsageError for an invalid peer."""
        if not isinstance(peer, Peer):
            raise UsageError(f"the peer is {peer!r}: give a Peer, such as Peer('websocket')")
        if peer.kind not in KINDS:
            raise UsageError(f"unknown kind {peer.kind!r}: the kinds are {', '.join(KINDS)}")
        if type(peer.headers) is not tuple:
            raise UsageError("the headers are not a tuple: give pairs of bytes, such as ((b'host', b'example.org'),)")
        socket = peer.socket
        if socket is not None and socket not in self._connections.sockets and not self._connections.has_socket(socket):
            raise UsageError(f"socket {peer.socket} was released: no peer can connect through it")
        pushable = PUSHABLE[peer.kind]
        headers = peer.header_bytes if pushable else 0
        obstacle = DRAINING if draining and pushable else self._obstacle(peer, identity, now)
        record = self._connections.add(peer, now, identity)
        if obstacle is not None:
            self._refuse(record, obstacle)
        elif unverified:
            record.move(Trigger.AUTHENTICATE)
        else:
            self._admit(record, headers, now, ahead=ahead)
        return record.id

    def admit(self, record: Connection, identity: Identity, now: float, *, draining: bool, ahead: bool = False) -> None:
        """The credentials of a connection were verified: admit it as this caller, unless a limit refuses it."""
        limits = [DRAINING] if draining and record.pushable else self._connections.user_limits(identity)
        for obstacle in limits:
            if not obstacle.is_limit or self._shared.enforces(obstacle, None, record.peer.address, now):
                self._refuse(record, obstacle)
                return
        record.move(Trigger.VERIFIED)
        record.heard_at = record.active_at = now
        self._connections.identify(record, identity, now)
        self._admit(record, record.peer.header_bytes if record.pushable else 0, now, ahead=ahead)

    def refuse(self, record: Connection, reason: CloseReason, now: float, *, retry_after_ms: int | None = None) -> None:
        """Refuse a connection whose credentials were not accepted, or could not be verified."""
        if reason.is_limit:
            self._shared.enforces(reason, None, record.peer.address, now)
        self._refuse(record, reason, retry_after_ms)

    def _refuse(self, record: Connection, reason: CloseReason, retry_after_ms: int | None = None) -> None:
        record.move(Trigger.REFUSE)
        record.code = reason.code
        self._shared.outbox.append(Disconnect(record.id, reason, retry_after_ms=retry_after_ms))

    def _obstacle(self, peer: Peer, identity: Identity | None, now: float) -> CloseReason | None:
        """The limit that refuses this peer, or None."""
        config, address = self._shared.config, peer.address
        if (
            peer.socket is not None
            and config.max_connections_per_user is None
            and self._shared.held <= config.memory_budget
            and not (address.proxy and self._connections.limits_addresses)
        ):
            return None
        if peer.socket is not None and address.proxy and not self._connections.sockets[peer.socket].counted:
            refused = self.arrive(peer.socket, address, now)
            if refused is not None:
                return refused
        limits = self._connections.connection_limits(peer, identity)
        if self._shared.held > config.memory_budget:
            limits.append(MEMORY_BUDGET)
        for limit in limits:
            if self._shared.enforces(limit, None, peer.address, now):
                return limit
        return None

    def _admit(self, record: Connection, headers: int, now: float, *, ahead: bool) -> None:
        self._connections.index(record)
        self._shared.stats.count(OPENED[record.peer.kind])
        if record.pushable:
            self._shared.stats.level("max_connections", len(self._connections.records))
            self._liveness.begin(record, now)
            if record.identity.expires_at is not None or self._shared.config.require_authentication:
                self._connections.tell_identified(record, now)
            self._shared.hold(headers)  # they are kept until it ends; an exchange ends soon
            self._shared.outbox.append(Accept(record.id))
        else:
            if ahead:
                self._shared.outbox.append(Accept(record.id))
            if not self._shared.exchanges_told:
                return
        peer, user = record.peer, record.identity.user
        opened = ConnectionOpened(record.id, record.public_id, peer.kind, peer.address, user, now)
        self._shared.outbox.append(Emit(opened, record.caller))

    def drop(self, record: Connection, now: float) -> None:
        """The connection is closing or gone: its headers no longer count."""
        if record.admitted and record.pushable:
            self._shared.hold(-record.peer.header_bytes)
