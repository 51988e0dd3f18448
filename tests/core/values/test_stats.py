"""Counters."""

from __future__ import annotations

from posthouse.core.values.stats import Durations, Measurements, Stats, told

from tests.values import changeable


def test_a_counter_begins_at_0_and_only_grows() -> None:
    stats = Stats()
    stats.count("b")
    stats.count("a")
    stats.count("b")
    assert list(stats.snapshot().items()) == [("a", 1), ("b", 2)]


def test_a_snapshot_does_not_change_afterwards() -> None:
    stats = Stats()
    before = stats.snapshot()
    stats.count("a")
    assert before == {}


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.values.stats") == []


def test_a_number_is_added_to_a_counter() -> None:
    stats = Stats()
    stats.add("a", 2)
    stats.add("a", 0)
    stats.add("b", 0)
    assert stats.snapshot() == {"a": 2, "b": 0}


def test_only_a_higher_level_counts() -> None:
    stats = Stats()
    for value in (2, 1, 3, 0):
        stats.level("max_calls", value)
    stats.level("max_batch", 0)
    assert stats.levels == {"max_calls": 3}


def test_a_time_is_counted_below_the_first_bound_that_it_does_not_exceed() -> None:
    stats = Stats((1.0, 2.0))
    for seconds in (0.0, 1.0, 1.5, 2.0, 2.5):
        stats.took("store", "Done", seconds)
    stats.took("store", "Failed", 0.5)
    assert stats.operations == {
        ("store", "Done"): Durations([2, 2, 1], 7.0),
        ("store", "Failed"): Durations([1, 0, 0], 0.5),
    }


def test_measurements_are_told_with_the_counters_first() -> None:
    durations = Durations([2, 1], 0.5)
    measured = Measurements(
        {"calls.made": 3}, (1.0,), [("echo", "result", durations)], [], {"max_calls": 1}, {"max_calls": 9}
    )
    assert told(measured) == {
        "calls.made": 3,
        "durations.calls": [{"method": "echo", "outcome": "result", "count": 3, "seconds": 0.5, "counts": [2, 1]}],
        "durations.operations": [],
        "durations.bounds": (1.0,),
        "limits.highest": {"max_calls": 1},
        "limits": {"max_calls": 9},
    }
