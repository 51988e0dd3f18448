"""The virtual clock: what is to happen when, and nothing happens in between.

Time stands still while something happens and then jumps to what is next. What falls on the same moment happens in the
order in which it was planned.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Final, Protocol


class Clock(Protocol):
    """What those need of it who only plan."""

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Plan this, `seconds` from now."""
        ...


class Schedule:
    """`now` is monotonic seconds, from 0. What was planned cannot be taken back: it looks, when it happens, whether it
    is still wanted."""

    __slots__ = ("_heap", "_sequence", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0

    def __len__(self) -> int:
        """How much is planned."""
        return len(self._heap)

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Plan this, `seconds` from now."""
        self._sequence += 1
        heappush(self._heap, (self.now + seconds, self._sequence, event))

    def at(self, when: float, event: Callable[[], None]) -> None:
        """Plan this for then; for now, if that is past."""
        self._sequence += 1
        heappush(self._heap, (when if when > self.now else self.now, self._sequence, event))

    def next(self) -> float | None:
        """When the next event is, or None."""
        return self._heap[0][0] if self._heap else None

    def pop(self) -> Callable[[], None]:
        """The next event, at its time or late: the clock never goes back."""
        when, _, event = heappop(self._heap)
        if when > self.now:
            self.now = when
        return event


class ProcessClock:
    """The schedule as a process has it: while it is asleep, what it had planned waits."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule: Final = schedule
        self._waiting: list[Callable[[], None]] = []
        self.asleep = False

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self._schedule.now

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Plan this, `seconds` from now."""
        self._schedule.after(seconds, partial(self.run, event))

    def run(self, event: Callable[[], None]) -> None:
        """Do this; or when it wakes, if it is asleep."""
        if self.asleep:
            self._waiting.append(event)
        else:
            event()

    def wake(self) -> None:
        """Do what waited."""
        self.asleep = False
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            event()
