"""What a target is: one function that takes any bytes and raises when it has found something.

A target's docstring says what a peer's bytes may lead to; everything else is a finding. It may not know who makes the
bytes: atheris, Hypothesis, or a file of the corpus.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

HERE: Final = Path(__file__).parent

LINE_ENDS: Final = re.compile(rb"\r?\n|[ :]+")
"""What pieces of a text protocol end with."""


class Planted(Struct, frozen=True):
    """A bug that a target must find: the text of a product's file that is replaced, once, by another."""

    what: str
    file: str
    before: str
    after: str


class Target(Struct, frozen=True):
    """`seeds` are what the fuzzer begins with, `tokens` what it puts in at a `boundary`, `wraps` what it puts around a
    piece, `planted` the proof that it can find."""

    name: str
    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    tokens: tuple[bytes, ...]
    planted: Planted
    boundary: re.Pattern[bytes] = LINE_ENDS
    wraps: tuple[tuple[bytes, bytes], ...] = ()
    max_len: int = 2048

    @property
    def corpus(self) -> Path:
        """The folder of inputs that were worth keeping."""
        return HERE / "corpus" / self.name

    @property
    def findings(self) -> Path:
        """The folder of inputs that once found something."""
        return HERE / "findings" / self.name

    def entries(self) -> list[Path]:
        """All files that are kept for it, in order."""
        return [file for folder in (self.corpus, self.findings) for file in sorted(folder.glob("*")) if file.is_file()]
