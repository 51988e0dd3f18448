"""The calls of `session.*`: what each asks the store for, and what follows from the answer.

A client that does not have the secret of a session learns nothing about it: sessions that are unknown, that have
expired, and that are another user's, are asked for and answered alike.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NoReturn

from msgspec import UNSET, Raw, Struct, json
from posthouse.core.calls.calls import Calls
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.identity.session_keys import SessionKeys, is_unavailable
from posthouse.core.sessions.requests import Minted
from posthouse.core.store.outcomes import (
    NO_ROOM,
    OTHER_VERSION,
    STOLEN,
    TOO_LARGE,
    UNKNOWN,
    Done,
    Full,
    MaybeApplied,
    StoreOutcome,
)
from posthouse.core.store.requests import PAGE, Request
from posthouse.core.store.rows import SessionRow
from posthouse.core.values.errors import (
    INVALID_PARAMS,
    RATE_LIMITED,
    SERVER_BUSY,
    SESSION_TAKEN_OVER,
    UNKNOWN_SESSION,
    RpcError,
    refusal,
)
from posthouse.core.values.lifecycle import SessionEnd
from posthouse.core.values.peers import CallId
from posthouse.core.values.shared import Shared

from .errands import Alone, Errands, Then, Undo, value_of
from .session_results import ListedSession, SessionGone, SessionInfo, SessionList, SessionOpened, SessionVersion


class Resumption(Struct, frozen=True):
    """What a client asks for: a session, whose secret it knows. `replaces`: the public id of the connection that is
    closed for it. Its repr shows no secret."""

    session: str
    secret: str
    replaces: str | None

    def __repr__(self) -> str:
        return f"Resumption({self.session!r}, secret=<hidden>, {self.replaces!r})"


class Resuming(Struct, eq=False):
    """A call that resumes a session. `number`: that of the question that the store was asked. `fresh`: the new
    secret."""

    connection: Connection
    call: CallId
    given: Resumption
    number: int = 0
    fresh: str = ""

    @property
    def claim(self) -> tuple[str, str]:
        """The session, and the connection that is replaced in it."""
        return self.given.session, self.given.replaces or ""


class Changes(Struct, frozen=True):
    """What is changed in the data of a session: `set` is the JSON text of an object, `unset` are names of members. It
    must have this `version`, unless that is None."""

    set: bytes
    unset: tuple[str, ...]
    version: int | None


class SessionCalls:
    """The calls of `session.*`. `claims`: the connections that are being replaced, with their sessions."""

    def __init__(
        self, shared: Shared, connections: Connections, calls: Calls, errands: Errands, keys: SessionKeys
    ) -> None:
        self._shared = shared
        self._config = shared.config
        self._connections = connections
        self._calls = calls
        self._errands = errands
        self._keys = keys
        self.sessions = keys.sessions
        self.requests = keys.requests
        self.claims: dict[tuple[str, str], CallId] = {}

    # Create

    def create(self, connection: Connection, call: CallId, data: dict[str, Any], now: float) -> SessionOpened:
        """A new session of the caller, to which its connection then belongs."""
        text = json.encode(data)
        if len(text) > self._config.max_session_bytes:
            self._too_large("data")
        minted = self.requests.mint(connection.identity, text, now)
        add, undo = self.requests.add(minted, now), partial(self.take_back, minted)
        then = partial(self._created, connection, minted)
        return self._asked(call, add, then, now, undo=undo, alone=self.crowded_out)

    def _created(
        self, connection: Connection, minted: Minted, outcome: StoreOutcome | Full, now: float
    ) -> SessionOpened:
        self.added(outcome, now)
        self.sessions.attach(connection, minted.row, now)
        self.sessions.tell_created(connection, minted.row.id, now)
        return self._opened(minted.row, minted.secret, now)

    def added(
        self, outcome: StoreOutcome | Full, now: float, *, renews: str | None = None, by: Connection | None = None
    ) -> None:
        """The store was asked to keep a new session. Other sessions may have ended for it: the one that it `renews` by
        this connection, and that of a user with too many. Raises RpcError."""
        if outcome == NO_ROOM:
            raise RpcError.of(refusal(SERVER_BUSY, limit="max_sessions"))
        for ended in value_of(outcome):
            self.sessions.end(ended, "renewed" if ended == renews else "crowded_out", now, but=by)

    def crowded_out(
        self, outcome: StoreOutcome, now: float, *, renews: str | None = None, by: Connection | None = None
    ) -> None:
        """Nobody waits for a new session any more. Others may have ended for it."""
        if isinstance(outcome, Done):
            self.added(outcome, now, renews=renews, by=by)

    def take_back(self, minted: Minted, now: float) -> None:
        """Nobody learns the secret of this new session: it ends."""
        self.sessions.tell_store(self.requests.end(minted.row.id), now)

    def _opened(self, row: SessionRow, secret: str, now: float) -> SessionOpened:
        expires_in, durable = self.requests.expires_in(row, now), self.requests.durable
        return SessionOpened(row.id, secret, expires_in, Raw(row.data), row.version, durable)

    # Resume

    def resume(self, connection: Connection, call: CallId, given: Resumption, now: float) -> SessionOpened:
        """Attach the caller's connection to a session, whose secret it knows. Of several that replace one connection,
        the first one wins."""
        if given.replaces is None:
            return self._rotate(Resuming(connection, call, given), now)
        if given.replaces == connection.public_id:
            reason = "a connection cannot replace itself"
            raise RpcError(INVALID_PARAMS, data={"parameter": "replaces", "reason": reason})
        # First it must prove that it may replace: the secret of the one that has won before stays as it is.
        resuming = Resuming(connection, call, given, number=self._keys.begin())
        use = self.requests.use(given.session, given.secret, now)
        then, undo = partial(self._proven, resuming), partial(self._give_up, resuming)
        return self._asked(call, use, then, now, undo=undo, alone=partial(self._judged_alone, resuming))

    def _proven(self, resuming: Resuming, outcome: StoreOutcome | Full, now: float) -> SessionOpened:
        self._judged(resuming, outcome, now)
        session, replaces = resuming.claim
        if resuming.claim in self.claims or self.sessions.was_replaced(session, replaces):
            raise RpcError(SESSION_TAKEN_OVER)
        self.claims[resuming.claim] = resuming.call
        return self._rotate(resuming, now)

    def _rotate(self, resuming: Resuming, now: float) -> SessionOpened:
        given = resuming.given
        resuming.fresh, resuming.number = self.requests.secret(), self._keys.begin()
        request = self.requests.resume(given.session, given.secret, resuming.fresh, now)
        then, undo = partial(self._resumed, resuming), partial(self._give_up, resuming)
        return self._asked(resuming.call, request, then, now, undo=undo, alone=partial(self._judged_alone, resuming))

    def _judged_alone(self, resuming: Resuming, outcome: StoreOutcome, now: float) -> None:
        """Nobody waits for this any more: a session whose secret was stolen has ended."""
        if outcome == STOLEN:
            self.sessions.end(resuming.given.session, "stolen", now)

    def _give_up(self, resuming: Resuming, now: float) -> None:
        """Nobody waits for this any more. If the secret was replaced, the one that the client has still works."""
        self._keys.withdraw(resuming.number)
        self._unclaim(resuming)

    def _unclaim(self, resuming: Resuming) -> None:
        if self.claims.get(resuming.claim) == resuming.call:
            del self.claims[resuming.claim]

    def _judged(self, resuming: Resuming, outcome: StoreOutcome | Full, now: float) -> SessionRow:
        """The session, if the key fits, and it is not another user's. Raises RpcError."""
        row = self._keys.judge(resuming.number, resuming.given.session, outcome, now)
        if is_unavailable(outcome):
            value_of(outcome)
        if row is None or resuming.connection.identity.key not in (None, row.user):
            raise RpcError(UNKNOWN_SESSION)
        return row

    def _resumed(self, resuming: Resuming, outcome: StoreOutcome | Full, now: float) -> SessionOpened:
        self._unclaim(resuming)
        row, connection, replaces = self._judged(resuming, outcome, now), resuming.connection, resuming.given.replaces
        same = row.user == connection.identity.key
        for limit in [] if same else self._connections.user_limits(row.identity):
            if self._shared.enforces(limit, connection.id, connection.peer.address, now):
                raise RpcError.of(refusal(RATE_LIMITED, limit=limit.name))
        self._calls.identity_changes(connection, resuming.call)
        self._connections.identify(connection, row.identity, now, keep_state=same)
        self.sessions.attach(connection, row, now)
        replaced = replaces is not None and self.sessions.replace(row.id, replaces, now, by=connection)
        if connection.pushable:
            self.sessions.tell_resumed(connection, row.id, replaces if replaced else None, now)
        return self._opened(row, resuming.fresh, now)

    # The caller's own session

    def get(self, connection: Connection, call: CallId, now: float) -> SessionInfo:
        """Describe the session of the caller's connection, as the store has it."""
        session = self._own(connection)
        found: SessionInfo = self._errands.ask(
            call, self.requests.find(session, now), partial(self._found, connection, session), now
        )
        return found

    def _found(self, connection: Connection, session: str, outcome: StoreOutcome | Full, now: float) -> SessionInfo:
        row: SessionRow | None = value_of(outcome)
        if row is None:
            self._gone(connection, session, now)
        self.sessions.refresh(row)
        return SessionInfo(
            row.id,
            Raw(row.data),
            row.version,
            round(row.created_at, 3),
            round(row.ends_at, 3),
            self.requests.expires_in(row, now),
            self.sessions.number_of(row.id),
        )

    def update(self, connection: Connection, call: CallId, given: Changes, now: float) -> SessionVersion:
        """Change members of the data of the session of the caller's connection."""
        session = self._own(connection)
        request = self.requests.update(session, given.set, given.unset, given.version, now)
        changed: SessionVersion = self._errands.ask(call, request, partial(self.updated, connection, session), now)
        return changed

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

    def end(self, connection: Connection, call: CallId, session: str | None, now: float) -> SessionGone:
        """End a session of the caller: that of its connection, or another one of its user."""
        own, user = connection.session, connection.identity.key
        if session is None or session == own:
            session, user = self._own(connection), None
        elif user is None:
            raise RpcError(UNKNOWN_SESSION)
        then = partial(self.ended, connection, session)
        alone = partial(self.ends, connection, session, "ended")
        ended: SessionGone = self._errands.ask(call, self.requests.end(session, user), then, now, alone=alone)
        return ended

    def ends(
        self, connection: Connection, session: str, why: SessionEnd, outcome: StoreOutcome | Full, now: float
    ) -> None:
        """The store has ended this session, or may have: then it is told again."""
        attached = self.sessions.records.get(session)
        own = attached is not None and attached.row.user == connection.identity.key
        if isinstance(outcome, MaybeApplied) and own:
            self.sessions.tell_store(self.requests.end(session), now)
        if outcome == Done(True) or (own and isinstance(outcome, Done | MaybeApplied)):
            self.sessions.end(session, why, now, but=connection)

    def ended(self, connection: Connection, session: str, outcome: StoreOutcome | Full, now: float) -> SessionGone:
        """The store has answered: the session has ended. Raises RpcError."""
        own = connection.session == session
        self.ends(connection, session, "ended", outcome, now)
        if not value_of(outcome) and not own:
            raise RpcError(UNKNOWN_SESSION)
        return SessionGone(self.requests.durable)

    def list(self, connection: Connection, call: CallId, after: str, now: float) -> SessionList:
        """The sessions of the caller's user."""
        user = connection.identity.key
        if user is None:
            return SessionList(())
        request, then = self.requests.list(user, after, now), partial(self._listed, connection)
        found: SessionList = self._errands.ask(call, request, then, now)
        return found

    def _listed(self, connection: Connection, outcome: StoreOutcome | Full, now: float) -> SessionList:
        rows: tuple[SessionRow, ...] = value_of(outcome)
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

    def _asked(
        self, call: CallId, request: Request, then: Then, now: float, *, undo: Undo, alone: Alone
    ) -> SessionOpened:
        opened: SessionOpened = self._errands.ask(call, request, then, now, undo=undo, alone=alone)
        return opened
