"""Which identities still count: when each expires, and what a connection gets for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct, field
from posthouse.adapters.invariants import must
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Disconnect, LimitMessages
from posthouse.core.values.errors import CREDENTIALS_EXPIRED, UNAUTHENTICATED
from posthouse.core.values.peers import Identity, UserKey

from .expected import Expected
from .records import Connection

EXPIRING: Final = "auth.expiring"
EXPIRED: Final = "credentials_expired"
REVOKED: Final = "revoked"


class Doubt(Struct, eq=False):
    """The users that were revoked outright since an authenticator was asked. `of_all`: too many to keep them apart."""

    users: list[UserKey] = field(default_factory=list)
    of_all: bool = False


class Validity:
    """Unix time at monotonic 0 is `wall()`."""

    def __init__(self, config: Config, expected: Expected, wall: Callable[[], float]) -> None:
        self._config = config
        self._expected = expected
        self.wall = wall
        self._not_before: dict[UserKey, float] = {}
        self._doubts: list[Doubt] = []
        self._recent: dict[UserKey, None] = {}

    def expired(self, identity: Identity) -> bool:
        """Has this identity expired?"""
        return identity.expires_at is not None and self._expected.now >= identity.expires_at - self.wall()

    def refusal(self, identity: Identity, doubt: Doubt) -> int | None:
        """The code that refuses this answer of an authenticator, or None."""
        if self.expired(identity):
            return CREDENTIALS_EXPIRED
        return UNAUTHENTICATED if self._revoked(identity, doubt) else None

    def identify(self, connection: Connection, identity: Identity) -> None:
        """The connection has another identity, or was admitted with this one."""
        connection.identity = identity
        connection.warned, connection.closes_at, connection.valid_since = False, None, self._expected.now
        must_log_in = self._config.require_authentication and connection.peer.kind == "websocket"
        deadline = self._expected.now + self._config.authentication_timeout
        connection.log_in_by = deadline if must_log_in and not identity.authenticated else None

    def wall_moved(self, connections: Iterable[Connection], now: float) -> None:
        """Unix time has changed: an identity that has expired may be valid again."""
        for connection in connections:
            expires_at = connection.identity.expires_at
            if expires_at is not None and now < expires_at - self.wall():
                connection.closes_at = None
            connection.valid_since = now

    def advance(self, connections: Iterable[Connection]) -> None:
        """Time has passed: peers are told, identities expire, connections are closed. Raises Violation."""
        now, notice = self._expected.now, self._config.auth_notice
        closed = {effect.connection for effect in self._expected.effects if type(effect) is Disconnect}
        for connection in connections:
            if connection.reachable and connection.log_in_by is not None and connection.log_in_by <= now:
                must(connection.number in closed, "identity: a connection did not log in in time", connection.number)
            if not connection.reachable or connection.identity.expires_at is None:
                continue
            ends_at = connection.identity.expires_at - self.wall()
            if not connection.warned and ends_at - notice <= now:
                connection.warned = True
                if notice:
                    self._expected.push(connection, EXPIRING)
            if connection.closes_at is None and ends_at <= now:
                connection.closes_at = now + self._config.auth_grace
                self._expected.told.expired(connection)
            if connection.closes_at is not None and connection.closes_at <= now:
                must(connection.number in closed, "identity: a connection outlives its identity", connection.number)

    def check_limits(self, connections: Mapping[int, Connection], told: Iterable[LimitMessages]) -> None:
        """Where authentication is required, it is told whose messages are limited: those of each caller who is not
        authenticated (any more). Raises Violation."""
        for effect in told:
            must(self._config.require_authentication, "identity: messages are limited without reason", effect)
            connections[effect.connection].limited = not effect.authenticated
        for connection in connections.values() if self._config.require_authentication else ():
            limited = not connection.identity.authenticated or connection.closes_at is not None
            right = not connection.reachable or connection.limited is limited
            must(right, "identity: messages are limited, or not, unlike their caller", connection.number)

    def check_closed(self, connection: Connection, effect: Disconnect, others: Iterable[Connection]) -> None:
        """The gateway closes a connection that was admitted. Raises Violation if it is told that its credentials have
        expired, and they have not; or if it must go for memory that others hold who are not verified."""
        closes_at = connection.closes_at
        over = closes_at is not None and closes_at <= self._expected.now
        if effect.reason.name == "memory_budget":
            first = [each.number for each in others if each.open and each.pending and each.text]
            must(not first, "limits: a connection is closed before those that are not verified", *first)
        revoked = effect.reason.name == REVOKED
        must(revoked is (connection.revoked is not None), "identity: the wrong user is revoked", effect)
        must(over or effect.reason.name != EXPIRED, "identity: a connection was closed that has not expired", effect)

    def revoke(self, user: UserKey, not_before: float | None, connections: Iterable[Connection]) -> list[Connection]:
        """A user was revoked. Returns the connections that must be closed for it."""
        most = self._config.max_revocations
        if not_before is None:
            self._recent[user] = None
            overflow = len(self._recent) > most
            if overflow:
                self._recent = {user: None}
            for doubt in self._doubts:
                doubt.users.append(user)
                doubt.of_all = doubt.of_all or overflow
        else:
            self._not_before[user] = max(not_before, self._not_before.pop(user, not_before))
            if len(self._not_before) > most:
                del self._not_before[next(iter(self._not_before))]
        revoked = [each for each in connections if each.open and each.admitted and each.identity.key == user]
        return [each for each in revoked if not_before is None or made_before(not_before, each.identity)]

    def asked(self) -> Doubt:
        """An authenticator is asked: revocations from now on count for what it answers."""
        self._doubts.append(Doubt())
        return self._doubts[-1]

    def wait_for(self, doubts: list[Doubt]) -> None:
        """These are the authenticators whose answers are waited for."""
        self._doubts = doubts
        if not doubts:
            self._recent.clear()

    def _revoked(self, identity: Identity, doubt: Doubt) -> bool:
        """Is this answer of an authenticator refused, because the user was revoked?"""
        user = identity.key
        assert user is not None
        return doubt.of_all or user in doubt.users or self.outdated(identity)

    def outdated(self, identity: Identity) -> bool:
        """Was this identity made too early for a revocation?"""
        user = identity.key
        return user in self._not_before and made_before(self._not_before[user], identity)

    def deadlines(self, connections: Iterable[Connection]) -> list[float]:
        """The times at which the gateway must act at the latest."""
        found: list[float] = []
        for connection in connections:
            if connection.reachable and connection.log_in_by is not None:
                found.append(connection.log_in_by)
            if not connection.reachable or connection.identity.expires_at is None:
                continue
            ends_at = connection.identity.expires_at - self.wall()
            next_at = ends_at if connection.warned else ends_at - self._config.auth_notice
            found.append(max(next_at, connection.valid_since) if connection.closes_at is None else connection.closes_at)
        return found


def made_before(time: float, identity: Identity) -> bool:
    """Were the credentials of this identity made before this time, or is that possible?"""
    return identity.issued_at is None or identity.issued_at < time
