"""How fast is too fast: a token bucket and a counting window. Values that are told the time."""

from __future__ import annotations

from msgspec import Struct


class Bucket(Struct, eq=False, gc=False):
    """`rate` tokens a second, up to one second's worth (at least one). `refused_since`: when a run of refusals began."""

    rate: float
    at: float
    tokens: float = -1.0
    refused_since: float | None = None

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
            if self.refused_since is None:
                self.refused_since = now
            return False
        self.tokens -= 1.0
        self.refused_since = None
        return True

    def wait(self) -> float:
        """Seconds from the last `take` until there is a token."""
        return max(0.0, (1.0 - self.tokens) / self.rate)

    def full(self, now: float) -> bool:
        """Has it recovered: is it as good as new?"""
        return self.tokens + (now - self.at) * self.rate >= self.capacity


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
