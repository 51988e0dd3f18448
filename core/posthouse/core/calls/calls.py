"""Calls in flight that peers made: slots, waiting, deadlines, and exactly one outcome each.

A call is recorded when it is admitted and forgotten when two things have happened: it has its outcome, and its
handler has ended. Between the two it holds a slot, because what runs costs, answered or not. This module decides
when a call may run and when it must end; what its outcome says on the wire is `replies.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Final, cast

from msgspec import Struct
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Cancel, Effect, Invoke
from posthouse.core.values.errors import ID_IN_FLIGHT, SERVER_BUSY, RpcError, UsageError, refusal
from posthouse.core.values.peers import CallId, ConnectionId, Meta
from posthouse.core.values.timers import Timer, Timers

if TYPE_CHECKING:
    from posthouse.core.connections.connections import Connection
    from posthouse.core.jsonrpc.messages import Request
    from posthouse.core.service.method import Method

    from .replies import Batch

CALL_EXPIRES: Final = "call"
"""The reason of this module's deadlines."""


class Phase(Enum):
    """Waiting: not yet handed out. Running: no outcome yet. Ended: the outcome is given, the handler's end is owed."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


WAITING: Final = Phase.WAITING
RUNNING: Final = Phase.RUNNING
ENDED: Final = Phase.ENDED
"""Its members by themselves: every call asks for them, and to look one up in the class costs more than the answer."""


class Call(Struct, eq=False, gc=False):
    """One call. `key` is its raw id, or its call id where it has none that could be named; `id` None: a notification.

    `entry` is its place in `batch`. `params` are kept only while it waits. `detached`: its connection is gone and it
    was declared to finish all the same.
    """

    call: CallId
    connection: ConnectionId
    method: Method
    id: bytes | None
    key: bytes | int
    deadline: float
    meta: Meta
    batch: Batch | None
    entry: int
    phase: Phase = RUNNING
    params: bytes | None = None
    timer: Timer | None = None
    detached: bool = False


class Calls:
    """The table of calls. `made` is how many there were; `handlers` is how many hold a slot; `waiting` how many wait,
    of `waiting_bytes`."""

    __slots__ = (
        "_config",
        "_looked_through",
        "_numbers",
        "_outbox",
        "_timers",
        "handlers",
        "made",
        "records",
        "waiting",
        "waiting_bytes",
    )

    def __init__(self, config: Config, outbox: list[Effect], timers: Timers) -> None:
        self._config = config
        self._outbox = outbox
        self._timers = timers
        self._numbers = cast("Iterator[CallId]", count(1))
        self.made = 0
        self._looked_through = 0
        self.records: dict[CallId, Call] = {}
        self.handlers = 0
        self.waiting = 0
        self.waiting_bytes = 0

    def find(self, call: CallId) -> Call | None:
        """The call of this id, or None when it was forgotten; UsageError when there never was one."""
        record = self.records.get(call)
        if record is None and not 0 < call <= self.made:
            raise UsageError(f"there never was a call {call}")
        return record

    def admit(
        self,
        connection: Connection,
        request: Request,
        method: Method,
        meta: Meta,
        now: float,
        batch: Batch | None,
        entry: int,
    ) -> None:
        """Record a call and hand it out, or let it wait. Raises RpcError for what is refused, before any change."""
        id = request.id
        if id is not None and id in connection.calls:
            raise RpcError(ID_IN_FLIGHT)
        config = self._config
        if self.handlers >= config.max_calls:
            raise refusal(SERVER_BUSY, limit="max_calls")
        waits = connection.waiting or connection.running >= config.max_calls_per_connection
        if waits:
            params = b"" if request.params is None else bytes(request.params)
            self._check_room(connection, len(params))
        else:
            args, kwargs = method.bind(request.params)
        self.made = number = next(self._numbers)
        timeout = config.call_timeout if method.timeout is None else method.timeout
        if meta.timeout_ms is not None:
            timeout = min(timeout, meta.timeout_ms / 1000)
        key = number if id is None or id == b"null" else id
        call = Call(number, connection.id, method, id, key, now + timeout, meta, batch, entry)
        self.records[number] = call
        connection.calls[key] = call
        connection.made += 1
        if waits:
            self._wait(connection, call, params)
        else:
            connection.running += 1
            self.handlers += 1
            self._outbox.append(Invoke(number, connection.caller, method, args, kwargs, meta))

    def _check_room(self, connection: Connection, size: int) -> None:
        config = self._config
        if len(connection.waiting) >= config.max_waiting_calls:
            raise refusal(SERVER_BUSY, limit="max_waiting_calls")
        if connection.waiting_bytes + size > config.max_waiting_bytes:
            raise refusal(SERVER_BUSY, limit="max_waiting_bytes")

    def _wait(self, connection: Connection, call: Call, params: bytes) -> None:
        call.phase = WAITING
        call.params = params
        connection.waiting[call.call] = call
        connection.waiting_bytes += len(params)
        self.waiting += 1
        self.waiting_bytes += len(params)

    def _stop_waiting(self, connection: Connection, call: Call) -> None:
        params = call.params or b""
        call.params = None
        del connection.waiting[call.call]
        connection.waiting_bytes -= len(params)
        self.waiting -= 1
        self.waiting_bytes -= len(params)

    def next_waiting(self, connection: Connection) -> Call | None:
        """The first call in line, when it may run now."""
        if not connection.waiting or connection.running >= self._config.max_calls_per_connection:
            return None
        return next(iter(connection.waiting.values()))

    def start(self, connection: Connection, call: Call) -> None:
        """Hand out a call that waited. Raises RpcError when its params do not fit; it then waits still."""
        args, kwargs = call.method.bind(call.params or None)
        self._stop_waiting(connection, call)
        call.phase = RUNNING
        connection.running += 1
        self.handlers += 1
        self._outbox.append(Invoke(call.call, connection.caller, call.method, args, kwargs, call.meta))

    def handler_ended(self, call: Call, connection: Connection | None) -> bool:
        """The adapter reports the end of its handler: the slot is free. True: it has no outcome yet, and gets it now;
        its id is free too and its deadline gone."""
        del self.records[call.call]
        self.handlers -= 1
        if connection is not None:
            connection.running -= 1
        if call.phase is ENDED:
            return False
        call.phase = ENDED
        if connection is not None and not call.detached:
            del connection.calls[call.key]
        if call.timer is not None:
            self._timers.disarm(call.timer)
        return True

    def settle(self, call: Call, connection: Connection | None) -> None:
        """It has its outcome before its handler has ended: its id is free and its deadline gone. A handler is to be
        stopped; its slot stays held until it has ended."""
        if call.phase is WAITING:
            assert connection is not None  # else it would not wait any more
            self._stop_waiting(connection, call)
            del self.records[call.call]
        else:
            self._outbox.append(Cancel(call.call))
        call.phase = ENDED
        if connection is not None and not call.detached:
            del connection.calls[call.key]
        if call.timer is not None:
            self._timers.disarm(call.timer)

    def arm(self) -> None:
        """Arm the deadlines of calls that outlived their turn: a call that ends in its turn never costs a timer."""
        if self._looked_through == self.made:
            return
        fresh: list[Call] = []
        for call in reversed(self.records.values()):  # the table is in the order of its numbers
            if call.call <= self._looked_through:
                break
            fresh.append(call)
        self._looked_through = self.made
        for call in reversed(fresh):
            if call.phase is not ENDED:
                call.timer = self._timers.arm(call.deadline, CALL_EXPIRES, call.call)
