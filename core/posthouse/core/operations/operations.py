"""The table of external operations: each begins with an effect that has its id, and is concluded once by an input.

An operation ends with its outcome, its deadline, or because nobody waits for it any more. It holds its place until the
outside has concluded it: what the outside still does costs the same whether somebody waits or not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from posthouse.core.values.effects import Withdraw
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import OperationId
from posthouse.core.values.shared import Shared
from posthouse.core.values.timers import Timer

OPERATION_EXPIRES: Final = "operation"
"""The reason of this table's deadlines."""


class Refused(Struct, frozen=True, gc=False):
    """The outcome of an operation: the outside has refused it. `why` is for the log and for hooks, never for a peer."""

    why: str = ""


class Failed(Struct, frozen=True, gc=False):
    """The outcome of an operation: the outside could not do it."""


class Busy(Struct, frozen=True, gc=False):
    """The outcome of an operation: the outside did not begin: too much waits there (`max_hashing_queue`)."""


class Hashed(Struct, frozen=True, gc=False):
    """The outcome of `HashPassword`: the hash as text (PHC string format). Its repr does not show it."""

    text: str

    def __repr__(self) -> str:
        return "Hashed(text=<hidden>)"


class Matched(Struct, frozen=True, gc=False):
    """The outcome of `ComparePassword`: it is the password of this hash."""


class Expired(Struct, frozen=True, gc=False):
    """The outcome of an operation that the outside has not concluded in time. The gateway gives it."""


Ended = Callable[[OperationId, object, float], None]
"""Called with an operation, its outcome, and the time. Once for each operation, unless it was withdrawn."""

Left = Callable[[OperationId, float], None]
"""Called with an operation that ended before, when the outside has concluded it, and the time."""


class Operation(Struct, eq=False, gc=False):
    """One operation that the outside has not concluded. `timer`: its deadline, None when it has ended."""

    kind: str
    began: float
    timer: Timer | None


class Operations:
    """All external operations of one gateway. A table that begins operations registers what their outcomes may be, and
    who is told of them."""

    def __init__(self, shared: Shared) -> None:
        self._most = shared.config.max_external_operations
        self._outbox = shared.outbox
        self._timers = shared.timers
        self._stats = shared.stats
        self._last = 0
        self._kinds: dict[str, tuple[tuple[type, ...], Ended, Left]] = {}
        self.records: dict[OperationId, Operation] = {}
        self._timers.on(OPERATION_EXPIRES, self._expire)

    def on(self, kind: str, outcomes: tuple[type, ...], ended: Ended, left: Left) -> None:
        """Operations of this kind have one of these outcomes, or Expired; `ended` is called with it. `left` is called
        when the outside has concluded one that had ended before."""
        self._kinds[kind] = outcomes, ended, left

    @property
    def full(self) -> bool:
        """Are as many operations in flight as may be?"""
        return len(self.records) >= self._most

    def begin(self, kind: str, deadline: float, now: float) -> OperationId:
        """Record an operation. The caller appends the effect that asks the outside, and has asked whether it is full
        before."""
        self._last += 1
        operation = OperationId(self._last)
        self.records[operation] = Operation(kind, now, self._timers.arm(deadline, OPERATION_EXPIRES, operation))
        self._stats.level("max_external_operations", len(self.records))
        return operation

    def conclude(self, operation: OperationId, outcome: object, now: float) -> bool:
        """The outside has done it. False: it has ended before, and this changes nothing but to free its places.

        Raises UsageError, before any change, for one that never was, and for an outcome that it cannot have.
        """
        record = self.records.get(operation)
        if record is None:
            if not 0 < operation <= self._last:
                raise UsageError(f"operation {operation} never existed")
            return False
        outcomes, ended, left = self._kinds[record.kind]
        if not isinstance(outcome, outcomes):
            names = ", ".join(each.__name__ for each in outcomes)
            raise UsageError(f"the outcome of operation {operation} is a {type(outcome).__name__}: it may be {names}")
        del self.records[operation]
        self._stats.took(record.kind, type(outcome).__name__, max(0.0, now - record.began))
        timer = record.timer
        if timer is None:
            left(operation, now)
            return False
        self._timers.disarm(timer)
        ended(operation, outcome, now)
        return True

    def withdraw(self, operation: OperationId) -> None:
        """Nobody waits for this operation any more: its outcome will not count."""
        record = self.records[operation]
        self._timers.disarm(record.timer)
        record.timer = None
        self._outbox.append(Withdraw(operation))

    def _expire(self, key: int, now: float) -> None:
        operation = OperationId(key)
        _, ended, _ = self._kinds[self.records[operation].kind]
        self.withdraw(operation)
        ended(operation, Expired(), now)
