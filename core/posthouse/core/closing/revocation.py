"""The revocation of a user: its connections are closed, its calls end, its credentials are verified anew.

If it loses scopes alone, its connections lose them, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final

from msgspec.structs import replace
from posthouse.core.calls.calls import Calls
from posthouse.core.calls.outcomes import Outcomes
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.identity.revocations import made_since
from posthouse.core.identity.stored import granted
from posthouse.core.identity.verifications import Verifications
from posthouse.core.sessions.sessions import Sessions
from posthouse.core.values.close_reasons import REVOKED
from posthouse.core.values.effects import Emit
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import AuthRevoked
from posthouse.core.values.peers import CallId, Identity, UserKey, is_time
from posthouse.core.values.shared import Shared

NO_CALL: Final = CallId(0)


class Revocation:
    """Revokes users."""

    def __init__(
        self,
        shared: Shared,
        connections: Connections,
        verifications: Verifications,
        sessions: Sessions,
        calls: Calls,
        outcomes: Outcomes,
    ) -> None:
        self._shared = shared
        self._connections = connections
        self._verifications = verifications
        self._sessions = sessions
        self._calls = calls
        self._outcomes = outcomes

    def revoke(self, user: str, namespace: str, not_before: float | None, now: float) -> int:
        """Revoke a user, or its credentials that were made before a time. Returns the number of connections that are
        closed. Raises UsageError for values that no identity can have."""
        key = Identity(user, namespace=namespace).key
        if key is None:
            raise UsageError("the user is None: name the user to revoke")
        if not_before is not None and not is_time(not_before):
            raise UsageError(f"not_before is {not_before!r}: it must be Unix seconds, or None")
        return self.end(key, not_before, now)

    def end(self, key: UserKey, not_before: float | None, now: float, *, but: Connection | None = None) -> int:
        """Revoke a user, on all connections `but` this one, which only leaves its session."""
        self._verifications.revoke(key, not_before, now)
        closed = 0
        for connection in self._connections.by_user.get(key, {}).values():
            if connection is not but and not made_since(not_before, connection.identity):
                self._outcomes.revoke(connection, key, now)
                self._shared.breach(connection.id, REVOKED)
                closed += 1
        since = None if not_before is None else partial(made_since, not_before)
        self._sessions.revoke(key, now, but=since, stays=but)
        self._outcomes.revoke_strays(key, partial(made_since, not_before), now)
        self._shared.stats.count("auth.revoked")
        namespace, user = key
        self._shared.outbox.append(Emit(AuthRevoked(user, namespace, not_before, closed, now)))
        return closed

    def end_token(
        self, token: str, key: UserKey, ended: Iterable[str], now: float, *, but: Connection | None = None
    ) -> None:
        """A token of this user was removed, or may have been: its connections are closed, `but` this one, which only
        leaves its session, and its sessions have `ended`."""
        self._verifications.revocations.add_token(token)
        self._verifications.revocations.forget_recent()
        for connection in self._connections.by_user.get(key, {}).values():
            if connection is not but and connection.identity.token == token:
                self._outcomes.revoke(connection, key, now)
                self._shared.breach(connection.id, REVOKED)
        self._sessions.end_with_token(token, key, ended, now, stays=but)
        self._outcomes.revoke_strays(key, lambda identity: identity.token != token, now)

    def narrow(self, key: UserKey, scopes: tuple[str, ...], but: Connection | None, now: float) -> None:
        """A user has these scopes alone from now on. Its connections keep those of their scopes that it still has; its
        credentials are verified anew, and its sessions end: this connection stays."""
        self._verifications.revoke(key, None, now)
        self._sessions.revoke(key, now, but=None, stays=but)
        for connection in list(self._connections.by_user.get(key, {}).values()):
            kept = granted(connection.identity.scopes, scopes)
            if kept != connection.identity.scopes:
                self._calls.identity_changes(connection, NO_CALL)
                identity = replace(connection.identity, scopes=kept)
                self._connections.identify(connection, identity, now, keep_state=True)
