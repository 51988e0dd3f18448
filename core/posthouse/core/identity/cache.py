"""Credentials that were verified a short time ago: they need not be verified again.

A secret is not kept: an entry is found by its hash. The hash of a password is keyed, because a password can be guessed.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import digest

from msgspec import Struct
from posthouse.core.service.authenticators import Authenticator, Basic, Bearer
from posthouse.core.values.peers import Identity, UserKey
from posthouse.core.values.shared import Shared

KEY_BYTES = 32

SURROGATES = "surrogatepass"
"""A text that is not valid Unicode has bytes, too."""

Digest = bytes
"""Stands for one credential."""


Place = tuple[str, Digest]
"""Finds one credential: the name of the authenticator that has accepted it, and the digest."""


class Cached(Struct, frozen=True, gc=False):
    """One verified credential, until a time in monotonic seconds."""

    identity: Identity
    until: float


class CredentialCache:
    """At most `max_cached_credentials`, each for at most `credential_cache` seconds and until it expires. The oldest
    makes room for a new one."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._config = shared.config
        self._key = b""
        self.records: dict[Place, Cached] = {}
        self.by_user: dict[UserKey, dict[Place, None]] = {}

    def digest(self, credentials: Bearer | Basic) -> Digest:
        """What stands for these credentials. Pairs of user and password are unequal if either differs."""
        if isinstance(credentials, Bearer):
            return sha256(credentials.token.encode("utf-8", SURROGATES)).digest()
        if not self._key:
            self._key = self._shared.entropy(KEY_BYTES)
        user, password = encoded(credentials.user), encoded(credentials.password)
        return digest(self._key, b"%d:%b%b" % (len(user), user, password), "sha256")

    def find(self, authenticator: Authenticator, credential: Digest, now: float) -> Identity | None:
        """The identity that this authenticator has given, if it still counts."""
        place = authenticator.name, credential
        cached = self.records.get(place)
        if cached is None:
            return None
        identity = cached.identity
        if now >= cached.until or (identity.expires_at is not None and self._shared.expired(identity, now)):
            self._remove(place)
            return None
        return identity

    def keep(self, authenticator: Authenticator, credential: Digest, identity: Identity, now: float) -> None:
        """These credentials were verified."""
        place = authenticator.name, credential
        seconds = self._config.credential_cache
        if not seconds:
            return
        if place in self.records:
            self._remove(place)
        if len(self.records) >= self._config.max_cached_credentials:
            self._remove(next(iter(self.records)))
        self.records[place] = Cached(identity, now + seconds)
        self.by_user.setdefault(user_of(identity), {})[place] = None
        self._shared.stats.level("max_cached_credentials", len(self.records))

    def revoke(self, user: UserKey) -> None:
        """Forget all credentials of a user."""
        for place in self.by_user.pop(user, {}):
            del self.records[place]

    def forget(self, authenticator: str, credential: Digest | None) -> None:
        """A credential, or with None each one that this authenticator has accepted, must be verified anew."""
        for place in [place for place in self.records if place[0] == authenticator and credential in (None, place[1])]:
            self._remove(place)

    def _remove(self, place: Place) -> None:
        user = user_of(self.records.pop(place).identity)
        del self.by_user[user][place]
        if not self.by_user[user]:
            del self.by_user[user]


def user_of(identity: Identity) -> UserKey:
    """The user of an identity that an authenticator has given."""
    assert identity.key is not None
    return identity.key


def encoded(text: str) -> bytes:
    """A part of a credential as bytes. Host code may give any text, also one that is not valid Unicode."""
    return text.encode("utf-8", SURROGATES)
