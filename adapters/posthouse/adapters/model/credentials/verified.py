"""Credentials that authenticators have accepted, as long as they need not be verified again."""

from __future__ import annotations

from posthouse.adapters.model.validity import Validity
from posthouse.core.service.authenticators import Authenticator
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Identity, UserKey

from .reading import text_of


class Verified:
    """The identities of credentials, by authenticator, each until a time. The oldest make room."""

    def __init__(self, config: Config, validity: Validity) -> None:
        self._config = config
        self._validity = validity
        self._identities: dict[tuple[str, str], tuple[Identity, float]] = {}

    def find(self, chain: list[Authenticator], credentials: object, now: float) -> Identity | None:
        """The first answer of these authenticators about the credentials that still counts."""
        for each in chain:
            key = each.name, text_of(credentials)
            identity, until = self._identities.get(key, (None, 0.0))
            if identity is not None and now < until and not self._validity.expired(identity):
                return identity
            self._identities.pop(key, None)
        return None

    def revoke(self, user: UserKey) -> None:
        """The credentials of a user are verified anew."""
        for place in [place for place, (identity, _) in self._identities.items() if identity.key == user]:
            del self._identities[place]

    def keep(self, authenticator: Authenticator, credentials: object, identity: Identity, now: float) -> None:
        """An authenticator has accepted credentials."""
        key = authenticator.name, text_of(credentials)
        if not self._config.credential_cache:
            return
        self._identities.pop(key, None)
        while len(self._identities) >= self._config.max_cached_credentials:
            del self._identities[next(iter(self._identities))]
        self._identities[key] = identity, now + self._config.credential_cache
