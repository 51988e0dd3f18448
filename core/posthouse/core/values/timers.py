"""One heap of deadlines with lazy deletion, each with its reason.

A deadline is a time, a reason and the id that it concerns. The table that arms deadlines for a reason registers what
is done when one is due. Nothing here reads a clock: the owner of the heap says what time it is.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final

from msgspec import Struct

SUSPENDED: Final = 5.0
"""Seconds past the earliest deadline after which this process must have been asleep, not merely late."""

Due = Callable[[int, float], None]
"""Called with the id that a deadline concerns, and with the time."""


class Timer(Struct, gc=False, eq=False):
    """One deadline. Keep it to `disarm` it; nothing else may change it."""

    when: float
    reason: str
    key: int
    live: bool = True


class Timers:
    """Deadlines in order of time; those of equal time in the order in which they were armed.

    `suspended`, while `run` does what is due: this process was asleep, so that peers could not be heard.
    """

    __slots__ = ("_dead", "_due", "_heap", "_sequence", "suspended")

    def __init__(self) -> None:
        self._due: dict[str, Due] = {}
        self.suspended = False
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = 0
        self._dead = 0

    def __len__(self) -> int:
        """How many deadlines are armed."""
        return len(self._heap) - self._dead

    def on(self, reason: str, due: Due) -> None:
        """Call `due` when a deadline with this reason is due."""
        self._due[reason] = due

    def arm(self, when: float, reason: str, key: int) -> Timer:
        """A new deadline at `when`, monotonic seconds."""
        timer = Timer(when, reason, key)
        self._sequence += 1
        heappush(self._heap, (when, self._sequence, timer))
        return timer

    def disarm(self, timer: Timer | None) -> None:
        """Forget a deadline; one that has fired or was forgotten already is left alone."""
        if timer is None or not timer.live:
            return
        timer.live = False
        self._dead += 1
        if self._dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].live]
            heapify(self._heap)
            self._dead = 0

    def next(self) -> float | None:
        """When the earliest deadline is, or None."""
        heap = self._heap
        while heap and not heap[0][2].live:
            heappop(heap)
            self._dead -= 1
        return heap[0][0] if heap else None

    def pop(self, now: float) -> Timer | None:
        """The earliest deadline that is due at `now`, taken off the heap, or None."""
        when = self.next()
        if when is None or when > now:
            return None
        timer = heappop(self._heap)[2]
        timer.live = False
        return timer

    def run(self, now: float) -> None:
        """Do what is due at `now`, earliest deadline first."""
        earliest = self.next()
        self.suspended = earliest is not None and now - earliest > SUSPENDED
        while (timer := self.pop(now)) is not None:
            self._due[timer.reason](timer.key, now)
