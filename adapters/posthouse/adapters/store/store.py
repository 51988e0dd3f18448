"""The protocol of a store: everything that a server asks of it."""

from __future__ import annotations

from typing import Protocol

from posthouse.core.store.outcomes import StoreOutcome
from posthouse.core.store.requests import Request


class Store(Protocol):
    """Keeps the rows of one server at a time."""

    @property
    def durability(self) -> str:
        """What keeps the rows, such as `sqlite`: replies to writes tell it."""
        ...

    async def open(self) -> None:
        """Be ready for requests. Called once, before the first of them. Raises UsageError for a store that cannot be
        used; the server then does not start."""
        ...

    async def close(self) -> None:
        """No request comes any more. Called once, after `open`; requests may not have ended."""
        ...

    async def perform(self, request: Request) -> StoreOutcome:
        """Perform a request: all of it, or nothing. Several run at the same time. Writes that concern the same row are
        done in the order in which `perform` was called.

        After `Done` a write is never lost. If it may have been done, or not, the outcome is MaybeApplied: an exception
        counts as that.
        """
        ...
