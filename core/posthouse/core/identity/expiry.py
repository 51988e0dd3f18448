"""Expiry: a connection that lasts is told before its identity expires, and closed some time after.

Nothing is armed for an identity that does not expire. Wall time is only compared here and where an identity is used.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.connections.delivery import Delivery
from posthouse.core.jsonrpc.messages import encode_notification
from posthouse.core.values.close_reasons import CREDENTIALS_EXPIRED
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import AuthExpired
from posthouse.core.values.peers import ConnectionId
from posthouse.core.values.shared import Shared
from posthouse.core.values.timers import Timer

from .demands import Demands

NOTICE_DUE: Final = "auth_notice"
IDENTITY_EXPIRES: Final = "identity"
GRACE_OVER: Final = "auth_grace"
"""The reasons of this table's deadlines, in their order."""

EXPIRING: Final = "auth.expiring"
"""The notification before an identity expires."""


class Expiring(Struct, eq=False, gc=False):
    """The identity of one connection. `timer`: its next deadline. `told`: its peer was told that it will expire.
    `expired`: it has, and the grace runs."""

    timer: Timer
    told: bool = False
    expired: bool = False


class Expiry:
    """The connections whose identities expire."""

    def __init__(self, shared: Shared, connections: Connections, delivery: Delivery, demands: Demands) -> None:
        self._shared = shared
        self._config = shared.config
        self._timers = shared.timers
        self._connections = connections
        self._delivery = delivery
        self._demands = demands
        self.records: dict[ConnectionId, Expiring] = {}
        connections.identified.append(self.begin)
        self._timers.on(NOTICE_DUE, self._notice_due)
        self._timers.on(IDENTITY_EXPIRES, self._expires)
        self._timers.on(GRACE_OVER, self._grace_over)

    def begin(self, connection: Connection, now: float) -> None:
        """A connection that lasts was admitted, or its identity has changed."""
        self.drop(connection, now)
        if connection.identity.expires_at is not None:
            told = not self._config.auth_notice
            self.records[connection.id] = Expiring(self._arm(connection, now, told=told), told)

    def drop(self, connection: Connection, now: float) -> None:
        """The connection is closing or gone."""
        expiring = self.records.pop(connection.id, None)
        if expiring is not None:
            self._timers.disarm(expiring.timer)

    def wall_moved(self, now: float) -> None:
        """Unix time has changed. An identity that has expired, and has not after all, is valid again."""
        for id, expiring in self.records.items():
            connection = self._connections.records[id]
            if expiring.expired and self._shared.expired(connection.identity, now):
                continue
            if expiring.expired:
                self._demands.limit(connection, authenticated=True)
            expiring.expired = False
            self._timers.disarm(expiring.timer)
            expiring.timer = self._arm(connection, now, told=expiring.told)

    def _arm(self, connection: Connection, now: float, *, told: bool) -> Timer:
        """Arm the deadline of the notice, or of the end if the peer was `told`."""
        expires_at = connection.identity.expires_at
        assert expires_at is not None
        when, reason = self._shared.monotonic(expires_at), IDENTITY_EXPIRES
        if not told:
            when, reason = when - self._config.auth_notice, NOTICE_DUE
        # A deadline in the past would look as if the process had been suspended.
        return self._timers.arm(max(when, now), reason, connection.id)

    def _notice_due(self, key: int, now: float) -> None:
        id = ConnectionId(key)
        connection, expiring = self._connections.records[id], self.records[id]
        payload = encode_notification(EXPIRING, {"expires_at": connection.identity.expires_at})
        self._delivery.push(connection, payload, now)
        expiring.told = True
        expiring.timer = self._arm(connection, now, told=True)

    def _expires(self, key: int, now: float) -> None:
        """The identity has expired: its calls are refused from now on, but it may still be replaced."""
        id = ConnectionId(key)
        connection, expiring = self._connections.records[id], self.records[id]
        expiring.expired = True
        self._demands.limit(connection, authenticated=False)
        expiring.timer = self._timers.arm(now + self._config.auth_grace, GRACE_OVER, id)
        self._shared.stats.count("auth.expired")
        peer, identity = connection.peer, connection.identity
        about = (connection.public_id, peer.kind, peer.address, identity.user, identity.namespace)
        self._shared.outbox.append(Emit(AuthExpired(id, *about, now)))

    def _grace_over(self, key: int, now: float) -> None:
        self._shared.breach(ConnectionId(key), CREDENTIALS_EXPIRED)
