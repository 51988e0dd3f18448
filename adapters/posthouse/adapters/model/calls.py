"""Calls as the model expects them: each is refused, runs or waits for a slot, and gets one outcome.

This module does not know why a call ends. `model.py` says when a connection is lost or time has passed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Raw
from posthouse.adapters.invariants import must
from posthouse.core.service.method import Method
from posthouse.core.values.config import Config
from posthouse.core.values.errors import (
    BATCH_REPLY_TOO_LARGE,
    CREDENTIALS_EXPIRED,
    DEADLINE_EXCEEDED,
    DRAINING,
    ID_IN_FLIGHT,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    REQUEST_CANCELLED,
    RESPONSE_TOO_LARGE,
    SERVER_BUSY,
)
from posthouse.core.values.lifecycle import CallOutcome
from posthouse.core.values.peers import UserKey

from .credentials.rights import unauthorized
from .expected import Expected, fits, misfit
from .identities import Identities
from .kept.asks import ASKS
from .messages import NULL, Codes, Request
from .records import Batch, Builtin, Call, Connection, ReplySlot
from .reports.ends import ANSWERED, End
from .validity import made_before

UNFIT: Final[Codes] = (INTERNAL_ERROR, RESPONSE_TOO_LARGE, BATCH_REPLY_TOO_LARGE)
"""The codes of a call whose handler has returned, but whose result cannot be sent."""


class Calls:
    """`records` are the calls that wait, or whose handlers have not ended, by number. `handlers` counts the latter,
    `made` all calls."""

    def __init__(self, config: Config, expected: Expected, identities: Identities) -> None:
        self._identities = identities
        self.records: dict[int, Call] = {}
        self.handlers = 0
        self._config = config
        self._expected = expected
        self.made = 0
        self._batches: dict[int, Batch] = {}

    def admit(self, slot: ReplySlot, request: Request, method: Method) -> Codes | None:
        """A request becomes a call, which starts or waits. Returns the codes of its refusal, or None."""
        connection, config = slot.connection, self._config
        if request.id in connection.calls:
            return (ID_IN_FLIGHT,)
        if self.handlers >= config.max_calls:
            return (SERVER_BUSY,)
        full = connection.running >= config.max_calls_per_connection
        waits = bool(connection.waiting) or full or connection.changing is not None
        if waits:
            if not self._may_wait(connection, request):
                return (SERVER_BUSY,)
        else:
            # A call with invalid params gets no number. Among several entries the number alone does not show which one
            # was started.
            several = slot.batch is not None and slot.batch.array
            if several and not fits(method, request.params):
                return (INVALID_PARAMS,)
            if not self._expected.started(self.made + 1, connection, method):
                return misfit(method, request.params)
        call = self._record(slot, request, method, waits=waits)
        if waits:
            connection.waiting[call.number] = call
        else:
            call.identity = connection.identity
            self._take_slot(connection)
        return None

    def admit_builtin(self, slot: ReplySlot, request: Request, method: Builtin) -> Codes | None:
        """A request for a method of the gateway becomes a call, because it changes the identity, or comes behind one
        that does. Returns the codes of its refusal, or None."""
        connection, config = slot.connection, self._config
        if method.changes and connection.changing is not None:
            return (SERVER_BUSY,)
        if request.id in connection.calls:
            return (ID_IN_FLIGHT,)
        if self.handlers >= config.max_calls:
            return (SERVER_BUSY,)
        full = connection.running >= config.max_calls_per_connection
        if (full or connection.waiting or connection.changing is not None) and not self._may_wait(connection, request):
            return (SERVER_BUSY,)
        call = self._record(slot, request, method, waits=True)
        connection.waiting[call.number] = call
        if method.changes:
            connection.changing = call.number
        self._run_waiting(connection)
        return None

    def _may_wait(self, connection: Connection, request: Request) -> bool:
        config = self._config
        size = sum(len(call.params or b"") for call in connection.waiting.values()) + len(request.params or b"")
        return len(connection.waiting) < config.max_waiting_calls and size <= config.max_waiting_bytes

    def _record(self, slot: ReplySlot, request: Request, method: Method | Builtin, *, waits: bool) -> Call:
        self.made = number = self.made + 1
        meta = slot.connection.peer.meta
        timeout = self._config.call_timeout if method.timeout is None else method.timeout
        timeout_ms = meta.timeout_ms if request.timeout_ms is None else request.timeout_ms
        if timeout_ms is not None:
            timeout = min(timeout, timeout_ms / 1000)
        token = meta.progress_token if request.progress_token is None else request.progress_token
        # Section 4: a null id stands for an unknown id. It cannot be used to find the call.
        key = number if request.id is None or request.id == NULL else request.id
        request_id = request.request_id or meta.request_id
        now = self._expected.now
        call = Call(number, slot, key, method, request.params, now, now + timeout, request_id, token, waits)
        slot.connection.made += 1
        self.records[number] = slot.connection.calls[key] = call
        if slot.batch is not None:
            self._batches[number] = slot.batch
        return call

    def _take_slot(self, connection: Connection) -> None:
        connection.running += 1
        self.handlers += 1

    def end(self, call: Call, codes: Codes, *outcomes: CallOutcome) -> None:
        """A call gets its outcome before its handler has ended: the handler is cancelled, or never starts."""
        self._stop(call, codes, outcomes)
        if isinstance(call.method, Builtin) and call.slot.connection.open:
            self._run_waiting(call.slot.connection)

    def _stop(self, call: Call, codes: Codes, outcomes: tuple[CallOutcome, ...], reason: str | None = None) -> None:
        connection = call.slot.connection
        if call.waiting:
            del connection.waiting[call.number], self.records[call.number]
        elif isinstance(call.method, Builtin):
            self._free(call)
            self._identities.withdraw(call.number)
        else:
            self._expected.cancel(call)
        if connection.changing == call.number:
            connection.changing = None
        self._expected.told.ended_early(call, outcomes, reason)
        self._settle(call, codes, outcomes)

    def _free(self, call: Call) -> None:
        """The slot of a method of the gateway is free."""
        del self.records[call.number]
        self.handlers -= 1
        call.slot.connection.running -= 1

    def answered(self, number: int, codes: Codes, check: Callable[[Raw], None] | None = None) -> None:
        """A call of the gateway's own was answered from outside: it has one of these codes, or a result that passes
        this `check`."""
        call = self.records[number]
        connection = call.slot.connection
        self._free(call)
        connection.active_at = self._expected.now
        connection.changing = None if connection.changing == number else connection.changing
        if check is not None and call.slot.id is not None:
            self._expected.results[connection.number, call.slot.id] = check
        self._answered(call, codes)
        self._run_waiting(connection)

    def _answered(self, call: Call, codes: Codes, *, result: bool = False) -> None:
        """A handler has ended, or a method of the gateway: that is the outcome of the call, unless it comes too
        late."""
        late = self._expected.now >= call.deadline
        if late:
            self._expected.told.ended_early(call, ("timed_out",))
        self._settle(call, (DEADLINE_EXCEEDED,) if late else codes, ("timed_out",) if late else ANSWERED, result=result)

    def _settle(self, call: Call, codes: Codes, outcomes: tuple[CallOutcome, ...], *, result: bool = False) -> None:
        call.open = False
        codes = self._ended(call, codes, outcomes)
        if call.detached:
            return
        connection, batch = call.slot.connection, call.slot.batch
        del connection.calls[call.key]
        reply = self._expected.reply(call.slot, codes)
        followers = call.followers if result else []
        connection.following -= len(call.followers) - len(followers)
        if batch is not None:
            batch.followers += followers
            if batch.left:
                return
            followers = batch.followers
            self._forget(batch)
        connection.following -= len(followers)
        for method in followers:
            self._expected.push(connection, method, reply)

    def _forget(self, batch: Batch) -> None:
        """The batch is answered, or lost."""
        for number in [number for number, each in self._batches.items() if each is batch]:
            del self._batches[number]

    def follow(self, number: int, connection: Connection, method: str, sent: bool) -> None:
        """The host sent a notification behind the reply of a call."""
        call, batch = self.records.get(number), self._batches.get(number)
        may = connection.reachable and (call is None or (call.open and not call.waiting))
        must(sent is may, "answering: notify behind a call returned the wrong value", number)
        if not may:
            return
        keeper = call or batch
        if keeper is None:
            self._expected.push(connection, method)
        else:
            connection.following += 1
            keeper.followers.append(method)

    def completed(self, number: int, result: bool) -> None:
        """A handler returned. `result`: the gateway says that this is the outcome of the call."""
        call = self.records.get(number)
        may = call is not None and call.open and self._expected.now < call.deadline
        must(may or not result, "calls: the end of a handler was accepted or ignored wrongly", number)
        must(result or not may or not call or not call.detached, "calls: a finishing call got another outcome", number)
        self._handler_ended(number, (None,) if result else UNFIT, result=result)

    def failed(self, number: int, codes: Codes, accepted: bool) -> None:
        """A handler failed with one of these codes. `accepted` is what the gateway returned."""
        call = self.records.get(number)
        pending = call is not None and call.open
        must(accepted is pending, "calls: the end of a handler was accepted or ignored wrongly", number)
        self._handler_ended(number, codes, result=False)

    def _handler_ended(self, number: int, codes: Codes, *, result: bool) -> None:
        call = self.records.pop(number, None)
        if call is None:
            return
        connection, now = call.slot.connection, self._expected.now
        connection.active_at = now
        self.handlers -= 1
        connection.running -= 1
        if call.open:
            self._answered(call, codes, result=result)
        self._run_waiting(connection)

    def _run_waiting(self, connection: Connection) -> None:
        while connection.waiting and connection.running < self._config.max_calls_per_connection:
            number, call = next(iter(connection.waiting.items()))
            if connection.changing is not None and number > connection.changing:
                return
            self._start(call)

    def _start(self, call: Call) -> None:
        """The first call that waits gets a slot."""
        connection, method = call.slot.connection, call.method
        refusal = unauthorized(connection.identity, method.public, method.scopes)
        if self.handlers >= self._config.max_calls:
            self._stop(call, (SERVER_BUSY,), ("error",))
        elif not (isinstance(method, Builtin) and method.changes) and self._identities.validity.expired(
            connection.identity
        ):
            self._stop(call, (CREDENTIALS_EXPIRED,), ("error",))
        elif refusal is not None:
            self._stop(call, (refusal,), ("error",))
        elif isinstance(method, Builtin):
            codes: Codes | None = (None, INVALID_PARAMS)
            if method.name in ASKS:
                codes = self._identities.sessions.call(connection, call.number, method.name, call.params)
            elif method.changes:
                codes = self._identities.log_in(connection, call.number, method.name, call.params)
            if method.name in ASKS and codes is not None and None not in codes:
                self._stop(call, codes, ("error",))  # it was refused before it began
                return
            self._begun(call)
            if codes is not None:
                self._free(call)
                connection.active_at = self._expected.now
                if connection.changing == call.number:
                    connection.changing = None
                self._answered(call, codes)
        elif not self._expected.started(call.number, connection, method):
            self._stop(call, misfit(method, call.params), ("error",))
        else:
            self._begun(call)

    def _begun(self, call: Call) -> None:
        if not isinstance(call.method, Builtin):
            call.identity = call.slot.connection.identity
        del call.slot.connection.waiting[call.number]
        call.waiting = False
        self._take_slot(call.slot.connection)

    def drop(self, connection: Connection) -> None:
        """The connection is closed or lost: its calls end, except those that finish without their caller."""
        for call in connection.calls.values():
            if call.slot.batch is not None:
                self._forget(call.slot.batch)
            if call.waiting:
                del self.records[call.number]
                self._left(call)
            elif call.method.on_disconnect == "finish" and not call.revoked:
                call.detached = True
            elif isinstance(call.method, Builtin):
                call.open = False
                self._free(call)
                self._identities.withdraw(call.number)
                self._left(call)
            else:
                call.open = False
                self._expected.cancel(call)
                self._left(call)
        connection.calls.clear()
        connection.waiting.clear()

    def _left(self, call: Call) -> None:
        """A call has ended with its connection."""
        self._expected.told.ended_early(call, ("disconnected",), "revoked" if call.revoked else None)
        self._ended(call, (None,), ("disconnected",))

    def revoke(self, user: UserKey, not_before: float | None, revoked: list[Connection]) -> None:
        """A user was revoked: the calls end that it has made on other connections than those that are closed for it."""
        for call in list(self.records.values()):
            if call.open and not call.waiting and call.identity is not None and call.identity.key == user:
                connection = call.slot.connection
                fresh = not_before is not None and not made_before(not_before, call.identity)
                former = call.detached or connection.identity is not call.identity
                if former and not fresh and connection not in revoked:
                    self._stop(call, (REQUEST_CANCELLED,), ("cancelled",), "revoked")

    def expire_before(self, at: float) -> None:
        """End the calls whose deadlines had passed at this time: they do not start with what happens then."""
        for call in [each for each in self.records.values() if each.open and each.deadline < at]:
            self.end(call, (DEADLINE_EXCEEDED,), "timed_out")

    def expire(self, *, grace_over: bool) -> None:
        """End the calls whose deadlines have passed, or all of them if the grace of a shutdown is over."""
        now = self._expected.now
        for call in list(self.records.values()):
            if call.open and (grace_over or call.deadline <= now):
                late: tuple[CallOutcome, ...] = ("timed_out",) if call.deadline <= now else ()
                codes: Codes = (DEADLINE_EXCEEDED,) if late else ()
                if grace_over:
                    self._stop(call, (*codes, DRAINING), (*late, "drained"))
                else:
                    self.end(call, codes, *late)

    def _ended(self, call: Call, codes: Codes, outcomes: tuple[CallOutcome, ...]) -> Codes:
        connection, name = call.slot.connection, call.method.name
        identity = call.identity or connection.identity
        end = End(connection, call.number, name, call.request_id, call.began, outcomes, codes, identity)
        return self._expected.ended(end)
