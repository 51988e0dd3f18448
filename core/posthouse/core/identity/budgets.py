"""Budgets for failed authentications: of a user from an address, of an address, and of a user from everywhere.

An attempt is charged before an authenticator is asked, and refunded when it succeeds. A user is a name as the caller
wrote it, so that a user who does not exist has the same budget as one who does. Nothing here knows who exists.
"""

from __future__ import annotations

from collections.abc import Hashable
from hashlib import sha256
from math import ceil
from typing import Any, Final

from msgspec import Struct
from posthouse.core.values.close_reasons import (
    MAX_ANONYMOUS_SESSIONS_PER_ADDRESS,
    MAX_AUTH_FAILURES,
    MAX_AUTH_FAILURES_PER_ADDRESS,
    MAX_AUTH_FAILURES_PER_USER,
    MAX_REGISTRATIONS_PER_ADDRESS,
    Limit,
)
from posthouse.core.values.peers import Caller
from posthouse.core.values.shared import Shared

from .cache import Digest, encoded

MINUTE: Final = 60.0

LONGEST_WAIT: Final = 60.0
"""Seconds: the waits of 1, 2, 4, … seconds grow up to this."""

MOST_STRIKES: Final = 10
"""After so many failures above the limit, the wait grows no more."""


class Failures(Struct, eq=False, gc=False):
    """The failures of one user, address, or pair of both. `count` since `began`, up to the limit; `strikes` above it.
    `at`: the last one."""

    began: float
    at: float
    count: int = 0
    strikes: int = 0

    @property
    def wait(self) -> float:
        """Seconds between the last failure and the next attempt, if the limit is reached."""
        return min(2.0 ** min(self.strikes, MOST_STRIKES), LONGEST_WAIT)

    def forget(self, now: float) -> None:
        """Begin anew after a minute. Above the limit: after a minute in which the next attempt was allowed and not
        made."""
        if now - (self.at + self.wait if self.strikes else self.began) >= MINUTE:
            self.began, self.count, self.strikes = now, 0, 0

    def charge(self, limit: int, now: float) -> None:
        """Count one attempt."""
        self.at = now
        if self.count < limit:
            self.count += 1
        else:
            self.strikes += 1  # all of them: each may be refunded

    def refund(self, was_at: float, charged_at: float) -> bool:
        """An attempt was no failure. Returns whether nothing is left."""
        if self.at == charged_at:
            self.at = was_at
        if self.strikes:
            self.strikes -= 1
        elif self.count:
            self.count -= 1
        return not self.count


class Ledger:
    """The failures of all users, addresses or pairs, by key. Above `max_remembered_callers` the one is forgotten that
    was charged longest ago. `allowed` failures a minute; None: they are not limited."""

    def __init__(self, shared: Shared, limit: Limit, allowed: int | None) -> None:
        self._most = shared.config.max_remembered_callers
        self.limit = limit
        self.allowed = allowed
        self.records: dict[Hashable, Failures] = {}

    def over(self, key: Hashable, now: float) -> Failures | None:
        """The failures of this key, if they have reached the limit."""
        failures = self.records.get(key)
        if failures is None or self.allowed is None:
            return None
        failures.forget(now)
        return None if failures.count < self.allowed else failures

    def charge(self, key: Hashable, now: float) -> Entry | None:
        """Count one attempt."""
        if self.allowed is None:
            return None
        failures = self.records.pop(key, None)
        if failures is None:
            failures = Failures(now, now)
            if len(self.records) >= self._most:
                del self.records[next(iter(self.records))]
        self.records[key] = failures
        failures.forget(now)
        entry = Entry(self, key, failures, failures.at, failures.began)
        failures.charge(self.allowed, now)
        return entry


class Entry(Struct, eq=False):
    """One attempt in one ledger. `was_at`: the failure before. `began`: the minute in which it was charged."""

    ledger: Ledger
    key: Hashable
    failures: Failures
    was_at: float
    began: float


class Charge(Struct, eq=False):
    """One attempt that was charged `at` a time. `known`: such a caller has got in from this address before. `slow`:
    too many attempts for its user have failed everywhere."""

    at: float
    entries: list[Entry]
    known: bool
    slow: bool


