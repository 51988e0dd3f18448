"""The SQL of requests that change nothing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from sqlite3 import Connection
from typing import Any, Final

from posthouse.core.store.outcomes import Done
from posthouse.core.store.requests import (
    FindSession,
    FindToken,
    FindUser,
    ListRevocations,
    ListSessions,
    ListTokens,
    ListUsers,
    Read,
)
from posthouse.core.store.rows import SessionRow, TokenRow, UserRow
from posthouse.core.store.rules import expired

from .columns import REVOCATION, SESSION, TOKEN, USER, revocation_row, session_row, token_row, user_row

FIND_USER: Final = f"SELECT {USER} FROM users WHERE name = ?"
LIST_USERS: Final = f"SELECT {USER} FROM users WHERE name > ? ORDER BY name LIMIT ?"
FIND_TOKEN: Final = f"SELECT {TOKEN} FROM tokens WHERE digest = ?"
LIST_TOKENS: Final = f"SELECT {TOKEN} FROM tokens WHERE user = ? AND id > ? ORDER BY id LIMIT ?"
FIND_SESSION: Final = f"SELECT {SESSION} FROM sessions WHERE id = ?"
SESSIONS_OF: Final = f"SELECT {SESSION} FROM sessions WHERE namespace = ? AND user = ? AND id > ? ORDER BY id"
LIST_REVOCATIONS: Final = f"SELECT {REVOCATION} FROM revocations ORDER BY place"


class LookUps:
    """Performs reads. `user`, `session` and so on are rows, or None."""

    def __init__(self, db: Connection) -> None:
        self._db: Final = db
        self._performers: Final[dict[type, Callable[[Any], Done]]] = {
            FindUser: lambda request: Done(self.user(request.user)),
            ListUsers: self._list_users,
            FindToken: self._find_token,
            ListTokens: self._list_tokens,
            FindSession: self._find_session,
            ListSessions: self._list_sessions,
            ListRevocations: lambda _: Done(tuple(map(revocation_row, self._db.execute(LIST_REVOCATIONS)))),
        }

    def perform(self, request: Read) -> Done:
        """The outcome of a read."""
        return self._performers[type(request)](request)

    def user(self, name: str) -> UserRow | None:
        columns = self._db.execute(FIND_USER, (name,)).fetchone()
        return None if columns is None else user_row(columns)

    def token(self, digest: bytes) -> TokenRow | None:
        columns = self._db.execute(FIND_TOKEN, (digest.hex(),)).fetchone()
        return None if columns is None else token_row(columns)

    def session(self, id: str) -> SessionRow | None:
        columns = self._db.execute(FIND_SESSION, (id,)).fetchone()
        return None if columns is None else session_row(columns)

    def _list_users(self, request: ListUsers) -> Done:
        return Done(tuple(map(user_row, self._db.execute(LIST_USERS, (request.after, request.limit)))))

    def _find_token(self, request: FindToken) -> Done:
        token = self.token(request.digest)
        user = None if token is None else self.user(token.user)
        return Done(None if user is None else (token, user))

    def _list_tokens(self, request: ListTokens) -> Done:
        found = self._db.execute(LIST_TOKENS, (request.user, request.after, request.limit))
        return Done(tuple(map(token_row, found)))

    def _find_session(self, request: FindSession) -> Done:
        row = self.session(request.session)
        return Done(None if row is None or expired(row, request.now, request.idle) else row)

    def _list_sessions(self, request: ListSessions) -> Done:
        rows = map(session_row, self._db.execute(SESSIONS_OF, (*request.user, request.after)))
        living = (row for row in rows if not expired(row, request.now, request.idle))
        return Done(tuple(islice(living, request.limit)))
