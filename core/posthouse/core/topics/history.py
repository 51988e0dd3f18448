"""The history of one topic: its last publications, and which of them somebody has not seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from msgspec import Raw, Struct
from posthouse.core.service.topics.position import Position

BESIDE_BODY: Final = 120
"""The bytes that a publication takes in memory beside its body."""


class Publication(Struct, frozen=True, gc=False):
    """One publication that is kept. `body` has the members of its notification that follow `epoch`."""

    offset: int
    at: float
    body: bytes

    @property
    def size(self) -> int:
        """The bytes that are counted for it."""
        return len(self.body) + BESIDE_BODY

    @property
    def shown(self) -> Raw:
        """As it stands in the answer of a method."""
        return Raw(b"{%b}" % self.body)


class History(Struct, eq=False):
    """The publications that are kept, the oldest first. Their offsets follow each other. `bytes`: those of all."""

    kept: deque[Publication]
    bytes: int = 0

    def append(self, publication: Publication) -> None:
        """Keep one more."""
        self.kept.append(publication)
        self.bytes += publication.size

    def drop(self) -> int:
        """Drop the oldest one. Returns its bytes."""
        size = self.kept.popleft().size
        self.bytes -= size
        return size

    def after(self, offset: int) -> Iterable[Publication]:
        """Those with higher offsets, the oldest first."""
        return map(self.kept.__getitem__, range(self._place(offset + 1), len(self.kept)))

    def before(self, offset: int) -> Iterable[Publication]:
        """Those with lower offsets, the newest first."""
        return map(self.kept.__getitem__, reversed(range(self._place(offset))))

    def _place(self, offset: int) -> int:
        """Where this offset is, or would be: they follow each other."""
        first = self.kept[0].offset if self.kept else offset
        return min(max(offset - first, 0), len(self.kept))


def unseen(history: History | None, at: Position, position: Position, most: int, room: int) -> list[Raw] | None:
    """Exactly the publications behind `position`, in a topic that is `at` another one. None: some of them are not here
    any more, or they are more than `most` or than `room` bytes; or there never was such a position.

    The question is whether the gap is empty or still held, and not whether the last publication that was seen is.
    """
    missed = at.offset - position.offset
    if position.epoch != at.epoch or missed < 0:
        return None
    if not missed:
        return []
    if missed > most or history is None or history.kept[0].offset > position.offset + 1:
        return None
    found = [publication.shown for publication in history.after(position.offset)]
    return found if size_of(found) <= room else None


def fitting(publications: Iterable[Publication], limit: int, room: int) -> list[Raw]:
    """The first of these: at most `limit`, and as many as fit into `room` bytes."""
    found: list[Raw] = []
    size = 0
    for publication in publications:
        size += len(publication.body) + 3
        if len(found) == limit or size > room:
            break
        found.append(publication.shown)
    return found


def size_of(publications: list[Raw]) -> int:
    """The bytes that these take in an answer."""
    return sum(len(memoryview(each)) + 1 for each in publications)
