"""Revocations: which identities are refused when their credentials are verified anew.

A user that is revoked outright is refused by verifications that are in flight: the outside may have looked before. A
user that is revoked with a time is refused for good, with credentials that were made before.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Final

from posthouse.core.values.close_reasons import MAX_REVOCATIONS
from posthouse.core.values.peers import Address, Identity, UserKey
from posthouse.core.values.shared import Shared

NOWHERE: Final = Address()
"""A revocation comes from no peer."""


class Revocations:
    """`generation`: how many there were. `records`: the time before which credentials do not count, by user.
    `recent`: the users that were revoked outright while verifications were in flight, each with the generation, and
    `tokens` those of the store that were removed meanwhile.
    `asks`: the tables of what is in flight."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._most = shared.config.max_revocations
        self._all_refused = 0
        self.generation = 0
        self.records: dict[UserKey, float] = {}
        self.recent: dict[UserKey, int] = {}
        self.tokens: dict[str, int] = {}
        self.asks: list[Sized] = []

    def add(self, user: UserKey, not_before: float | None, now: float) -> None:
        """A user is revoked: outright, or with a time."""
        self.generation += 1
        if not_before is None:
            self._add_recent(user)
            return
        latest = max(not_before, self.records.pop(user, not_before))
        if len(self.records) >= self._most:
            self._shared.enforces(MAX_REVOCATIONS, None, NOWHERE, now)
            del self.records[next(iter(self.records))]
        self.records[user] = latest

    def _add_recent(self, user: UserKey) -> None:
        self.recent.pop(user, None)
        if len(self.recent) >= self._most:
            # There is no room to name each user: every verification in flight is refused.
            self._all_refused = self.generation
            self.recent.clear()
        self.recent[user] = self.generation

    def add_token(self, token: str) -> None:
        """A token was removed."""
        self.generation += 1
        if len(self.tokens) >= self._most:
            self._all_refused = self.generation
            self.tokens.clear()
        self.tokens[token] = self.generation

    def refuses(self, identity: Identity, generation: int) -> bool:
        """Is this identity refused? `generation`: that in which its authenticator was asked."""
        user = identity.key
        assert user is not None
        removed = 0 if identity.token is None else self.tokens.get(identity.token, 0)
        return generation < max(self._all_refused, self.recent.get(user, 0), removed) or self.outdated(identity)

    def outdated(self, identity: Identity) -> bool:
        """Was this identity made before the time of its user's revocation?"""
        user = identity.key
        return user in self.records and not made_since(self.records[user], identity)

    def forget_recent(self) -> None:
        """Something in flight has ended. If nothing else is in flight, none of them is needed any more."""
        if not any(self.asks):
            self.recent.clear()
            self.tokens.clear()


def made_since(not_before: float | None, identity: Identity) -> bool:
    """Were the credentials of this identity made at this time or later? False if either is not known."""
    return not_before is not None and identity.issued_at is not None and identity.issued_at >= not_before
