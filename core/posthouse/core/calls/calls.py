"""Calls that peers made: their slots, and the queue of calls that wait for one.

A call is recorded when it is admitted and forgotten when it has its outcome and its handler has ended. Until then it
holds a slot, because a handler costs the same whether its call was answered or not. This module decides when a call may
run. It may not know outcomes (`outcomes.py`) or replies (`replies.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from itertools import count
from typing import Any, Final, cast

from msgspec import Struct
from posthouse.core.connections.connections import NOTHING, Connection
from posthouse.core.identity.authorization import authorize, check_expiry
from posthouse.core.jsonrpc.envelope import text_of
from posthouse.core.jsonrpc.messages import NULL, Request
from posthouse.core.service.method import Method
from posthouse.core.values.effects import Cancel, Invoke
from posthouse.core.values.errors import ID_IN_FLIGHT, SERVER_BUSY, RpcError, UsageError, refusal
from posthouse.core.values.peers import Caller, CallId, ConnectionId, Identity, Meta, UserKey, WireId
from posthouse.core.values.shared import Shared
from posthouse.core.values.timers import Timer

from .replies import Batch


class Phase(Enum):
    """Waiting: the handler has not started. Running: the handler runs. Ended: the call has its outcome, but its handler
    still runs."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


WAITING: Final = Phase.WAITING
RUNNING: Final = Phase.RUNNING
ENDED: Final = Phase.ENDED
"""Constants, because every call reads them and a look-up in the class is slower."""


class Call(Struct, eq=False, gc=False):
    """One call.

    `wire_id`: None for a notification. `key`: its wire id, or its number if it has none or null. `entry`: its place in
    `batch`. `params`: kept only while it waits. `detached`: it runs on although its connection, this one, is gone.
    `caller`: who made it, if the identity of the connection has changed since. `stray`: its user, if its connection is
    gone or has had another identity since, and so does not lead to it. `followers`: notifications that leave behind its
    reply (`followers.py`). `keyed`: it is the first call with this key, and has no outcome. `repeats`: it gets the
    outcome of the one with this key (`idempotency.py`).
    """

    number: CallId
    connection: ConnectionId
    method: Method
    wire_id: WireId | None
    key: WireId | CallId
    deadline: float
    meta: Meta
    batch: Batch | None
    entry: int
    phase: Phase = RUNNING
    params: bytes | None = None
    timer: Timer | None = None
    detached: Connection | None = None
    caller: Caller | None = None
    stray: UserKey | None = None
    followers: list[bytes] | None = None
    keyed: Any = None
    repeats: Any = None


Answer = tuple[Any]
"""The result of a method of the gateway."""

RunBuiltin = Callable[[Connection, CallId, Method, tuple[Any, ...], dict[str, Any], float], Answer | None]
"""Runs a method of the gateway for a call. None: it answers later. Raises RpcError."""


WithdrawBuiltin = Callable[[CallId, float], None]
"""Called with a call that has ended without an answer, and the time: nobody waits for what was begun for it."""

Confirm = Callable[[bool, float], None]
"""Called when a method of the gateway was answered: whether with its result, or with an error in place of it; and the
time."""


