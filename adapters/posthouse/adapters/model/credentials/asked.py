"""Verifications as plain records."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field
from posthouse.adapters.model.records import Connection
from posthouse.adapters.model.validity import Doubt
from posthouse.core.service.authenticators import Authenticator
from posthouse.core.values.peers import Identity

from .guesses import Attempt


class Others(Struct, frozen=True):
    """The other credentials of one request: those that are `left`, and the identity of those before. All of them have
    one deadline. `stale`: a cookie among them does not count any more."""

    left: tuple[Any, ...]
    deadline: float
    identity: Identity | None = None
    stale: bool = False


class Asked(Struct, eq=False):
    """One verification: the `place`-th authenticator of the `chain` is asked, or waited for. `others`: its request has
    several credentials."""

    connection: Connection
    credentials: Any
    chain: list[Authenticator]
    attempt: Attempt
    deadline: float
    place: int = 0
    call: int | None = None
    refresh: bool = False
    cookie: bool = False
    others: Others | None = None
    doubt: Doubt = field(default_factory=Doubt)

    @property
    def authenticator(self) -> Authenticator:
        """The one that is asked, or waited for."""
        return self.chain[self.place]

    @property
    def in_turns(self) -> bool:
        """May it have to wait for its turn?"""
        return self.authenticator.in_turns or (self.attempt.slow and self.attempt.users[self.place] is not None)

    @property
    def line(self) -> tuple[object, ...]:
        """Those in one line have their turns in order."""
        return self.attempt.address, self.attempt.users[self.place], self.attempt.known, self.attempt.slow