class Budgets:
    """The three ledgers, and those of registrations and of sessions of nobody, each of which counts as a failure.
    `known` are the pairs of a user, or of a credential without one, and an address from which it got in: they are not
    refused for other callers of their address, and not slowed down for attempts from others."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        config = shared.config
        self.pairs = Ledger(shared, MAX_AUTH_FAILURES, config.max_auth_failures)
        self.addresses = Ledger(shared, MAX_AUTH_FAILURES_PER_ADDRESS, config.max_auth_failures_per_address)
        self.users = Ledger(shared, MAX_AUTH_FAILURES_PER_USER, config.max_auth_failures_per_user)
        self.registrations = Ledger(shared, MAX_REGISTRATIONS_PER_ADDRESS, config.max_registrations_per_address)
        self.sessions = Ledger(shared, MAX_ANONYMOUS_SESSIONS_PER_ADDRESS, config.max_anonymous_sessions_per_address)
        self.known: dict[tuple[Digest | None, str], None] = {}

    def charge(self, caller: Caller, users: tuple[Digest, ...], credential: Digest | None, now: float) -> Charge | int:
        """Charge one attempt to these users and to the address of the caller. Returns the milliseconds to wait if one
        of their budgets is spent: then nothing is charged. `credential` counts in place of a user to be known."""
        address = caller.peer.address.key
        subjects = users or (credential,)
        known = any((subject, address) in self.known for subject in subjects)
        entries: list[tuple[Ledger, Hashable]] = []
        if address:
            entries = [(self.pairs, (user, address)) for user in users]
            if wait := self._wait(caller, entries if known else [*entries, (self.addresses, address)], now):
                return wait
            entries.append((self.addresses, address))
        slow = not known and any(self.users.over(user, now) is not None for user in users)
        slow = slow and self._enforces(self.users, caller, now)
        entries += [(self.users, user) for user in users]
        made = [entry for ledger, key in entries if (entry := ledger.charge(key, now)) is not None]
        return Charge(now, made, known, slow)

    def charge_registration(self, caller: Caller, now: float) -> int:
        """Charge one registration to the address of the caller. Returns the milliseconds to wait if its budget is
        spent: then nothing is charged."""
        return self._charge_address(self.registrations, caller, now)

    def charge_session(self, caller: Caller, now: float) -> int:
        """The same for a session of nobody."""
        return self._charge_address(self.sessions, caller, now)

    def _charge_address(self, ledger: Ledger, caller: Caller, now: float) -> int:
        address = caller.peer.address.key
        if not address:
            return 0
        wait = self._wait(caller, [(ledger, address)], now)
        if not wait:
            ledger.charge(address, now)
        return wait

    def _wait(self, caller: Caller, keys: list[tuple[Ledger, Hashable]], now: float) -> int:
        """Milliseconds until all of these budgets allow an attempt, rounded up; 0: they do."""
        longest = 0.0
        for ledger, key in keys:
            failures = ledger.over(key, now)
            if failures is not None:
                left = failures.at + failures.wait - now
                if left > 0 and self._enforces(ledger, caller, now):
                    longest = max(longest, left)
        return ceil(longest * 1000)

    def _enforces(self, ledger: Ledger, caller: Caller, now: float) -> bool:
        return self._shared.enforces(ledger.limit, caller.connection, caller.peer.address, now)

    def refund(self, charge: Charge) -> None:
        """The attempt was no failure. Where counting has begun anew since, nothing is left to take back."""
        for entry in charge.entries:
            if entry.failures.began != entry.began:
                continue
            empty = entry.failures.refund(entry.was_at, charge.at)
            if empty and entry.ledger.records.get(entry.key) is entry.failures:
                del entry.ledger.records[entry.key]

    def got_in(self, caller: Caller, subject: Digest | None) -> None:
        """The user, or the credential without one, was accepted from the address of this caller."""
        address = caller.peer.address.key
        if subject is None or not address:
            return
        self.known.pop((subject, address), None)
        if len(self.known) >= self._shared.config.max_remembered_callers:
            del self.known[next(iter(self.known))]
        self.known[subject, address] = None
        self._shared.stats.level("max_remembered_callers", len(self.known))


def user_of(credentials: Any) -> str | None:
    """The name of the user in these credentials: their member `user`, if it is a string."""
    if "user" not in type(credentials).__struct_fields__:
        return None
    user = credentials.user
    return user if isinstance(user, str) else None


def user_digest(namespace: str, user: str) -> Digest:
    """Stands for a user: names may be long, and are not kept."""
    place = encoded(namespace)
    return sha256(b"%d:%b%b" % (len(place), place, encoded(user))).digest()
