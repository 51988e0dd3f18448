"""The outcome of each call: exactly one, from its handler, its deadline, its caller, its connection or a shut-down.

It decides the outcome and reports it. It may not know how a reply is sent (`replies.py`), nor close a connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.core.connections.connections import NOTHING, Connection, Connections
from posthouse.core.service.results import ResultError
from posthouse.core.values.close_reasons import DRAINING, REVOKED
from posthouse.core.values.effects import Emit
from posthouse.core.values.errors import (
    DEADLINE_EXCEEDED,
    INTERNAL_ERROR,
    REQUEST_CANCELLED,
    ErrorObject,
    RpcError,
    UsageError,
    refusal,
)
from posthouse.core.values.errors import DRAINING as DRAINING_ERROR
from posthouse.core.values.lifecycle import CallCancelled, CallFailed, CallOutcome, CallTimedOut
from posthouse.core.values.peers import CallId, Identity, UserKey, WireId
from posthouse.core.values.shared import Shared

from .calls import ENDED, RUNNING, WAITING, Call, Calls
from .endings import Endings
from .followers import Followers
from .idempotency import Idempotency
from .replies import Batch, Replies

CALL_EXPIRES: Final = "call"
"""The reason of this table's deadlines."""


class Outcomes:
    """Gives each call its outcome and starts the next waiting call."""

    def __init__(
        self,
        shared: Shared,
        connections: Connections,
        calls: Calls,
        replies: Replies,
        followers: Followers,
        keys: Idempotency,
    ) -> None:
        self._shared = shared
        self._timers = shared.timers
        self._connections = connections
        self._calls = calls
        self._replies = replies
        self._followers = followers
        self.keys = keys
        keys.answered, keys.run_waiting = self.answered, self.run_waiting
        self._endings = Endings(shared, calls)
        self._every_end_is_told = self._endings.wanted
        self._looked_through = 0
        self._timers.on(CALL_EXPIRES, self._expire)

    # A handler has ended

    def complete(self, call: Call, result: object, now: float) -> bool:
        """The handler returned. True: this result is the call's outcome. False: the call has another outcome."""
        outcome: bytes | ErrorObject = b""
        if call.phase is RUNNING and now < call.deadline and (not call.detached or call.keyed is not None):
            try:
                outcome = call.method.encode_result(result)
            except ResultError as error:
                outcome = self.defect(call, error.reason, now)
        return self._handler_ended(call, outcome, now) is True

    def fail(self, call: Call, error: ErrorObject, now: float) -> bool:
        """The handler raised, or was stopped. False: the call already has its outcome.

        An internal error with an incident is a defect of the handler. It is reported even if the call has its outcome.
        """
        first = self._handler_ended(call, error, now) is not None
        if error.code == INTERNAL_ERROR and isinstance(error.data, dict) and "incident" in error.data:
            self._failed(call, str(error.data["incident"]), "the handler raised an exception other than RpcError", now)
        return first

    def defect(self, call: Call, reason: str, now: float) -> ErrorObject:
        """Report a defect of a method. Returns the error of its call."""
        incident = self._shared.entropy(6).hex()
        self._failed(call, incident, reason, now)
        return ErrorObject.of(INTERNAL_ERROR, {"incident": incident})

    def _failed(self, call: Call, incident: str, reason: str, now: float) -> None:
        self._shared.stats.count("calls.failed")
        name, request_id = call.method.name, call.meta.request_id
        failed = CallFailed(call.number, call.connection, name, incident, reason, now, request_id)
        self._shared.outbox.append(Emit(failed))

    def _handler_ended(self, call: Call, outcome: bytes | ErrorObject, now: float) -> bool | None:
        """Answer the call. Returns whether it got a result; None: it already has its outcome."""
        if call.phase is WAITING:
            raise UsageError(f"call {call.number} is waiting: its handler has not started, so it cannot end")
        connection = self._connections.records.get(call.connection)
        result: bool | None = None
        if self._calls.handler_ended(call, connection):
            if call.timer is not None:
                self._timers.disarm(call.timer)
            if now >= call.deadline:
                result = False
                self._answer_early(call, connection, self._timed_out(call, now), "timed_out", now)
            else:
                code = self._answer(call, connection, outcome, now)
                result = code is None
                if not result or self._every_end_is_told:
                    self._endings.call(call, connection, "result" if result else "error", code, now)
        if connection is not None:
            connection.active_at = now
            if connection.waiting:
                self.run_waiting(connection, now)
        return result

    def run_waiting(self, connection: Connection, now: float) -> None:
        """Start the calls that wait, in order, as long as the next one may run."""
        while (call := self._calls.next_waiting(connection)) is not None:
            try:
                answer = self._calls.start(connection, call, now)
            except RpcError as error:
                self._stop(call, connection, error.error_object, "error", now)
            else:
                if answer is not None:
                    self._builtin_ended(call, connection, answer[0], now)

    def answered(self, call: Call, connection: Connection, outcome: object, now: float) -> None:
        """A method of the gateway has its result, or its error, after a while."""
        self._builtin_ended(call, connection, outcome, now)
        self.run_waiting(connection, now)

    def _builtin_ended(self, call: Call, connection: Connection, outcome: object, now: float) -> None:
        if connection.changing == call.number:
            connection.changing = None
        connection.active_at = now
        self._calls.handler_ended(call, connection)
        self._timers.disarm(call.timer)
        confirm = self._calls.confirm.pop(call.number, None)
        code: int | None = DEADLINE_EXCEEDED
        if now >= call.deadline:
            self._answer_early(call, connection, self._timed_out(call, now), "timed_out", now)
        else:
            result = outcome if isinstance(outcome, ErrorObject) else call.method.encode_result(outcome)
            code = self._answer(call, connection, result, now)
            self._endings.call(call, connection, "result" if code is None else "error", code, now)
        if confirm is not None:
            confirm(code is None, now)

    def batch_answered(self, connection: Connection, batch: Batch, now: float) -> None:
        """A batch was answered, but not by the end of one of its calls: send what follows it."""
        self._followers.send(connection, batch, now)

    # A call ends before its handler

    def arm(self) -> None:
        """Arm the deadlines of calls made since the last time. A call that ends within its turn costs no timer."""
        made = self._calls.made
        if self._looked_through == made:
            return
        fresh: list[Call] = []
        for call in reversed(self._calls.records.values()):  # the table is in the order of numbers
            if call.number <= self._looked_through:
                break
            fresh.append(call)
        self._looked_through = made
        if fresh and self._calls.handlers > self._calls.most_handlers:
            self._calls.most_handlers = self._calls.handlers
        for call in reversed(fresh):
            if call.phase is not ENDED:
                call.timer = self._timers.arm(call.deadline, CALL_EXPIRES, call.number)

    def _expire(self, key: int, now: float) -> None:
        """Time out a call that has no outcome yet."""
        call = self._calls.records[CallId(key)]
        connection = self._connections.records.get(call.connection)
        self._end_early(call, connection, self._timed_out(call, now), "timed_out", now)

    def cancel(self, connection: Connection, id: WireId, now: float) -> bool:
        """Cancel a call by its wire id. False: this connection has no call with this id and without an outcome."""
        number = connection.calls.get(id)
        if number is None:
            return False
        call = self._calls.records[number]
        self._cancelled(call, "client", now)
        self._end_early(call, connection, ErrorObject.of(REQUEST_CANCELLED), "cancelled", now)
        return True

    def drop(self, connection: Connection, now: float) -> None:
        """The connection is closing: end its calls, except those whose methods are declared to finish."""
        if connection.following:
            self._followers.drop(connection)
        for number in list(connection.calls.values()):
            call = self._calls.records[number]
            if call.phase is RUNNING and (call.method.on_disconnect == "finish" or call.keyed is not None):
                self._calls.detach(call, connection)
            else:
                self._leave(call, connection, "disconnected", now)
        connection.calls = NOTHING

    def _leave(self, call: Call, connection: Connection, reason: str, now: float) -> None:
        """End a call because its connection ends. What follows it is not sent, and counted down with the connection."""
        call.followers = None
        if call.keyed is not None:
            self.keys.abandon(call, now)
        self._cancelled(call, reason, now)
        self._settle(call, connection, now)
        self._endings.call(call, connection, "disconnected", None, now)

    def revoke(self, connection: Connection, user: UserKey, now: float) -> None:
        """This user of the connection is revoked, and the connection will be closed: end the calls of the user, also
        those whose methods are declared to finish."""
        for number in list(connection.calls.values()):
            call = self._calls.records.get(number)
            if call is None:
                continue  # it repeated another one, and has ended with it
            if (connection.identity if call.caller is None else call.caller.identity).key == user:
                self._leave(call, connection, "revoked", now)

    def revoke_strays(self, user: UserKey, spares: Callable[[Identity], bool], now: float) -> None:
        """A user is revoked: end its calls on connections that are gone, or have another user now, except those of
        identities that this spares."""
        for number in list(self._calls.strays.get(user, ())):
            call = self._calls.records.get(number)
            if call is None:
                continue  # it repeated another one, and has ended with it
            caller = call.caller or (call.detached and call.detached.caller)
            assert caller is not None
            if not spares(caller.identity):
                self._cancelled(call, "revoked", now)
                connection = self._connections.records.get(call.connection)
                error = ErrorObject.of(REQUEST_CANCELLED, {"reason": REVOKED.text})
                self._end_early(call, connection, error, "cancelled", now)

    def drain(self, now: float) -> None:
        """The grace of a shut-down is over: answer every call without an outcome with -32050."""
        for call in list(self._calls.records.values()):
            if call.phase is not ENDED:
                self._cancelled(call, "draining", now)
                connection = self._connections.records.get(call.connection)
                self._stop(call, connection, refusal(DRAINING_ERROR), "drained", now)

    def _end_early(
        self, call: Call, connection: Connection | None, error: ErrorObject, outcome: CallOutcome, now: float
    ) -> None:
        self._stop(call, connection, error, outcome, now)
        if call.method.builtin and connection is not None:
            self.run_waiting(connection, now)  # calls may have waited for it, or for its slot

    def _stop(
        self, call: Call, connection: Connection | None, error: ErrorObject, outcome: CallOutcome, now: float
    ) -> None:
        if call.keyed is not None and call.phase is WAITING:
            self.keys.abandon(call, now)
        self._settle(call, connection, now)
        self._answer_early(call, connection, error, outcome, now)

    def _answer_early(
        self, call: Call, connection: Connection | None, error: ErrorObject, outcome: CallOutcome, now: float
    ) -> None:
        code = self._answer(call, connection, error, now)
        self._endings.call(call, connection, outcome, code, now)

    def _settle(self, call: Call, connection: Connection | None, now: float) -> None:
        self._calls.settle(call, connection, now)
        self._timers.disarm(call.timer)

    def _timed_out(self, call: Call, now: float) -> ErrorObject:
        timed_out = CallTimedOut(call.number, call.connection, call.method.name, now, call.meta.request_id)
        self._shared.outbox.append(Emit(timed_out))
        return refusal(DEADLINE_EXCEEDED)

    def _cancelled(self, call: Call, reason: str, now: float) -> None:
        name, request_id = call.method.name, call.meta.request_id
        self._shared.outbox.append(Emit(CallCancelled(call.number, call.connection, name, reason, now, request_id)))

    # The reply

    def _answer(
        self, call: Call, connection: Connection | None, outcome: bytes | ErrorObject, now: float
    ) -> int | None:
        """Returns the code of the error that is sent (or would be, if its connection is gone), None for a result."""
        if call.keyed is not None:
            self.keys.ended(call, outcome, now)
        if connection is None or call.detached:
            return outcome.code if isinstance(outcome, ErrorObject) else None
        if connection.farewell_due and not connection.calls:
            self._shared.breach(connection.id, DRAINING)
        batch = call.batch
        if type(outcome) is bytes:
            code = self._replies.result(connection, batch, call.entry, call.wire_id, outcome)
        else:
            assert isinstance(outcome, ErrorObject)
            code = self._replies.error(connection, batch, call.entry, call.wire_id, outcome)
        if call.followers is not None or (batch is not None and batch.followers is not None):
            self._followers.replied(connection, call, now, result=code is None)
        return code
