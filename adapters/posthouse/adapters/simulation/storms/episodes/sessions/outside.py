"""The store of an episode: in the gateway, or outside, where it is slow, fails, does not say what it has done, and
loses what it had not synced when the server crashes. Every outcome is compared with that of the model."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.adapters.model.kept.compared import Compared
from posthouse.adapters.simulation.chance import Stream
from posthouse.core.gateway import Gateway
from posthouse.core.operations.operations import Busy, Failed
from posthouse.core.store.memory import MemoryStore
from posthouse.core.store.outcomes import MaybeApplied, StoreOutcome
from posthouse.core.store.requests import Request
from posthouse.core.values.effects import AskStore
from posthouse.core.values.peers import OperationId

DURABILITY: Final = "disk"
FAILURES: Final[tuple[StoreOutcome, ...]] = (Failed(), Busy(), MaybeApplied())


class Performed(Struct, frozen=True):
    """A request with what the gateway was told about it."""

    request: Request
    outcome: StoreOutcome


class Outside:
    """The store. `fails`: how often a request fails, in a thousand. `told` are the requests whose outcomes the gateway
    learns in the current input."""

    def __init__(self, stream: Stream, *, outside: bool, fails: int) -> None:
        self._stream: Final = stream
        self.outside: Final = outside
        self.fails = fails
        self._compared = Compared()
        self._synced: Final[list[Request]] = []
        self._unsynced: Final[list[Request]] = []
        self._asked: Final[dict[OperationId, Request]] = {}
        self._done: Final[dict[OperationId, StoreOutcome]] = {}
        self.told: Final[list[Performed]] = []

    def attach(self, gateway: Gateway) -> None:
        """This gateway keeps its rows here."""
        if self.outside:
            gateway.use_external_store(DURABILITY)
            return
        store = gateway.store
        assert store is not None
        self._compared = Compared(store)
        perform = "perform"
        setattr(store, perform, self._at_once)

    @property
    def rows(self) -> MemoryStore:
        """The rows as they are now."""
        return self._compared.store

    @property
    def waiting(self) -> bool:
        """Has the store requests without an answer?"""
        return bool(self._asked)

    def _at_once(self, request: Request) -> StoreOutcome:
        outcome = self._compared.perform(request)
        self.told.append(Performed(request, outcome))
        return outcome

    def ask(self, effect: AskStore) -> None:
        """The gateway asks."""
        self._asked[effect.operation] = effect.request

    def next_answer(self) -> tuple[OperationId, Performed] | None:
        """Perform the next request, or answer one that was performed. None: the gateway hears nothing."""
        stream = self._stream
        fresh = [operation for operation in self._asked if operation not in self._done]
        if fresh and (not self._done or stream.happens(500)):
            self._perform(fresh[0])
            if stream.happens(500):
                return None
        if not self._done:
            return None
        operation = stream.pick(list(self._done))
        outcome, request = self._done.pop(operation), self._asked.pop(operation)
        self._synced.extend(self._unsynced)
        self._unsynced.clear()
        return operation, Performed(request, outcome)

    def _perform(self, operation: OperationId) -> None:
        request, stream = self._asked[operation], self._stream
        fails = stream.happens(self.fails)
        outcome: StoreOutcome = MaybeApplied()
        if fails and stream.happens(500):
            outcome = stream.pick(FAILURES)
        else:
            performed = self._compared.perform(request)
            self._unsynced.append(request)
            if not fails:
                outcome = performed
        self._done[operation] = outcome

    def crash(self) -> None:
        """The server crashes, and the store with it: requests without an answer may be done, or not."""
        self._asked.clear()
        self._done.clear()
        self._unsynced.clear()
        self._compared = Compared()
        for request in self._synced:
            self._compared.perform(request)

    def check(self) -> None:
        """Every row is as the model has it."""
        self._compared.check()
