"""Passwords are hashed outside, each in its turn, within the limits."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET
from posthouse.core.identity.hashes.passwords import SALT_BYTES, NotBegun, Passwords
from posthouse.core.identity.hashes.turns import Turns
from posthouse.core.operations.operations import Busy, Expired, Failed, Hashed, Matched, Operations, Refused
from posthouse.core.values.close_reasons import (
    MAX_EXTERNAL_OPERATIONS,
    MAX_HASHES_PER_ADDRESS,
    MAX_HASHES_PER_USER,
    MAX_HASHING_QUEUE,
)
from posthouse.core.values.effects import ComparePassword, HashPassword, Withdraw
from posthouse.core.values.peers import OperationId

from tests.core.world import shared
from tests.values import changeable

ADA = b"ada"


class Hashes:
    """The table alone. `ended`: the outcomes, by subject."""

    def __init__(self, **limits: Any) -> None:
        self.shared = shared(**limits)
        self.operations = Operations(self.shared)
        self.turns = Turns(self.shared)
        self.table = Passwords(self.shared, self.operations, self.turns)
        self.ended: list[tuple[int, object, float]] = []
        self.table.on("test", lambda subject, outcome, now: self.ended.append((subject, outcome, now)))

    def begin(
        self, subject: int, address: str = "here", user: bytes | None = None, against: Any = UNSET
    ) -> int | NotBegun:
        turn = self.table.turn(address, user)
        return self.table.begin("test", subject, "pw", turn, 0.0, against=against, deadline=10.0)

    def conclude(self, operation: int, outcome: object, now: float = 1.0) -> None:
        self.operations.conclude(OperationId(operation), outcome, now)


def test_a_new_hash_has_a_salt_of_its_own() -> None:
    hashes = Hashes()
    hashes.table.secrets = lambda size: b"s" * size
    hashes.begin(7)
    assert hashes.shared.outbox == [HashPassword(OperationId(1), "pw", b"s" * SALT_BYTES)]
    hashes.conclude(1, Hashed("text"))
    assert hashes.ended == [(7, Hashed("text"), 1.0)]
    assert not (hashes.table.records or hashes.table.running or hashes.turns.by_address)


@pytest.mark.parametrize("against", ["a hash", None])
def test_a_password_is_compared_with_a_hash_or_with_none(against: str | None) -> None:
    hashes = Hashes()
    hashes.begin(7, against=against)
    assert hashes.shared.outbox == [ComparePassword(OperationId(1), "pw", against)]
    outcome = Matched() if against else Refused()
    hashes.conclude(1, outcome)
    assert hashes.ended == [(7, outcome, 1.0)]


def test_a_hash_waits_for_its_turn() -> None:
    hashes = Hashes(max_hashes_per_address=1)
    hashes.begin(1), hashes.begin(2), hashes.begin(3)
    assert len(hashes.shared.outbox) == 1
    hashes.conclude(1, Failed())
    assert len(hashes.shared.outbox) == 2
    assert [subject for subject, _, _ in hashes.ended] == [1]
    hashes.conclude(2, Failed())
    assert [subject for subject, _, _ in hashes.ended] == [1, 2]


@pytest.mark.parametrize(
    ("user", "limit"), [(None, MAX_HASHES_PER_ADDRESS), (ADA, MAX_HASHES_PER_USER)], ids=["address", "user"]
)
def test_a_turn_that_does_not_come_in_time_ends_the_hash(user: bytes | None, limit: object) -> None:
    hashes = Hashes(max_hashes_per_address=1 if user is None else 9)
    hashes.begin(1, user=user), hashes.begin(2, user=user)
    hashes.shared.timers.run(10.0)
    assert (
        2,
        NotBegun("waited", MAX_HASHES_PER_ADDRESS if user is None else MAX_HASHES_PER_USER),
        10.0,
    ) in hashes.ended
    assert limit is not None


def test_a_hash_that_takes_too_long_ends_and_keeps_its_turn_until_the_outside_has_concluded_it() -> None:
    hashes = Hashes(max_hashes_per_address=1)
    hashes.begin(1)
    hashes.shared.timers.run(10.0)
    assert hashes.ended == [(1, Expired(), 10.0)]
    assert hashes.turns.by_address == {"here": 1}
    hashes.conclude(1, Matched(), 11.0)
    assert (hashes.turns.by_address, hashes.table.running) == ({}, {})
    assert len(hashes.ended) == 1


def test_a_queue_that_is_full_is_told_as_its_limit() -> None:
    hashes = Hashes()
    hashes.begin(1)
    hashes.conclude(1, Busy())
    assert hashes.ended == [(1, NotBegun("queue_full", MAX_HASHING_QUEUE), 1.0)]


@pytest.mark.parametrize(("most", "begun"), [(1, 1), (2, 2), (3, 3)])
def test_no_more_hashes_begin_than_operations_may(most: int, begun: int) -> None:
    hashes = Hashes(max_external_operations=most)
    outcomes = [hashes.begin(subject, f"host {subject}") for subject in range(4)]
    assert [isinstance(outcome, int) for outcome in outcomes] == [place < begun for place in range(4)]
    assert outcomes[begun] == NotBegun("busy", MAX_EXTERNAL_OPERATIONS)


def test_a_turn_that_comes_to_a_full_server_goes_to_the_next_one() -> None:
    hashes = Hashes(max_hashes_per_address=1, max_external_operations=2)
    hashes.begin(1)
    hashes.begin(2), hashes.begin(3)
    hashes.begin(4, "there")
    hashes.operations.on("other", (object,), lambda *_: None, lambda *_: None)
    hashes.conclude(1, Failed())
    assert [subject for subject, _, _ in hashes.ended] == [1]
    hashes.operations.begin("other", 99.0, 0.0)
    hashes.operations.begin("other", 99.0, 0.0)
    hashes.conclude(3, Failed())
    full = NotBegun("busy", MAX_EXTERNAL_OPERATIONS)
    assert hashes.ended[1:] == [(2, Failed(), 1.0), (3, full, 1.0)]
    assert hashes.turns.by_address == {"there": 1}


def test_a_hash_that_nobody_waits_for_is_withdrawn() -> None:
    hashes = Hashes(max_hashes_per_address=1)
    first, second = hashes.begin(1), hashes.begin(2)
    assert isinstance(first, int) and isinstance(second, int)
    hashes.table.withdraw(second)
    hashes.table.withdraw(first)
    assert hashes.shared.outbox[1:] == [Withdraw(OperationId(1))]
    assert not hashes.table.records
    hashes.conclude(1, Matched())
    assert (hashes.ended, hashes.turns.by_address, hashes.turns.waiting) == ([], {}, {})


def test_a_password_is_kept_no_longer_than_it_waits() -> None:
    hashes = Hashes()
    hashes.begin(1)
    assert hashes.table.records[1].password == ""
    assert "pw" not in repr(hashes.shared.outbox[0])


def test_an_outcome_cannot_change_and_a_record_can() -> None:
    assert changeable("posthouse.core.identity.hashes.passwords") == ["Hashing"]
