"""JSON Web Tokens (RFC 7519) of an identity provider. PyJWT verifies signatures; the claims are judged after that."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from posthouse.core.operations.operations import Refused
from posthouse.core.service.authenticators import Bearer
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Identity

from .keys.key import Key
from .keys.source import open_source
from .keys.store import KeyStore
from .ready_made import ReadyMade, check_installed
from .tokens.claims import Claims
from .tokens.signature import Head, NotVerified, WrongSignature, read_head, verified_payload

MAX_TRIED: Final = 16
"""The most keys that a token without a `kid` is tried with."""


class JsonWebTokens(ReadyMade):
    """Authenticates bearer tokens that an identity provider has signed.

        JsonWebTokens(
            "https://id.example.org/.well-known/jwks.json",
            Claims(issuer="https://id.example.org", audience="my-service"),
        ).declare(service)

    `keys`: an https URL of a JSON Web Key Set, or the path of a file: a JWK Set, a single JWK, or public keys in PEM.
    Keys that were read ten minutes ago are read again before they are used, and for a token that no key has signed at
    most once a minute. While they cannot be read, those that were read before still count.

    `algorithm`: of RSA keys that do not name theirs. Raises UsageError if PyJWT or cryptography is not installed (`pip
    install 'posthouse[jwt]'`), and for a file that cannot be read or holds no usable key.
    """

    scheme = "bearer"

    def __init__(
        self,
        keys: str | os.PathLike[str],
        claims: Claims,
        *,
        algorithm: str = "RS256",
        wall: Callable[[], float] = time.time,
    ) -> None:
        check_installed("JsonWebTokens", "jwt", "jwt", "cryptography")
        self._claims: Final = claims
        self._wall: Final = wall
        self._store: Final = KeyStore(open_source(keys, algorithm))

    def prepare(self, config: Config) -> None:
        """Begin to read the keys, so that the first token need not wait."""
        self._store.must_wait(known=True)

    def __call__(self, credentials: Bearer) -> Identity | Refused | Awaitable[Identity | Refused]:
        """The identity of a token, or a refusal. Waits only if the keys must be read first."""
        token = credentials.token
        try:
            head = read_head(token)
        except NotVerified as error:
            return Refused(str(error))
        candidates = self._candidates(head)
        if self._store.must_wait(known=bool(candidates)):
            return self._judge_later(token, head)
        try:
            return self._identity(token, head)
        except NotVerified as error:
            # A key without a name may have been replaced: then no token says that it is unknown.
            unnamed = head.kid is None or any(key.kid is None for key in candidates)
            if unnamed and isinstance(error, WrongSignature) and self._store.must_wait(known=False):
                return self._judge_later(token, head)
            return Refused(str(error))

    async def _judge_later(self, token: str, head: Head) -> Identity | Refused:
        await self._store.read_again()
        try:
            return self._identity(token, head)
        except NotVerified as error:
            return Refused(str(error))

    def _identity(self, token: str, head: Head) -> Identity:
        candidates = self._candidates(head)
        if not candidates:
            raise NotVerified("its kid is unknown" if self._store.keys else "no key was read yet")
        # The algorithm is that of the key: the head of a token only says which keys need not be tried.
        fitting = [key for key in candidates if key.algorithm == head.algorithm]
        if not fitting:
            raise NotVerified("its algorithm is not that of the key")
        return self._claims.identity(verified_payload(token, fitting[:MAX_TRIED]), self._wall())

    def _candidates(self, head: Head) -> Sequence[Key]:
        """The keys that may have signed a token: those of its `kid`, and those without a name."""
        return [key for key in self._store.keys if head.kid is None or key.kid in (None, head.kid)]
