"""The gateway's way to its store. It is in this process and answers at once, or outside: then the answer comes later,
as the outcome of an external operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from posthouse.core.operations.operations import Busy, Expired, Failed, Operations, Refused
from posthouse.core.values.effects import AskStore
from posthouse.core.values.peers import OperationId
from posthouse.core.values.shared import Shared

from .memory import MemoryStore
from .outcomes import Done, Full, MaybeApplied, StoreOutcome
from .requests import Request

ASK: Final = "store"
"""The kind of this table's operations."""

OUTCOMES: Final = (Done, Refused, Failed, Busy, MaybeApplied)

WRITE_ID_BYTES: Final = 16

Ended = Callable[[int, StoreOutcome, float], None]
"""Called with the subject of a request, its outcome, and the time."""


class Asked(Struct, frozen=True, gc=False):
    """A request whose answer is waited for. `subject` is the id of the thing that waits."""

    purpose: str
    subject: int


class Storage:
    """Asks the store. `memory` is the store in this process, or None if it is outside. `durability` names what keeps
    its rows. `records` are the requests whose answers are waited for, by their operations."""

    def __init__(self, shared: Shared, operations: Operations) -> None:
        self._shared = shared
        self._operations = operations
        self._ended: dict[str, Ended] = {}
        self.memory: MemoryStore | None = MemoryStore(shared.hold)
        self.durability: str = self.memory.durability
        self.records: dict[OperationId, Asked] = {}
        operations.on(ASK, OUTCOMES, self._concluded, _ignore)

    def on(self, purpose: str, ended: Ended) -> None:
        """Call `ended` with the outcome of each request for this purpose that was not answered at once."""
        self._ended[purpose] = ended

    def new_write_id(self) -> str:
        """An id for a write."""
        return self._shared.entropy(WRITE_ID_BYTES).hex()

    def begin(self, purpose: str, subject: int, request: Request, now: float) -> StoreOutcome | Full | OperationId:
        """Ask for something. Returns its outcome; or the operation, if the store is outside: `ended` is called when it
        has an outcome, within `storage_timeout`."""
        if self.memory is not None:
            return self.memory.perform(request)
        if self._operations.full:
            return Full()
        operation = self._operations.begin(ASK, now + self._shared.config.storage_timeout, now)
        self.records[operation] = Asked(purpose, subject)
        self._shared.outbox.append(AskStore(operation, request))
        return operation

    def withdraw(self, operation: OperationId) -> None:
        """Nobody waits for this answer any more. The store may do what it was asked for."""
        del self.records[operation]
        self._operations.withdraw(operation)

    def redirect(self, operation: OperationId, purpose: str, subject: int) -> None:
        """Another thing waits for this answer from now on."""
        self.records[operation] = Asked(purpose, subject)

    def _concluded(self, operation: OperationId, outcome: object, now: float) -> None:
        asked = self.records.pop(operation)
        if isinstance(outcome, Expired):
            outcome = MaybeApplied()
        assert isinstance(outcome, OUTCOMES)
        self._ended[asked.purpose](asked.subject, outcome, now)


def _ignore(operation: OperationId, now: float) -> None:
    """Nothing depends on an answer that came too late."""
