"""Turns: how many authenticators that hash run at once for an address and for a user, and the lines of the others.

A hash takes a worker thread and memory. Callers wait for their turns within `authentication_timeout`, so that those
behind the address of a guesser get in, too. This module may not know what is verified.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import chain
from typing import Any, Final

from msgspec import Struct
from posthouse.core.values.close_reasons import MAX_HASHES_PER_ADDRESS, MAX_HASHES_PER_USER, CloseReason
from posthouse.core.values.shared import Shared

Digest = bytes
"""Stands for a user or a password."""

PAUSE: Final = 1.0
"""Seconds between two attempts for a user for whom too many have failed everywhere."""

PAUSE_ENDS: Final = "pause"
"""The reason of this table's deadlines."""


class Turn(Struct, eq=False):
    """A place for one hash. `address` is empty and `user` None if there is none to count by. `known` turns go first;
    a `slow` one waits until the pause of its user is over. `number`: of the thing that waits for it. `came` is called
    when it has come, after it waited."""

    number: int
    address: str
    user: Digest | None
    known: bool
    slow: bool
    came: TurnCame


TurnCame = Callable[[Turn, float], None]
"""Called with a turn that has come, and the time."""


class Turns:
    """The hashes that run, by address and by user, and the turns that wait. `pauses`: until when no slow turn of a user
    comes, in order of time. One timer is for all of them."""

    def __init__(self, shared: Shared) -> None:
        self._per_address = shared.config.max_hashes_per_address
        self._per_user = shared.config.max_hashes_per_user
        self._timers = shared.timers
        self._armed = False
        self._last_number = 0
        self._come: deque[Turn] = deque()
        self._telling = False
        self.by_address: dict[str, int] = {}
        self.by_user: dict[Digest, int] = {}
        self.pauses: dict[Digest, float] = {}
        self.waiting: dict[tuple[str | Digest | None, bool], dict[Turn, None]] = {}
        shared.timers.on(PAUSE_ENDS, self._pause_ends)

    def next_number(self) -> int:
        """A number that no turn has had."""
        self._last_number += 1
        return self._last_number

    def obstacle(self, turn: Turn) -> CloseReason | None:
        """The limit for which this turn has to wait, or None."""
        if turn.address and self.by_address.get(turn.address, 0) >= self._per_address:
            return MAX_HASHES_PER_ADDRESS
        if turn.user is None:
            return None
        paused = turn.slow and turn.user in self.pauses
        return MAX_HASHES_PER_USER if paused or self.by_user.get(turn.user, 0) >= self._per_user else None

    def take(self, turn: Turn, now: float) -> bool:
        """Take the places of this turn. False: it has to wait."""
        if self.obstacle(turn) is not None:
            return False
        add(self.by_address, turn.address, 1)
        add(self.by_user, turn.user, 1)
        if turn.slow and turn.user is not None:
            self.pauses[turn.user] = now + PAUSE
            self._arm()
        return True

    def wait(self, turn: Turn) -> None:
        """Put this turn at the end of its lines."""
        for key in (turn.address, turn.user):
            if key:
                self.waiting.setdefault((key, turn.known), {})[turn] = None

    def leave(self, turn: Turn) -> None:
        """This turn waits no more."""
        for key in (turn.address, turn.user):
            line = self.waiting.get((key, turn.known)) if key else None
            if key and line is not None:
                del line[turn]
                if not line:
                    del self.waiting[key, turn.known]

    def release(self, turn: Turn, now: float) -> None:
        """The hash of this turn has ended. Turns that have come now have taken their places, and are told."""
        add(self.by_address, turn.address, -1)
        add(self.by_user, turn.user, -1)
        self._next(turn.user, now)
        self._next(turn.address, now)
        self._tell(now)

    def _next(self, key: str | Digest | None, now: float) -> None:
        """The first turn in the lines of an address or a user that can take its places does so."""
        lines = chain(self.waiting.get((key, True), ()), self.waiting.get((key, False), ())) if key else ()
        turn = next((turn for turn in lines if self.take(turn, now)), None)
        if turn is not None:
            self.leave(turn)
            self._come.append(turn)

    def _tell(self, now: float) -> None:
        """Tell the turns that have come, in order. One that cannot be used is released at once, so that more come."""
        if self._telling:
            return
        self._telling = True
        while self._come:
            turn = self._come.popleft()
            turn.came(turn, now)
        self._telling = False

    def _arm(self) -> None:
        if self.pauses and not self._armed:
            self._armed = True
            self._timers.arm(next(iter(self.pauses.values())), PAUSE_ENDS, 0)

    def _pause_ends(self, key: int, now: float) -> None:
        self._armed = False
        for user in [user for user, until in self.pauses.items() if until <= now]:
            del self.pauses[user]
            self._next(user, now)
            self._tell(now)
        self._arm()


def add(counts: dict[Any, int], key: str | Digest | None, number: int) -> None:
    """Count one more or one less. A count of 0 is not kept."""
    if key:
        counts[key] = counts.get(key, 0) + number
        if not counts[key]:
            del counts[key]
