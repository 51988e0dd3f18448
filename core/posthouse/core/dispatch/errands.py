"""Errands: calls of the gateway's own methods that wait for the store.

A method asks, and says what to do with the answer. If the store answers at once, so does the method; else its call goes
on, and is answered when the store was. This module may not know what is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from posthouse.core.calls.calls import Calls
from posthouse.core.calls.outcomes import Outcomes
from posthouse.core.connections.connections import Connections
from posthouse.core.operations.operations import Failed, Refused
from posthouse.core.store.outcomes import Done, Full, MaybeApplied, StoreOutcome, unavailable
from posthouse.core.store.requests import Request
from posthouse.core.store.storage import Storage
from posthouse.core.values.errors import DEADLINE_EXCEEDED, RpcError, refusal
from posthouse.core.values.peers import CallId, OperationId
from posthouse.core.values.shared import Shared

ERRAND: Final = "errand"
"""The purpose of this table's requests."""


class Later(Exception):
    """A method of the gateway answers later: its call goes on. Only one that is declared so may raise it."""


Then = Callable[[StoreOutcome | Full, float], Any]
"""Called with the outcome of a request and the time. Returns the result of the call, or raises RpcError or Later."""

Undo = Callable[[float], None]
"""Called with the time, if nobody waits for the outcome of a request any more, or if it may have been done."""


Alone = Callable[[StoreOutcome, float], None]
"""Called with the outcome of a request and the time, in place of `then`, if nobody waits for it any more."""


class Errand(Struct, frozen=True, eq=False):
    """One call that waits for the store."""

    operation: OperationId
    then: Then
    undo: Undo | None
    alone: Alone | None


class Errands:
    """The calls that wait for the store. `alone` are the requests whose calls have ended before."""

    def __init__(
        self, shared: Shared, connections: Connections, calls: Calls, outcomes: Outcomes, storage: Storage
    ) -> None:
        self._shared = shared
        self._connections = connections
        self._calls = calls
        self._outcomes = outcomes
        self._storage = storage
        self.records: dict[CallId, Errand] = {}
        self.alone: dict[CallId, Alone] = {}
        storage.on(ERRAND, self._concluded)

    def ask(
        self,
        call: CallId,
        request: Request,
        then: Then,
        now: float,
        *,
        undo: Undo | None = None,
        alone: Alone | None = None,
    ) -> Any:
        """Ask the store for a call. Returns the result of `then`, or raises what it raises; Later, if the store has not
        answered yet. `undo` takes back what nobody waits for. `alone` does what must follow in any case."""
        outcome = self._storage.begin(ERRAND, call, request, now)
        if isinstance(outcome, int):
            self.records[call] = Errand(outcome, then, undo, alone)
            self._calls.later[call] = self._withdraw
            raise Later
        return then(outcome, now)

    def _concluded(self, subject: int, outcome: StoreOutcome, now: float) -> None:
        number = CallId(subject)
        if number in self.alone:
            self.alone.pop(number)(outcome, now)
            return
        errand, call = self.records.pop(number), self._calls.records[number]
        del self._calls.later[number]
        late = now >= call.deadline
        if errand.undo is not None and (late or isinstance(outcome, MaybeApplied)):
            errand.undo(now)
        result: Any = refusal(DEADLINE_EXCEEDED)
        if late and errand.alone is not None:
            errand.alone(outcome, now)
        if not late:
            try:
                result = errand.then(outcome, now)
            except Later:
                return
            except RpcError as error:
                result = error.error_object
        self._outcomes.answered(call, self._connections.records[call.connection], result, now)

    def _withdraw(self, call: CallId, now: float) -> None:
        errand = self.records.pop(call)
        if errand.alone is None:
            self._storage.withdraw(errand.operation)
        else:
            self.alone[call] = errand.alone
        if errand.undo is not None:
            errand.undo(now)


def value_of(outcome: StoreOutcome | Full) -> Any:
    """The value of an outcome that has one. Raises RpcError: the store could not do it, or the rows forbid it for a
    reason that they cannot have."""
    if isinstance(outcome, Done):
        return outcome.value
    raise RpcError.of(unavailable(Failed() if isinstance(outcome, Refused) else outcome))
