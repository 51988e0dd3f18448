"""How handlers behave: as a server's do, or as the core must be proof against."""

from __future__ import annotations

from math import inf
from typing import Final

from msgspec import Struct
from posthouse.core.values.errors import UsageError


class HandlerFaults(Struct, frozen=True):
    """How handlers end, in a thousand: `late` by up to `lateness` seconds, `never` (until the world heals), `twice`,
    `raising`; `stubborn` ones do not stop when they are told to. Raises UsageError for what makes no sense."""

    late: int = 0
    never: int = 0
    twice: int = 0
    raising: int = 0
    stubborn: int = 0
    lateness: float = 1.0

    def __post_init__(self) -> None:
        for name in ("late", "never", "twice", "raising", "stubborn"):
            if not 0 <= getattr(self, name) <= 1000:
                raise UsageError(f"{name} {getattr(self, name)} must be from 0 to 1000: it is how often in a thousand")
        if not 0 <= self.lateness < inf:
            raise UsageError(f"lateness {self.lateness} must be seconds, from 0 on")


HONEST: Final = HandlerFaults()


class Spoiled(Exception):
    """What a handler raises by its manners alone."""
