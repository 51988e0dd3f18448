"""One heap of deadlines with lazy deletion, each with its reason.

A deadline is a time, a reason (the name of what is to be done) and the id that it concerns. Nothing here reads a
clock: whoever holds the heap asks what is due at a given time. It may not know what a reason means.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from msgspec import Struct


class Timer(Struct, gc=False, eq=False):
    """One deadline. Keep it to `disarm` it; nothing else may change it."""

    when: float
    reason: str
    key: int
    live: bool = True


class Timers:
    """Deadlines in order of time; those of equal time in the order in which they were armed."""

    __slots__ = ("_dead", "_heap", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = 0
        self._dead = 0

    def __len__(self) -> int:
        """How many deadlines are armed."""
        return len(self._heap) - self._dead

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
