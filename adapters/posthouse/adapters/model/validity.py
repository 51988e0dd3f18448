"""Which identities still count: when each expires, and what a connection gets for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from posthouse.adapters.invariants import must
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Disconnect
from posthouse.core.values.peers import Identity

from .expected import Expected
from .records import Connection

EXPIRING: Final = "auth.expiring"
EXPIRED: Final = "credentials_expired"


class Validity:
    """Unix time at monotonic 0 is `wall()`."""

    def __init__(self, config: Config, expected: Expected, wall: Callable[[], float]) -> None:
        self._config = config
        self._expected = expected
        self._wall = wall

    def expired(self, identity: Identity) -> bool:
        """Has this identity expired?"""
        return identity.expires_at is not None and self._expected.now >= identity.expires_at - self._wall()

    def changed(self, connection: Connection) -> None:
        """The connection was admitted, or has another identity."""
        connection.warned, connection.closes_at, connection.valid_since = False, None, self._expected.now

    def wall_moved(self, connections: Iterable[Connection], now: float) -> None:
        """Unix time has changed: an identity that has expired may be valid again."""
        for connection in connections:
            expires_at = connection.identity.expires_at
            if expires_at is not None and now < expires_at - self._wall():
                connection.closes_at = None
            connection.valid_since = now

    def advance(self, connections: Iterable[Connection]) -> None:
        """Time has passed: peers are told, identities expire, connections are closed. Raises Violation."""
        now, notice = self._expected.now, self._config.auth_notice
        closed = {effect.connection for effect in self._expected.effects if type(effect) is Disconnect}
        for connection in connections:
            if not connection.reachable or connection.identity.expires_at is None:
                continue
            ends_at = connection.identity.expires_at - self._wall()
            if not connection.warned and ends_at - notice <= now:
                connection.warned = True
                if notice:
                    self._expected.push(connection, EXPIRING)
            if connection.closes_at is None and ends_at <= now:
                connection.closes_at = now + self._config.auth_grace
                self._expected.told.expired(connection)
            if connection.closes_at is not None and connection.closes_at <= now:
                must(connection.number in closed, "identity: a connection outlives its identity", connection.number)

    def check_closed(self, connection: Connection, effect: Disconnect) -> None:
        """The gateway closes a connection that was admitted. Raises Violation if it is told that its credentials have
        expired, and they have not."""
        closes_at = connection.closes_at
        over = closes_at is not None and closes_at <= self._expected.now
        must(over or effect.reason.name != EXPIRED, "identity: a connection was closed that has not expired", effect)

    def deadlines(self, connections: Iterable[Connection]) -> list[float]:
        """The times at which the gateway must act at the latest."""
        found: list[float] = []
        for connection in connections:
            if not connection.reachable or connection.identity.expires_at is None:
                continue
            ends_at = connection.identity.expires_at - self._wall()
            next_at = ends_at if connection.warned else ends_at - self._config.auth_notice
            found.append(max(next_at, connection.valid_since) if connection.closes_at is None else connection.closes_at)
        return found
