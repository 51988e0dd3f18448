"""The rows that a store keeps. They hold hashes of secrets, never the secrets.

Times are Unix seconds, digests SHA-256. A repr shows no hash of a password and no data of a user: it may be logged.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.core.values.peers import Identity, UserKey

NO_PROFILE: Final = b"null"
NO_DATA: Final = b"{}"

ROW_BYTES: Final = 1_024
"""What a row and its places in the tables of a MemoryStore take, beside its texts, rounded up."""


class UserRow(Struct, frozen=True, gc=False, kw_only=True):
    """A user. `password` is a hash as PHC text, or None: nobody can log in with a password. `profile` is JSON text.
    `seen_at` is None for a user that was never seen. `version` counts the changes."""

    user: str
    password: str | None = None
    scopes: tuple[str, ...] = ()
    disabled: bool = False
    profile: bytes = NO_PROFILE
    created_at: float
    seen_at: float | None = None
    version: int = 1

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return ROW_BYTES + len(self.user) + len(self.password or "") + len(self.profile) + _length(self.scopes)

    def __repr__(self) -> str:
        return f"UserRow({self.user!r}, scopes={self.scopes}, disabled={self.disabled}, version={self.version})"


class TokenRow(Struct, frozen=True, gc=False, kw_only=True):
    """A bearer token of a user. `id` is public. `expires_at` None: it does not expire."""

    id: str
    user: str
    digest: bytes
    scopes: tuple[str, ...] = ()
    label: str = ""
    created_at: float
    expires_at: float | None = None
    seen_at: float | None = None

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return ROW_BYTES + len(self.user) + len(self.label) + _length(self.scopes)


class SessionRow(Struct, frozen=True, gc=False, kw_only=True):
    """A session. `id` is public. `data` is the JSON text of an object, and `version` counts its changes.

    `current` is the digest of its newest secret; `previous` of the one before, while `current` was not used; `retired`
    of older ones, whose use is theft. It lives until `ends_at`, if it is used meanwhile. `replaces`: the sessions whose
    place it takes, the last one first, while its own secret was not used: they end with the first use.
    """

    id: str
    identity: Identity
    current: bytes
    previous: bytes | None = None
    retired: tuple[bytes, ...] = ()
    data: bytes = NO_DATA
    version: int = 1
    created_at: float
    used_at: float
    ends_at: float
    replaces: tuple[str, ...] = ()

    @property
    def user(self) -> UserKey | None:
        """Its user, or None for an anonymous one."""
        return self.identity.key

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        identity = self.identity
        names = len(identity.user or "") + len(identity.namespace) + _length(identity.scopes)
        return ROW_BYTES + len(self.data) + 64 * (len(self.retired) + len(self.replaces)) + names

    def __repr__(self) -> str:
        return f"SessionRow({self.id!r}, {self.user!r}, data=<{len(self.data)} bytes>, version={self.version})"


class RevocationRow(Struct, frozen=True, gc=False):
    """Credentials of this user do not count if they were made before `not_before`. It was revoked `at` this time."""

    user: UserKey
    not_before: float
    at: float


def _length(names: tuple[str, ...]) -> int:
    return sum(map(len, names))
