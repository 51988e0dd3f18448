"""The one source of chance: `choose(n)`, on a stream for each actor.

A stream's choices depend on the seed, its name and its own history, so that a new actor does not reshuffle the others.
A run is a function of its choices: the same ones, whoever makes them, make the same run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Protocol, TypeVar

T = TypeVar("T")


class Stream(ABC):
    """One actor's chance. Where there is a simplest choice it is 0."""

    __slots__ = ()

    @abstractmethod
    def choose(self, n: int) -> int:
        """A whole number from 0 to `n` - 1. `n` is at least 1."""

    def pick(self, options: Sequence[T]) -> T:
        """One of these. The first is the simplest."""
        return options[self.choose(len(options))]

    def happens(self, weight: int) -> bool:
        """Does it, `weight` times in a thousand?"""
        return weight > 0 and self.choose(1000) >= 1000 - weight

    def entropy(self, size: int) -> bytes:
        """So many bytes, as a gateway wants them."""
        return bytes([self.choose(256) for _ in range(size)])


class Chance(Protocol):
    """Where streams come from. Asked twice for one name, it gives streams that go on from one another."""

    def stream(self, actor: str) -> Stream:
        """The stream of this actor."""
        ...


class Seeded:
    """Chance from a seed: a whole number, or any text."""

    def __init__(self, seed: int | str) -> None:
        self.seed = seed
        self._streams: dict[str, Stream] = {}

    def stream(self, actor: str) -> Stream:
        """The stream of this actor."""
        stream = self._streams.get(actor)
        if stream is None:
            stream = self._streams[actor] = _SeededStream(Random(f"{self.seed}/{actor}"))
        return stream


class _SeededStream(Stream):
    # `random` and not `randrange`: its values are the same in every version of Python, and it costs a fifth.
    __slots__ = ("_bits", "_random")

    def __init__(self, random: Random) -> None:
        self._random = random.random
        self._bits = random.getrandbits

    def choose(self, n: int) -> int:
        return int(self._random() * n)

    def entropy(self, size: int) -> bytes:
        return self._bits(size * 8).to_bytes(size, "big")


class Drawn:
    """Chance from a function `draw(n)`, such as Hypothesis gives: `lambda n: data.draw(integers(0, n - 1))`."""

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._stream = _DrawnStream(draw)

    def stream(self, actor: str) -> Stream:
        """The one stream: who draws shrinks them together."""
        return self._stream


class _DrawnStream(Stream):
    __slots__ = ("_counted", "_draw")

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw
        self._counted = 0

    def choose(self, n: int) -> int:
        return self._draw(n)

    def entropy(self, size: int) -> bytes:
        # What has to be unpredictable in life has only to be different here, and who draws prefers what is equal.
        self._counted += 1
        return counted(self._counted, size)


class Recorded:
    """Chance from lists of choices, one for each actor. Where a list ends, or does not fit, the choice is 0."""

    def __init__(self, choices: Mapping[str, Sequence[int]]) -> None:
        self._choices = choices
        self._streams: dict[str, Stream] = {}

    def stream(self, actor: str) -> Stream:
        """The stream of this actor."""
        stream = self._streams.get(actor)
        if stream is None:
            stream = self._streams[actor] = _RecordedStream(self._choices.get(actor, ()))
        return stream


class _RecordedStream(Stream):
    __slots__ = ("_at", "_choices", "_counted")

    def __init__(self, choices: Sequence[int]) -> None:
        self._choices = choices
        self._at = 0
        self._counted = 0

    def choose(self, n: int) -> int:
        if self._at >= len(self._choices):
            return 0
        choice = self._choices[self._at]
        self._at += 1
        return choice if choice < n else 0

    def entropy(self, size: int) -> bytes:
        if self._at + size <= len(self._choices):
            return super().entropy(size)
        self._counted += 1
        return counted(self._counted, size)


class Recording:
    """Passes on the chance of another, and keeps what was chosen in `choices`, for `Recorded`."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self.choices: dict[str, list[int]] = {}

    def stream(self, actor: str) -> Stream:
        """The stream of this actor."""
        return _RecordingStream(self._chance.stream(actor), self.choices.setdefault(actor, []))


class _RecordingStream(Stream):
    __slots__ = ("_chosen", "_stream")

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


def counted(number: int, size: int) -> bytes:
    """So many bytes, which are others for every number that they can hold."""
    return (number % (1 << 8 * size)).to_bytes(size, "big")
