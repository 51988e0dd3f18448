"""Procedures: methods of the gateway that ask for one thing after the other, and answer later.

A procedure is a generator. It yields what it asks for, and is sent a `Reply`. It answers its call when it returns or
raises RpcError, or before with `Answers`. If its call ends before, it stops, unless it waits for something that it has
changed: then it goes on, so that nothing is left half done. Any other exception is a defect, which ends its call alone.
This module may not know what is asked for, but that it may be asked of the store.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from types import TracebackType
from typing import Any, Final, get_args

from msgspec import Struct
from posthouse.core.calls.calls import Answer, Call, Calls
from posthouse.core.calls.outcomes import Outcomes
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.store.requests import Request, Write
from posthouse.core.store.storage import Storage
from posthouse.core.values.errors import ErrorObject, RpcError
from posthouse.core.values.peers import Caller, CallId, OperationId

PROCEDURE: Final = "procedure"
"""The purpose of requests to the store."""


class Reply(Struct, frozen=True, gc=False):
    """What a procedure is sent: the outcome of what it has asked for, and the time. `wanted`: its call has no outcome
    yet, and may still get one."""

    outcome: Any
    now: float
    wanted: bool


Steps = Generator[Any, Reply, object]
"""A procedure, not begun yet."""


class Answers(Struct, frozen=True, gc=False):
    """Yielded by a procedure that goes on: its call has this outcome, a result or an ErrorObject."""

    outcome: object


class Pending(Struct, frozen=True, gc=False):
    """What was asked for has no outcome yet. `withdraw`: it is not needed if nobody waits. None: it changes something,
    and the procedure must hear of it."""

    withdraw: Callable[[], None] | None


Ask = Callable[[int, Caller, Any, float], object]
"""Called with the number of a procedure, its caller, what it asks for, and the time. Returns the outcome or Pending."""


class Procedure(Struct, eq=False):
    """One procedure. `begun_for`: the call that it was begun for; `call`: the same, as long as that waits for it.
    `outcome` is that of the call, in a tuple. `pending`: it waits for this."""

    number: int
    begun_for: Call
    caller: Caller
    steps: Steps
    call: CallId | None = None
    outcome: Answer | None = None
    pending: Pending | None = None


class Later(Exception):
    """A method of the gateway answers later: its call goes on. Only one that is declared so may raise it."""


class Procedures:
    """The procedures that have not ended, by number; `by_call` those that a call waits for."""

    def __init__(self, connections: Connections, calls: Calls, outcomes: Outcomes, storage: Storage) -> None:
        self._connections = connections
        self._calls = calls
        self._outcomes = outcomes
        self._storage = storage
        self._asks: dict[type, Ask] = dict.fromkeys(get_args(Request), self._ask_store)
        storage.on(PROCEDURE, self.resume)
        self._last = 0
        self.records: dict[int, Procedure] = {}
        self.by_call: dict[CallId, int] = {}

    def on(self, kind: type, ask: Ask) -> None:
        """Call `ask` if a procedure yields a value of this type."""
        self._asks[kind] = ask

    def begin(self, connection: Connection, call: CallId, steps: Steps, now: float) -> Answer | None:
        """Begin a procedure for a call. Returns its answer, or None if it answers later. Raises RpcError."""
        self._last += 1
        record = self._calls.records[call]
        procedure = self.records[self._last] = Procedure(self._last, record, connection.caller, steps)
        self._advance(procedure, None, now)
        if procedure.outcome is None:
            procedure.call = call
            self.by_call[call] = procedure.number
            self._calls.later[call] = self.withdraw
        elif isinstance(procedure.outcome[0], ErrorObject):
            raise RpcError.of(procedure.outcome[0])
        return procedure.outcome

    def run(self, connection: Connection, call: CallId, steps: Steps, now: float) -> Any:
        """Begin a procedure for a call. Returns its result. Raises RpcError; Later, if it answers later."""
        answer = self.begin(connection, call, steps, now)
        if answer is None:
            raise Later
        return answer[0]

    def _ask_store(self, number: int, caller: Caller, request: Request, now: float) -> object:
        outcome = self._storage.begin(PROCEDURE, number, request, now)
        if not isinstance(outcome, int):
            return outcome
        changes = isinstance(request, Write)
        return Pending(None if changes else partial(self._storage.withdraw, OperationId(outcome)))

    def resume(self, number: int, outcome: object, now: float) -> None:
        """What this procedure has asked for has an outcome."""
        procedure = self.records[number]
        call = None if procedure.call is None else self._calls.records[procedure.call]
        wanted = call is not None and now < call.deadline
        self._advance(procedure, Reply(outcome, now, wanted), now)

    def withdraw(self, call: CallId, now: float) -> None:
        """The call has ended without an answer. What ended it may be the procedure itself, which then waits for
        nothing, and goes on."""
        procedure = self.records[self.by_call.pop(call)]
        procedure.call = None
        if procedure.pending is not None and procedure.pending.withdraw is not None:
            procedure.pending.withdraw()
            procedure.steps.close()
            del self.records[procedure.number]

    def _advance(self, procedure: Procedure, reply: Reply | None, now: float) -> None:
        """Go on with this reply (None: begin) until something has no outcome yet, or to the end."""
        begins = procedure.call is None and procedure.outcome is None
        procedure.pending = None
        while procedure.pending is None:
            try:
                asked = next(procedure.steps) if reply is None else procedure.steps.send(reply)
            except StopIteration as end:
                self._end(procedure, end.value, now)
                return
            except RpcError as error:
                self._end(procedure, error.error_object, now)
                return
            except Exception as error:
                reason = f"the procedure raised {type(error).__name__} in {_place(error.__traceback__)}"
                self._end(procedure, self._outcomes.defect(procedure.begun_for, reason, now), now)
                return
            if isinstance(asked, Answers):
                self._answer(procedure, asked.outcome, now)
                outcome: object = None
            else:
                outcome = self._asks[type(asked)](procedure.number, procedure.caller, asked, now)
            if isinstance(outcome, Pending):
                procedure.pending = outcome
            else:
                reply = Reply(outcome, now, begins or procedure.call is not None)

    def _end(self, procedure: Procedure, outcome: object, now: float) -> None:
        del self.records[procedure.number]
        self._answer(procedure, outcome, now)

    def _answer(self, procedure: Procedure, outcome: object, now: float) -> None:
        """The call of this procedure has its outcome, unless it had one before."""
        if procedure.outcome is None:
            procedure.outcome = (outcome,)
        call, procedure.call = procedure.call, None
        if call is not None:
            del self.by_call[call], self._calls.later[call]
            record = self._calls.records[call]
            self._outcomes.answered(record, self._connections.records[record.connection], outcome, now)


def _place(raised: TracebackType | None) -> str:
    """The function that has raised an exception."""
    place = ""
    while raised is not None:
        code, raised = raised.tb_frame.f_code, raised.tb_next
        place = code.co_qualname
    return place