class Calls:
    """The table of calls. `made`: how many were made. `handlers`: how many hold a slot; `most_handlers`: at most, at
    the end of a turn. `waiting`: how many wait.
    `strays`: the calls without an outcome that are strays, by user.

    Methods of the gateway become calls if they must wait, or answer later: `run_builtin` runs one, `repeat` a
    call that repeats another one. `later` has those
    that answer later, and what to do if one ends before; `confirm`, what to do when one was answered.
    """

    run_builtin: RunBuiltin
    repeat: RunBuiltin

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._config = shared.config
        self._outbox = shared.outbox
        self._numbers = cast("Iterator[CallId]", count(1))
        self.made = 0
        self.records: dict[CallId, Call] = {}
        self.handlers = 0
        self.most_handlers = 0
        self.waiting = 0
        self.strays: dict[UserKey, dict[CallId, None]] = {}
        self.later: dict[CallId, WithdrawBuiltin] = {}
        self.confirm: dict[CallId, Confirm] = {}

    def find(self, call: CallId) -> Call | None:
        """The call of this id, or None if it was forgotten. Raises UsageError if it never existed."""
        record = self.records.get(call)
        if record is None and not 0 < call <= self.made:
            raise UsageError(f"call {call} never existed")
        return record

    def admit(
        self,
        connection: Connection,
        request: Request,
        method: Method,
        batch: Batch | None,
        entry: int,
        now: float,
        queued: bool = False,
    ) -> None:
        """Record a call and start its handler, or let it wait. Raises RpcError to refuse it, before any change. With
        `queued` it waits even if nothing is in its way: the caller starts it."""
        id = request.id
        if id is not None and id in connection.calls:
            raise RpcError(ID_IN_FLIGHT)
        config = self._config
        if self.handlers >= config.max_calls:
            raise RpcError.of(refusal(SERVER_BUSY, limit="max_calls"))
        full = connection.running >= config.max_calls_per_connection
        blocked = full or connection.waiting or connection.changing is not None
        waits = blocked or queued
        if waits:
            params = b"" if request.params is None else text_of((request.params,))
            if blocked:
                self._check_room(connection, len(params))
        else:
            args, kwargs = method.bind(request.params)
        meta = connection.peer.meta if request.meta is None else request.meta.or_else(connection.peer.meta)
        self.made = number = next(self._numbers)
        timeout = config.call_timeout if method.timeout is None else method.timeout
        if meta.timeout_ms is not None:
            timeout = min(timeout, meta.timeout_ms / 1000)
        key = number if id is None or id == NULL else id
        call = Call(number, connection.id, method, id, key, now + timeout, meta, batch, entry)
        self.records[number] = call
        if connection.calls is NOTHING:
            connection.calls = {key: number}
        else:
            connection.calls[key] = number
        connection.made += 1
        if waits:
            self._wait(connection, call, params)
        else:
            connection.running += 1
            self.handlers += 1
            self._outbox.append(Invoke(number, connection.caller, method, args, kwargs, meta))

    def began(self, call: Call) -> float:
        """When the request of this call was received. It is not kept: few ask."""
        timeout = self._config.call_timeout if call.method.timeout is None else call.method.timeout
        if call.meta.timeout_ms is not None:
            timeout = min(timeout, call.meta.timeout_ms / 1000)
        return call.deadline - timeout

    def _check_room(self, connection: Connection, size: int) -> None:
        if len(connection.waiting) >= self._config.max_waiting_calls:
            raise RpcError.of(refusal(SERVER_BUSY, limit="max_waiting_calls"))
        if connection.waiting_bytes + size > self._config.max_waiting_bytes:
            raise RpcError.of(refusal(SERVER_BUSY, limit="max_waiting_bytes"))

    def _wait(self, connection: Connection, call: Call, params: bytes) -> None:
        call.phase = WAITING
        call.params = params
        if connection.waiting:
            connection.waiting[call.number] = None
        else:
            connection.waiting = {call.number: None}
        connection.waiting_bytes += len(params)
        self.waiting += 1
        self._shared.hold(len(params))
        stats = self._shared.stats
        stats.level("max_waiting_calls", len(connection.waiting))
        stats.level("max_waiting_bytes", connection.waiting_bytes)
        stats.level("max_calls_per_connection", connection.running)

    def _stop_waiting(self, connection: Connection, call: Call) -> None:
        size = len(call.params or b"")
        call.params = None
        if len(connection.waiting) > 1:
            del connection.waiting[call.number]
        else:
            connection.waiting = NOTHING
        connection.waiting_bytes -= size
        self.waiting -= 1
        self._shared.hold(-size)

    def next_waiting(self, connection: Connection) -> Call | None:
        """The first waiting call of this connection, if it may run now. Behind one that changes the identity of the
        connection, none may."""
        if not connection.waiting or connection.running >= self._config.max_calls_per_connection:
            return None
        number = next(iter(connection.waiting))
        if connection.changing is not None and number > connection.changing:
            return None
        return self.records[number]

    def start(self, connection: Connection, call: Call, now: float) -> Answer | None:
        """Start a waiting call. Returns the answer of a method of the gateway that gives it at once. Raises RpcError if
        the caller may not call it (any more), for invalid params, and if too many handlers run; the call then still
        waits."""
        if self.handlers >= self._config.max_calls:
            raise RpcError.of(refusal(SERVER_BUSY, limit="max_calls"))  # several calls waited for a log-in alone
        method = call.method
        if not method.changes:
            check_expiry(connection.identity, self._shared, now)
        if not method.public or method.scopes:
            authorize(method, connection.identity)
        args, kwargs = method.bind(call.params or None)
        answer = None
        if method.builtin:
            run = self.repeat if method.repeats else self.run_builtin
            answer = run(connection, call.number, method, args, kwargs, now)
        self._stop_waiting(connection, call)
        call.phase = RUNNING
        connection.running += 1
        self.handlers += 1
        if not method.builtin:
            self._outbox.append(Invoke(call.number, connection.caller, method, args, kwargs, call.meta))
        return answer

    def identity_changes(self, connection: Connection, but: CallId) -> None:
        """The identity of a connection is about to change: calls that run keep their caller, but for this one."""
        for number in connection.calls.values():
            call = self.records[number]
            if call.phase is RUNNING and call.caller is None and number != but:
                call.caller = connection.caller
                self._stray(call, connection.identity)

    def detach(self, call: Call, connection: Connection) -> None:
        """This connection is gone, and the call goes on."""
        call.detached = connection
        if call.caller is None:
            self._stray(call, connection.identity)

    def _stray(self, call: Call, identity: Identity) -> None:
        call.stray = identity.key
        if call.stray is not None:
            self.strays.setdefault(call.stray, {})[call.number] = None

    def _end_stray(self, call: Call, user: UserKey) -> None:
        call.stray = None
        del self.strays[user][call.number]
        if not self.strays[user]:
            del self.strays[user]

    def handler_ended(self, call: Call, connection: Connection | None) -> bool:
        """The handler has ended: free its slot. If the call has no outcome yet, free its id, too, and return True."""
        del self.records[call.number]
        self.handlers -= 1
        if connection is not None:
            connection.running -= 1
        if call.phase is ENDED:
            return False
        call.phase = ENDED
        if call.stray is not None:
            self._end_stray(call, call.stray)
        if connection is not None and not call.detached:
            del connection.calls[call.key]
        return True

    def settle(self, call: Call, connection: Connection | None, now: float) -> None:
        """Settle a call before its handler ends: free its id, cancel the handler. The slot stays taken until the
        handler ends. A method of the gateway has no handler: its slot is free."""
        if call.phase is WAITING:
            assert connection is not None  # a closed connection has no waiting calls
            self._stop_waiting(connection, call)
            del self.records[call.number]
        elif call.method.builtin:
            assert connection is not None  # it does not finish without its connection
            del self.records[call.number]
            self.handlers -= 1
            connection.running -= 1
            self.later.pop(call.number)(call.number, now)
        else:
            self._outbox.append(Cancel(call.number))
        call.phase = ENDED
        if call.stray is not None:
            self._end_stray(call, call.stray)
        if connection is not None and connection.changing == call.number:
            connection.changing = None
        if connection is not None and not call.detached:
            del connection.calls[call.key]
