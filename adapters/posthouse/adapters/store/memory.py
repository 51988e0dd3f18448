"""A store in memory that is asked as one outside is: for tests, of servers whose store is slow or fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio
from msgspec import Struct
from posthouse.core.operations.operations import Failed
from posthouse.core.store.memory import MemoryStore
from posthouse.core.store.outcomes import MaybeApplied, StoreOutcome
from posthouse.core.store.requests import Request


class Fault(Struct, frozen=True):
    """What happens to a request: it waits for `delay` seconds; then it is not `applied`, or applied without being
    `told`."""

    delay: float = 0.0
    applied: bool = True
    told: bool = True


NO_FAULT: Final = Fault()


class FaultyStore:
    """A MemoryStore behind the protocol of stores. `fault` says what happens to each request. `rows` has its rows: give
    them to another one, and it goes on with them."""

    durability: Final = "memory"

    def __init__(self, fault: Callable[[Request], Fault] = lambda _: NO_FAULT, rows: MemoryStore | None = None) -> None:
        self._fault: Final = fault
        self.rows: Final = MemoryStore() if rows is None else rows

    async def open(self) -> None:
        """Nothing is to be done."""

    async def close(self) -> None:
        """Nothing is to be done."""

    async def perform(self, request: Request) -> StoreOutcome:
        """Perform a request, as far as its fault lets it."""
        fault = self._fault(request)
        if fault.delay:
            await anyio.sleep(fault.delay)
        outcome = self.rows.perform(request) if fault.applied else Failed()
        return outcome if fault.told else MaybeApplied()
