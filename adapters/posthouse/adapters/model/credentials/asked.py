"""Verifications as plain records."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from posthouse.adapters.model.records import Connection
from posthouse.core.service.authenticators import Authenticator

from .guesses import Attempt


class Asked(Struct, eq=False):
    """One verification: the `place`-th authenticator of the `chain` is asked, or waited for."""

    connection: Connection
    credentials: Any
    chain: list[Authenticator]
    attempt: Attempt
    deadline: float
    place: int = 0
    call: int | None = None
    refresh: bool = False

    @property
    def authenticator(self) -> Authenticator:
        """The one that is asked, or waited for."""
        return self.chain[self.place]

    @property
    def line(self) -> tuple[object, ...]:
        """Those in one line have their turns in order."""
        return self.attempt.address, self.attempt.users[self.place], self.attempt.known, self.attempt.slow
