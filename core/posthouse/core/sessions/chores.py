"""What the store is told although nobody waits for it: sessions that end, uses, a sweep.

Most of it is told once: a session that the store keeps although it should have ended expires there. The end of the
sessions of a revoked user, and of one that a log-in has replaced, is told until the store has done it. Until then none
of them counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct
from posthouse.core.store.outcomes import Done
from posthouse.core.store.requests import EndSession, EndSessions, Sweep, Touch
from posthouse.core.store.storage import Storage
from posthouse.core.values.peers import UserKey
from posthouse.core.values.shared import Shared

CHORE: Final = "chore"
"""The purpose of this table's requests."""

TELL_AGAIN: Final = "chore_again"
"""The reason of this table's deadlines."""

AGAIN_AFTER: Final = 1.0
"""Seconds until a store that could not do it is told again."""

ChoreRequest = EndSession | EndSessions | Sweep | Touch

Ended = Callable[[Iterable[str], float], None]
"""Called with the ids of the sessions that a request has ended, and the time."""


class Chore(Struct, frozen=True, gc=False):
    """One request. `of`: the user of which all sessions end, or the session that ends: it is told until it is done.
    `known`: the sessions of which it is known here that they have ended."""

    request: ChoreRequest
    of: UserKey | str | None = None
    known: tuple[str, ...] = ()


class Chores:
    """The requests that the store has not done yet. Those that are told until they are done: `ending`, by the user of
    which all sessions end, and `replaced`, by the session that ends. Each has its own bound: log-ins, which any user
    may repeat, must not let the sessions of a revoked user count again."""

    def __init__(self, shared: Shared, storage: Storage) -> None:
        self._timers = shared.timers
        self._most = shared.config.max_revocations
        self._storage = storage
        self._last = 0
        self._ended: dict[type, Ended] = {}
        self.records: dict[int, Chore] = {}
        self.ending: dict[UserKey, int] = {}
        self.replaced: dict[str, int] = {}
        storage.on(CHORE, self._answered)
        self._timers.on(TELL_AGAIN, self._tell)

    def on(self, kind: type, ended: Ended) -> None:
        """Call `ended` with the sessions that requests of this kind have ended."""
        self._ended[kind] = ended

    def write_id(self) -> str:
        """An id for a write."""
        return self._storage.new_write_id()

    def tell(
        self, request: ChoreRequest, now: float, *, of: UserKey | str | None = None, known: tuple[str, ...] = ()
    ) -> None:
        """Tell the store. `of`: the user of which all sessions end, or the session that ends: it is told again until
        it is done. `known`: the sessions of which it is known here."""
        self._last = number = self._last + 1
        self.records[number] = Chore(request, of, known)
        if of is not None:
            told = self._told(of)
            self._forget(told.pop(of, 0))
            if len(told) >= self._most:
                self._forget(told.pop(next(iter(told))))
            told[of] = number
        self._tell(number, now)

    def _told(self, of: UserKey | str) -> dict[Any, int]:
        return self.replaced if isinstance(of, str) else self.ending

    def _forget(self, number: int) -> None:
        self.records.pop(number, None)

    def _tell(self, number: int, now: float) -> None:
        if number not in self.records:
            return
        outcome = self._storage.begin(CHORE, number, self.records[number].request, now)
        if not isinstance(outcome, int):
            self._answered(number, outcome, now)

    def _answered(self, number: int, outcome: object, now: float) -> None:
        chore = self.records.get(number)
        if chore is None:
            return  # its user was revoked again
        if chore.of is not None and not isinstance(outcome, Done):
            self._timers.arm(now + AGAIN_AFTER, TELL_AGAIN, number)
            return
        del self.records[number]
        if chore.of is not None:
            del self._told(chore.of)[chore.of]
        ended = self._ended.get(type(chore.request))
        if ended is not None and isinstance(outcome, Done):
            ended([session for session in outcome.value if session not in chore.known], now)
