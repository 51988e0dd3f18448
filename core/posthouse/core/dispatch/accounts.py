"""What the procedures about users and tokens have in common: what they ask for, whom they refuse, and what follows.

What the store may have done counts as done for those who must not get in any more. This module may not know how a call
is read or answered.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any, Final

from msgspec import Struct
from posthouse.core.connections.connections import Connection
from posthouse.core.connections.state import LIVING
from posthouse.core.identity.authorization import check_expiry
from posthouse.core.identity.budgets import user_digest
from posthouse.core.identity.cache import encoded
from posthouse.core.identity.hashes.passwords import NotBegun
from posthouse.core.identity.refusal import Refusal
from posthouse.core.identity.verifications import STORED, Verification, Verifications
from posthouse.core.operations.operations import Expired, Hashed
from posthouse.core.service.accounts import ADMIN
from posthouse.core.service.accounts import Accounts as DeclaredAccounts
from posthouse.core.service.authenticators import Basic
from posthouse.core.service.results import ResultError, compile_encoding
from posthouse.core.store.outcomes import Done, MaybeApplied, value_of
from posthouse.core.store.requests import FindUser
from posthouse.core.store.rows import UserRow
from posthouse.core.store.storage import Storage
from posthouse.core.values.errors import (
    DEADLINE_EXCEEDED,
    FORBIDDEN,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    RATE_LIMITED,
    SERVER_BUSY,
    ErrorObject,
    RpcError,
    refusal,
)
from posthouse.core.values.peers import ALL_SCOPES, Caller, CallId, Identity, UserKey, is_unicode
from posthouse.core.values.shared import Entropy, Shared

from .logins import Logins
from .procedures import Pending, Procedures, Reply

ACCOUNT: Final = "account"
"""The purpose of the hashes and verifications that are asked for here."""

NO_SUCH_USER: Final = "there is no such user"

GIVES_MORE: Final = "the caller gives scopes that it does not have"
MAY_DO_MORE: Final = "the user has scopes that the caller does not have"
"""The reasons for which a caller with the scope `users` alone may not do everything."""

CHANGED: Final = refusal(SERVER_BUSY, reason="the user was changed in the meantime")
"""The error if a user may do more than when its scopes were compared."""

Revoke = Callable[[UserKey, Connection | None, float], object]
"""Called with a user who must not get in any more, the connection that stays, and the time."""

Narrow = Callable[[UserKey, tuple[str, ...], Connection | None, float], None]
"""Called with a user, the scopes that it has from now on, the connection whose session goes on, and the time."""


EndToken = Callable[[str, UserKey, Iterable[str], Connection | None, float], None]
"""Called with a token that was removed, its user, the sessions that have ended, the connection that stays, and the
time."""


class NewHash(Struct, frozen=True):
    """Asks for a hash of a password. `user`: hashes of one user wait for each other."""

    password: str
    user: bytes | None = None


class Check(Struct, frozen=True):
    """Asks whether this is the password of a user: an Identity, or a Refusal."""

    user: str
    password: str


class Accounts:
    """Asks and refuses for the procedures about users and tokens. `revoke`, `narrow` and `end_token` let live
    connections follow. `secrets` is the source of tokens."""

    revoke: Revoke
    narrow: Narrow
    end_token: EndToken

    def __init__(
        self,
        shared: Shared,
        storage: Storage,
        verifications: Verifications,
        procedures: Procedures,
        logins: Logins,
        declared: DeclaredAccounts,
    ) -> None:
        self.shared = shared
        self.config = shared.config
        self.storage = storage
        self.verifications = verifications
        self.procedures = procedures
        self.logins = logins
        self.secrets: Entropy = shared.entropy
        self._write_profile = compile_encoding(declared.profile, "profile")
        procedures.on(NewHash, self._ask_for_hash)
        procedures.on(Check, self._check)
        verifications.passwords.on(ACCOUNT, procedures.resume)
        verifications.on(ACCOUNT, procedures.resume)

    # What is asked for

    def _ask_for_hash(self, number: int, caller: Caller, asked: NewHash, now: float) -> object:
        passwords = self.verifications.passwords
        turn = passwords.turn(caller.peer.address.key, asked.user)
        deadline = now + self.config.authentication_timeout
        begun = passwords.begin(ACCOUNT, number, asked.password, turn, now, deadline=deadline)
        return begun if isinstance(begun, NotBegun) else Pending(partial(passwords.withdraw, begun))

    def _check(self, number: int, caller: Caller, asked: Check, now: float) -> object:
        credentials = Basic(asked.user, asked.password)
        result = self.verifications.begin(ACCOUNT, number, caller, credentials, now, scheme=STORED + "basic")
        if isinstance(result, Verification):
            return Pending(partial(self.verifications.withdraw, result))
        return result

    # What was answered

    def hash_of(self, outcome: object) -> str:
        """The hash that was made. Raises RpcError."""
        if isinstance(outcome, Hashed):
            return outcome.text
        if isinstance(outcome, NotBegun):
            limit = {} if outcome.limit is None else {"limit": outcome.limit.name}
            raise RpcError.of(refusal(SERVER_BUSY, **limit))
        raise RpcError(DEADLINE_EXCEEDED if isinstance(outcome, Expired) else INTERNAL_ERROR)

    def check_password(self, connection: Connection, user: str, result: Identity | Refusal, now: float) -> None:
        """Raise RpcError unless the password of this user was right."""
        if isinstance(result, Refusal):
            self.logins.refuse(connection, result, now)
        assert result.key == ("", user)  # only the store was asked

    # Who may, and what

    def own_user(self, connection: Connection, now: float) -> str:
        """The name of the caller in the store. Raises RpcError if it has none."""
        check_expiry(connection.identity, self.shared, now)
        key = connection.identity.key
        if key is None or key[0]:
            raise RpcError(FORBIDDEN, data={"reason": "the caller is no user of this server's store"})
        return key[1]

    def check_admin(self, connection: Connection, now: float) -> None:
        """Raise RpcError unless the caller may change other users."""
        check_expiry(connection.identity, self.shared, now)
        if not self.is_admin(connection):
            raise RpcError(FORBIDDEN, data={"scopes": [ADMIN]})

    def is_admin(self, connection: Connection) -> bool:
        """May the caller change other users?"""
        return not connection.identity.missing((ADMIN,))

    def check_gives(self, identity: Identity, scopes: tuple[str, ...]) -> None:
        """Raise RpcError unless a caller has all scopes that it gives."""
        missing = identity.missing(scopes)
        if missing:
            raise RpcError(FORBIDDEN, data={"scopes": list(missing), "reason": GIVES_MORE})

    def look_at(self, identity: Identity, user: str) -> Generator[Any, Reply, tuple[UserRow, float]]:
        """Ask for a user on whose behalf a caller acts, and the time. Raises RpcError: there is none, or it may do more
        than the caller."""
        reply = yield FindUser(user)
        row: UserRow | None = value_of(reply.outcome)
        if row is None:
            raise self.wrong("user", NO_SUCH_USER)
        missing = identity.missing(row.scopes)
        if missing:
            raise RpcError(FORBIDDEN, data={"scopes": list(missing), "reason": MAY_DO_MORE})
        return row, reply.now

    def reach(self, identity: Identity, user: str) -> Generator[Any, Reply, int | None]:
        """The version in which a caller may change a user, or None: in any, since the caller has every scope. Raises
        RpcError."""
        if not identity.missing((ALL_SCOPES,)):
            return None
        row, _ = yield from self.look_at(identity, user)
        return row.version

    def check_name(self, name: str, parameter: str) -> None:
        """Raise RpcError unless this can be a name."""
        if not name or not is_unicode(name) or len(name.encode()) > self.config.max_name_bytes:
            raise self.wrong(parameter, f"expected 1 to {self.config.max_name_bytes} bytes of text")

    def check_new_password(self, password: str, parameter: str) -> None:
        """Raise RpcError unless this can be a password."""
        if not password or len(encoded(password)) > self.config.max_password_bytes:
            raise self.wrong(parameter, f"expected 1 to {self.config.max_password_bytes} bytes of text")

    def scopes(self, given: tuple[str, ...]) -> tuple[str, ...]:
        """Scopes, sorted. Raises RpcError unless they can be ones."""
        for scope in given:
            self.check_name(scope, "scopes")
        if sum(map(len, given)) > self.config.max_profile_bytes:
            raise self.wrong("scopes", f"expected at most {self.config.max_profile_bytes} bytes of text")
        return tuple(sorted(dict.fromkeys(given)))

    def wrong(self, parameter: str, reason: str) -> RpcError:
        """The error for a parameter."""
        return RpcError.of(wrong(parameter, reason))

    def profile(self, given: object) -> bytes:
        """A profile as JSON text. Raises RpcError if it is too large, or cannot be written."""
        try:
            text = self._write_profile(given)
        except ResultError as error:
            raise self.wrong("profile", error.reason) from None
        if len(text) > self.config.max_profile_bytes:
            raise self.wrong("profile", f"expected at most {self.config.max_profile_bytes} bytes")
        return text

    def user_to_change(
        self, connection: Connection, user: str | None, parameter: str, password: str | None, now: float
    ) -> str:
        """The name of the user that is to be changed. Raises RpcError: for oneself a password must be there, and for
        another one the scope."""
        if user is None or connection.identity.key == ("", user):
            if password is None:
                raise self.wrong(parameter, "expected your password")
            return self.own_user(connection, now)
        self.check_admin(connection, now)
        if password is not None:
            raise self.wrong(parameter, "expected null: no password of another user is checked")
        return user

    def charge_registration(self, connection: Connection, now: float) -> None:
        """Raise RpcError if too many users were registered from the address of this caller."""
        wait = self.verifications.budgets.charge_registration(connection.caller, now)
        if wait:
            raise RpcError.of(refusal(RATE_LIMITED, retry_after_ms=wait, limit="max_registrations_per_address"))

    # What follows

    def lock_out(self, user: str, connection: Connection, call: CallId, now: float) -> None:
        """A user must not get in any more: the store has ended its sessions. If that is the caller, its own connection
        leaves its session, and is logged out. Nothing is asked for."""
        own = connection.identity.key == ("", user) and connection.state in LIVING
        self.revoke(("", user), connection if own else None, now)
        if own:
            self.logins.log_out_here(connection, call, now)


def wrong(parameter: str, reason: str) -> ErrorObject:
    """The error for a parameter, as a value."""
    return refusal(INVALID_PARAMS, parameter=parameter, reason=reason)


def maybe_applied(outcome: object) -> bool:
    """Was this done, or may it have been?"""
    return isinstance(outcome, Done | MaybeApplied)


def user_of_hash(user: str) -> bytes:
    """By this, hashes of a user of the store wait for each other."""
    return user_digest("", user)
