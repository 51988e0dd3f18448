"""The only timer of an event loop: one task that sleeps until the earliest deadline.

It does not know what is due.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import anyio

SPACING: Final = 0.01
"""Seconds from one ring to the next, at least. To wake the loop costs more than most deadlines: those that come close
behind each other, such as the heartbeats of many connections, share one turn."""


class Alarm:
    """Rings at `due`, in monotonic seconds as `now` tells them; infinity while nothing is due."""

    __slots__ = ("_now", "_rang_at", "_sleep", "due")

    def __init__(self, now: Callable[[], float]) -> None:
        self.due = math.inf
        self._now: Final = now
        self._rang_at = -math.inf
        self._sleep: anyio.CancelScope | None = None

    def advance(self, due: float) -> None:
        """Ring earlier than it is set to, but not within `SPACING` of the last ring. It is never set back: if its
        deadline has gone, it rings for nothing."""
        due = max(due, self._rang_at + SPACING)
        if due < self.due:
            self.due = due
            if self._sleep is not None:
                self._sleep.deadline = self._loop_time()

    async def run(self, ring: Callable[[], None]) -> None:
        """Call `ring` each time that a deadline has come, until this is cancelled. `ring` sets the next deadline."""
        while True:
            with anyio.CancelScope(deadline=self._loop_time()) as self._sleep:
                await anyio.sleep_forever()
            self._sleep = None
            self.due = math.inf
            self._rang_at = self._now()
            ring()

    def _loop_time(self) -> float:
        return anyio.current_time() + (self.due - self._now())  # exact when it is near
