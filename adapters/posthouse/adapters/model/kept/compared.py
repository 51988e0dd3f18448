"""A store in memory beside the rows of the model: each outcome, and every row and index, must be the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.adapters.invariants import must
from posthouse.adapters.invariants.accounts.rows import indexes
from posthouse.core.store.memory import MemoryStore
from posthouse.core.store.requests import Request

from .rows import Outcome, Rows

EVERY: Final = 16
"""All rows are compared after so many requests."""


class Compared:
    """Performs each request on a `store`, which may be that of a gateway, and on the rows of the model."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store: Final = MemoryStore() if store is None else store
        self._perform: Final[Callable[[Request], Outcome]] = self.store.perform
        self._rows: Final = Rows()
        self._performed = 0

    def perform(self, request: Request) -> Outcome:
        """The outcome of a request. Raises Violation if it is not the one that the rules require."""
        outcome, expected = self._perform(request), self._rows.perform(request)
        must(outcome == expected, "store: a request has another outcome", request, outcome, expected)
        self._performed += 1
        if self._performed % EVERY == 0:
            self.check()
        return outcome

    def check(self) -> None:
        """Every row and every index is right. Raises Violation."""
        store, rows = self.store, self._rows
        must(store.users == rows.users, "store: the users are others")
        must(store.tokens == rows.tokens, "store: the tokens are others")
        must(dict(store.sessions) == rows.sessions, "store: the sessions are others")
        must(list(store.revocations.items()) == list(rows.revocations.items()), "store: the revocations are others")
        indexes(store)
