"""External operations: each is concluded once, in time or not, and holds its place until then."""

from __future__ import annotations

import pytest
from posthouse.core.operations.operations import Expired, Failed, Operations, Refused
from posthouse.core.values.effects import Withdraw
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import OperationId

from tests.core.world import shared

ONE, TWO = OperationId(1), OperationId(2)
Ends = list[tuple[OperationId, object, float]]


def operations(**limits: int) -> tuple[Operations, Ends]:
    """A table with one kind of operations, and how these ended."""
    table, ends = Operations(shared(**limits)), Ends()

    def ended(operation: OperationId, outcome: object, now: float) -> None:
        ends.append((operation, outcome, now))

    table.on("ask", (Refused, Failed), ended, lambda operation, now: ends.append((operation, "left", now)))
    return table, ends


def test_an_operation_is_concluded_once() -> None:
    table, ends = operations()
    assert (table.begin("ask", 5.0, 0.0), table.begin("ask", 5.0, 0.0)) == (ONE, TWO)
    assert table.conclude(TWO, Refused(), 1.0) is True
    assert table.conclude(TWO, Failed(), 2.0) is False
    assert table.conclude(ONE, Failed(), 3.0) is True
    assert ends == [(TWO, Refused(), 1.0), (ONE, Failed(), 3.0)]
    assert not table.records
    assert table._timers.next() is None


def test_an_operation_that_never_was_is_misuse() -> None:
    table, ends = operations()
    for number in (0, 1, -1):
        with pytest.raises(UsageError, match=rf"^operation {number} never existed$"):
            table.conclude(OperationId(number), Refused(), 0.0)
    assert ends == []


def test_an_outcome_of_another_kind_is_misuse_and_changes_nothing() -> None:
    table, ends = operations()
    table.begin("ask", 5.0, 0.0)
    with pytest.raises(UsageError, match=r"^the outcome of operation 1 is a str: it may be Refused, Failed$"):
        table.conclude(ONE, "yes", 0.0)
    assert (list(table.records), ends) == ([ONE], [])
    assert table.conclude(ONE, Refused(), 0.0) is True


def test_an_operation_expires_at_its_deadline_and_is_withdrawn_but_holds_its_place() -> None:
    table, ends = operations(max_external_operations=1)
    table.begin("ask", 5.0, 0.0)
    table._timers.run(4.999)
    assert (ends, table.full) == ([], True)
    table._timers.run(5.0)
    assert ends == [(ONE, Expired(), 5.0)]
    assert table._outbox == [Withdraw(ONE)]
    assert table.full
    assert table.conclude(ONE, Refused(), 6.0) is False
    assert ends == [(ONE, Expired(), 5.0), (ONE, "left", 6.0)]
    assert not table.full


def test_a_withdrawn_operation_has_no_outcome_and_holds_its_place_until_it_is_concluded() -> None:
    table, ends = operations(max_external_operations=2)
    table.begin("ask", 5.0, 0.0)
    assert not table.full
    table.withdraw(ONE)
    assert table._outbox == [Withdraw(ONE)]
    assert table._timers.next() is None
    table.begin("ask", 5.0, 0.0)
    assert table.full
    assert table.conclude(ONE, Refused(), 1.0) is False
    assert (ends, list(table.records)) == ([(ONE, "left", 1.0)], [TWO])


def test_the_time_until_the_outside_has_concluded_is_measured() -> None:
    table, _ = operations(max_external_operations=3)
    table.begin("ask", 50.0, 1.0)
    table.begin("ask", 5.0, 1.0)
    table.conclude(ONE, Failed(), 3.0)
    table._timers.run(5.0)
    table.conclude(TWO, Refused(), 31.0)
    found = {key: (sum(each.counts), each.seconds) for key, each in table._stats.operations.items()}
    assert found == {("ask", "Failed"): (1, 2.0), ("ask", "Refused"): (1, 30.0)}
    assert table._stats.levels == {"max_external_operations": 2}
