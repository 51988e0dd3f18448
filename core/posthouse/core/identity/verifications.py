"""Verifications: credentials become an identity, from the cache or by asking authenticators, one after the other.

It may not know what the identity is for: a table that begins verifications registers a purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from posthouse.core.operations.operations import Busy, Expired, Failed, Operations, Refused
from posthouse.core.service.authenticators import SCHEME_OF, Authenticator, Basic, Bearer, Cookie, CrossSiteCredentials
from posthouse.core.store.storage import Storage
from posthouse.core.values.close_reasons import MAX_EXTERNAL_OPERATIONS, MAX_HASHING_QUEUE
from posthouse.core.values.effects import Emit, Verify
from posthouse.core.values.lifecycle import AuthFailed, AuthFailure, AuthSucceeded
from posthouse.core.values.peers import Caller, Identity, OperationId, UserKey
from posthouse.core.values.shared import Shared
from posthouse.core.values.timers import Timer

from .budgets import Budgets, Charge, user_digest, user_of
from .cache import CredentialCache, Digest
from .cookies import Cookies
from .hashes.passwords import NotBegun, Passwords
from .hashes.turns import Turn, Turns
from .refusal import OTHERS_MAY_KNOW, REASONS, UNKNOWN, Refusal, Unavailable, too_long
from .revocations import Revocations
from .stored import Stored

VERIFY: Final = "verify"
"""The kind of this table's operations."""

WAITS: Final = "turn"
"""The reason of the deadlines of those that wait for their turns."""

STORED: Final = "stored "
"""Before a scheme: its credentials are only those of users in the store."""


class Verification(Struct, eq=False, gc=False):
    """Credentials that are being verified for a `purpose`: the `place`-th authenticator of the `chain` is asked, with
    this operation, begun in this `generation` of revocations, or its turn is waited for. Then the verification has a
    `number`, and a `timer` ends it. It has a number, too, while the store is asked instead. `subject` is the id of the
    thing that waits. `users`: the user of the credentials, as each authenticator would count it. `deadline`: that of
    the whole chain. `why`: the texts of authenticators that have refused. `unavailable`: the store could not say
    whether they are right."""

    purpose: str
    subject: int
    caller: Caller
    credentials: object
    digest: Digest | None
    chain: tuple[Authenticator, ...]
    users: tuple[Digest | None, ...]
    charge: Charge
    deadline: float
    place: int = 0
    operation: OperationId = OperationId(0)
    generation: int = 0
    why: str = ""
    number: int = 0
    timer: Timer | None = None
    unavailable: bool = False

    @property
    def authenticator(self) -> Authenticator:
        """The one that is asked, or waited for."""
        return self.chain[self.place]


Verified = Callable[[int, Identity | Refusal, float], None]
"""Called with the subject of a verification, its result, and the time."""


