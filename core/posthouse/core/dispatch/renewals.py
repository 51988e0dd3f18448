"""Renewals: a session gets a new id and a new secret whenever the identity of its connection changes, and log-ins make
sessions. So a session that others know from before is of no use to them afterwards.

This module may not know how a connection logs in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from posthouse.core.connections.connections import Connection
from posthouse.core.identity.session_keys import SessionKeys
from posthouse.core.store.outcomes import value_of
from posthouse.core.store.rows import NO_DATA
from posthouse.core.values.errors import UNAUTHENTICATED, RpcError
from posthouse.core.values.peers import CallId, Identity, SetCookie

from .procedures import Procedures, Reply, Steps
from .session_calls import SessionCalls


class SessionGiven(Struct, frozen=True):
    """The session that a log-in has made, or renewed. `secret` is told this once. `expires_in`: the seconds for which
    it lasts unused. `durable`: what keeps it."""

    id: str
    secret: str
    expires_in: int
    durable: str


class Renewed(Struct, frozen=True):
    """A session that a log-in has made, or renewed: for the client, and as the cookie of a browser. Its repr shows no
    secret."""

    given: SessionGiven
    cookie: SetCookie


Then = Callable[[float], Any]
"""Called with the time, once the store has the session. Returns the result of the call, or raises RpcError."""

Renew = Callable[[Renewed, float], Any]
"""The same, with the session that was made."""


class Renewals:
    """Makes the sessions of log-ins. `every_log_in`: each log-in on a connection that lasts makes one. `in_cookies`:
    those that ask for a cookie do, too."""

    def __init__(
        self, procedures: Procedures, session_calls: SessionCalls, keys: SessionKeys, *, every_log_in: bool
    ) -> None:
        self._procedures = procedures
        self._session_calls = session_calls
        self._renewing = session_calls.renewing
        self._keys = keys
        self._every_log_in = every_log_in
        self.in_cookies = keys.in_cookies

    def due(self, connection: Connection, *, asked: bool) -> bool:
        """Does a log-in make a session? `asked`: the client wants one."""
        return asked or connection.session is not None or (self._every_log_in and connection.pushable)

    def renew(
        self, connection: Connection, call: CallId, identity: Identity, then: Renew, now: float, *, asked: bool
    ) -> Any:
        """Make a session of this caller. It has the data of the session of the connection, if that is of the same user,
        or of no user. That one ends when the log-in is answered: if nobody waits for the answer, it goes on, and the
        new one ends. `then` changes the identity, and returns the result of the call. Raises RpcError; Later."""
        return self._procedures.run(connection, call, self._renew(connection, identity, then, now, asked=asked), now)

    def _renew(self, connection: Connection, identity: Identity, then: Renew, now: float, *, asked: bool) -> Steps:
        old, requests, sessions = connection.session, self._keys.requests, self._keys.sessions
        minted, number = requests.mint(identity, NO_DATA, now), self._keys.begin()
        self._copying(old, 1)
        reply: Reply = yield requests.add(minted, now, replaces=old)
        self._copying(old, -1)
        counts, now = self._keys.counts(number, identity), reply.now
        row = self._session_calls.kept(minted, reply, by=connection)
        if row is None:
            return None
        given = SessionGiven(row.id, minted.secret, requests.expires_in(row, now), requests.durable)
        cookie = SetCookie(minted.key.text, max(0, int(row.ends_at - requests.unix(now))))
        try:
            if not counts:
                raise RpcError(UNAUTHENTICATED)
            result = then(Renewed(given, cookie), now)
        except RpcError:
            self._session_calls.take_back(minted, now)
            raise
        if connection.session is not None:
            sessions.renewed(connection.session, now, by=connection)
        sessions.attach(connection, row, now, given=not asked and old is None)
        sessions.tell_created(connection, row.id, now)
        return result

    def _copying(self, old: str | None, more: int) -> None:
        """The data of the old session must not change until the store has copied it."""
        if old is not None:
            self._renewing[old] = self._renewing.get(old, 0) + more
            if not self._renewing[old]:
                del self._renewing[old]

    def end(self, connection: Connection, call: CallId, then: Then, now: float) -> Any:
        """The user of this connection logs out, and its session ends. `then` changes the identity. Raises RpcError;
        Later."""
        session = connection.session
        if session is None:
            return then(now)
        return self._procedures.run(connection, call, self._end(connection, session, then), now)

    def _end(self, connection: Connection, session: str, then: Then) -> Steps:
        reply: Reply = yield self._keys.requests.end(session)
        self._session_calls.ends(connection, session, "logged_out", reply.outcome, reply.now)
        if not reply.wanted:
            return None
        value_of(reply.outcome)
        return then(reply.now)
