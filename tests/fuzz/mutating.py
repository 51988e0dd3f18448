"""One input made of another, with a sense for how it is built.

libFuzzer changes bytes, which seldom makes a second header of a first or one level of brackets around another. Here
pieces between a target's boundaries are left out, doubled, moved, wrapped, or put beside one of its tokens.
"""

from __future__ import annotations

import re
from random import Random

from tests.fuzz.target import Target


def mutate(target: Target, data: bytes, random: Random) -> bytes:
    """A few changes, each at boundaries."""
    for _ in range(random.randint(1, 3)):
        data = changed(target, data, random)
    return data[: target.max_len]


def changed(target: Target, data: bytes, random: Random) -> bytes:
    """One change."""
    first, last = sorted(random.choices(boundaries(target.boundary, data), k=2))
    piece = data[first:last]
    kind = random.randrange(5 if target.wraps else 4)
    if kind == 0:
        return data[:first] + random.choice(target.tokens) + data[first:]
    if kind == 1:
        return data[:first] + random.choice(target.tokens) + data[last:]
    if kind == 2:
        return data[:first] + data[last:]
    if kind == 3:
        at = random.choice(boundaries(target.boundary, data))
        return data[:at] + piece + data[at:]
    before, after = random.choice(target.wraps)
    return data[:first] + before + piece + after + data[last:]


def boundaries(pattern: re.Pattern[bytes], data: bytes) -> list[int]:
    """Where pieces begin and end."""
    return [0, *(match.end() for match in pattern.finditer(data)), len(data)]
