"""The calls of `session.*`: what each asks the store for, and what follows from the answer.

A client that does not have the secret of a session learns nothing about it: sessions that are unknown, that have
expired, and that are another user's, are asked for and answered alike.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from msgspec import UNSET, Raw, Struct, json
from posthouse.core.connections.connections import Connection
from posthouse.core.identity.authorization import check_expiry
from posthouse.core.identity.budgets import Budgets
from posthouse.core.identity.session_keys import SessionKeys
from posthouse.core.service.accounts import ADMIN
from posthouse.core.sessions.requests import Minted
from posthouse.core.store.outcomes import (
    NO_ROOM,
    OTHER_VERSION,
    RETRY_MS,
    TOO_LARGE,
    UNKNOWN,
    Done,
    Full,
    MaybeApplied,
    StoreOutcome,
    value_of,
)
from posthouse.core.store.requests import PAGE, SessionAdded
from posthouse.core.store.rows import SessionRow
from posthouse.core.values.close_reasons import MAX_ANONYMOUS_SESSIONS_PER_ADDRESS
from posthouse.core.values.errors import (
    FORBIDDEN,
    INVALID_PARAMS,
    RATE_LIMITED,
    SERVER_BUSY,
    UNKNOWN_SESSION,
    RpcError,
    refusal,
)
from posthouse.core.values.lifecycle import SessionEnd
from posthouse.core.values.shared import Shared

from .procedures import Reply, Steps
from .session_results import ListedSession, SessionGone, SessionInfo, SessionList, SessionVersion, opened

RENEWING: Final = "a log-in renews the session"


class Changes(Struct, frozen=True):
    """What is changed in the data of a session: `set` is the JSON text of an object, `unset` are names of members. It
    must have this `version`, unless that is None."""

    set: bytes
    unset: tuple[str, ...]
    version: int | None


class SessionCalls:
    """Begins the procedures of `session.*`. `renewing`: the sessions whose data the store is copying into new ones,
    each with how many. `of_users`: the store has users, too."""

    def __init__(self, shared: Shared, keys: SessionKeys, budgets: Budgets) -> None:
        self._shared = shared
        self._config = shared.config
        self._budgets = budgets
        self.sessions = keys.sessions
        self.requests = keys.requests
        self.of_users = False
        self.renewing: dict[str, int] = {}

    # Create

    def create(self, connection: Connection, data: dict[str, Any], now: float) -> Steps:
        """A new session of the caller, to which its connection then belongs."""
        text = json.encode(data)
        if len(text) > self._config.max_session_bytes:
            self._too_large("data")
        wait = 0 if connection.identity.authenticated else self._budgets.charge_session(connection.caller, now)
        if wait:
            limit = MAX_ANONYMOUS_SESSIONS_PER_ADDRESS.name
            raise RpcError.of(refusal(RATE_LIMITED, retry_after_ms=wait, limit=limit))
        minted = self.requests.mint(connection.identity, text, now)
        reply: Reply = yield self.requests.add(minted, now)
        row = self.kept(minted, reply, by=connection)
        if row is None:
            return None
        self.sessions.attach(connection, row, reply.now)
        self.sessions.tell_created(connection, row.id, reply.now)
        return opened(row, minted.secret, self.requests, reply.now)

    def kept(self, minted: Minted, reply: Reply, *, by: Connection) -> SessionRow | None:
        """The store was asked to keep a new session. Others may have ended for it: their connections are closed, except
        this one. Returns it as it is kept; None: nobody waits for it, and it is taken back. Raises RpcError."""
        outcome = reply.outcome
        if isinstance(outcome, Done):
            self.sessions.end_all(outcome.value.ended, "crowded_out", reply.now, but=by)
        if isinstance(outcome, MaybeApplied) or (isinstance(outcome, Done) and not reply.wanted):
            self.take_back(minted, reply.now)
        if not reply.wanted:
            return None
        added: SessionAdded = value_of(outcome, **{NO_ROOM.why: refusal(SERVER_BUSY, limit="max_sessions")})
        return added.row

    def take_back(self, minted: Minted, now: float) -> None:
        """Nobody learns the secret of this new session: it ends."""
        self.sessions.tell_store(self.requests.end(minted.row.id), now)

    # The caller's own session

    def get(self, connection: Connection, now: float) -> Steps:
        """Describe the session of the caller's connection, as the store has it."""
        session = self._own(connection)
        reply: Reply = yield self.requests.find(session, now)
        row: SessionRow | None = value_of(reply.outcome)
        if row is None:
            self._gone(connection, session, reply.now)
        self.sessions.refresh(row)
        return SessionInfo(
            row.id,
            Raw(row.data),
            row.version,
            round(row.created_at, 3),
            round(row.ends_at, 3),
            self.requests.expires_in(row, reply.now),
            self.sessions.number_of(row.id),
        )

    def update(self, connection: Connection, given: Changes, now: float) -> Steps:
        """Change members of the data of the session of the caller's connection."""
        session = self._own(connection)
        self.check_not_renewing(session)
        reply: Reply = yield self.requests.update(session, given.set, given.unset, given.version, now)
        return self.updated(connection, session, reply.outcome, reply.now)

    def check_not_renewing(self, session: str) -> None:
        """Raise RpcError if a log-in is copying the data of this session: a change would be lost."""
        if session in self.renewing:
            raise RpcError.of(refusal(SERVER_BUSY, retry_after_ms=RETRY_MS, reason=RENEWING))

    def updated(self, connection: Connection, session: str, outcome: StoreOutcome | Full, now: float) -> SessionVersion:
        """The store has answered: the data was changed. Raises RpcError."""
        if outcome == UNKNOWN:
            self._gone(connection, session, now)
        if outcome == OTHER_VERSION:
            reason = "the data has another version now: read it with session.get"
            raise RpcError(INVALID_PARAMS, data={"parameter": "version", "reason": reason})
        if outcome == TOO_LARGE:
            self._too_large("set")
        row: SessionRow = value_of(outcome)
        self.sessions.updated(row)
        return SessionVersion(row.version, self.requests.durable)

    def _own(self, connection: Connection) -> str:
        if connection.session is None:
            raise RpcError(UNKNOWN_SESSION)
        return connection.session

    def _gone(self, connection: Connection, session: str, now: float) -> NoReturn:
        """The store does not know the session of this connection any more: the others that belong to it are closed."""
        if connection.session == session:
            self.sessions.end(session, "ended", now, but=connection)
        raise RpcError(UNKNOWN_SESSION)

    def _too_large(self, parameter: str) -> NoReturn:
        allowed = self._config.max_session_bytes
        raise RpcError(INVALID_PARAMS, data={"parameter": parameter, "limit": "max_session_bytes", "allowed": allowed})

    # End and list

    def end(self, connection: Connection, session: str | None, now: float) -> Steps:
        """End a session of the caller: that of its connection, or another one of its user; those who may change users
        end that of anybody."""
        own, user = connection.session, connection.identity.key
        if session is None or session == own:
            session, user = self._own(connection), None
        elif self._is_admin(connection):
            check_expiry(connection.identity, self._shared, now)
            user = None
        elif user is None:
            raise RpcError(UNKNOWN_SESSION)
        reply: Reply = yield self.requests.end(session, user)
        return self.ended(connection, session, reply.outcome, reply.now)

    def ended(self, connection: Connection, session: str, outcome: StoreOutcome | Full, now: float) -> SessionGone:
        """The store has answered: the session has ended. Raises RpcError."""
        own = connection.session == session
        self.ends(connection, session, "ended", outcome, now)
        if not value_of(outcome) and not own:
            raise RpcError(UNKNOWN_SESSION)
        return SessionGone(self.requests.durable)

    def ends(
        self, connection: Connection, session: str, why: SessionEnd, outcome: StoreOutcome | Full, now: float
    ) -> None:
        """The store has ended this session, or may have: then it is told again."""
        attached = self.sessions.records.get(session)
        own = attached is not None and (attached.row.user == connection.identity.key or self._is_admin(connection))
        if isinstance(outcome, MaybeApplied) and own:
            self.sessions.tell_store(self.requests.end(session), now)
        if outcome == Done(True) or (own and isinstance(outcome, Done | MaybeApplied)):
            self.sessions.end(session, why, now, but=connection)

    def page(self, connection: Connection, of: str | None, after: str, now: float) -> Steps:
        """A page of the sessions of the caller's user (None); for those who may change users, of another user of the
        store."""
        user = connection.identity.key
        if of is not None and user != ("", of):
            check_expiry(connection.identity, self._shared, now)
            if not self._is_admin(connection):
                raise RpcError(FORBIDDEN, data={"scopes": [ADMIN]})
            user = "", of
        if user is None:
            return SessionList(())
        reply: Reply = yield self.requests.list(user, after, now)
        rows: tuple[SessionRow, ...] = value_of(reply.outcome)
        listed = tuple(
            ListedSession(
                row.id,
                round(row.created_at, 3),
                round(row.used_at, 3),
                round(row.ends_at, 3),
                self.sessions.number_of(row.id),
                row.id == connection.session,
            )
            for row in rows
        )
        return SessionList(listed, rows[-1].id if len(rows) == PAGE else UNSET)

    def _is_admin(self, connection: Connection) -> bool:
        """May the caller change the users of the store?"""
        return self.of_users and not connection.identity.missing((ADMIN,))
