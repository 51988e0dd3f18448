"""The sessions of nobody in a store in memory, in the order of their use: they make room for others."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final

from .rows import SessionRow

MOST_ENDED: Final = 16
"""So many sessions that have ended are remembered beyond the number of those that go on."""


class Nobodys:
    """The sessions of nobody, the one that was used the longest time ago first. `used_at` has the last use of each.
    `size` is how many bytes they take. The heap may still name uses that were not the last."""

    def __init__(self) -> None:
        self.used_at: dict[str, float] = {}
        self.size = 0
        self._heap: list[tuple[float, str]] = []

    def put(self, row: SessionRow, was: SessionRow | None) -> None:
        """A session is new, or is no longer as it was."""
        self.size += row.size - (0 if was is None else was.size)
        if self.used_at.get(row.id) != row.used_at:
            self.used_at[row.id] = row.used_at
            heappush(self._heap, (row.used_at, row.id))
            self._forget()

    def remove(self, row: SessionRow) -> None:
        """A session has ended."""
        self.size -= row.size
        del self.used_at[row.id]
        self._forget()

    def _forget(self) -> None:
        if len(self._heap) > 2 * len(self.used_at) + MOST_ENDED:
            self._heap = [(at, id) for id, at in self.used_at.items()]
            heapify(self._heap)

    def first(self, but: str | None = None) -> str | None:
        """The one that was used the longest time ago, except this one."""
        first = self._first()
        if first is None or first[1] != but:
            return None if first is None else first[1]
        heappop(self._heap)
        second = self._first()
        heappush(self._heap, first)
        return None if second is None else second[1]

    def _first(self) -> tuple[float, str] | None:
        while self._heap and self.used_at.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0] if self._heap else None
