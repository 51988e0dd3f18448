"""The keys of publications: what is published again with the same key has the position of the first one.

A key belongs to its owner and to one topic. What is kept is bounded in number and age.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from typing import Final

from msgspec import Struct
from posthouse.core.service.topics.position import Position
from posthouse.core.values.shared import Shared
from posthouse.core.values.timers import Timer

from .requests import Accepted, Key, KeyTaken

KEY_EXPIRES: Final = "publication_key"
"""The reason of this table's deadlines."""

Place = tuple[str, Key]
"""Finds one key: its topic, and the key with its owner."""


class Known(Struct, frozen=True, gc=False):
    """What was published with a key. `digest` stands for the data."""

    position: Position
    digest: bytes
    at: float


class PublicationKeys:
    """The keys that were used, the oldest first; `by_owner` too, so that nobody takes the room of all others."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._config = shared.config
        self._timer: Timer | None = None
        self.records: OrderedDict[Place, Known] = OrderedDict()
        self.by_owner: dict[Key, dict[Place, None]] = {}
        shared.timers.on(KEY_EXPIRES, self._expire)

    def find(self, topic: str, key: Key, data: bytes, now: float) -> Accepted | KeyTaken | None:
        """What was published with this key before. None: nothing that is still known."""
        known = self.records.get((topic, key))
        if known is None or now >= known.at + self._config.idempotency_ttl:
            return None
        return Accepted(known.position, None) if known.digest == _digest(data) else KeyTaken()

    def keep(self, topic: str, key: Key, data: bytes, position: Position, now: float) -> None:
        """This was published with a key that was not known."""
        place = topic, key
        if place in self.records:
            self._drop(place)
        self.records[place] = Known(position, _digest(data), now)
        own = self.by_owner.setdefault(key[:-1], {})
        own[place] = None
        self._shared.hold(size_of(place))
        if len(own) > self._config.max_idempotency_per_identity:
            self._drop(next(iter(own)))
        if len(self.records) > self._config.max_publication_keys:
            self._drop(next(iter(self.records)))
        if self._timer is None:
            self._timer = self._shared.timers.arm(now + self._config.idempotency_ttl, KEY_EXPIRES, 0)

    def _drop(self, place: Place) -> None:
        del self.records[place]
        owner = place[1][:-1]
        own = self.by_owner[owner]
        del own[place]
        if not own:
            del self.by_owner[owner]
        self._shared.hold(-size_of(place))

    def _expire(self, key: int, now: float) -> None:
        """Drop the keys that were kept long enough."""
        self._timer = None
        while self.records:
            place, known = next(iter(self.records.items()))
            expires_at = known.at + self._config.idempotency_ttl
            if now < expires_at:
                self._timer = self._shared.timers.arm(expires_at, KEY_EXPIRES, 0)
                return
            self._drop(place)


def size_of(place: Place) -> int:
    """The bytes that are counted for one key."""
    topic, key = place
    return len(topic) + sum(map(len, key))


def _digest(data: bytes) -> bytes:
    return sha256(data).digest()
