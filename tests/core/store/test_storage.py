"""The gateway asks its store: one in memory at once, one outside by an operation that has one outcome."""

from __future__ import annotations

import pytest
from posthouse.core.operations.operations import Busy, Failed, Operations, Refused
from posthouse.core.store.outcomes import Done, Full, MaybeApplied, StoreOutcome
from posthouse.core.store.requests import AddUser, FindUser
from posthouse.core.store.storage import Storage
from posthouse.core.values.effects import AskStore, Withdraw
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import OperationId
from posthouse.core.values.shared import Shared

from tests.core.store.rows import user
from tests.core.world import shared

ONE = OperationId(1)
ASKS = FindUser("ada")


class Asking:
    """A storage, and how its requests ended. `outside`: its store is."""

    def __init__(self, *, outside: bool = True, **limits: float) -> None:
        self.shared: Shared = shared(**limits)
        self.operations = Operations(self.shared)
        self.storage = Storage(self.shared, self.operations)
        if outside:
            self.storage.memory = None
        self.ended: list[tuple[int, StoreOutcome, float]] = []
        self.storage.on("test", lambda *ended: self.ended.append(ended))


def test_a_store_in_memory_answers_at_once_and_is_counted() -> None:
    asking = Asking(outside=False)
    ada = user()
    assert asking.storage.begin("test", 7, AddUser("w", ada, most=1), 0.0) == Done()
    assert asking.storage.begin("test", 7, ASKS, 0.0) == Done(ada)
    assert asking.shared.held == ada.size
    assert (asking.shared.outbox, asking.ended) == ([], [])


@pytest.mark.parametrize("outcome", [Done(1), Refused("full"), Failed(), Busy(), MaybeApplied()])
def test_a_store_outside_answers_later(outcome: StoreOutcome) -> None:
    asking = Asking()
    assert asking.storage.begin("test", 7, ASKS, 0.0) == ONE
    assert asking.shared.outbox == [AskStore(ONE, ASKS)]
    assert asking.operations.conclude(ONE, outcome, 2.0)
    assert asking.ended == [(7, outcome, 2.0)]
    assert asking.storage.records == {}


def test_only_outcomes_of_a_store_are_accepted() -> None:
    asking = Asking()
    asking.storage.begin("test", 7, ASKS, 0.0)
    with pytest.raises(UsageError, match="it may be Done, Refused, Failed, Busy, MaybeApplied"):
        asking.operations.conclude(ONE, None, 2.0)
    assert asking.ended == []


@pytest.mark.parametrize(("at", "expired"), [(2.999, False), (3.0, True), (3.001, True)])
def test_an_answer_that_does_not_come_in_time_leaves_it_unknown(at: float, expired: bool) -> None:
    asking = Asking(storage_timeout=2.0)
    asking.storage.begin("test", 7, ASKS, 1.0)
    asking.shared.timers.run(at)
    assert asking.ended == ([(7, MaybeApplied(), at)] if expired else [])
    assert asking.operations.conclude(ONE, Done(), 4.0) is not expired
    assert len(asking.ended) == 1
    assert asking.operations.records == {}


@pytest.mark.parametrize(("most", "full"), [(1, True), (2, True), (3, False)])
def test_no_more_is_asked_than_external_operations_may_be_in_flight(most: int, full: bool) -> None:
    asking = Asking(max_external_operations=most)
    begun = [asking.storage.begin("test", number, ASKS, 0.0) for number in range(3)]
    assert (begun[2] == Full()) is full
    assert len(asking.shared.outbox) == min(3, most)


def test_an_answer_that_nobody_waits_for_is_dropped() -> None:
    asking = Asking()
    asking.storage.begin("test", 7, ASKS, 0.0)
    asking.storage.withdraw(ONE)
    assert asking.shared.outbox[1:] == [Withdraw(ONE)]
    assert asking.operations.conclude(ONE, Done(), 1.0) is False
    assert (asking.ended, asking.storage.records, asking.operations.records) == ([], {}, {})


def test_each_purpose_hears_of_its_own() -> None:
    asking = Asking()
    others: list[object] = []
    asking.storage.on("other", lambda *ended: others.append(ended))
    asking.storage.begin("other", 1, ASKS, 0.0)
    asking.operations.conclude(ONE, Failed(), 1.0)
    assert (others, asking.ended) == ([(1, Failed(), 1.0)], [])


def test_ids_of_writes_are_128_bits_of_entropy() -> None:
    asking = Asking()
    asking.shared.entropy = lambda size: b"\xab" * size
    assert asking.storage.new_write_id() == "ab" * 16
