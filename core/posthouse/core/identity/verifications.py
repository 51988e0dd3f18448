"""Verifications: credentials become an identity, from the cache or by asking authenticators, one after the other.

It may not know what the identity is for: a table that begins verifications registers a purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from posthouse.core.operations.operations import Busy, Expired, Failed, Operations, Refused
from posthouse.core.service.authenticators import SCHEMES, Authenticator, Basic, Bearer
from posthouse.core.values.effects import Emit, Verify
from posthouse.core.values.lifecycle import AuthFailed, AuthFailure, AuthSucceeded
from posthouse.core.values.peers import Caller, Identity, OperationId
from posthouse.core.values.shared import Shared

from .cache import CredentialCache, Digest, encoded

VERIFY: Final = "verify"
"""The kind of this table's operations."""


SCHEME_OF: Final = {takes: scheme for scheme, takes in SCHEMES.items()}
"""The schemes of `Authorization`, by the types of their credentials."""


REASONS: Final[dict[type, AuthFailure]] = {Refused: "refused", Expired: "timed_out", Busy: "queue_full"}
"""Why credentials were not accepted, by the outcome of an operation. Others: the authenticator has failed."""


class Refusal(Struct, frozen=True, gc=False):
    """Credentials were not accepted. The reason is not for the peer."""

    reason: AuthFailure


class Verification(Struct, eq=False, gc=False):
    """Credentials that are being verified for a `purpose`: the `place`-th authenticator of the `chain` is asked, with
    this operation. `subject` is the id of the thing that waits for it. `deadline`: that of the whole chain. `why`: the
    texts of authenticators that have refused."""

    purpose: str
    subject: int
    caller: Caller
    credentials: object
    digest: Digest | None
    chain: tuple[Authenticator, ...]
    deadline: float
    place: int = 0
    operation: OperationId = OperationId(0)
    why: str = ""


Verified = Callable[[int, Identity | Refusal, float], None]
"""Called with the subject of a verification, its result, and the time."""


class Verifications:
    """Verifies credentials. `records` are the verifications in progress, by their operations."""

    def __init__(self, shared: Shared, operations: Operations, authenticators: Iterable[Authenticator]) -> None:
        self._shared = shared
        self._config = shared.config
        self._operations = operations
        self._chains: dict[str, tuple[Authenticator, ...]] = {}
        for each in authenticators:
            self._chains[each.scheme] = (*self._chains.get(each.scheme, ()), each)
        self._verified: dict[str, Verified] = {}
        self.cache = CredentialCache(shared)
        self.records: dict[OperationId, Verification] = {}
        operations.on(VERIFY, (Identity, Refused, Failed, Busy), self._concluded)

    def on(self, purpose: str, verified: Verified) -> None:
        """Call `verified` with the result of each verification for this purpose that was not decided at once."""
        self._verified[purpose] = verified

    def known(self, credentials: object, now: float) -> Identity | None:
        """The identity of these credentials, if they were verified a short time ago."""
        if not isinstance(credentials, Bearer | Basic) or not self.cache.records:
            return None
        digest = self.cache.digest(credentials)
        for authenticator in self._chains.get(SCHEME_OF[type(credentials)], ()):
            identity = self.cache.find(authenticator, digest, now)
            if identity is not None:
                self._shared.stats.count("auth.cached")
                return identity
        return None

    def begin(
        self, purpose: str, subject: int, caller: Caller, credentials: object, now: float, *, scheme: str | None = None
    ) -> Identity | Refusal | Verification:
        """Verify credentials of this scheme (None: that of their type). Returns the result, or the verification if an
        authenticator must be asked."""
        chain = self._chains.get(scheme or SCHEME_OF.get(type(credentials), ""), ())
        if not chain:
            return self._fail(caller, None, "unreadable", now)
        if self._too_long(credentials):
            return self._fail(caller, None, "too_long", now)
        identity = self.known(credentials, now)
        if identity is not None:
            return identity
        digest = self.cache.digest(credentials) if isinstance(credentials, Bearer | Basic) else None
        deadline = now + self._config.authentication_timeout
        verification = Verification(purpose, subject, caller, credentials, digest, chain, deadline)
        return verification if self._ask(verification) else self._fail(caller, None, "busy", now)

    def withdraw(self, verification: Verification) -> None:
        """Nobody waits for this verification any more."""
        del self.records[verification.operation]
        self._operations.withdraw(verification.operation)

    def _too_long(self, credentials: object) -> bool:
        if isinstance(credentials, Bearer):
            return len(encoded(credentials.token)) > self._config.max_token_bytes
        return isinstance(credentials, Basic) and len(encoded(credentials.password)) > self._config.max_password_bytes

    def _ask(self, verification: Verification) -> bool:
        """Ask the next authenticator. False: too many operations are in flight."""
        if self._operations.full:
            return False
        operation = verification.operation = self._operations.begin(VERIFY, verification.deadline)
        self.records[operation] = verification
        authenticator = verification.chain[verification.place]
        self._shared.outbox.append(Verify(operation, authenticator, verification.credentials, verification.caller))
        return True

    def _concluded(self, operation: OperationId, outcome: object, now: float) -> None:
        verification = self.records.pop(operation)
        result = self._result(verification, outcome, now)
        if result is not None:
            self._verified[verification.purpose](verification.subject, result, now)

    def _result(self, verification: Verification, outcome: object, now: float) -> Identity | Refusal | None:
        """The result. None: the next authenticator is asked."""
        authenticator = verification.chain[verification.place]
        if isinstance(outcome, Identity) and outcome.user and outcome.namespace in ("", authenticator.namespace):
            return self._accept(verification, authenticator, outcome, now)
        reason = REASONS.get(type(outcome), "failed")
        if isinstance(outcome, Refused) and outcome.why:
            verification.why += f"{'; ' if verification.why else ''}{authenticator.name}: {outcome.why}"
        if reason in ("refused", "failed") and verification.place + 1 < len(verification.chain):
            verification.place += 1
            if self._ask(verification):
                return None
            reason = "busy"
        return self._fail(verification.caller, authenticator, reason, now, verification.why)

    def _accept(
        self, verification: Verification, authenticator: Authenticator, given: Identity, now: float
    ) -> Identity | Refusal:
        identity = replace(given, namespace=authenticator.namespace)
        caller, user = verification.caller, identity.user
        assert user is not None
        if self._shared.expired(identity, now):
            return self._fail(caller, authenticator, "expired", now)
        if verification.digest is not None:
            self.cache.keep(authenticator, verification.digest, identity, now)
        self._shared.stats.count("auth.succeeded")
        peer, namespace = caller.peer, identity.namespace
        succeeded = AuthSucceeded(
            caller.connection, caller.public_id, peer.kind, peer.address, authenticator.name, user, namespace, now
        )
        self._shared.outbox.append(Emit(succeeded))
        return identity

    def _fail(
        self, caller: Caller, authenticator: Authenticator | None, reason: AuthFailure, now: float, why: str = ""
    ) -> Refusal:
        self._shared.stats.count("auth.failed")
        name, peer = None if authenticator is None else authenticator.name, caller.peer
        failed = AuthFailed(caller.connection, caller.public_id, peer.kind, peer.address, name, reason, now, why)
        self._shared.outbox.append(Emit(failed))
        return Refusal(reason)
