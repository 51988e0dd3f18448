"""A storm that fails, with less in it: fewer clients, a server that is left alone, a shorter time.

That is for what only the world sees: the journal of a server does not fail by itself then, and cannot be shrunk by
leaving out inputs, but the world that made it can be by leaving out who takes part. Each actor has a stream of its own,
so that those who stay do much as before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .storm import Part

MAX_TRIES: Final = 60
"""So many storms are run at most for a smaller one."""

SHORTEST: Final = 0.05
"""Seconds of storm below which nothing is gained."""


class Narrowing:
    """One storm on its way down. `fails(seconds, part)` runs so much of it: does that fail in the same way?"""

    def __init__(self, seconds: float, part: Part, fails: Callable[[float, Part], bool]) -> None:
        self.seconds = seconds
        self.part = part
        self._fails: Final = fails
        self._tries = 0

    def narrow(self) -> None:
        """Leave out what can be left out, until `part` and `seconds` are the least that was found to fail."""
        self._take(self.seconds, Part(self.part.clients, spared=True))
        self._shorten()
        self._leave_out()
        self._shorten()

    def _take(self, seconds: float, part: Part) -> bool:
        self._tries += 1
        if self._tries > MAX_TRIES or not self._fails(seconds, part):
            return False
        self.seconds, self.part = seconds, part
        return True

    def _leave_out(self) -> None:
        """Half of the clients at once, then fewer."""
        size = len(self.part.clients or ())
        while size > 0:
            at = 0
            while at < len(clients := self.part.clients or ()):
                fewer = clients[:at] + clients[at + size :]
                if not self._take(self.seconds, Part(fewer, self.part.spared)):
                    at += size
            size //= 2

    def _shorten(self) -> None:
        """By halves."""
        while self.seconds > SHORTEST and self._take(round(self.seconds / 2, 3), self.part):
            pass
