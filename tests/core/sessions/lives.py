"""Every life of a session: it is resumed, also in place of another connection, its old secrets are used, it ends, it
expires, connections leave, and the store answers late, fails, or does not say what it has done.

`python -m tests.core.sessions.lives [depth]`, as `make lives`, takes every sequence of so many steps (6), on all cores.
Steps are left out only if another sequence does the same: see `Life.steps`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, Final

from msgspec import Struct
from msgspec.json import decode, encode
from posthouse.adapters import invariants
from posthouse.adapters.invariants.accounts.sessions import sessions, sessions_at_rest
from posthouse.adapters.model.kept.compared import Compared
from posthouse.core.gateway import Gateway
from posthouse.core.operations.operations import Failed
from posthouse.core.service.service import Service
from posthouse.core.store.outcomes import MaybeApplied
from posthouse.core.values.config import Config
from posthouse.core.values.effects import AskStore, Disconnect, Transmit
from posthouse.core.values.errors import SESSION_TAKEN_OVER, UNKNOWN_SESSION
from posthouse.core.values.peers import ConnectionId, OperationId, Peer

from tests.core.world import WALL, request

OFFERED: Final = Service("lives", public=True, sessions="on")
CONFIG: Final = Config(
    heartbeat_interval=None, call_timeout=1000.0, storage_timeout=5.0, session_idle=30.0, session_lifetime=50.0
)
DEPTH: Final = 6
FIRST: Final = 3
"""Sequences that begin with the same so many steps are taken by one process."""

OWNER, OTHERS = "owner", ("first", "second")
"""The connection with which the session begins, and those that resume it."""


class Said(Struct, frozen=True):
    """A call without an answer. `secret`: the one that it uses. `used`: the secrets that had been used before it."""

    name: str
    method: str
    secret: str = ""
    replaces: bool = False
    used: tuple[str, ...] = ()


class Life:
    """One session, and the promises about it, which are held after each step:

    - of those who replace one connection, at most one wins;
    - the use of an old secret, after a newer one was used, ends the session;
    - a secret is in no effect but the answer to its owner;
    - a session that has ended has no connections, and is not resumed;
    - nothing is left in a table, an index or the store (`rest`).
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._drawn = 0
        self._said: dict[int, Said] = {}
        self._last = 0
        self._store = Compared()
        self._waiting: dict[OperationId, Any] = {}
        self._winner: ConnectionId | None = None
        self._acted: dict[str, None] = {}
        self.secrets: list[str] = []
        self.used: dict[str, None] = {}
        self.over = False
        self.session = ""
        self.gateway = Gateway(OFFERED, CONFIG, wall=WALL, entropy=self._entropy)
        self.gateway.use_external_store("disk")
        self.connected = {name: self.gateway.connect(Peer("websocket"), 0.0) for name in (OWNER, *OTHERS)}
        self._owner = self.gateway._connections.records[self.connected[OWNER]].public_id
        self.check()
        self.say(OWNER, Said(OWNER, "session.create"), {})
        self.answer(next(iter(self._waiting)), "done")

    def _entropy(self, size: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(size, "big")

    def steps(self) -> Iterator[Callable[[], None]]:
        """The inputs that are possible now. Left out are: what the second client does before the first one has done
        anything, who is like it; that a client leaves who has done nothing; requests that are answered in another
        order; time without a deadline."""
        for name in OTHERS:
            connection = self.connected.get(name)
            if connection is None or (name == OTHERS[1] and OTHERS[0] not in self._acted):
                continue
            if self.gateway._connections.records[connection].changing is None:
                yield partial(self.resume, name, self.secrets[-1])
                yield partial(self.resume, name, self.secrets[-1], replaces=True)
                if len(self.secrets) > 1:
                    yield partial(self.resume, name, self.secrets[0])
            if name in self._acted:
                yield partial(self.leave, name)
        if OWNER in self.connected:
            if not any(said.name == OWNER for said in self._said.values()):
                yield partial(self.say, OWNER, Said(OWNER, "session.end"), {})
            yield partial(self.leave, OWNER)
        for operation in list(self._waiting)[:1]:
            yield partial(self.answer, operation, "done")
            yield partial(self.answer, operation, "failed")
            yield partial(self.answer, operation, "maybe")
        due = self.gateway.next_timeout()
        if due is not None:
            yield partial(self.pass_time, due)

    def resume(self, name: str, secret: str, *, replaces: bool = False) -> None:
        """A client resumes the session with one of its secrets."""
        self._acted[name] = None
        params = {"session": self.session, "secret": secret, **({"replaces": self._owner} if replaces else {})}
        self.say(name, Said(name, "session.resume", secret, replaces, tuple(self.used)), params)

    def say(self, name: str, said: Said, params: dict[str, Any]) -> None:
        """A client makes a call."""
        self._last += 1
        self._said[self._last] = said
        text = encode(request(said.method, params, self._last))
        self.gateway.receive(self.connected[name], text, self.now)
        self.check()

    def leave(self, name: str) -> None:
        """A connection ends: its calls get no answer."""
        self._said = {id: said for id, said in self._said.items() if said.name != name}
        self.gateway.disconnected(self.connected.pop(name), None, self.now)
        self.check()

    def answer(self, operation: OperationId, how: str) -> None:
        """The store answers: it has done it, could not do it, or has done it and does not say so."""
        asked = self._waiting.pop(operation)
        outcome: Any = Failed() if how == "failed" else self._store.perform(asked)
        self.gateway.conclude(operation, outcome if how != "maybe" else MaybeApplied(), self.now)
        self.check()

    def pass_time(self, now: float) -> None:
        """Time passes up to a deadline."""
        self.now = max(self.now, now)
        self.gateway.handle_timeout(self.now)
        self.check()

    def check(self) -> None:
        """Look at what follows, and at every promise."""
        self.gateway.next_timeout()
        effects = list(self.gateway.outbox)
        self.gateway.outbox.clear()
        known = len(self.secrets)
        for effect in effects:
            if isinstance(effect, AskStore):
                self._waiting[effect.operation] = effect.request
            elif isinstance(effect, Transmit):
                self._told(effect, decode(effect.data))
        for effect in effects:
            seen = [secret for secret in self.secrets if secret in repr(effect)]
            assert not seen or (isinstance(effect, Transmit) and seen == self.secrets[known:]), "a secret is kept"
        invariants.calls(self.gateway)
        invariants.identity(self.gateway)
        sessions(self.gateway)
        if self.over:
            assert self.session not in self.gateway._sessions.records, "a session that has ended has no connections"
        for effect in effects:
            if isinstance(effect, Disconnect):
                for name in [name for name, each in self.connected.items() if each == effect.connection]:
                    self.leave(name)

    def _told(self, effect: Transmit, message: dict[str, Any]) -> None:
        said = self._said.pop(message.get("id", 0), None)
        if said is None:
            return
        result = message.get("result")
        if result is None:
            code = message["error"]["code"]
            stolen = said.secret in said.used[:-1] and code == UNKNOWN_SESSION
            self.over = self.over or stolen
            assert code != SESSION_TAKEN_OVER or said.replaces, "only those who replace are told of a winner"
            return
        if said.method == "session.end":
            self.over = True
            return
        assert not self.over, "a session that has ended is not resumed"
        assert said.secret not in said.used[:-1], "an old secret does not count after a newer one was used"
        self.session = result["id"]
        self.secrets.append(result["secret"])
        if said.secret and said.secret not in self.used:
            self.used[said.secret] = None
        if said.replaces:
            record = None if self._winner is None else self.gateway._connections.records.get(self._winner)
            again = record is not None and record.session == self.session and self._winner != effect.connection
            assert not again, "two have replaced one connection"
            self._winner = effect.connection

    def rest(self) -> None:
        """Everybody leaves and the store answers: nothing is left, and no session lasts for ever."""
        for name in list(self.connected):
            if name in self.connected:
                self.leave(name)
        while self._waiting:
            self.answer(next(iter(self._waiting)), "done")
        gateway = self.gateway
        sessions_at_rest(gateway)
        assert not gateway._operations.records and not gateway._connections.records and not gateway._calls.records
        assert gateway.memory == 0
        self._store.check()
        for _ in range(3):
            due = gateway.next_timeout()
            if due is not None:
                self.pass_time(due + CONFIG.session_lifetime)
            while self._waiting:
                self.answer(next(iter(self._waiting)), "done")
        unknown = [id for id in self._store.store.sessions if id != self.session]
        assert not unknown, "no session is left of which nobody knows"


def take(places: tuple[int, ...]) -> tuple[Life, int]:
    """Take the steps with these places among those that are possible. Returns the number of possible next steps."""
    life = Life()
    for place in places:
        list(life.steps())[place]()
    return life, len(list(life.steps()))


def enumerate_below(begin: tuple[int, ...], depth: int) -> int:
    """Take every sequence of this length that begins with these steps. Returns how many there are."""
    lives, stack = 0, [begin]
    while stack:
        places = stack.pop()
        life, options = take(places)
        if len(places) == depth or not options:
            life.rest()
            lives += 1
        else:
            stack.extend((*places, place) for place in range(options))
    return lives


def beginnings(length: int) -> list[tuple[int, ...]]:
    """Every sequence of this length, by its places."""
    found: list[tuple[int, ...]] = [()]
    for _ in range(length):
        found = [(*places, place) for places in found for place in range(take(places)[1])]
    return found


def main(depth: int) -> None:
    """Take every sequence of this length."""
    first = beginnings(min(FIRST, depth))
    with ProcessPoolExecutor() as pool:
        counted = sum(pool.map(partial(enumerate_below, depth=depth), first, chunksize=1))
    sys.stdout.write(f"{counted} sequences of {depth} steps in the life of a session: the promises hold\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else DEPTH)
