"""Requests to a store in memory, as they come when names, secrets and times meet often: its outcomes, rows and indexes
must be those of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from posthouse.adapters.invariants import must
from posthouse.adapters.model.kept.compared import Compared
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.store.draws import IDENTITIES, IDLE, Draws, digest, script, session_of
from posthouse.core.store.memory import MemoryStore
from posthouse.core.store.requests import (
    AddSession,
    EndSession,
    FindSession,
    ListSessions,
    Request,
    ResumeSession,
    Sweep,
    UseSession,
)
from posthouse.core.store.rows import SessionRow

REQUESTS: Final = 120
SEEDS: Final = 1 << 30

RETIRED: Final = 10
"""More secrets of a session than are remembered."""

MANY: Final = 40
"""Sessions that are made and end, one after the other: enough to let indexes be made anew."""


class Requests:
    """One episode of each kind."""

    def __init__(self, stream: Stream) -> None:
        self._stream: Final = stream
        self._held = 0
        self._compared = Compared()
        self._draws = Draws(0, self._compared.store)

    def _hold(self, size: int) -> None:
        self._held += size

    def run(self) -> int:
        """Perform the episodes. Returns the number of their steps. Raises Violation."""
        return sum(map(self._perform, (self._drawn, self._drawn, self._scripted, self._rotated, self._many)))

    def _perform(self, make: Callable[[], Iterable[Request]]) -> int:
        self._held, steps = 0, 0
        store = MemoryStore(self._hold)
        self._compared = Compared(store)
        self._draws = Draws(self._stream.choose(SEEDS), store)
        for request in make():
            self._compared.perform(request)
            size = sum(row.size for row in store.users.values()) + sum(row.size for row in store.tokens.values())
            size += sum(row.size for row in store.sessions.values())
            must(self._held == size, "flow: the bytes of rows are counted", request)
            steps += 1
        self._compared.check()
        return steps

    def _drawn(self) -> Iterator[Request]:
        # A request depends on the rows that those before have left: it is drawn when its turn comes.
        return (self._draws.request() for _ in range(REQUESTS))

    def _scripted(self) -> list[Request]:
        return script()

    def _rotated(self) -> list[Request]:
        """A session is resumed again and again; then an old secret of it is used, and the newest one."""
        secrets = [digest(f"secret {number}") for number in range(RETIRED + 1)]
        steps = [
            ResumeSession(f"{place}", "a", old, secrets[place + 1], 1.0 + place, IDLE)
            for place, old in enumerate(secrets[:RETIRED])
        ]
        used = UseSession("used", "a", secrets[RETIRED], 20.0, IDLE)
        old = UseSession("old", "a", secrets[self._stream.choose(RETIRED)], 20.0, IDLE)
        added = session_of("a", "secret 0")
        return [added, *steps, *self._stream.pick(((), (used,))), old, used, FindSession("a", 20.0, IDLE)]

    def _many(self) -> list[Request]:
        """Sessions of somebody or of nobody are made. Some end, some expire, and some make room for others."""
        stream, made = self._stream, list[Request]()
        most = stream.pick((8, MANY))
        for number in range(MANY):
            now = float(number)
            row = SessionRow(
                id=f"{number:02d}",
                identity=stream.pick(IDENTITIES[:2]),
                current=digest(f"{number}"),
                created_at=now,
                used_at=now,
                ends_at=now + stream.pick((1000.0, 5.0, 20.0)),
            )
            made.append(AddSession(f"{number}", row, most, MANY, now, IDLE))
            session = f"{stream.choose(number + 1):02d}"
            if stream.happens(300):
                made.append(EndSession(f"end {number}", session))
            elif stream.happens(400):
                made.append(UseSession(f"use {number}", session, digest(f"{int(session)}"), now, IDLE))
            elif stream.happens(500):
                made.append(ListSessions(("", "ada"), now, IDLE))
            elif stream.happens(300):
                made.append(Sweep(f"sweep {number}", now, IDLE))
        return made
