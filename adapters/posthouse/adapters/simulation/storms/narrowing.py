"""Makes a failing storm smaller: fewer clients, no faults of the server, a shorter time.

Each actor has a stream of its own, so that the clients that are left do much the same as before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

MAX_TRIES: Final = 60
"""The most storms that are run to find a smaller one."""

SHORTEST: Final = 0.05
"""Seconds of storm that are not shortened further."""


class Part(Struct, frozen=True, repr_omit_defaults=True):
    """The part of a storm that is run. By default it is the whole storm.

    With `clients`, only the clients with these numbers act; the others send nothing before the second phase. With
    `quiet_server`, the server has no faults and sends nothing by itself. Clients draw from the same streams in every
    part. With `trio`, the server runs on trio.
    """

    clients: tuple[int, ...] | None = None
    quiet_server: bool = False
    trio: bool = False


class Narrowing:
    """The search. `fails(seconds, part)` runs this part of the storm: does it fail in the same way?

    `seconds` and `part` are the smallest that were found to fail.
    """

    def __init__(self, seconds: float, part: Part, fails: Callable[[float, Part], bool]) -> None:
        self.seconds = seconds
        self.part = part
        self._fails: Final = fails
        self._tries = 0

    def narrow(self) -> None:
        """Leave out as much as possible."""
        self._try(self.seconds, replace(self.part, quiet_server=True))
        self._shorten()
        self._leave_out_clients()
        self._shorten()

    def _try(self, seconds: float, part: Part) -> bool:
        self._tries += 1
        if self._tries > MAX_TRIES or not self._fails(seconds, part):
            return False
        self.seconds, self.part = seconds, part
        return True

    def _leave_out_clients(self) -> None:
        """First half of the clients at once, then fewer."""
        size = len(self.part.clients or ())
        while size > 0:
            at = 0
            while at < len(clients := self.part.clients or ()):
                fewer = clients[:at] + clients[at + size :]
                if not self._try(self.seconds, replace(self.part, clients=fewer)):
                    at += size
            size //= 2

    def _shorten(self) -> None:
        """Halve the time."""
        while self.seconds > SHORTEST and self._try(round(self.seconds / 2, 3), self.part):
            pass
