"""The SQL of requests that change rows, by the rules of the core, inside a transaction of the writer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from sqlite3 import Connection
from typing import Any, Final

from posthouse.core.operations.operations import Refused
from posthouse.core.store import rules
from posthouse.core.store.outcomes import EXISTS, NO_ROOM, OTHER_VERSION, STOLEN, UNKNOWN, Done
from posthouse.core.store.requests import (
    PAGE,
    AddRevocation,
    AddSession,
    AddToken,
    AddUser,
    ChangeUser,
    EndSession,
    EndSessions,
    RemoveToken,
    RemoveUser,
    ResumeSession,
    SessionAdded,
    Sweep,
    TokenRemoved,
    Touch,
    UpdateSession,
    UserChanged,
    UseSession,
    Write,
)
from posthouse.core.store.rows import SessionRow, TokenRow
from posthouse.core.values.peers import UserKey

from .columns import (
    REVOCATION,
    SESSION,
    TOKEN,
    USER,
    revocation_columns,
    revocation_row,
    session_columns,
    session_row,
    token_columns,
    token_row,
    user_columns,
)
from .look_ups import SESSIONS_OF, LookUps

Rule = Callable[[SessionRow | None, Any], tuple[SessionRow | None, Done | Refused]]


def _insert(table: str, columns: str) -> str:
    return f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(columns.split(',')))})"


ADD_USER: Final = _insert("users", USER)
ADD_TOKEN: Final = _insert("tokens", TOKEN)
ADD_SESSION: Final = _insert("sessions", SESSION)
ADD_REVOCATION: Final = _insert("revocations", REVOCATION)
CHANGE_USER: Final = (
    "UPDATE users SET password = ?2, scopes = ?3, disabled = ?4, profile = ?5, created_at = ?6, seen_at = ?7, "
    "version = ?8 WHERE name = ?1"
)
ROTATE: Final = "UPDATE sessions SET current = ?, previous = ?, retired = ? WHERE id = ?"
ESTABLISH: Final = "UPDATE sessions SET replaces = '[]' WHERE id = ?"
KEEP_DATA: Final = "UPDATE sessions SET data = ?, version = ? WHERE id = ?"
KEEP_USE: Final = "UPDATE sessions SET used_at = ? WHERE id = ?"
END: Final = "DELETE FROM sessions WHERE id = ?"
OF_NOBODY: Final = "SELECT id FROM sessions WHERE user IS NULL ORDER BY used_at, id LIMIT ?"
OVERDUE: Final = """
    SELECT id FROM (SELECT id, used_at AS at FROM sessions WHERE used_at <= ?1 - ?2 + 1 AND used_at + ?2 <= ?1 LIMIT ?3)
    UNION SELECT id FROM (SELECT id FROM sessions WHERE ends_at <= ?1 LIMIT ?3)
    ORDER BY id LIMIT ?3
