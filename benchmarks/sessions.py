"""What sessions and users cost in a gateway that has many of them: `python -m benchmarks.sessions`.

Each step is counted in Python calls, with 100 sessions and users and with 100,000. The counts do not depend on the
machine. Times do: they are medians of steps that are taken in turn, with few and with many.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from hashlib import sha256
from itertools import count
from statistics import median
from time import perf_counter
from typing import Any, Final

from msgspec import json
from posthouse.core import Config, Gateway, Identity, Peer, Service
from posthouse.core.store.requests import AddSession, AddUser, FindUser, ListSessions
from posthouse.core.store.rows import SessionRow, UserRow
from posthouse.core.values.peers import ConnectionId

FEW, MANY = 100, 100_000
ROUNDS: Final = 300
WALL: Final = 1_700_000_000.0
BIG: Final = 10_000_000


class Crowd:
    """A gateway whose store has so many users, each with a session that has a connection."""

    def __init__(self, size: int) -> None:
        drawn = count()
        service = Service("crowd", public=True, users=True, sessions="on")
        config = Config(
            heartbeat_interval=None, max_connections=BIG, max_sessions=BIG, max_users=BIG, memory_budget=1 << 40
        )
        self.gateway = Gateway(service, config, wall=WALL, entropy=lambda size: next(drawn).to_bytes(size, "big"))
        self.size = size
        self.turn = count()
        store = self.gateway.store
        assert store is not None
        self.store = store
        self._leaving = 0
        self.connections: list[ConnectionId] = []
        for number in range(size):
            self._fill(number)

    def _fill(self, number: int) -> None:
        user = f"user {number:07}"
        self.store.perform(AddUser("", UserRow(user=user, created_at=WALL), BIG))
        digest = sha256(user.encode()).digest()
        row = SessionRow(
            id=user, identity=Identity(user), current=digest, created_at=WALL, used_at=WALL, ends_at=WALL + 1e9
        )
        self.store.perform(AddSession("", row, BIG, BIG, WALL, 1e9))
        connection = self.gateway.connect(Peer("websocket", identity=Identity(user)), 0.0)
        self.gateway._sessions.attach(self.gateway._connections.records[connection], row, 0.0)
        self.connections.append(connection)
        self.gateway.outbox.clear()

    def any(self) -> int:
        """One of the users, never the same one twice in a row."""
        return next(self.turn) * 7_919 % self.size

    def call(self, method: str, **params: Any) -> None:
        """One of the users calls."""
        connection = self.connections[self.any()]
        self.gateway.receive(connection, json.encode(_request(method, params)), 0.0)
        self.gateway.outbox.clear()

    def leave(self) -> None:
        """A connection leaves. `settle` puts another one in its place, which is not measured."""
        self.gateway.disconnected(self.connections[self._leaving], None, 0.0)
        self.gateway.outbox.clear()

    def prepare(self) -> None:
        """Choose the connection that leaves."""
        self._leaving = self.any()

    def settle(self) -> None:
        """The user of the connection that has left comes again."""
        user = f"user {self._leaving:07}"
        connection = self.gateway.connect(Peer("websocket", identity=Identity(user)), 0.0)
        row = self.store.sessions[user]
        self.gateway._sessions.attach(self.gateway._connections.records[connection], row, 0.0)
        self.connections[self._leaving] = connection
        self.gateway.outbox.clear()

    def find_user(self) -> None:
        """The store is asked for a user."""
        self.store.perform(FindUser(f"user {self.any():07}"))

    def list_sessions(self) -> None:
        """The store is asked for the sessions of a user."""
        self.store.perform(ListSessions(("", f"user {self.any():07}"), WALL, 1e9))


def _request(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


STEPS: Final[dict[str, Callable[[Crowd], object]]] = {
    "session.get": lambda crowd: crowd.call("session.get"),
    "session.update": lambda crowd: crowd.call("session.update", set={"n": 1}),
    "session.list": lambda crowd: crowd.call("session.list"),
    "user.me": lambda crowd: crowd.call("user.me"),
    "find a user": Crowd.find_user,
    "list the sessions of a user": Crowd.list_sessions,
    "disconnect": Crowd.leave,
}
"""What is measured, by name."""


def calls_of(crowd: Crowd, step: Callable[[Crowd], object]) -> int:
    """The Python calls of one step."""
    crowd.prepare()
    counted = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    sys.setprofile(note)
    try:
        step(crowd)
    finally:
        sys.setprofile(None)
    if step is Crowd.leave:
        crowd.settle()
    return counted


def seconds_of(crowd: Crowd, step: Callable[[Crowd], object]) -> float:
    """The seconds that one step takes."""
    crowd.prepare()
    began = perf_counter()
    step(crowd)
    took = perf_counter() - began
    if step is Crowd.leave:
        crowd.settle()
    return took


def main(few: int = FEW, many: int = MANY) -> dict[str, tuple[int, int, float]]:
    """Measure all steps. Returns, by name, the calls with few, with many, and the ratio of the times."""
    small, large = Crowd(few), Crowd(many)
    found: dict[str, tuple[int, int, float]] = {}
    for name, step in STEPS.items():
        for crowd in (small, large):
            calls_of(crowd, step)  # what happens once happens now
        taken = [(seconds_of(small, step), seconds_of(large, step)) for _ in range(ROUNDS)]
        ratio = median(each for _, each in taken) / median(each for each, _ in taken)
        found[name] = (calls_of(small, step), calls_of(large, step), ratio)
    return found


def report(found: dict[str, tuple[int, int, float]], few: int, many: int) -> str:
    """The figures as a table."""
    rows = [f"| step | calls with {few:,} | calls with {many:,} | time, as a ratio |", "|---|---:|---:|---:|"]
    rows += [f"| {name} | {one} | {two} | {ratio:.2f} |" for name, (one, two, ratio) in found.items()]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(report(main(), FEW, MANY))
