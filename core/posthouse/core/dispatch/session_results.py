"""The results of `session.*`."""

from __future__ import annotations

from msgspec import UNSET, Raw, Struct, UnsetType
from posthouse.core.sessions.requests import SessionRequests
from posthouse.core.store.rows import SessionRow


class SessionOpened(Struct, frozen=True):
    """The session to which the caller's connection belongs from now on. `secret` is told this once, and never kept.
    `expires_in`: the seconds for which it lasts unused. `durable`: what keeps it."""

    id: str
    secret: str
    expires_in: int
    data: Raw
    version: int
    durable: str


def opened(row: SessionRow, secret: str, requests: SessionRequests, now: float) -> SessionOpened:
    """The session of this row, with its new secret."""
    return SessionOpened(row.id, secret, requests.expires_in(row, now), Raw(row.data), row.version, requests.durable)


class SessionInfo(Struct, frozen=True):
    """The caller's session. Times are Unix seconds. `connections`: how many belong to it."""

    id: str
    data: Raw
    version: int
    created_at: float
    ends_at: float
    expires_in: int
    connections: int


class SessionVersion(Struct, frozen=True):
    """The version of the data after a change. `durable`: what keeps it."""

    version: int
    durable: str


class SessionGone(Struct, frozen=True):
    """The session has ended. `durable`: what has kept it."""

    durable: str


class ListedSession(Struct, frozen=True):
    """One of the caller's sessions. Times are Unix seconds. `current`: that of this connection."""

    id: str
    created_at: float
    used_at: float
    ends_at: float
    connections: int
    current: bool


class SessionList(Struct, frozen=True, omit_defaults=True):
    """A page of the caller's sessions, by id. `next`: there may be more behind this id."""

    sessions: tuple[ListedSession, ...]
    next: str | UnsetType = UNSET
