"""Renewals: a session gets a new id and a new secret whenever the identity of its connection changes, and log-ins make
sessions. So a session that others know from before is of no use to them afterwards.

This module may not know how a connection logs in.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct
from posthouse.core.connections.connections import Connection
from posthouse.core.identity.session_keys import SessionKeys
from posthouse.core.sessions.requests import Minted
from posthouse.core.store.outcomes import Full, StoreOutcome
from posthouse.core.store.rows import NO_DATA
from posthouse.core.values.errors import UNAUTHENTICATED, RpcError
from posthouse.core.values.peers import CallId, Identity

from .errands import Errands, value_of
from .session_calls import SessionCalls


class SessionGiven(Struct, frozen=True):
    """The session that a log-in has made, or renewed. `secret` is told this once. `expires_in`: the seconds for which
    it lasts unused. `durable`: what keeps it."""

    id: str
    secret: str
    expires_in: int
    durable: str


Then = Callable[[float], Any]
"""Called with the time, once the store has the session. Returns the result of the call, or raises RpcError."""


class Renewal(Struct, eq=False):
    """One session that is made for a log-in. `old`: the one whose place it takes. `number`: that of the question
    whether the user still counts. `given`: nobody has asked for it."""

    connection: Connection
    minted: Minted
    old: str | None
    number: int
    given: bool


class Renewals:
    """Makes the sessions of log-ins. `every_log_in`: each log-in on a connection that lasts makes one."""

    def __init__(self, errands: Errands, session_calls: SessionCalls, keys: SessionKeys, *, every_log_in: bool) -> None:
        self._errands = errands
        self._session_calls = session_calls
        self._keys = keys
        self._every_log_in = every_log_in

    def due(self, connection: Connection, *, asked: bool) -> bool:
        """Does a log-in make a session? `asked`: the client wants one."""
        return asked or connection.session is not None or (self._every_log_in and connection.pushable)

    def renew(
        self,
        connection: Connection,
        call: CallId,
        identity: Identity,
        then: Callable[[SessionGiven, float], Any],
        now: float,
        *,
        asked: bool,
    ) -> Any:
        """Make a session of this caller. It has the data of the session of the connection, which ends, if that was of
        the same user, or of no user. `then` changes the identity, and returns the result of the call."""
        old = connection.session
        minted = self._keys.requests.mint(identity, self._data_for(old, identity), now)
        given = not asked and old is None
        renewal = Renewal(connection, minted, old, self._keys.begin(), given)
        add = self._keys.requests.add(minted, now, replaces=old)
        added, undo = partial(self._added, renewal, then), partial(self._take_back, renewal)
        alone = partial(self._session_calls.crowded_out, renews=old, by=connection)
        return self._errands.ask(call, add, added, now, undo=undo, alone=alone)

    def _data_for(self, old: str | None, identity: Identity) -> bytes:
        if old is None:
            return NO_DATA
        row = self._keys.sessions.records[old].row
        return row.data if row.user in (None, identity.key) else NO_DATA

    def _take_back(self, renewal: Renewal, now: float) -> None:
        self._keys.withdraw(renewal.number)
        self._session_calls.take_back(renewal.minted, now)

    def _added(
        self,
        renewal: Renewal,
        then: Callable[[SessionGiven, float], Any],
        outcome: StoreOutcome | Full,
        now: float,
    ) -> Any:
        counts, row = self._keys.counts(renewal.number, renewal.minted.row.identity), renewal.minted.row
        self._session_calls.added(outcome, now, renews=renewal.old, by=renewal.connection)
        given = SessionGiven(
            row.id, renewal.minted.secret, self._keys.requests.expires_in(row, now), self._keys.requests.durable
        )
        try:
            if not counts:
                raise RpcError(UNAUTHENTICATED)
            result = then(given, now)
        except RpcError:
            self._session_calls.take_back(renewal.minted, now)
            raise
        sessions = self._keys.sessions
        sessions.attach(renewal.connection, row, now, given=renewal.given)
        sessions.tell_created(renewal.connection, row.id, now)
        return result

    def end(self, connection: Connection, call: CallId, then: Then, now: float) -> Any:
        """The user of this connection logs out, and its session ends. `then` changes the identity."""
        session = connection.session
        if session is None:
            return then(now)
        request = self._keys.requests.end(session)
        ended = partial(self._ended, connection, session, then)
        alone = partial(self._session_calls.ends, connection, session, "logged_out")
        return self._errands.ask(call, request, ended, now, alone=alone)

    def _ended(self, connection: Connection, session: str, then: Then, outcome: StoreOutcome | Full, now: float) -> Any:
        self._session_calls.ends(connection, session, "logged_out", outcome, now)
        value_of(outcome)
        return then(now)
