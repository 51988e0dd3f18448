"""The requests that a store performs: a closed union of values, each with the value of its outcome `Done`.

A write carries an `id`, 128 unpredictable bits as text, by which a store that repeats a write over a network can know
it again. Requests that concern expiry carry the time `now` (Unix seconds) and `idle`, the seconds for which a session
may be unused.
"""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Struct, UnsetType
from posthouse.core.values.peers import UserKey

from .rows import RevocationRow, SessionRow, TokenRow, UserRow

PAGE: Final = 100
"""The rows of one page of a list."""


# Users


class AddUser(Struct, frozen=True, gc=False):
    """Done(None). Refused: it exists; there are `most` (full)."""

    id: str
    row: UserRow
    most: int


class FindUser(Struct, frozen=True, gc=False):
    """Done(UserRow | None)."""

    user: str


class ChangeUser(Struct, frozen=True, gc=False):
    """Change the members that are given. Done(UserChanged). Refused: unknown; not of `if_version` (version).

    A user whose password or scopes change, or that is disabled, loses its sessions in the namespace "", except `but`.
    """

    id: str
    user: str
    password: str | UnsetType | None = UNSET
    scopes: tuple[str, ...] | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    profile: bytes | UnsetType = UNSET
    if_version: int | None = None
    but: str | None = None


class RemoveUser(Struct, frozen=True, gc=False):
    """Remove a user with its tokens, and its sessions in the namespace "". Done(UserChanged). Refused: unknown; not of
    `if_version` (version)."""

    id: str
    user: str
    if_version: int | None = None


class UserChanged(Struct, frozen=True, gc=False):
    """The row as it is now (or was, if it was removed), and the ids of the sessions that have ended."""

    row: UserRow
    ended: tuple[str, ...] = ()


class ListUsers(Struct, frozen=True, gc=False):
    """Done(tuple of UserRow), by name. `after`: the name before the first one, "" for the first page."""

    after: str = ""
    limit: int = PAGE


# Tokens


class AddToken(Struct, frozen=True, gc=False):
    """Done(None). Tokens of its user that have expired when this one is made are removed. Refused: the user is unknown;
    it has `most` (full)."""

    id: str
    row: TokenRow
    most: int


class FindToken(Struct, frozen=True, gc=False):
    """Done((TokenRow, UserRow) | None). Whether the token has expired and the user is disabled is for the asker."""

    digest: bytes


class ListTokens(Struct, frozen=True, gc=False):
    """Done(tuple of TokenRow), by id."""

    user: str
    after: str = ""
    limit: int = PAGE


class RemoveToken(Struct, frozen=True, gc=False):
    """Remove a token, and end the sessions in the namespace "" that were made with it. Done(TokenRemoved | None): there
    was none. `user`: only if it is a token of this user."""

    id: str
    token: str
    user: str | None = None


class TokenRemoved(Struct, frozen=True, gc=False):
    """The row as it was, and the ids of the sessions that have ended."""

    row: TokenRow
    ended: tuple[str, ...] = ()


# Sessions


class AddSession(Struct, frozen=True, gc=False):
    """Done(SessionAdded). Refused: there are `most` (full).

    Expired sessions end first, then the sessions of nobody that were used the longest time ago. If the user has
    `most_per_user`, the least recently used one ends. `replaces`: the session whose place this one takes. It is not
    counted, it goes on, and ends with the first use of the new one's secret, or before. The new session has its data,
    if it is of the same user, or of nobody.
    """

    id: str
    row: SessionRow
    most: int
    most_per_user: int
    now: float
    idle: float
    replaces: str | None = None


class SessionAdded(Struct, frozen=True, gc=False):
    """The new session as it is kept, and the ids of the sessions that have ended for it."""

    row: SessionRow
    ended: tuple[str, ...] = ()


class FindSession(Struct, frozen=True, gc=False):
    """Done(SessionRow | None)."""

    session: str
    now: float
    idle: float


class UseSession(Struct, frozen=True, gc=False):
    """Use a session with a secret that has this digest, and end those that it `replaces`. Done(SessionRow). Refused:
    unknown, stolen."""

    id: str
    session: str
    digest: bytes
    now: float
    idle: float


class ResumeSession(Struct, frozen=True, gc=False):
    """Use a session, end those that it `replaces`, and give it a new secret: `fresh` is its digest. Done(SessionRow).
    Refused: unknown, stolen."""

    id: str
    session: str
    digest: bytes
    fresh: bytes
    now: float
    idle: float


class UpdateSession(Struct, frozen=True, gc=False):
    """Change members of the data: `set` is the JSON text of an object, `unset` names those to be removed. Done(
    SessionRow). Refused: unknown; not of this `version`; more than `most_bytes` afterwards (too_large)."""

    id: str
    session: str
    set: bytes
    unset: tuple[str, ...]
    version: int | None
    most_bytes: int
    now: float
    idle: float


class EndSession(Struct, frozen=True, gc=False):
    """Done(bool): has it ended now? `user`: only if it is a session of this user."""

    id: str
    session: str
    user: UserKey | None = None


class EndSessions(Struct, frozen=True, gc=False):
    """End the sessions of a user, except `but`. Done(tuple of their ids)."""

    id: str
    user: UserKey
    but: str | None = None


class ListSessions(Struct, frozen=True, gc=False):
    """Done(tuple of SessionRow), by id: the sessions of a user that have not expired."""

    user: UserKey
    now: float
    idle: float
    after: str = ""
    limit: int = PAGE


class Sweep(Struct, frozen=True, gc=False):
    """End sessions that have expired, at most `limit`. Done(tuple of their ids)."""

    id: str
    now: float
    idle: float
    limit: int = PAGE


# Activity and revocations


class Touch(Struct, frozen=True, gc=False):
    """Sessions, users and tokens (by id) were last used at these times. Done(None). Those that are unknown or expired
    are left out."""

    id: str
    idle: float
    sessions: tuple[tuple[str, float], ...] = ()
    users: tuple[tuple[str, float], ...] = ()
    tokens: tuple[tuple[str, float], ...] = ()


class AddRevocation(Struct, frozen=True, gc=False):
    """Keep a revocation; of two of a user, the later `not_before` counts. Done(None). If there are more than `most`,
    the oldest one is forgotten."""

    id: str
    row: RevocationRow
    most: int


class ListRevocations(Struct, frozen=True, gc=False):
    """Done(tuple of RevocationRow), the oldest first."""


Read = FindUser | ListUsers | FindToken | ListTokens | FindSession | ListSessions | ListRevocations
Write = (
    AddUser
    | ChangeUser
    | RemoveUser
    | AddToken
    | RemoveToken
    | AddSession
    | UseSession
    | ResumeSession
    | UpdateSession
    | EndSession
    | EndSessions
    | Sweep
    | Touch
    | AddRevocation
)
Request = Read | Write
