"""Rates: a token bucket and a counting window. Their callers give the time."""

from __future__ import annotations

from collections.abc import Hashable

from msgspec import Struct


class Bucket(Struct, eq=False, gc=False):
    """A token bucket: `rate` tokens per second, up to the tokens of one second (at least one). `refused_since`: when
    the last run of refusals began, with at most one second between two refusals."""

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
        """Take one token. False: there is none."""
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
        """Seconds from the last `take` to the next token."""
        return max(0.0, (1.0 - self.tokens) / self.rate)


class Buckets:
    """A bucket of the same `rate` for each key. Above `limit` buckets, the least recently used one is forgotten."""

    def __init__(self, rate: float, limit: int) -> None:
        self.rate = rate
        self._limit = limit
        self._table: dict[Hashable, Bucket] = {}

    def __len__(self) -> int:
        """The number of buckets."""
        return len(self._table)

    def of(self, key: Hashable, now: float) -> Bucket:
        """The bucket of this key; a new one is full."""
        bucket = self._table.pop(key, None)
        if bucket is None:
            bucket = Bucket(self.rate, now)
            if len(self._table) >= self._limit:
                del self._table[next(iter(self._table))]
        self._table[key] = bucket
        return bucket


class Window(Struct, eq=False, gc=False):
    """A count of events. It starts again with the first event after `length` seconds."""

    length: float
    began: float
    count: int = 0

    def add(self, now: float) -> int:
        """Count one event. Returns the number of events in the window."""
        if now - self.began >= self.length:
            self.began = now
            self.count = 0
        self.count += 1
        return self.count
