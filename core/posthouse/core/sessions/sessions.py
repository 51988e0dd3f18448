"""The table of attached sessions: each has connections here, and is found by its id, its user and its connections.

A session that ends closes its connections. While it lasts, its row is a copy of the one in the store: its handlers read
the data from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.connections.delivery import pushable_kinds, several
from posthouse.core.store.requests import EndSession, EndSessions, Sweep, Touch
from posthouse.core.store.rows import SessionRow
from posthouse.core.values.close_reasons import REVOKED, SESSION_ENDED, SESSION_REPLACED, CloseReason
from posthouse.core.values.effects import Emit
from posthouse.core.values.lifecycle import (
    SessionCreated,
    SessionDetached,
    SessionEnd,
    SessionEnded,
    SessionResumed,
)
from posthouse.core.values.peers import ConnectionId, Identity, UserKey
from posthouse.core.values.shared import Shared
from posthouse.core.values.timers import Timer

from .chores import Chores

SESSION_EXPIRES: Final = "session"
ACTIVITY_DUE: Final = "session_activity"
"""The reasons of this table's deadlines."""

ACTIVITY_EVERY: Final = 60.0
"""Seconds: so often the store is told which sessions were used, and asked to end those that have expired."""

MOST_TOLD: Final = 1_000
TOLD_EVERY: Final = 0.1
"""So many sessions are looked at at once, and after so many seconds the next ones: there may be very many, and neither
the loop nor the store's other writes must wait for all of them."""

MOST_REPLACED: Final = 16
"""The connections that were replaced in a session, and are remembered."""


class Session(Struct, eq=False):
    """One session with connections. `number` finds it in its deadlines. `used_at`: the last use by a connection that
    has left; `told_at`: the last use of which the store was told. `given`: a log-in has made it, and nothing has used
    it since. `replaced`: the public ids of connections that another one has replaced, the last one last. `timer`: when
    it may have expired."""

    number: int
    row: SessionRow
    connections: dict[ConnectionId, Connection]
    used_at: float
    told_at: float
    given: bool
    replaced: dict[str, None]
    timer: Timer

    @property
    def last_used_at(self) -> float:
        """When it was last used."""
        return max([self.used_at, *(each.active_at for each in self.connections.values())])


