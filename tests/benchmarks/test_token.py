"""The command that compares calls with and without a token."""

from __future__ import annotations

from benchmarks import token


def test_each_round_has_a_time_without_and_a_time_with_a_token() -> None:
    rounds = token.measure(2)
    assert [len(each) for each in rounds] == [2, 2]
    assert all(time > 0 for each in rounds for time in each)
