"""Passwords: hashed outside, to be kept or to be compared with a hash, each in its turn.

A password is compared with no hash if its user has none: that takes as long. This module may not know users.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType
from posthouse.core.operations.operations import Busy, Expired, Failed, Hashed, Matched, Operations, Refused
from posthouse.core.values.close_reasons import MAX_EXTERNAL_OPERATIONS, MAX_HASHING_QUEUE, CloseReason
from posthouse.core.values.effects import ComparePassword, HashPassword
from posthouse.core.values.peers import OperationId
from posthouse.core.values.shared import Entropy, Shared
from posthouse.core.values.timers import Timer

from .turns import Turn, Turns

HASH: Final = "hash"
"""The kind of this table's operations."""

WAITS: Final = "hash_turn"
"""The reason of the deadlines of those that wait for their turns."""

SALT_BYTES: Final = 16
"""RFC 9106 section 3.1: "16 bytes is RECOMMENDED for password hashing"."""


class NotBegun(Struct, frozen=True, gc=False):
    """The outcome of a hash that was not begun: too much is in flight or waits, or its turn has not come in time.
    `limit`: the one that says so, if it is known."""

    reason: Literal["busy", "queue_full", "waited"]
    limit: CloseReason | None


class Hashing(Struct, eq=False):
    """One hash for a `purpose`. `subject` is the id of the thing that waits for it. `against`: the hash that the
    password is compared with, None if there is none, UNSET for a new hash. While it waits for its `turn`, a `timer`
    ends it; then it has an `operation`."""

    purpose: str
    subject: int
    password: str
    against: str | UnsetType | None
    deadline: float
    turn: Turn
    operation: OperationId = OperationId(0)
    timer: Timer | None = None


HashEnded = Callable[[int, object, float], None]
"""Called with the subject of a hash, its outcome, and the time. The outcome is Hashed, Matched, Refused, Failed,
Expired or NotBegun."""


class Passwords:
    """The hashes that somebody waits for, by the numbers of their turns. `running`: the operations that the outside has
    not concluded, whether somebody waits for them or not. `secrets` is the source of salts."""

    def __init__(self, shared: Shared, operations: Operations, turns: Turns) -> None:
        self._timers = shared.timers
        self._outbox = shared.outbox
        self._operations = operations
        self._turns = turns
        self._ended: dict[str, HashEnded] = {}
        self.secrets: Entropy = shared.entropy
        self.records: dict[int, Hashing] = {}
        self.running: dict[OperationId, Hashing] = {}
        operations.on(HASH, (Hashed, Matched, Refused, Failed, Busy), self._concluded, self._left)
        shared.timers.on(WAITS, self._waited)

    def on(self, purpose: str, ended: HashEnded) -> None:
        """Call `ended` with the outcome of each hash for this purpose."""
        self._ended[purpose] = ended

    def begin(
        self,
        purpose: str,
        subject: int,
        password: str,
        turn: Turn,
        now: float,
        *,
        against: str | UnsetType | None = UNSET,
        deadline: float,
    ) -> int | NotBegun:
        """Hash a password, or compare it with a hash, when this turn has come. Returns the number of the turn, with
        which it can be withdrawn."""
        if self._operations.full:
            return NotBegun("busy", MAX_EXTERNAL_OPERATIONS)
        hashing = Hashing(purpose, subject, password, against, deadline, turn)
        self.records[turn.number] = hashing
        if self._turns.take(turn, now):
            self._begin(hashing, now)
        else:
            hashing.timer = self._timers.arm(deadline, WAITS, turn.number)
            self._turns.wait(turn)
        return turn.number

    def turn(self, address: str, user: bytes | None, *, known: bool = False, slow: bool = False) -> Turn:
        """The turn of a hash: the arguments are those of `Turn`."""
        return Turn(self._turns.next_number(), address, user, known, slow, self._came)

    def withdraw(self, number: int) -> None:
        """Nobody waits for this hash any more. If it runs, its turn ends when the outside has concluded it."""
        hashing = self.records.pop(number)
        if hashing.timer is None:
            self._operations.withdraw(hashing.operation)
        else:
            self._timers.disarm(hashing.timer)
            self._turns.leave(hashing.turn)

    def _begin(self, hashing: Hashing, now: float) -> None:
        operation = hashing.operation = self._operations.begin(HASH, hashing.deadline, now)
        self.running[operation] = hashing
        password, hashing.password = hashing.password, ""
        if hashing.against is UNSET:
            self._outbox.append(HashPassword(operation, password, self.secrets(SALT_BYTES)))
        else:
            self._outbox.append(ComparePassword(operation, password, hashing.against))

    def _came(self, turn: Turn, now: float) -> None:
        hashing = self.records[turn.number]
        self._timers.disarm(hashing.timer)
        hashing.timer = None
        if self._operations.full:
            self._turns.release(turn, now)
            self._end(hashing, NotBegun("busy", MAX_EXTERNAL_OPERATIONS), now)
        else:
            self._begin(hashing, now)

    def _waited(self, number: int, now: float) -> None:
        """The turn of a hash has not come in time."""
        hashing = self.records[number]
        limit = self._turns.obstacle(hashing.turn)
        self._turns.leave(hashing.turn)
        self._end(hashing, NotBegun("waited", limit), now)

    def _concluded(self, operation: OperationId, outcome: object, now: float) -> None:
        hashing = self.running[operation]
        if isinstance(outcome, Busy):
            outcome = NotBegun("queue_full", MAX_HASHING_QUEUE)
        self._end(hashing, outcome, now)
        if not isinstance(outcome, Expired):  # the outside goes on
            self._left(operation, now)

    def _left(self, operation: OperationId, now: float) -> None:
        """The outside has concluded an operation: others have their turns."""
        self._turns.release(self.running.pop(operation).turn, now)

    def _end(self, hashing: Hashing, outcome: object, now: float) -> None:
        del self.records[hashing.turn.number]
        self._ended[hashing.purpose](hashing.subject, outcome, now)
