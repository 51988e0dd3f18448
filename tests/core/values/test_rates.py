"""Buckets and windows, on a clock that the test holds."""

from __future__ import annotations

import pytest
from posthouse.core.values.rates import Bucket, Buckets, Window

from tests.values import told_apart


def test_a_bucket_starts_full_and_refills_at_its_rate() -> None:
    bucket = Bucket(2.0, 0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    assert not bucket.take(0.499)
    assert bucket.take(0.5)


def test_a_bucket_never_holds_more_than_one_second_of_tokens() -> None:
    bucket = Bucket(2.0, 0.0)
    assert [bucket.take(1000.0) for _ in range(3)] == [True, True, False]


def test_a_rate_below_one_per_second_still_has_one_token() -> None:
    bucket = Bucket(0.1, 0.0)
    assert [bucket.take(0.0), bucket.take(9.9), bucket.take(10.0)] == [True, False, True]


def test_a_bucket_says_how_long_to_wait() -> None:
    bucket = Bucket(4.0, 0.0)
    assert bucket.wait() == 0.0
    for _ in range(5):
        bucket.take(0.0)
    assert bucket.wait() == pytest.approx(0.25)


def test_a_run_of_refusals_continues_while_they_are_at_most_a_second_apart() -> None:
    bucket = Bucket(1.0, 0.0)
    assert bucket.refused_since is None
    assert [bucket.take(now) for now in (0.0, 0.25, 1.0, 1.25, 2.0, 2.25)] == [True, False, True, False, True, False]
    assert bucket.refused_since == 0.25
    assert not bucket.take(2.5)
    assert bucket.refused_since == 0.25


def test_a_second_without_a_refusal_ends_the_run() -> None:
    bucket = Bucket(0.1, 0.0)
    assert [bucket.take(now) for now in (0.0, 1.0, 2.0)] == [True, False, False]
    assert bucket.refused_since == 1.0
    assert not bucket.take(3.001)
    assert bucket.refused_since == 3.001


def test_each_key_has_a_bucket_of_its_own() -> None:
    buckets = Buckets(1.0, 10)
    assert [buckets.of(key, 0.0).take(0.0) for key in "aab"] == [True, False, True]


def test_above_the_limit_the_least_recently_used_bucket_is_forgotten() -> None:
    buckets = Buckets(1.0, 2)
    for key in "aba":
        buckets.of(key, 0.0).take(0.0)
    assert buckets.of("c", 0.0).take(0.0)
    assert len(buckets) == 2
    assert not buckets.of("a", 0.0).take(0.0)
    assert buckets.of("b", 0.0).take(0.0)


def test_a_window_counts_from_its_first_event_and_restarts_after_its_length() -> None:
    window = Window(60.0, 0.0)
    assert [window.add(0.0), window.add(30.0), window.add(59.999)] == [1, 2, 3]
    assert [window.add(60.0), window.add(119.0), window.add(120.0)] == [1, 2, 1]


def test_a_record_is_equal_to_itself_alone() -> None:
    assert told_apart("posthouse.core.values.rates") == ["Bucket", "Window"]
