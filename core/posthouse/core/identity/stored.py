"""Credentials of users that the store keeps: it is asked for the user, and a password is compared outside.

A user that does not exist, has no password, or is disabled costs as much as any other. This module may not know who
else may verify credentials, nor what the identity is for.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from msgspec import Struct
from posthouse.core.operations.operations import Matched, Refused
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.store.outcomes import Done, Full
from posthouse.core.store.requests import FindToken, FindUser, Touch
from posthouse.core.store.rows import TokenRow, UserRow
from posthouse.core.store.rules import ACTIVITY
from posthouse.core.store.storage import Storage
from posthouse.core.values.close_reasons import MAX_EXTERNAL_OPERATIONS
from posthouse.core.values.peers import ALL_SCOPES, Identity, OperationId, is_unicode
from posthouse.core.values.shared import Shared

from .cache import Digest, encoded
from .hashes.passwords import NotBegun, Passwords
from .hashes.turns import Turn
from .refusal import Unavailable

FIND: Final = "credentials"
"""The purpose of this table's requests to the store, and of its hashes."""

SEEN: Final = "seen"
"""The purpose of requests whose outcome changes nothing."""


class LookUp(Struct, eq=False):
    """Credentials that are looked up. `row`: the user that the store has found. `operation`: the store is asked.
    `hash`: its password is compared, with this number. `revoked`: the token was removed meanwhile."""

    number: int
    credentials: Basic | Bearer
    turn: Turn
    deadline: float
    row: UserRow | None = None
    operation: OperationId | None = None
    hash: int = 0
    revoked: bool = False


Judged = Callable[[int, object, float], None]
"""Called with the number of a look-up, its outcome, and the time. The outcome is an Identity, Refused, Failed, Expired,
Unavailable or NotBegun."""


class Stored:
    """The credentials that are looked up, by number."""

    def __init__(self, shared: Shared, storage: Storage, passwords: Passwords, judged: Judged) -> None:
        self._shared = shared
        self._storage = storage
        self._passwords = passwords
        self._judged = judged
        self.records: dict[int, LookUp] = {}
        storage.on(FIND, self._found)
        storage.on(SEEN, _ignore)
        passwords.on(FIND, self._compared)

    def begin(self, number: int, credentials: Basic | Bearer, turn: Turn, deadline: float, now: float) -> object:
        """Look up these credentials. Returns the outcome, or None if it comes later. `turn`: that of the hash, if there
        is one."""
        look_up = self.records[number] = LookUp(number, credentials, turn, deadline)
        outcome: object = Done()
        if isinstance(credentials, Bearer):
            outcome = self._storage.begin(FIND, number, FindToken(token_digest(credentials.token)), now)
        elif is_unicode(credentials.user):
            outcome = self._storage.begin(FIND, number, FindUser(credentials.user), now)
        if isinstance(outcome, int):
            look_up.operation = OperationId(outcome)
            return None
        return self._ended(look_up, self._judge(look_up, outcome, now))

    def withdraw(self, number: int) -> None:
        """Nobody waits for these credentials any more."""
        look_up = self.records.pop(number)
        if look_up.operation is not None:
            self._storage.withdraw(look_up.operation)
        else:
            self._passwords.withdraw(look_up.hash)

    def revoke(self, digest: Digest | None) -> None:
        """A token was removed, or one that is not known (None): the store may have found it before."""
        for look_up in self.records.values():
            if isinstance(look_up.credentials, Bearer):
                look_up.revoked = look_up.revoked or digest in (None, token_digest(look_up.credentials.token))

    def _found(self, number: int, outcome: object, now: float) -> None:
        look_up = self.records[number]
        look_up.operation = None
        judged = self._ended(look_up, self._judge(look_up, outcome, now))
        if judged is not None:
            self._judged(number, judged, now)

    def _ended(self, look_up: LookUp, outcome: object) -> object:
        if outcome is not None:
            del self.records[look_up.number]
        return outcome

    def _judge(self, look_up: LookUp, outcome: object, now: float) -> object:
        """The store has answered. Returns the outcome; None: the password is compared now."""
        if isinstance(outcome, Full):
            return NotBegun("busy", MAX_EXTERNAL_OPERATIONS)
        if not isinstance(outcome, Done):
            return Unavailable()
        if isinstance(look_up.credentials, Bearer):
            return self._token(look_up, outcome.value, now)
        look_up.row = row = outcome.value
        password = None if row is None else row.password
        begun = self._passwords.begin(
            FIND,
            look_up.number,
            look_up.credentials.password,
            look_up.turn,
            now,
            against=password,
            deadline=look_up.deadline,
        )
        if isinstance(begun, NotBegun):
            return begun
        look_up.hash = begun
        return None

    def _token(self, look_up: LookUp, found: tuple[TokenRow, UserRow] | None, now: float) -> Identity | Refused:
        if found is None or look_up.revoked:
            return Refused("the store has no such token")
        token, user = found
        if user.disabled:
            return Refused("the user is disabled")
        scopes = granted(token.scopes, user.scopes)
        identity = Identity(user.user, scopes, token.expires_at, issued_at=token.created_at, token=token.id)
        if not self._shared.expired(identity, now):
            self._seen(user, token, now)
        return identity

    def _compared(self, number: int, outcome: object, now: float) -> None:
        look_up = self.records.pop(number)
        self._judged(number, self._user(look_up.row, outcome, now), now)

    def _user(self, row: UserRow | None, outcome: object, now: float) -> object:
        if not isinstance(outcome, Matched | Refused):
            return outcome
        if row is None:
            return Refused("the store has no such user")
        if isinstance(outcome, Refused):
            return Refused("the password is wrong")
        if row.disabled:
            return Refused("the user is disabled")
        self._seen(row, None, now)
        return Identity(row.user, row.scopes)

    def _seen(self, user: UserRow, token: TokenRow | None, now: float) -> None:
        """Note that they were seen, at most once a minute."""
        at = self._shared.timestamp(now)
        users = () if is_fresh(user.seen_at, at) else ((user.user, at),)
        tokens = () if token is None or is_fresh(token.seen_at, at) else ((token.id, at),)
        if users or tokens:
            idle = self._shared.config.session_idle
            touch = Touch(self._storage.new_write_id(), idle, users=users, tokens=tokens)
            self._storage.begin(SEEN, 0, touch, now)


def token_digest(token: str) -> Digest:
    """Stands for a token in the store. It is random, so that no key is needed."""
    return sha256(encoded(token)).digest()


def granted(scopes: tuple[str, ...], owned: tuple[str, ...]) -> tuple[str, ...]:
    """Those of these scopes that an owner of others has."""
    if ALL_SCOPES in owned:
        return scopes
    return owned if ALL_SCOPES in scopes else tuple(scope for scope in scopes if scope in owned)


def is_fresh(seen_at: float | None, at: float) -> bool:
    """Was this noted less than a minute ago?"""
    return seen_at is not None and at - seen_at < ACTIVITY


def _ignore(subject: int, outcome: object, now: float) -> None:
    """Nothing depends on it."""
