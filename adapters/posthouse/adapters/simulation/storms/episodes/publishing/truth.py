"""What was published and what must still be kept of it, in plain lists: the other opinion about the broker."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct, field
from posthouse.adapters.invariants import must
from posthouse.adapters.invariants.publishing.contract import Ledger


class Kept(Struct, frozen=True):
    """How many publications of a topic are kept, and for how many seconds."""

    number: int
    seconds: float


class Course(Struct):
    """The course of one topic in one epoch: `published` has the offset, the time and the data of each publication.
    `used_at`: when somebody last published or subscribed."""

    epoch: str
    used_at: float = 0.0
    published: list[tuple[int, float, Any]] = field(default_factory=list)

    @property
    def offset(self) -> int:
        """That of the last publication."""
        return len(self.published)


class Truth:
    """The courses of all topics. `most`: as many publications may be recovered at once."""

    def __init__(self, kept: dict[str, Kept], most: int) -> None:
        self.ledger: Final = Ledger()
        self._kept: Final = kept
        self._most: Final = most
        self._courses: Final[dict[str, Course]] = {}
        self._data: Final[dict[int, None]] = {}

    def position(self, topic: str) -> tuple[str, int] | None:
        """Where the topic is, as far as anybody was told."""
        course = self._courses.get(topic)
        return None if course is None else (course.epoch, course.offset)

    def used(self, topic: str, epoch: str, now: float, *, strict: bool) -> None:
        """The topic is used, in this epoch. With `strict`, no other topic has made it lose its place."""
        course = self._courses.get(topic)
        if course is None or course.epoch != epoch:
            unused = course is None or now >= course.used_at + self._kept[topic].seconds
            must(unused or not strict, "delivery: a topic keeps its place while it is used", topic, course, now)
            course = self._courses[topic] = Course(epoch)
        course.used_at = now

    def published(self, topic: str, epoch: str, offset: int, data: int, now: float) -> None:
        """The broker has accepted a publication of new data."""
        must(data not in self._data, "delivery: a publication with a key is accepted once", topic, data)
        self._data[data] = None
        course = self._courses[topic]
        must(
            (epoch, offset) == (course.epoch, course.offset + 1),
            "delivery: offsets follow each other",
            topic,
            offset,
            course.offset,
        )
        course.published.append((offset, now, data))
        self.ledger.acknowledged(topic, epoch, offset, data)

    def kept(self, topic: str, now: float) -> list[tuple[int, Any]]:
        """The publications that are still kept."""
        kept, course = self._kept[topic], self._courses.get(topic)
        last = [] if course is None or not kept.number else course.published[-kept.number :]
        return [(offset, data) for offset, at, data in last if now < at + kept.seconds]

    def unseen(self, topic: str, position: tuple[str, int], now: float) -> list[int] | None:
        """The offsets behind this position. None: some of them are not kept, or there was no such position."""
        course = self._courses.get(topic)
        if course is None or course.epoch != position[0] or position[1] > course.offset:
            return None
        missed = list(range(position[1] + 1, course.offset + 1))
        kept = [offset for offset, _ in self.kept(topic, now)]
        whole = len(missed) <= self._most and all(offset in kept for offset in missed)
        return missed if whole else None
