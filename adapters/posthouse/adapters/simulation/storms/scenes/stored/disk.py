"""A simulated store: slow, failing, silent, and without what it had not synced when its server crashes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio
from posthouse.adapters.model.kept.compared import Compared
from posthouse.adapters.store.memory import NO_FAULT, Fault
from posthouse.core.operations.operations import Failed
from posthouse.core.store.memory import MemoryStore
from posthouse.core.store.outcomes import StoreOutcome
from posthouse.core.store.requests import Request


class Disk:
    """What outlives a server: the requests that were synced, in their order. `rows` has those that were not, too. Each
    outcome is compared with that of the model."""

    def __init__(self) -> None:
        self._compared = Compared()
        self._synced: list[Request] = []
        self._unsynced: list[Request] = []

    @property
    def rows(self) -> MemoryStore:
        """The rows as they are now."""
        return self._compared.store

    def perform(self, request: Request) -> StoreOutcome:
        """Perform a request. It is not synced yet."""
        self._unsynced.append(request)
        return self._compared.perform(request)

    def sync(self) -> None:
        """Nothing that was performed is lost any more."""
        self._synced += self._unsynced
        self._unsynced.clear()

    def crash(self) -> None:
        """What was not synced is lost."""
        self._unsynced.clear()
        self._compared = Compared()
        for request in self._synced:
            self._compared.perform(request)


class SimulatedStore:
    """A store on a disk. `fault` says what happens to each request; with a delay, the disk syncs behind it."""

    durability: Final = "disk"

    def __init__(self, disk: Disk, fault: Callable[[Request], Fault] = lambda _: NO_FAULT) -> None:
        self._disk: Final = disk
        self._fault: Final = fault

    async def open(self) -> None:
        """Nothing is to be done."""

    async def close(self) -> None:
        """Nothing is to be done."""

    async def perform(self, request: Request) -> StoreOutcome:
        """Perform a request. A store that does not tell what it has done never answers."""
        fault = self._fault(request)
        outcome = self._disk.perform(request) if fault.applied else Failed()
        await anyio.sleep(fault.delay)
        if not fault.told:
            await anyio.sleep_forever()
        self._disk.sync()
        return outcome
