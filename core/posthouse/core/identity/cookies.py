"""Cookies: log-ins that a browser keeps. The secret of each is made here and told once; only its hash is kept.

It may not know connections, nor how a cookie is written in a header.
"""

from __future__ import annotations

from math import inf
from typing import Final

from msgspec import Struct
from posthouse.core.service.authenticators import Cookie
from posthouse.core.sessions.keys import SECRET_BYTES, digest_of, text_of
from posthouse.core.values.peers import Identity, SetCookie, UserKey
from posthouse.core.values.shared import Entropy, Shared

from .cache import Digest
from .revocations import made_since

LOOK_EVERY: Final = 1.0
"""Seconds between two searches for log-ins that are over, when there is room for no more."""

CLEARED: Final = SetCookie("", 0)
"""A browser forgets its cookie."""


class Kept(Struct, gc=False):
    """One log-in. `ends_at` and `used_at` are in monotonic seconds."""

    identity: Identity
    ends_at: float
    used_at: float


class Cookies:
    """The log-ins by the hashes of their secrets, the least recently used one first. `by_user` has those of each user,
    in the same order. `secrets` is a source of unpredictable bytes."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._config = shared.config
        self.secrets: Entropy = shared.entropy
        self.records: dict[Digest, Kept] = {}
        self.by_user: dict[UserKey, dict[Digest, None]] = {}
        self._looked_at = -inf

    def mint(self, identity: Identity, now: float) -> tuple[Digest, SetCookie] | None:
        """A new cookie of this user, who is known: its hash, and what to tell the browser. None: there are too many
        log-ins. If its user has too many, the least recently used one ends."""
        self._sweep(now)
        user = identity.key
        assert user is not None
        own = self.by_user.get(user, {})
        if len(own) >= self._config.max_sessions_per_user:
            self.end(next(iter(own)))
        if len(self.records) >= self._config.max_sessions:
            self._make_room(now)
        if len(self.records) >= self._config.max_sessions:
            return None
        secret = text_of(self.secrets(SECRET_BYTES))
        ends_at = now + self._config.session_lifetime
        if identity.expires_at is not None:
            ends_at = min(ends_at, identity.expires_at - self._shared.wall)
        digest = digest_of(secret)
        self.records[digest] = Kept(identity, ends_at, now)
        self.by_user.setdefault(user, {})[digest] = None
        self._shared.stats.level("max_sessions", len(self.records))
        self._shared.stats.level("max_sessions_per_user", len(self.by_user[user]))
        return digest, SetCookie(secret, max(0, int(ends_at - now)))

    def find(self, cookie: Cookie, now: float) -> Identity | None:
        """The identity of this cookie, if it still counts. It is used now."""
        digest = digest_of(cookie.secret)
        kept = self.records.get(digest)
        if kept is None:
            return None
        if self._is_over(kept, now):
            self.end(digest)
            return None
        kept.used_at = now
        user = kept.identity.key
        assert user is not None
        self.records[digest] = self.records.pop(digest)
        own = self.by_user[user]
        del own[digest]
        own[digest] = None
        return kept.identity

    def end(self, digest: Digest) -> None:
        """This log-in ends, unless it has ended before."""
        kept = self.records.pop(digest, None)
        if kept is None:
            return
        user = kept.identity.key
        assert user is not None
        own = self.by_user[user]
        del own[digest]
        if not own:
            del self.by_user[user]

    def revoke(self, user: UserKey, not_before: float | None) -> None:
        """The log-ins of this user end. With `not_before`: but for those with credentials that were made since."""
        for digest in list(self.by_user.get(user, ())):
            if not made_since(not_before, self.records[digest].identity):
                self.end(digest)

    def _is_over(self, kept: Kept, now: float) -> bool:
        idle = now >= kept.used_at + self._config.session_idle
        return idle or now >= kept.ends_at or self._shared.expired(kept.identity, now)

    def _make_room(self, now: float) -> None:
        """End all that are over, though they were used lately. They are looked for once a second: there may be many."""
        if now < self._looked_at + LOOK_EVERY:
            return
        self._looked_at = now
        for digest in [digest for digest, kept in self.records.items() if self._is_over(kept, now)]:
            self.end(digest)

    def _sweep(self, now: float) -> None:
        """End those that were not used for too long: they are the first ones."""
        while self.records:
            digest = next(iter(self.records))
            if now < self.records[digest].used_at + self._config.session_idle:
                return
            self.end(digest)
