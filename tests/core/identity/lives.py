"""Every life of connections with credentials: they log in, refresh, log out, expire, are revoked, call and leave.

`python -m tests.core.identity.lives [depth]`, as `make lives`, takes every sequence of so many steps (6), on all cores.
Steps are left out only if another sequence does the same: see `Life.steps`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from typing import Any, Final

from posthouse.core.connections.state import LIVING
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Invoke, Verify
from posthouse.core.values.peers import CallId, ConnectionId, Identity, OperationId, Peer, UserKey

from tests.core.world import WALL

from .credentials import REFUSED, authenticated
from .interleavings import MOST, TOKENS, Walk

USERS: Final = {"first": Identity("ada", expires_at=WALL + 20.0), "second": Identity("bob", issued_at=WALL)}
LATER: Final = WALL + 1.0
"""The credentials of the second user were made before."""

LIMITS: Final[dict[str, Any]] = {"auth_notice": 0.0, "auth_grace": 5.0, "call_timeout": 1000.0}
DEPTH: Final = 6
FIRST: Final = 3
"""Sequences that begin with the same so many steps are taken by one process."""


class Life(Walk):
    """A walk whose steps are those of identities, and which holds the four promises about them after each:

    - no call runs under an identity that it does not have;
    - a revoked identity has no live connection;
    - every external operation ends once;
    - nothing is left in a table or an index (`rest`).
    """

    def __init__(self, service: Service, *, most: int = MOST) -> None:
        self._most = most
        self._asked = 0
        self._began: dict[OperationId, int] = {}
        self._ended: dict[OperationId, None] = {}
        self._revoked: dict[UserKey, int] = {}
        self._vouched: dict[UserKey, int] = {}
        self._outdated: dict[UserKey, None] = {}
        self._identities: dict[CallId, UserKey | None] = {}
        super().__init__(service, **LIMITS)

    def steps(self) -> Iterator[Callable[[], None]]:
        """The inputs that are possible now and change something. Left out are: an authenticator that fails, which is
        as one that refuses; a log-in beside another one, and a refresh or a log-out of somebody who is not logged in,
        which are only refused; the revocation of a user who has nothing; time without a deadline."""
        if len(self.connected) < self._most:
            for token in TOKENS:
                yield partial(self.connect, "websocket", token)
            yield partial(self.connect, "http", "first")
            yield self.connect_anonymously
        for operation, token in self.operations.items():
            yield partial(self.conclude, operation, USERS[token])
            yield partial(self.conclude, operation, REFUSED)
        for connection, (kind, asked) in self.connected.items():
            yield partial(self.disconnect, connection)
            record = self.gateway._connections.records[connection]
            if kind == "http" and not asked:
                yield partial(self.receive, connection)
            if kind == "websocket" and record.state == "open":
                yield partial(self.say, connection, "private", {})
                if record.changing is None:
                    yield partial(self.say, connection, "auth.login", {"method": "bearer", "token": "second"})
                if record.changing is None and record.identity.authenticated:
                    yield partial(self.say, connection, "auth.refresh", {"method": "bearer", "token": "first"})
                    yield partial(self.say, connection, "auth.logout", {})
        for call in self.handlers:
            yield partial(self.complete, call)
        for token in TOKENS:
            if self.has_something(token):
                yield partial(self.revoke, token)
        if self.has_something("second") and not self._outdated:
            yield partial(self.revoke, "second", not_before=LATER)
        due = self.gateway.next_timeout()
        if due is not None and due < LIMITS["call_timeout"]:
            yield partial(self.pass_time, due - self.now)

    def connect_anonymously(self) -> None:
        connection = self.gateway.connect(Peer("websocket"), self.now)
        self.connected[connection] = ("websocket", False)
        self.check()

    def has_something(self, token: str) -> bool:
        """Has the user of this token anything that a revocation would concern?"""
        user, gateway = USERS[token].key, self.gateway
        tables = (gateway._connections.by_user, gateway._verifications.cache.by_user, gateway._calls.strays)
        return token in self.operations.values() or any(user in table for table in tables)

    def revoke(self, token: str, not_before: float | None = None) -> None:
        """The user of this token is revoked. What was asked before does not vouch for it any more. With a time, nothing
        does: all of its credentials were made before."""
        user = USERS[token].key
        assert user is not None
        self._revoked[user] = self._asked
        if not_before is not None:
            self._outdated[user] = None
        self.gateway.revoke(user[1], self.now, namespace=user[0], not_before=not_before)
        self.check()
        living = [each for each in self.gateway._connections.records.values() if each.state in LIVING]
        assert user not in [each.identity.key for each in living], "a revoked identity has no live connection"
        assert user not in self.gateway._connections.by_user
        running = [call for call in self.handlers if self._identities[call] == user]
        phases = [self.gateway._calls.records[call].phase.value for call in running]
        assert all(phase == "ended" for phase in phases), "no call goes on under a revoked identity"

    def conclude(self, operation: OperationId, outcome: object) -> None:
        assert operation not in self._ended, "every external operation ends once"
        self._ended[operation] = None
        if isinstance(outcome, Identity) and outcome.key is not None:
            began = self._began[operation]
            self._vouched[outcome.key] = max(began, self._vouched.get(outcome.key, 0))
        super().conclude(operation, outcome)

    def check(self) -> None:
        for effect in self.gateway.outbox:
            if isinstance(effect, Verify):
                self._asked += 1
                self._began[effect.operation] = self._asked
            elif isinstance(effect, Invoke):
                identity, now = effect.caller.identity, self.now
                self._identities[effect.call] = user = identity.key
                assert identity.expires_at is None or WALL + now < identity.expires_at, "no call runs that has expired"
                if user is not None:
                    vouched = self._vouched.get(user, 0)
                    assert vouched > self._revoked.get(user, 0), "no call runs under a revoked identity"
                    assert user not in self._outdated, "no call runs under an identity that is too old"
        super().check()

    def disconnect(self, connection: ConnectionId) -> None:
        super().disconnect(connection)
        assert connection not in self.gateway._connections.records


@cache
def service() -> Service:
    """The service of all lives."""
    return authenticated()


def take(places: tuple[int, ...], most: int = MOST) -> tuple[Life, int]:
    """Take the steps with these places among those that are possible. Returns the number of possible next steps."""
    life = Life(service(), most=most)
    for place in places:
        list(life.steps())[place]()
    return life, len(list(life.steps()))


def enumerate_below(begin: tuple[int, ...], depth: int, most: int = MOST) -> int:
    """Take every sequence of this length that begins with these steps. Returns how many there are."""
    lives, stack = 0, [begin]
    while stack:
        places = stack.pop()
        life, options = take(places, most)
        if len(places) == depth:
            life.rest()
            lives += 1
        else:
            stack.extend((*places, place) for place in range(options))
    return lives


def beginnings(length: int, most: int = MOST) -> list[tuple[int, ...]]:
    """Every sequence of this length, by its places."""
    found: list[tuple[int, ...]] = [()]
    for _ in range(length):
        found = [(*places, place) for places in found for place in range(take(places, most)[1])]
    return found


def main(depth: int) -> None:
    """Take every sequence of this length."""
    first = beginnings(min(FIRST, depth))
    with ProcessPoolExecutor() as pool:
        counted = sum(pool.map(partial(enumerate_below, depth=depth), first, chunksize=1))
    sys.stdout.write(f"{counted} sequences of {depth} steps: the promises hold\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else DEPTH)
