"""Resumptions: a connection attaches to a session, whose secret its client knows. Each answers with a new secret.

Sessions that are unknown, that have expired, and that are another user's, are asked for and answered alike.
"""

from __future__ import annotations

from msgspec import Struct
from posthouse.core.calls.calls import Calls
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.identity.session_keys import SessionKeys, is_unavailable
from posthouse.core.store.outcomes import value_of
from posthouse.core.store.rows import SessionRow
from posthouse.core.values.errors import (
    INVALID_PARAMS,
    RATE_LIMITED,
    SESSION_TAKEN_OVER,
    UNKNOWN_SESSION,
    RpcError,
    refusal,
)
from posthouse.core.values.peers import CallId
from posthouse.core.values.shared import Shared

from .procedures import Procedures, Reply, Steps
from .session_results import opened


class Resumption(Struct, frozen=True):
    """What a client asks for: a session, whose secret it knows. `replaces`: the public id of the connection that is
    closed for it. Its repr shows no secret."""

    session: str
    secret: str
    replaces: str | None

    def __repr__(self) -> str:
        return f"Resumption({self.session!r}, secret=<hidden>, {self.replaces!r})"


class Resumptions:
    """Begins the procedures of `session.resume`. `claims`: the connections that are being replaced, with their
    sessions, and the calls that replace them. A claim counts as long as its call waits."""

    def __init__(
        self, shared: Shared, connections: Connections, calls: Calls, procedures: Procedures, keys: SessionKeys
    ) -> None:
        self._shared = shared
        self._connections = connections
        self._calls = calls
        self._procedures = procedures
        self._keys = keys
        self._sessions = keys.sessions
        self.claims: dict[tuple[str, str], CallId] = {}

    def resume(self, connection: Connection, call: CallId, given: Resumption, now: float) -> Steps:
        """Attach the caller's connection to a session. Of several that replace one connection, the first one wins."""
        claim = None if given.replaces is None else (given.session, given.replaces)
        if claim is None:
            return (yield from self._rotate(connection, call, given, now))
        if given.replaces == connection.public_id:
            reason = "a connection cannot replace itself"
            raise RpcError(INVALID_PARAMS, data={"parameter": "replaces", "reason": reason})
        # First it must prove that it may replace: the secret of the one that has won before stays as it is.
        number = self._keys.begin()
        reply: Reply = yield self._keys.requests.use(given.session, given.secret, now)
        if self._judge(connection, given, number, reply) is None:
            return None
        if self.claims.get(claim) in self._procedures.by_call or self._sessions.was_replaced(*claim):
            raise RpcError(SESSION_TAKEN_OVER)
        self.claims[claim] = call
        try:
            return (yield from self._rotate(connection, call, given, reply.now))
        finally:
            if self.claims.get(claim) == call:
                del self.claims[claim]

    def _rotate(self, connection: Connection, call: CallId, given: Resumption, now: float) -> Steps:
        fresh, number, requests = self._keys.requests.secret(), self._keys.begin(), self._keys.requests
        reply: Reply = yield requests.resume(given.session, given.secret, fresh, now)
        row, replaces = self._judge(connection, given, number, reply), given.replaces
        if row is None:
            return None  # the secret that the client has still works
        same = row.user == connection.identity.key
        for limit in [] if same else self._connections.user_limits(row.identity):
            if self._shared.enforces(limit, connection.id, connection.peer.address, reply.now):
                raise RpcError.of(refusal(RATE_LIMITED, limit=limit.name))
        self._calls.identity_changes(connection, call)
        self._connections.identify(connection, row.identity, reply.now, keep_state=same)
        self._sessions.attach(connection, row, reply.now)
        replaced = replaces is not None and self._sessions.replace(row.id, replaces, reply.now, by=connection)
        if connection.pushable:
            self._sessions.tell_resumed(connection, row.id, replaces if replaced else None, reply.now)
        return opened(row, fresh, requests, reply.now)

    def _judge(self, connection: Connection, given: Resumption, number: int, reply: Reply) -> SessionRow | None:
        """The session, if the key fits, and it is not another user's; None: nobody waits for it. A session whose secret
        was stolen ends in any case. Raises RpcError."""
        row = self._keys.judge(number, given.session, reply.outcome, reply.now)
        if not reply.wanted:
            return None
        if is_unavailable(reply.outcome):
            value_of(reply.outcome)
        if row is None or connection.identity.key not in (None, row.user):
            raise RpcError(UNKNOWN_SESSION)
        return row