class Sessions:
    """The attached sessions: `records` by id, `by_user` their ids. `unwritten`: the uses of sessions that have no
    connections any more, of which the store was not told yet."""

    def __init__(self, shared: Shared, connections: Connections, chores: Chores) -> None:
        self._shared = shared
        self._config = shared.config
        self._timers = shared.timers
        self._connections = connections
        self._chores = chores
        self._last_number = 0
        self._numbers: dict[int, str] = {}
        self.records: dict[str, Session] = {}
        self.by_user: dict[UserKey, dict[str, None]] = {}
        self.unwritten: dict[str, float] = {}
        self._activity: Timer | None = None
        self._to_tell: list[str] = []
        chores.on(Sweep, lambda ended, now: self.end_all(ended, "expired", now))
        chores.on(EndSessions, lambda ended, now: self.end_all(ended, "revoked", now))
        self._timers.on(SESSION_EXPIRES, self._expires)
        self._timers.on(ACTIVITY_DUE, self._activity_due)

    # A connection attaches, and leaves

    def attach(self, connection: Connection, row: SessionRow, now: float, *, given: bool = False) -> None:
        """A connection belongs to this session from now on, and to no other. `given`: a log-in has made it."""
        if connection.session is not None and connection.session != row.id:
            self.leave(connection, now)
        session = self.records.get(row.id)
        if session is None:
            session = self._add(row, now, given=given)
        else:
            self.refresh(row)
            session.given = False
        session.connections[connection.id] = connection
        connection.session = row.id

    def _add(self, row: SessionRow, now: float, *, given: bool) -> Session:
        self._last_number = number = self._last_number + 1
        timer = self._timers.arm(max(now, self._ends_at(row, now)), SESSION_EXPIRES, number)
        self._numbers[number] = row.id
        session = self.records[row.id] = Session(number, row, {}, now, now, given, {}, timer)
        if row.user is not None:
            self.by_user.setdefault(row.user, {})[row.id] = None
        self._shared.hold(len(row.data))
        if self._activity is None:
            self._activity = self._timers.arm(now + ACTIVITY_EVERY, ACTIVITY_DUE, 0)
        return session

    def refresh(self, row: SessionRow) -> None:
        """The store has told how this session is now."""
        session = self.records.get(row.id)
        if session is not None:
            self._shared.hold(len(row.data) - len(session.row.data))
            session.row = row

    def updated(self, row: SessionRow) -> None:
        """The data of this session has changed."""
        session = self.records.get(row.id)
        if session is not None:
            session.given = False
            self.refresh(row)

    def connections_of(self, id: str) -> list[Connection]:
        """The connections that belong to this session."""
        return list(self.records[id].connections.values()) if id in self.records else []

    def among(
        self, ids: Iterable[str], kinds: Iterable[str] | None, users: Iterable[str] | None, namespace: str
    ) -> list[Connection]:
        """The connections that belong to these sessions, of these kinds and users (None: all). Raises UsageError for
        names that are none."""
        found = [each for id in dict.fromkeys(several(ids, "sessions")) for each in self.connections_of(id)]
        allowed = pushable_kinds(kinds)
        keys = None if users is None else [(namespace, user) for user in several(users, "users")]
        return [each for each in found if each.peer.kind in allowed and (keys is None or each.identity.key in keys)]

    def number_of(self, id: str) -> int:
        """How many connections belong to this session."""
        return len(self.records[id].connections) if id in self.records else 0

    def renewed(self, id: str, now: float, *, by: Connection) -> None:
        """Another session has taken the place of this one. It ends: here at once, and in the store, which is told until
        it has done it. `by`: the connection that only leaves it."""
        self.end(id, "renewed", now, but=by)
        self._chores.tell(EndSession(self._chores.write_id(), id), now, of=id)

    def tell_store(self, request: EndSession, now: float) -> None:
        """The store is to end a session, of which nobody here knows."""
        self._chores.tell(request, now)

    def leave(self, connection: Connection, now: float) -> None:
        """A connection belongs to no session any more. Its session goes on."""
        id = connection.session
        assert id is not None
        session = self.records[id]
        session.used_at = max(session.used_at, connection.active_at)
        del session.connections[connection.id]
        connection.session = None
        self._tell_detached(connection, id, now)
        if session.connections:
            return
        self._forget(session)
        if session.given:
            self._chores.tell(EndSession(self._chores.write_id(), id), now)
            self._tell_ended(id, "untouched", 0, now)
        elif session.used_at > session.told_at:
            self.unwritten[id] = session.used_at

    def drop(self, connection: Connection, now: float) -> None:
        """The connection is closing or gone. A session that a log-in has given lasts."""
        if connection.session is not None:
            self.records[connection.session].given = False
            self.leave(connection, now)

    def _forget(self, session: Session) -> None:
        id, user = session.row.id, session.row.user
        del self.records[id], self._numbers[session.number]
        self._timers.disarm(session.timer)
        if user is not None:
            del self.by_user[user][id]
            if not self.by_user[user]:
                del self.by_user[user]
        self._shared.hold(-len(session.row.data))

    # A session ends

    def end(
        self,
        id: str,
        why: SessionEnd,
        now: float,
        *,
        but: Connection | None = None,
        reason: CloseReason | None = SESSION_ENDED,
    ) -> None:
        """A session is over: its connections are closed for this reason, except one, which only leaves it. Without a
        reason, all of them only leave it."""
        session = self.records.get(id)
        connections: Iterable[Connection] = () if session is None else tuple(session.connections.values())
        if session is not None:
            self._forget(session)
        self.unwritten.pop(id, None)
        closed = 0
        for connection in connections:
            connection.session = None
            if reason is not None and connection is not but:
                closed += 1
                self._shared.breach(connection.id, reason)
        self._tell_ended(id, why, closed, now)

    def end_all(self, ids: Iterable[str], why: SessionEnd, now: float, *, but: Connection | None = None) -> None:
        """The store has ended these sessions."""
        for id in ids:
            self.end(id, why, now, but=but)

    def revoke(
        self, user: UserKey, now: float, *, but: Callable[[Identity], bool] | None, stays: Connection | None = None
    ) -> None:
        """A user is revoked: its sessions end, here and in the store. `but`: those of such identities go on, and the
        others in the store count no more. `stays`: the connection that only leaves its session."""
        own = tuple(self.by_user.get(user, ()))
        for id in own:
            if but is None or not but(self.records[id].row.identity):
                self.end(id, "revoked", now, but=stays, reason=REVOKED)
        if but is None:
            self._chores.tell(EndSessions(self._chores.write_id(), user), now, of=user, known=own)

    def end_with_token(
        self, token: str, user: UserKey, ended: Iterable[str], now: float, *, stays: Connection | None
    ) -> None:
        """A token of this user was removed, or may have been: its sessions end, which the store has `ended`. `stays`:
        the connection that only leaves its session."""
        attached = (id for id in self.by_user.get(user, ()) if self.records[id].row.identity.token == token)
        for id in tuple(dict.fromkeys((*attached, *ended))):
            self.end(id, "revoked", now, but=stays, reason=REVOKED)

    def replace(self, session: str, public_id: str, now: float, *, by: Connection) -> bool:
        """Another connection takes the place of the one with this public id, if that belongs to this session. Returns
        whether it is closed for that."""
        record = self.records[session]
        record.replaced[public_id] = None
        if len(record.replaced) > MOST_REPLACED:
            del record.replaced[next(iter(record.replaced))]
        old = self._connections.by_public_id.get(public_id)
        if old is None or old is by or old.session != session:
            return False
        self._shared.breach(old.id, SESSION_REPLACED)
        return True

    def was_replaced(self, session: str, public_id: str) -> bool:
        """Has another connection of this session taken the place of this one?"""
        record = self.records.get(session)
        return record is not None and public_id in record.replaced

    # Time

    def _ends_at(self, row: SessionRow, used_at: float) -> float:
        return min(used_at + self._config.session_idle, self._shared.monotonic(row.ends_at))

    def _expires(self, number: int, now: float) -> None:
        """A session may have expired: it may have been used since, and Unix time may have changed."""
        session = self.records[self._numbers[number]]
        ends_at = self._ends_at(session.row, session.last_used_at)
        if now < ends_at:
            session.timer = self._timers.arm(ends_at, SESSION_EXPIRES, number)
            return
        id = session.row.id
        self._chores.tell(EndSession(self._chores.write_id(), id), now)
        # If its identity has expired, its connections have a grace in which they may get another one.
        reason = None if self._shared.expired(session.row.identity, now) else SESSION_ENDED
        self.end(id, "expired", now, reason=reason)

    def wall_moved(self, now: float) -> None:
        """Unix time has changed, and with it when sessions end."""
        for session in self.records.values():
            self._timers.disarm(session.timer)
            when = max(now, self._ends_at(session.row, session.last_used_at))
            session.timer = self._timers.arm(when, SESSION_EXPIRES, session.number)

    def _activity_due(self, key: int, now: float) -> None:
        """Tell the store which sessions were used, some after the others, and let it end those that have expired."""
        if not self._to_tell:
            self._to_tell = [*self.unwritten, *self.records][::-1]
        uses: dict[str, float] = {}
        for id in self._to_tell[-MOST_TOLD:][::-1]:
            self._note_use(id, uses)
        del self._to_tell[-MOST_TOLD:]
        idle = self._config.session_idle
        if uses:
            times = tuple((id, self._shared.wall + used_at) for id, used_at in uses.items())
            self._chores.tell(Touch(self._chores.write_id(), idle, times), now)
        self._activity = None
        if self._to_tell:
            self._activity = self._timers.arm(now + TOLD_EVERY, ACTIVITY_DUE, 0)
            return
        if self.records or self.unwritten:
            self._activity = self._timers.arm(now + ACTIVITY_EVERY, ACTIVITY_DUE, 0)
        self._chores.tell(Sweep(self._chores.write_id(), self._shared.wall + now, idle), now)

    def _note_use(self, id: str, uses: dict[str, float]) -> None:
        """Add the last use of this session, if the store was not told of it."""
        unwritten, session = self.unwritten.pop(id, None), self.records.get(id)
        if session is not None and (used_at := session.last_used_at) > session.told_at:
            session.told_at = uses[id] = used_at
        elif unwritten is not None:
            uses[id] = unwritten

    # Events

    def tell_created(self, connection: Connection, id: str, now: float) -> None:
        """A session was made for this connection."""
        identity = connection.identity
        about = (id, connection.id, connection.public_id, connection.peer.kind, connection.peer.address)
        self._tell("session.created", SessionCreated(*about, identity.user, identity.namespace, now))

    def tell_resumed(self, connection: Connection, id: str, replaced: str | None, now: float) -> None:
        """A connection has resumed a session. `replaced`: the public id of the connection that is closed for it."""
        identity = connection.identity
        about = (id, connection.id, connection.public_id, connection.peer.kind, connection.peer.address)
        self._tell("session.resumed", SessionResumed(*about, identity.user, identity.namespace, now, replaced))

    def _tell_detached(self, connection: Connection, id: str, now: float) -> None:
        if connection.pushable:
            identity = connection.identity
            about = (id, connection.id, connection.public_id, connection.peer.kind, connection.peer.address)
            self._tell("session.detached", SessionDetached(*about, identity.user, identity.namespace, now))

    def _tell_ended(self, id: str, why: SessionEnd, connections: int, now: float) -> None:
        self._tell("session.ended", SessionEnded(id, why, connections, now))

    def _tell(self, counter: str, event: SessionCreated | SessionResumed | SessionDetached | SessionEnded) -> None:
        self._shared.stats.count(counter)
        self._shared.outbox.append(Emit(event))
