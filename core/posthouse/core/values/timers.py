"""One heap of deadlines, each with a reason and the id that it concerns.

The table that arms deadlines for a reason registers the function to call when one is due. Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final

from msgspec import Struct

SUSPENDED: Final = 5.0
"""If the earliest deadline is overdue by more seconds than this, the process was suspended, not only late."""

Due = Callable[[int, float], None]
"""Called with the id that the deadline concerns and the time."""


class Timer(Struct, gc=False, order=True):
    """One deadline. Keep it to `disarm` it. Deadlines are ordered by `when`, equal times by `sequence`: no two of one
    heap are equal, and so they are the entries of the heap themselves."""

    when: float
    sequence: int
    reason: str
    key: int
    live: bool = True


class Timers:
    """Deadlines in order of time; equal times in the order in which they were armed.

    `suspended` is True while `run` handles deadlines after the process was suspended and could not hear its peers.
    Disarmed deadlines stay in the heap until they are more than half of it.
    """

    def __init__(self) -> None:
        self._due: dict[str, Due] = {}
        self.suspended = False
        self._heap: list[Timer] = []
        self._sequence = 0
        self._dead = 0

    def __len__(self) -> int:
        """The number of armed deadlines."""
        return len(self._heap) - self._dead

    def on(self, reason: str, due: Due) -> None:
        """Call `due` for each deadline with this reason that is due."""
        self._due[reason] = due

    def arm(self, when: float, reason: str, key: int) -> Timer:
        """Arm a deadline at `when` (monotonic seconds)."""
        self._sequence += 1
        timer = Timer(when, self._sequence, reason, key)
        heappush(self._heap, timer)
        return timer

    def disarm(self, timer: Timer | None) -> None:
        """Disarm a deadline. Does nothing for None, and for one that is due or disarmed already."""
        if timer is None or not timer.live:
            return
        timer.live = False
        self._dead += 1
        if self._dead * 2 > len(self._heap):
            self._heap = [timer for timer in self._heap if timer.live]
            heapify(self._heap)
            self._dead = 0

    def next(self) -> float | None:
        """The time of the earliest deadline, or None."""
        heap = self._heap
        while heap and not heap[0].live:
            heappop(heap)
            self._dead -= 1
        return heap[0].when if heap else None

    def pop(self, now: float) -> Timer | None:
        """Take the earliest deadline that is due at `now`, or None."""
        when = self.next()
        if when is None or when > now:
            return None
        timer = heappop(self._heap)
        timer.live = False
        return timer

    def run(self, now: float) -> None:
        """Handle the deadlines that are due at `now`, the earliest first."""
        earliest = self.next()
        self.suspended = earliest is not None and now - earliest > SUSPENDED
        while (timer := self.pop(now)) is not None:
            self._due[timer.reason](timer.key, now)
