"""The only source of randomness: `choose(n)`, on one stream for each actor.

The choices of a stream depend on the seed, the actor's name and the earlier choices of the same stream. A new actor
therefore does not change the choices of the others. Equal choices make equal runs, whatever their source.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from threading import local
from typing import Final, Protocol, TypeVar

T = TypeVar("T")


class Asking(local):
    """The way in which the current thread has a function called in the thread of its world. None: it is that thread."""

    ask: Callable[[Callable[[], int]], int] | None = None


ASKING: Final = Asking()


class Stream(ABC):
    """The choices of one actor. If one choice is the simplest, it is 0."""

    @abstractmethod
    def choose(self, n: int) -> int:
        """An integer from 0 to `n` - 1. `n` is at least 1."""

    def pick(self, options: Sequence[T]) -> T:
        """Choose one of these options. The first is the simplest."""
        return options[self.choose(len(options))]

    def happens(self, weight: int) -> bool:
        """Return True in `weight` of a thousand cases."""
        return weight > 0 and self.choose(1000) >= 1000 - weight

    def entropy(self, size: int) -> bytes:
        """`size` random bytes, for the `entropy` of a gateway."""
        return bytes([self.choose(256) for _ in range(size)])


class Chance(Protocol):
    """A source of streams. Two requests for the same actor give streams that continue each other."""

    def stream(self, actor: str) -> Stream:
        """The stream of this actor."""
        ...


class Seeded:
    """Choices from a seed: an integer or any text."""

    def __init__(self, seed: int | str) -> None:
        self.seed = seed
        self._streams: dict[str, Stream] = {}

    def stream(self, actor: str) -> Stream:
        """The stream of this actor."""
        if actor not in self._streams:
            self._streams[actor] = _SeededStream(Random(f"{self.seed}/{actor}"))
        return self._streams[actor]


class _SeededStream(Stream):
    # `random()` instead of `randrange()`: its values are equal in every version of Python, and it is five times faster.
    def __init__(self, random: Random) -> None:
        self._random = random.random
        self._bits = random.getrandbits

    def choose(self, n: int) -> int:
        return int(self._random() * n)

    def entropy(self, size: int) -> bytes:
        return self._bits(size * 8).to_bytes(size, "big")


class Drawn:
    """Choices from a function `draw(n)`, for example of Hypothesis: `lambda n: data.draw(integers(0, n - 1))`.

    It is only called in the thread of the world.
    """

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._stream = _DrawnStream(draw)

    def stream(self, actor: str) -> Stream:
        """The same stream for every actor, so that all choices are shrunk together."""
        return self._stream


class _DrawnStream(Stream):
    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw
        self._made = 0

    def choose(self, n: int) -> int:
        ask = ASKING.ask
        return self._draw(n) if ask is None else ask(partial(self._draw, n))

    def entropy(self, size: int) -> bytes:
        # In production these bytes must be unpredictable; here they must only differ, and a search prefers equal
        # values.
        self._made += 1
        return numbered_bytes(self._made, size)


class Recorded:
    """Choices from one list for each actor. When a list has ended or its choice is out of range, the choice is 0."""

    def __init__(self, choices: Mapping[str, Sequence[int]]) -> None:
        self._choices = choices
        self._streams: dict[str, Stream] = {}

    def stream(self, actor: str) -> Stream:
        """The stream of this actor."""
        return self._streams.setdefault(actor, _RecordedStream(self._choices.get(actor, ())))


class _RecordedStream(Stream):
    def __init__(self, choices: Sequence[int]) -> None:
        self._choices = choices
        self._at = 0
        self._made = 0

    def choose(self, n: int) -> int:
        if self._at >= len(self._choices):
            return 0
        choice = self._choices[self._at]
        self._at += 1
        return choice if choice < n else 0

    def entropy(self, size: int) -> bytes:
        if self._at + size <= len(self._choices):
            return super().entropy(size)
        self._made += 1
        return numbered_bytes(self._made, size)


class Recording:
    """Choices of another source. They are kept in `choices`, for `Recorded`."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self.choices: dict[str, list[int]] = {}

    def stream(self, actor: str) -> Stream:
        """The stream of this actor."""
        return _RecordingStream(self._chance.stream(actor), self.choices.setdefault(actor, []))


class _RecordingStream(Stream):
    def __init__(self, stream: Stream, chosen: list[int]) -> None:
        self._stream = stream
        self._chosen = chosen

    def choose(self, n: int) -> int:
        choice = self._stream.choose(n)
        self._chosen.append(choice)
        return choice

    def entropy(self, size: int) -> bytes:
        data = self._stream.entropy(size)
        self._chosen.extend(data)
        return data


def numbered_bytes(number: int, size: int) -> bytes:
    """`size` bytes that differ for every number that fits into them."""
    return (number % (1 << 8 * size)).to_bytes(size, "big")
