"""Counters."""

from __future__ import annotations

from posthouse.core.values.stats import Stats

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
