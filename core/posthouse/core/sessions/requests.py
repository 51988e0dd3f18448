"""New sessions and new secrets, and what the store is asked about sessions. Nothing here asks it."""

from __future__ import annotations

from msgspec import Struct
from posthouse.core.store.requests import (
    AddSession,
    EndSession,
    FindSession,
    ListSessions,
    ResumeSession,
    UpdateSession,
    UseSession,
)
from posthouse.core.store.rows import SessionRow
from posthouse.core.store.storage import Storage
from posthouse.core.values.peers import Identity, UserKey
from posthouse.core.values.shared import Entropy, Shared

from .keys import ID_BYTES, SECRET_BYTES, SessionKey, digest_of, text_of


class Minted(Struct, frozen=True, gc=False):
    """A session that the store does not have yet, with its secret. Its repr shows no secret."""

    row: SessionRow
    secret: str

    def __repr__(self) -> str:
        return f"Minted({self.row!r}, secret=<hidden>)"

    @property
    def key(self) -> SessionKey:
        """What its client sends to come back to it."""
        return SessionKey(self.row.id, self.secret)


class SessionRequests:
    """Makes sessions, secrets and requests. `secrets` is a source of unpredictable bytes."""

    def __init__(self, shared: Shared, storage: Storage) -> None:
        self._shared = shared
        self._config = shared.config
        self._storage = storage
        self._write_id = storage.new_write_id
        self.secrets: Entropy = shared.entropy

    @property
    def durable(self) -> str:
        """What keeps the sessions: "memory", or the name of a store outside."""
        return self._storage.durability

    def secret(self) -> str:
        """A new secret."""
        return text_of(self.secrets(SECRET_BYTES))

    def mint(self, identity: Identity, data: bytes, now: float) -> Minted:
        """A new session of this caller. It ends with the identity at the latest."""
        id, secret, unix = text_of(self._shared.entropy(ID_BYTES)), self.secret(), self.unix(now)
        ends_at = unix + self._config.session_lifetime
        if identity.expires_at is not None:
            ends_at = min(ends_at, identity.expires_at)
        row = SessionRow(
            id=id,
            identity=identity,
            current=digest_of(secret),
            data=data,
            created_at=unix,
            used_at=unix,
            ends_at=ends_at,
        )
        return Minted(row, secret)

    def expires_in(self, row: SessionRow, now: float) -> int:
        """For how many seconds this session lasts, if it is used now and not again."""
        return max(0, int(min(self._config.session_idle, row.ends_at - self.unix(now))))

    def unix(self, now: float) -> float:
        """This time in Unix seconds, as it is kept in rows."""
        return self._shared.wall + now

    # Requests

    def add(self, minted: Minted, now: float, *, replaces: str | None = None) -> AddSession:
        """Keep a new session. `replaces`: the one whose place it takes, and whose data it gets."""
        most, of_user = self._config.max_sessions, self._config.max_sessions_per_user
        return AddSession(
            self._write_id(), minted.row, most, of_user, self.unix(now), self._config.session_idle, replaces
        )

    def find(self, session: str, now: float) -> FindSession:
        """Read a session."""
        return FindSession(session, self.unix(now), self._config.session_idle)

    def use(self, session: str, secret: str, now: float) -> UseSession:
        """Use a session with a secret."""
        return UseSession(self._write_id(), session, digest_of(secret), self.unix(now), self._config.session_idle)

    def resume(self, session: str, secret: str, fresh: str, now: float) -> ResumeSession:
        """Use a session with a secret, and give it a `fresh` one."""
        digests = digest_of(secret), digest_of(fresh)
        return ResumeSession(self._write_id(), session, *digests, self.unix(now), self._config.session_idle)

    def update(
        self, session: str, set: bytes, unset: tuple[str, ...], version: int | None, now: float
    ) -> UpdateSession:
        """Change the data of a session."""
        most, idle = self._config.max_session_bytes, self._config.session_idle
        return UpdateSession(self._write_id(), session, set, unset, version, most, self.unix(now), idle)

    def end(self, session: str, user: UserKey | None = None) -> EndSession:
        """End a session, if it is one of this user, or whosever it is."""
        return EndSession(self._write_id(), session, user)

    def list(self, user: UserKey, after: str, now: float) -> ListSessions:
        """The sessions of a user behind this one, by id."""
        return ListSessions(user, self.unix(now), self._config.session_idle, after)
