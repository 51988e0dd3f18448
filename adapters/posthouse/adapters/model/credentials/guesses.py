"""Guesses as the model counts them: who must wait after failed authentications, and which hashes may run at once.

The model keeps users and addresses as they are, and forgets none: it knows nothing for certain any more when there are
more of them than `max_remembered_callers`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from math import ceil
from typing import Any, Final

from msgspec import Struct
from posthouse.adapters.model.records import Connection, subnet
from posthouse.core.service.authenticators import Authenticator
from posthouse.core.values.config import Config
from posthouse.core.values.peers import UserKey

PAUSE: Final = 1.0


class Failed(Struct, eq=False):
    """The failed attempts of one user, address or pair: those `allowed` since a minute `began`, and those `above`."""

    began: float
    last: float
    allowed: int = 0
    above: int = 0

    @property
    def pause(self) -> float:
        """The seconds to wait after the last failure, once the limit is reached."""
        return [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0][min(self.above, 6)]

    def pass_time(self, now: float) -> None:
        """A minute without a breach begins anew; after a breach, one in which nobody came although he might."""
        since = self.last + self.pause if self.above else self.began
        if now - since >= 60.0:
            self.began, self.allowed, self.above = now, 0, 0


class Attempt(Struct, eq=False):
    """One verification, as it counts. `users`: the user, for each authenticator of its chain. `failed` is where it was
    counted, with the time of the failure before and the minute."""

    address: str
    users: list[UserKey | None]
    known: bool
    slow: bool
    at: float
    failed: list[tuple[Failed, float, float]]


class Guesses:
    """Counts failures, and the hashes that run. `certain`: the gateway has forgotten nobody."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._failed: dict[str, dict[Hashable, Failed]] = {}
        self._known: dict[tuple[Hashable, str], None] = {}
        self._hashing: dict[int, tuple[str, UserKey | None]] = {}
        self._pauses: dict[UserKey, float] = {}
        self.certain = True

    # Failures

    def attempt(self, connection: Connection, credentials: Any, chain: list[Authenticator], now: float) -> Attempt:
        """An attempt, which is not counted yet."""
        name = getattr(credentials, "user", None)
        users: list[UserKey | None] = [None if name is None else (each.namespace, name) for each in chain]
        address = subnet(connection.peer.address.host)
        known = any((self._subject(user, credentials), address) in self._known for user in users)
        slow = not known and any(self._over("max_auth_failures_per_user", user, now) for user in users if user)
        return Attempt(address, users, known, slow, now, [])

    def wait(self, attempt: Attempt, now: float) -> int | None:
        """The milliseconds that the caller must wait. None: the attempt may be made."""
        spent = []
        for name, key in self._places(attempt):
            if name == "max_auth_failures_per_user" or (name == "max_auth_failures_per_address" and attempt.known):
                continue
            failed = self._over(name, key, now)
            if failed is not None and failed.last + failed.pause > now:
                spent.append(failed.last + failed.pause - now)
        return ceil(max(spent) * 1000) if spent else None

    def count(self, attempt: Attempt, now: float) -> None:
        """The attempt is made: it counts as failed, until it succeeds."""
        for name, key in self._places(attempt):
            failed = self._failed.setdefault(name, {}).setdefault(key, Failed(now, now))
            failed.pass_time(now)
            attempt.failed.append((failed, failed.last, failed.began))
            failed.last = now
            if failed.allowed < getattr(self._config, name):
                failed.allowed += 1
            else:
                failed.above += 1
        self._remember()

    def forgive(self, attempt: Attempt) -> None:
        """The attempt was no failure."""
        for failed, last, began in attempt.failed:
            if failed.began != began:
                continue  # counting has begun anew since
            if failed.last == attempt.at:
                failed.last = last
            if failed.above:
                failed.above -= 1
            else:
                failed.allowed = max(0, failed.allowed - 1)
        self._failed = {
            name: {key: failed for key, failed in table.items() if failed.allowed}
            for name, table in self._failed.items()
        }

    def got_in(self, attempt: Attempt, place: int, credentials: Any) -> None:
        """The credentials were accepted by this authenticator of the chain."""
        if attempt.address:
            self._known[self._subject(attempt.users[place], credentials), attempt.address] = None
            self._remember()

    def _remember(self) -> None:
        """The gateway may forget somebody from now on, if there are more than it remembers."""
        sizes = [len(self._known), *(len(table) for table in self._failed.values())]
        self.certain = self.certain and max(sizes) <= self._config.max_remembered_callers

    def _subject(self, user: UserKey | None, credentials: Any) -> Hashable:
        return user or credentials.token

    def _places(self, attempt: Attempt) -> Iterator[tuple[str, Hashable]]:
        """The limits by which the attempt counts, and the key of each."""
        users = list(dict.fromkeys(user for user in attempt.users if user is not None))
        places: list[tuple[str, Hashable]] = [("max_auth_failures_per_user", user) for user in users]
        if attempt.address:
            places += [("max_auth_failures", (user, attempt.address)) for user in users]
            places.append(("max_auth_failures_per_address", attempt.address))
        return ((name, key) for name, key in places if getattr(self._config, name) is not None)

    def _over(self, name: str, key: Hashable, now: float) -> Failed | None:
        """The failures of this key, if the limit of this name is reached and enforced."""
        failed = self._failed.get(name, {}).get(key)
        if failed is None or name in self._config.observe:
            return None
        failed.pass_time(now)
        return failed if failed.allowed >= getattr(self._config, name) else None

    # Hashes

    def may_hash(self, attempt: Attempt, place: int) -> bool:
        """Is a place free for this hash?"""
        user = attempt.users[place]
        addresses = [address for address, _ in self._hashing.values()]
        users = [each for _, each in self._hashing.values()]
        if attempt.address and addresses.count(attempt.address) >= self._config.max_hashes_per_address:
            return False
        paused = attempt.slow and user in self._pauses
        return user is None or not (paused or users.count(user) >= self._config.max_hashes_per_user)

    def hash(self, operation: int, attempt: Attempt, place: int, now: float) -> None:
        """A hash has begun."""
        self._hashing[operation] = attempt.address, attempt.users[place]
        self.pause(attempt, place, now)

    def pause(self, attempt: Attempt, place: int, now: float) -> None:
        """A turn has come: for a slow one, no other of its user comes for a while."""
        user = attempt.users[place]
        if attempt.slow and user is not None and self.certain:
            self._pauses[user] = now + PAUSE

    def ended(self, operation: int) -> None:
        """An operation was concluded."""
        self._hashing.pop(operation, None)

    def pass_time(self, now: float) -> None:
        """Pauses are over."""
        self._pauses = {user: until for user, until in self._pauses.items() if until > now}

    def deadlines(self) -> list[float]:
        """The ends of all pauses."""
        return list(self._pauses.values()) if self.certain else []
