"""The virtual clock: which events are planned, and when.

Time stands still while an event runs, then jumps to the next event. Events planned for the same moment run in the order
in which they were planned.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Final


class Schedule:
    """The events of a world. `now` is monotonic seconds, from 0.

    A planned event cannot be cancelled: when it runs, it checks whether it is still wanted.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Plan an event, `seconds` from now."""
        self._sequence += 1
        heappush(self._heap, (self.now + seconds, self._sequence, event))

    def at(self, when: float, event: Callable[[], None]) -> None:
        """Plan an event for the time `when`, or for now if that has passed."""
        self._sequence += 1
        heappush(self._heap, (when if when > self.now else self.now, self._sequence, event))

    def next(self) -> float | None:
        """The time of the next event, or None."""
        return self._heap[0][0] if self._heap else None

    def pop(self) -> Callable[[], None]:
        """Take the next event and set the clock to its time. The clock never goes back."""
        when, _, event = heappop(self._heap)
        if when > self.now:
            self.now = when
        return event


class ProcessClock:
    """The clock of one process. While the process is asleep, its events wait."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule: Final = schedule
        self._waiting: list[Callable[[], None]] = []
        self._skipped = 0.0
        self.asleep = False

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self._schedule.now + self._skipped

    def skip(self, seconds: float) -> None:
        """Let time pass for this process alone: it was killed, and ends what it has begun."""
        self._skipped += seconds

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Plan an event, `seconds` from now."""
        self._schedule.after(seconds, partial(self.run, event))

    def run(self, event: Callable[[], None]) -> None:
        """Run an event now, or on waking up if the process is asleep."""
        if self.asleep:
            self._waiting.append(event)
        else:
            event()

    def wake(self) -> None:
        """Run the events that waited."""
        self.asleep = False
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            event()
