"""Credentials that authenticators have accepted, as long as they need not be verified again."""

from __future__ import annotations

from posthouse.adapters.model.validity import Validity
from posthouse.core.service.authenticators import Authenticator
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Identity, UserKey

from .reading import text_of


class Verified:
    """The identities of credentials, by authenticator, each until a time. The model forgets none before."""

    def __init__(self, config: Config, validity: Validity) -> None:
        self._config = config
        self._validity = validity
        self._identities: dict[tuple[str, str], tuple[Identity, float]] = {}

    @property
    def may_forget(self) -> bool:
        """May the gateway have forgotten some?"""
        return len(self._identities) > self._config.max_cached_credentials

    def find(self, chain: list[Authenticator], credentials: object, now: float) -> list[Identity]:
        """The answers of these authenticators about the credentials that still count."""
        found = [self._identities.get((each.name, text_of(credentials))) for each in chain]
        return [each[0] for each in found if each and now < each[1] and not self._validity.expired(each[0])]

    def revoke(self, user: UserKey) -> None:
        """The credentials of a user are verified anew."""
        for place in [place for place, (identity, _) in self._identities.items() if identity.key == user]:
            del self._identities[place]

    def keep(self, authenticator: Authenticator, credentials: object, identity: Identity, now: float) -> None:
        """An authenticator has accepted credentials."""
        if self._config.credential_cache:
            until = now + self._config.credential_cache
            self._identities[authenticator.name, text_of(credentials)] = identity, until