class Verifications:
    """Verifies credentials, if it `asks` anybody. `records` are the verifications whose authenticators run, by their
    operations; `waiting` those that wait for their turns, by number; `looked_up` those that the store is asked about,
    by number; `hashing` the turns of the operations that the outside has not concluded."""

    def __init__(
        self,
        shared: Shared,
        operations: Operations,
        storage: Storage,
        authenticators: Iterable[Authenticator],
        cookies: Cookies,
    ) -> None:
        self._shared = shared
        self._config = shared.config
        self._operations = operations
        self._chains: dict[str, tuple[Authenticator, ...]] = {}
        for each in authenticators:
            self._chains[each.scheme] = (*self._chains.get(each.scheme, ()), each)
            if each.stored:
                self._chains[STORED + each.scheme] = (each,)
        self.asks = bool(self._chains)
        self._verified: dict[str, Verified] = {}
        self.cache = CredentialCache(shared)
        self.cookies = cookies
        self.revocations = Revocations(shared)
        self.budgets = Budgets(shared)
        self.turns = Turns(shared)
        self.passwords = Passwords(shared, operations, self.turns)
        self.stored = Stored(shared, storage, self.passwords, self._looked_up)
        self.looked_up: dict[int, Verification] = {}
        self.records: dict[OperationId, Verification] = {}
        self.revocations.asks += (self.records, self.looked_up)
        self.waiting: dict[int, tuple[Verification, Turn]] = {}
        self.hashing: dict[OperationId, Turn] = {}
        operations.on(VERIFY, (Identity, Refused, Failed, Busy), self._concluded, self._left)
        shared.timers.on(WAITS, self._waited)

    def on(self, purpose: str, verified: Verified) -> None:
        """Call `verified` with the result of each verification for this purpose that was not decided at once."""
        self._verified[purpose] = verified

    def known(self, credentials: object, now: float, chain: tuple[Authenticator, ...] | None = None) -> Identity | None:
        """The identity of these credentials, if one of these authenticators (None: those of their scheme) has verified
        them a short time ago."""
        cache = self.cache
        if not cache.records or not isinstance(credentials, (Bearer, Basic)):
            return None
        digest = cache.digest(credentials)
        for authenticator in self._chains.get(SCHEME_OF[type(credentials)], ()) if chain is None else chain:
            identity = cache.find(authenticator, digest, now)
            if identity is not None:
                self._shared.stats.count("auth.cached")
                return identity
        return None

    def begin(
        self,
        purpose: str,
        subject: int,
        caller: Caller,
        credentials: object,
        now: float,
        *,
        scheme: str | None = None,
        deadline: float | None = None,
    ) -> Identity | Refusal | Verification:
        """Verify credentials of this scheme (None: that of their type). Returns the result, or the verification if an
        authenticator must be asked. `deadline` None: that of verifications which begin now."""
        if isinstance(credentials, Cookie):
            return self.cookies.find(credentials, now) or Refusal("stale_cookie")
        chain = self._chains.get(scheme or SCHEME_OF.get(type(credentials), ""), ())
        if not chain:
            reason: AuthFailure = "cross_site" if isinstance(credentials, CrossSiteCredentials) else "unreadable"
            return self.fail(caller, None, Refusal(reason), now)
        if too_long(credentials, self._config):
            return self.fail(caller, None, Refusal("too_long"), now)
        identity = self.known(credentials, now, chain)
        if identity is not None:
            return identity
        digest = self.cache.digest(credentials) if isinstance(credentials, Bearer | Basic) else None
        user = user_of(credentials)
        users = tuple(None if user is None else user_digest(each.namespace, user) for each in chain)
        counted = dict.fromkeys(each for each in users if each is not None)
        charge = self.budgets.charge(caller, tuple(counted), digest, now)
        if isinstance(charge, int):
            return self.fail(caller, None, Refusal("too_many", retry_after_ms=charge), now)
        if deadline is None:
            deadline = now + self._config.authentication_timeout
        verification = Verification(purpose, subject, caller, credentials, digest, chain, users, charge, deadline)
        refusal = self._ask(verification, now)
        return verification if refusal is None else refusal

    def withdraw(self, verification: Verification) -> None:
        """Nobody waits for this verification any more."""
        if self.records.pop(verification.operation, None) is verification:
            self.revocations.forget_recent()
            self._operations.withdraw(verification.operation)
        elif self.looked_up.pop(verification.number, None) is not None:
            self.revocations.forget_recent()
            self.stored.withdraw(verification.number)
        else:
            self._leave_line(verification.number)

    def revoke(self, user: UserKey, not_before: float | None, now: float) -> None:
        """A user is revoked: its credentials are verified anew, and what is in flight does not count for it."""
        self.cache.revoke(user)
        self.cookies.revoke(user, not_before)
        self.revocations.add(user, not_before, now)
        self.revocations.forget_recent()

    # Asking

    def _ask(self, verification: Verification, now: float) -> Identity | Refusal | None:
        """Ask the next authenticator, or wait for its turn. Returns a refusal if too many operations are in flight, and
        what the store has said at once."""
        if verification.authenticator.stored:
            return self._look_up(verification, now)
        if self._operations.full:
            return self._not_asked(verification, Refusal("busy", MAX_EXTERNAL_OPERATIONS), now)
        charge, user = verification.charge, verification.users[verification.place]
        if not verification.authenticator.in_turns and not (charge.slow and user is not None):
            self._begin(verification, None, now)
            return None
        address, number = verification.caller.peer.address.key, self.turns.next_number()
        turn = Turn(number, address, user, charge.known, charge.slow, self._turn_came)
        if self.turns.take(turn, now):
            self._begin(verification, turn, now)
            return None
        verification.number = turn.number
        verification.timer = self._shared.timers.arm(verification.deadline, WAITS, turn.number)
        self.waiting[turn.number] = verification, turn
        self.turns.wait(turn)
        return None

    def _begin(self, verification: Verification, turn: Turn | None, now: float) -> None:
        operation = verification.operation = self._operations.begin(VERIFY, verification.deadline, now)
        verification.generation = self.revocations.generation
        self.records[operation] = verification
        if turn is not None:
            self.hashing[operation] = turn
        asks = Verify(operation, verification.authenticator, verification.credentials, verification.caller)
        self._shared.outbox.append(asks)

    def _not_asked(self, verification: Verification, refusal: Refusal, now: float) -> Refusal:
        """The server could not ask an authenticator. If it has asked none, this is no failed authentication."""
        asked = verification.chain[: verification.place]
        if not asked:
            self.budgets.refund(verification.charge)
        return self.fail(verification.caller, asked[-1] if asked else None, refusal, now, verification.why)

    # The store

    def _look_up(self, verification: Verification, now: float) -> Identity | Refusal | None:
        charge, user = verification.charge, verification.users[verification.place]
        address, credentials = verification.caller.peer.address.key, verification.credentials
        assert isinstance(credentials, Basic | Bearer)
        turn = self.passwords.turn(address, user, known=charge.known, slow=charge.slow)
        number = verification.number = turn.number
        verification.generation = self.revocations.generation
        self.looked_up[number] = verification
        outcome = self.stored.begin(number, credentials, turn, verification.deadline, now)
        if outcome is None:
            return None
        del self.looked_up[number]
        return self._result(verification, outcome, now)

    def _looked_up(self, number: int, outcome: object, now: float) -> None:
        verification = self.looked_up.pop(number)
        result = self._result(verification, outcome, now)
        self.revocations.forget_recent()
        if result is not None:
            self._verified[verification.purpose](verification.subject, result, now)

    # Turns

    def _turn_came(self, turn: Turn, now: float) -> None:
        """A verification that waited has its turn. If no operation can begin, the next one has it."""
        verification, _ = self.waiting.pop(turn.number)
        self._shared.timers.disarm(verification.timer)
        if self._operations.full:
            self.turns.release(turn, now)
            refusal = self._not_asked(verification, Refusal("busy", MAX_EXTERNAL_OPERATIONS), now)
            self._verified[verification.purpose](verification.subject, refusal, now)
        else:
            self._begin(verification, turn, now)

    def _waited(self, number: int, now: float) -> None:
        """The turn of a verification has not come in time."""
        verification, turn = self.waiting[number]
        limit = self.turns.obstacle(turn)
        self._leave_line(number)
        refusal = self._not_asked(verification, Refusal("waited", limit), now)
        self._verified[verification.purpose](verification.subject, refusal, now)

    def _leave_line(self, number: int) -> None:
        verification, turn = self.waiting.pop(number)
        self._shared.timers.disarm(verification.timer)
        self.turns.leave(turn)

    def _left(self, operation: OperationId, now: float) -> None:
        """The outside has concluded an operation: if it has hashed, others have their turns."""
        turn = self.hashing.pop(operation, None)
        if turn is not None:
            self.turns.release(turn, now)

    # Results

    def _concluded(self, operation: OperationId, outcome: object, now: float) -> None:
        verification = self.records.pop(operation)
        result = self._result(verification, outcome, now)
        self.revocations.forget_recent()
        if result is not None:
            self._verified[verification.purpose](verification.subject, result, now)
        if not isinstance(outcome, Expired):  # the outside goes on
            self._left(operation, now)

    def _result(self, verification: Verification, outcome: object, now: float) -> Identity | Refusal | None:
        """The result. None: the next authenticator is asked."""
        caller, authenticator = verification.caller, verification.authenticator
        if isinstance(outcome, Identity) and outcome.user and outcome.namespace in ("", authenticator.namespace):
            return self._accept(verification, authenticator, outcome, now)
        if isinstance(outcome, NotBegun):
            return self._not_asked(verification, Refusal(outcome.reason, outcome.limit), now)
        if isinstance(outcome, Busy):
            if not verification.place:
                self.budgets.refund(verification.charge)
            return self.fail(caller, authenticator, Refusal("queue_full", MAX_HASHING_QUEUE), now, verification.why)
        reason = REASONS.get(type(outcome), "failed")
        verification.unavailable = verification.unavailable or isinstance(outcome, Unavailable)
        if isinstance(outcome, Refused) and outcome.why:
            verification.why += f"{'; ' if verification.why else ''}{authenticator.name}: {outcome.why}"
        if reason in OTHERS_MAY_KNOW and verification.place + 1 < len(verification.chain):
            verification.place += 1
            return self._ask(verification, now)
        if verification.unavailable:
            self.budgets.refund(verification.charge)
            return self.fail(caller, authenticator, UNKNOWN, now, verification.why)
        return self.fail(caller, authenticator, Refusal(reason), now, verification.why)

    def _accept(
        self, verification: Verification, authenticator: Authenticator, given: Identity, now: float
    ) -> Identity | Refusal:
        identity = replace(given, namespace=authenticator.namespace)
        caller, user = verification.caller, identity.user
        assert user is not None
        self.budgets.refund(verification.charge)
        if self._shared.expired(identity, now):
            return self.fail(caller, authenticator, Refusal("expired"), now)
        if self.revocations.refuses(identity, verification.generation):
            return self.fail(caller, authenticator, Refusal("revoked"), now)
        self.budgets.got_in(caller, verification.users[verification.place] or verification.digest)
        if verification.digest is not None:
            self.cache.keep(authenticator, verification.digest, identity, now)
        self._shared.stats.count("auth.succeeded")
        peer, namespace = caller.peer, identity.namespace
        succeeded = AuthSucceeded(
            caller.connection, caller.public_id, peer.kind, peer.address, authenticator.name, user, namespace, now
        )
        self._shared.outbox.append(Emit(succeeded))
        return identity

    def fail(
        self, caller: Caller, authenticator: Authenticator | None, refusal: Refusal, now: float, why: str = ""
    ) -> Refusal:
        """Report that credentials of this caller were not accepted. `authenticator`: the last one that was asked."""
        self._shared.stats.count("auth.failed")
        name, peer = None if authenticator is None else authenticator.name, caller.peer
        about = caller.connection, caller.public_id, peer.kind, peer.address
        self._shared.outbox.append(Emit(AuthFailed(*about, name, refusal.reason, now, why)))
        return refusal