"""
"""The first condition is the second one in a form that has an index, with room for the rounding of numbers."""

EXPIRED_TOKENS: Final = "DELETE FROM tokens WHERE user = ? AND expires_at <= ?"
FORGET: Final = "DELETE FROM revocations WHERE place IN (SELECT place FROM revocations ORDER BY place LIMIT ?)"


class Changes:
    """Performs writes, in the transactions of one connection, none of which was rolled back."""

    def __init__(self, db: Connection) -> None:
        self._db: Final = db
        self._rows: Final = LookUps(db)
        self._counts: dict[str, int] = {}
        self._performers: Final[dict[type, Callable[[Any], Done | Refused]]] = {
            AddUser: self._add_user,
            ChangeUser: self._change_user,
            RemoveUser: self._remove_user,
            AddToken: self._add_token,
            RemoveToken: self._remove_token,
            AddSession: self._add_session,
            UseSession: lambda request: self._apply(rules.use, request),
            ResumeSession: lambda request: self._apply(rules.resume, request),
            UpdateSession: lambda request: self._apply(rules.update, request),
            EndSession: self._end_session,
            EndSessions: lambda request: Done(self._end_all(request.user, request.but)),
            Sweep: lambda request: Done(self._end(self._overdue(request.now, request.idle, request.limit))),
            Touch: self._touch,
            AddRevocation: self._add_revocation,
        }

    def perform(self, request: Write) -> Done | Refused:
        """The outcome of a write, which counts when it is committed."""
        return self._performers[type(request)](request)

    def _count(self, table: str) -> int:
        """The number of rows of a table. SQLite would count them one by one each time."""
        if table not in self._counts:
            (self._counts[table],) = self._db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
        return self._counts[table]

    def _counted(self, table: str, more: int) -> None:
        """There are more rows than before, or fewer."""
        if table in self._counts:
            self._counts[table] += more

    # Users

    def _add_user(self, request: AddUser) -> Done | Refused:
        if self._rows.user(request.row.user) is not None:
            return EXISTS
        if self._count("users") >= request.most:
            return NO_ROOM
        self._db.execute(ADD_USER, user_columns(request.row))
        self._counted("users", 1)
        return Done()

    def _change_user(self, request: ChangeUser) -> Done | Refused:
        row, ends, refused = rules.change(self._rows.user(request.user), request)
        if row is None or refused is not None:
            return refused or UNKNOWN
        self._db.execute(CHANGE_USER, user_columns(row))
        return Done(UserChanged(row, self._end_all(("", row.user), request.but) if ends else ()))

    def _remove_user(self, request: RemoveUser) -> Done | Refused:
        row = self._rows.user(request.user)
        if row is None:
            return UNKNOWN
        if request.if_version not in (None, row.version):
            return OTHER_VERSION
        self._db.execute("DELETE FROM users WHERE name = ?", (row.user,))
        self._db.execute("DELETE FROM tokens WHERE user = ?", (row.user,))
        self._counted("users", -1)
        return Done(UserChanged(row, self._end_all(("", row.user), None)))

    # Tokens

    def _add_token(self, request: AddToken) -> Done | Refused:
        row = request.row
        if self._rows.user(row.user) is None:
            return UNKNOWN
        if self._token(row.id) is not None or self._rows.token(row.digest) is not None:
            return EXISTS
        living = "SELECT COUNT(*) FROM tokens WHERE user = ? AND (expires_at IS NULL OR expires_at > ?)"
        (own,) = self._db.execute(living, (row.user, row.created_at)).fetchone()
        if own >= request.most:
            return NO_ROOM
        self._db.execute(EXPIRED_TOKENS, (row.user, row.created_at))
        self._db.execute(ADD_TOKEN, token_columns(row))
        return Done()

    def _token(self, id: str) -> TokenRow | None:
        columns = self._db.execute(f"SELECT {TOKEN} FROM tokens WHERE id = ?", (id,)).fetchone()
        return None if columns is None else token_row(columns)

    def _remove_token(self, request: RemoveToken) -> Done:
        row = self._token(request.token)
        if row is None or request.user not in (None, row.user):
            return Done()
        self._db.execute("DELETE FROM tokens WHERE id = ?", (row.id,))
        own = [session_row(columns) for columns in self._db.execute(SESSIONS_OF, ("", row.user, ""))]
        return Done(TokenRemoved(row, self._end(each.id for each in own if each.identity.token == row.id)))

    # Sessions

    def _add_session(self, request: AddSession) -> Done | Refused:
        row = request.row
        if self._rows.session(row.id) is not None:
            return EXISTS
        old = None if request.replaces is None else self._rows.session(request.replaces)
        stays = None if old is None else old.id
        counted, ended = self._count("sessions") - (old is not None), list[str]()
        if counted >= request.most:
            overdue = self._overdue(request.now, request.idle, PAGE)
            ended += [session for session in overdue if session != stays]
        over = counted - len(ended) - request.most + 1
        if over > 0:
            found = self._db.execute(OF_NOBODY, (len(ended) + min(over, PAGE) + 1,))
            nobodys = [session for (session,) in found if session not in ended and session != stays]
            if over > min(PAGE, len(nobodys)):
                return NO_ROOM
            ended += nobodys[:over]
        self._end(ended)
        if row.user is not None:
            found = self._db.execute(SESSIONS_OF, (*row.user, ""))
            own = [session_row(columns) for columns in found if columns[0] != stays]
            if len(own) >= request.most_per_user:
                first = min(own, key=lambda each: rules.evicted_first(each, request.now))
                ended += self._end([first.id])
        row = rules.renewed(row, old, request)
        self._db.execute(ADD_SESSION, session_columns(row))
        self._counted("sessions", 1)
        return Done(SessionAdded(row, tuple(ended)))

    def _apply(self, rule: Rule, request: UseSession | ResumeSession | UpdateSession) -> Done | Refused:
        was = self._rows.session(request.session)
        row, outcome = rule(was, request)
        if was is not None and row is not None:
            self._put_session(was, row)
            if gone := rules.replaced(was, row):
                self._db.execute(ESTABLISH, (row.id,))
                self._end(session for session in gone if self._rows.session(session) is not None)
        elif outcome is STOLEN:
            self._end([request.session])
        return outcome

    def _put_session(self, was: SessionRow, row: SessionRow) -> None:
        """Write what has changed."""
        if (row.current, row.previous, row.retired) != (was.current, was.previous, was.retired):
            _, _, _, _, current, previous, retired, *_ = session_columns(row)
            self._db.execute(ROTATE, (current, previous, retired, row.id))
        if row.version != was.version:
            self._db.execute(KEEP_DATA, (row.data.decode(), row.version, row.id))
        if row.used_at != was.used_at:
            self._db.execute(KEEP_USE, (row.used_at, row.id))

    def _end_session(self, request: EndSession) -> Done:
        row = self._rows.session(request.session)
        if row is None or request.user not in (None, row.user):
            return Done(False)
        self._end([row.id])
        return Done(True)

    def _end(self, sessions: Iterable[str]) -> tuple[str, ...]:
        ended = tuple(sessions)
        for session in ended:
            self._db.execute(END, (session,))
        self._counted("sessions", -len(ended))
        return ended

    def _end_all(self, user: UserKey, but: str | None) -> tuple[str, ...]:
        own = self._db.execute("SELECT id FROM sessions WHERE namespace = ? AND user = ? ORDER BY id", user).fetchall()
        return self._end(session for (session,) in own if session != but)

    def _overdue(self, now: float, idle: float, limit: int) -> list[str]:
        return [session for (session,) in self._db.execute(OVERDUE, (now, idle, limit))]

    # Activity and revocations

    def _touch(self, request: Touch) -> Done:
        for id, at in request.sessions:
            session = self._rows.session(id)
            if session is not None and not rules.expired(session, at, request.idle):
                self._put_session(session, rules.touch_session(session, at, request.idle))
        for name, at in request.users:
            user = self._rows.user(name)
            if user is not None and (seen := rules.touch_user(user, at)) is not user:
                self._db.execute("UPDATE users SET seen_at = ? WHERE name = ?", (seen.seen_at, name))
        for id, at in request.tokens:
            token = self._token(id)
            if token is not None and (used := rules.touch_token(token, at)) is not token:
                self._db.execute("UPDATE tokens SET seen_at = ? WHERE id = ?", (used.seen_at, id))
        return Done()

    def _add_revocation(self, request: AddRevocation) -> Done:
        user = request.row.user
        find = f"SELECT {REVOCATION} FROM revocations WHERE namespace = ? AND user = ?"
        columns = self._db.execute(find, user).fetchone()
        row = rules.later(request.row, None if columns is None else revocation_row(columns))
        self._db.execute("DELETE FROM revocations WHERE namespace = ? AND user = ?", user)
        (known,) = self._db.execute("SELECT COUNT(*) FROM revocations").fetchone()
        if known >= request.most:
            self._db.execute(FORGET, (known - request.most + 1,))
        self._db.execute(ADD_REVOCATION, revocation_columns(row))
        return Done()
