"""The names of topics, and the patterns that stand for several: segments with points between them."""

from __future__ import annotations

import re
from typing import Final

ONE: Final = "*"
"""Stands for one segment, whatever it is."""

REST: Final = ">"
"""Stands for the rest of a name: one segment or more. Only the last segment of a pattern."""

RESERVED: Final = "$"
"""The names that begin so are the server's own."""

SEGMENT: Final = re.compile(r"[A-Za-z0-9_:$-]+")
NAMED: Final = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
NAME: Final = re.compile(rf"{SEGMENT.pattern}(?:\.{SEGMENT.pattern})*")


def is_topic(name: str) -> bool:
    """Is this the name of one topic?"""
    return NAME.fullmatch(name) is not None


def read_pattern(text: str) -> tuple[str, ...] | None:
    """The segments of a pattern: `{room}` is read as `*`. None: it is no pattern."""
    segments = tuple(ONE if NAMED.fullmatch(part) else part for part in text.split("."))
    for place, part in enumerate(segments, 1):
        if not (part == ONE or (part == REST and place == len(segments)) or SEGMENT.fullmatch(part)):
            return None
    return segments


def matches(pattern: tuple[str, ...], segments: list[str]) -> bool:
    """Does this pattern stand for the name with these segments?"""
    for mine, given in zip(pattern, segments, strict=False):
        if mine == REST:
            return True
        if mine not in (ONE, given):
            return False
    return len(pattern) == len(segments)


def overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Is there a name for which both patterns stand?"""
    for mine, others in zip(one, other, strict=False):
        if REST in (mine, others):
            return True
        if mine != others and ONE not in (mine, others):
            return False
    return len(one) == len(other)
