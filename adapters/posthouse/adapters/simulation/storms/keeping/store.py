"""The store of a storm: slow, full, failing, silent, and without what it had not synced when its server crashes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.storms.scenes.stored.disk import Disk, SimulatedStore
from posthouse.adapters.store.memory import NO_FAULT, Fault
from posthouse.core.operations.operations import Busy
from posthouse.core.store.outcomes import MaybeApplied, StoreOutcome
from posthouse.core.store.requests import Request

DELAYS: Final = (0.001, 0.1, 0.7, 6.0)
"""Seconds until a slow store answers: the longest are longer than callers wait."""


class StormStore(SimulatedStore):
    """A store that may be full: then it does nothing, and says so. Or it says at last that it does not know what it has
    done. `full` and `silent` decide for each request."""

    def __init__(
        self, disk: Disk, fault: Callable[[Request], Fault], full: Callable[[], bool], silent: Callable[[], bool]
    ) -> None:
        super().__init__(disk, fault)
        self._full: Final = full
        self._silent: Final = silent

    async def perform(self, request: Request) -> StoreOutcome:
        """Perform a request, or not."""
        if self._full():
            return Busy()
        silent = self._silent()
        outcome = await super().perform(request)
        return MaybeApplied() if silent else outcome


class Stores:
    """What outlives the processes of a storm. Each of them opens it anew. Its faults end with the first phase."""

    def __init__(self, stream: Stream, raging: Callable[[], bool]) -> None:
        self.disk: Final = Disk()
        self._stream: Final = stream
        self._raging: Final = raging
        slow, fails, silent, full = (stream.pick((0, 0, 100, 500)) for _ in range(4))
        self._slow: Final = slow
        self._fails: Final = fails // 5
        self._silent: Final = silent // 5
        self._often_full: Final = full // 5

    def open(self) -> StormStore:
        """The store of the next process: the one before may have crashed with its server."""
        self.disk.crash()
        full, silent = partial(self._happens, self._often_full), partial(self._happens, self._silent)
        return StormStore(self.disk, self._fault, full, silent)

    def _happens(self, weight: int) -> bool:
        return self._raging() and self._stream.happens(weight)

    def _fault(self, request: Request) -> Fault:
        stream = self._stream
        if not self._raging():
            return NO_FAULT
        delay = stream.pick(DELAYS) if stream.happens(self._slow) else 0.0
        return Fault(delay, applied=not stream.happens(self._fails))
