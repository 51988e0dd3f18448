"""How fast is too fast: a token bucket and a counting window. Values that are told the time."""

from __future__ import annotations

from msgspec import Struct


class Bucket(Struct, eq=False, gc=False):
    """`rate` tokens a second, up to one second's worth (at least one). `refused_since`: when the last run of refusals
    began, in which none came more than a second after the one before."""

    rate: float
    at: float
    tokens: float = -1.0
    refused_since: float | None = None
    refused_at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.capacity

    @property
    def capacity(self) -> float:
        """The most tokens it holds."""
        return max(self.rate, 1.0)

    def take(self, now: float) -> bool:
        """Take one token, if there is one."""
        self.tokens = min(self.capacity, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1.0:
            if self.refused_since is None or now - self.refused_at > 1.0:
                self.refused_since = now
            self.refused_at = now
            return False
        self.tokens -= 1.0
        return True

    def wait(self) -> float:
        """Seconds from the last `take` until there is a token."""
        return max(0.0, (1.0 - self.tokens) / self.rate)


class Buckets:
    """One bucket of the same `rate` for each key, and never more than `limit`: the least recently used is forgotten."""

    __slots__ = ("_limit", "_table", "rate")

    def __init__(self, rate: float, limit: int) -> None:
        self.rate = rate
        self._limit = limit
        self._table: dict[str, Bucket] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._table)

    def of(self, key: str, now: float) -> Bucket:
        """The bucket of this key: a full one, if it has none."""
        bucket = self._table.pop(key, None)
        if bucket is None:
            bucket = Bucket(self.rate, now)
            if len(self._table) >= self._limit:
                del self._table[next(iter(self._table))]
        self._table[key] = bucket
        return bucket


class Window(Struct, eq=False, gc=False):
    """Occasions within `length` seconds of the first of them."""

    length: float
    began: float
    count: int = 0

    def add(self, now: float) -> int:
        """One more: how many there are in the window now."""
        if now - self.began >= self.length:
            self.began = now
            self.count = 0
        self.count += 1
        return self.count
