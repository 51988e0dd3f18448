"""The revocation of a user: its connections are closed, its calls end, its credentials are verified anew."""

from __future__ import annotations

from functools import partial

from posthouse.core.calls.outcomes import Outcomes
from posthouse.core.connections.connections import Connections
from posthouse.core.identity.revocations import made_since
from posthouse.core.identity.verifications import Verifications
from posthouse.core.sessions.sessions import Sessions
from posthouse.core.values.close_reasons import REVOKED
from posthouse.core.values.effects import Emit
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import AuthRevoked
from posthouse.core.values.peers import Identity, is_time
from posthouse.core.values.shared import Shared


class Revocation:
    """Revokes users."""

    def __init__(
        self,
        shared: Shared,
        connections: Connections,
        verifications: Verifications,
        sessions: Sessions,
        outcomes: Outcomes,
    ) -> None:
        self._shared = shared
        self._connections = connections
        self._verifications = verifications
        self._sessions = sessions
        self._outcomes = outcomes

    def revoke(self, user: str, namespace: str, not_before: float | None, now: float) -> int:
        """Revoke a user, or its credentials that were made before a time. Returns the number of connections that are
        closed. Raises UsageError for values that no identity can have."""
        key = Identity(user, namespace=namespace).key
        if key is None:
            raise UsageError("the user is None: name the user to revoke")
        if not_before is not None and not is_time(not_before):
            raise UsageError(f"not_before is {not_before!r}: it must be Unix seconds, or None")
        self._verifications.revoke(key, not_before, now)
        closed = 0
        for connection in self._connections.by_user.get(key, {}).values():
            if not made_since(not_before, connection.identity):
                self._outcomes.revoke(connection, key, now)
                self._shared.breach(connection.id, REVOKED)
                closed += 1
        self._sessions.revoke(key, now, but=None if not_before is None else partial(made_since, not_before))
        self._outcomes.revoke_strays(key, not_before, now)
        self._shared.stats.count("auth.revoked")
        self._shared.outbox.append(Emit(AuthRevoked(user, namespace, not_before, closed, now)))
        return closed
