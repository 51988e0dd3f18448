"""Buckets and windows, on a clock that the test holds."""

from __future__ import annotations

import pytest
from posthouse.core.rates import Bucket, Window


def test_a_bucket_starts_full_and_refills_at_its_rate() -> None:
    bucket = Bucket(2.0, 0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    assert not bucket.take(0.499)
    assert bucket.take(0.5)


def test_a_bucket_never_holds_more_than_one_second_of_tokens() -> None:
    bucket = Bucket(2.0, 0.0)
    assert [bucket.take(1000.0) for _ in range(3)] == [True, True, False]


def test_a_rate_below_one_a_second_still_has_one_token() -> None:
    bucket = Bucket(0.1, 0.0)
    assert [bucket.take(0.0), bucket.take(9.9), bucket.take(10.0)] == [True, False, True]


def test_a_bucket_says_how_long_to_wait() -> None:
    bucket = Bucket(4.0, 0.0)
    assert bucket.wait() == 0.0
    for _ in range(5):
        bucket.take(0.0)
    assert bucket.wait() == pytest.approx(0.25)


def test_a_run_of_refusals_begins_with_the_first_and_ends_with_a_token() -> None:
    bucket = Bucket(1.0, 0.0)
    assert bucket.take(0.0)
    assert not bucket.take(0.25)
    assert not bucket.take(0.5)
    assert bucket.refused_since == 0.25
    assert bucket.take(2.0)
    assert bucket.refused_since is None


def test_a_bucket_knows_when_it_is_as_good_as_new() -> None:
    bucket = Bucket(2.0, 0.0)
    assert bucket.full(0.0)
    bucket.take(0.0)
    assert not bucket.full(0.4)
    assert bucket.full(0.5)


def test_a_window_counts_from_its_first_occasion_and_begins_anew_after_its_length() -> None:
    window = Window(60.0, 0.0)
    assert [window.add(0.0), window.add(30.0), window.add(59.999)] == [1, 2, 3]
    assert [window.add(60.0), window.add(119.0), window.add(120.0)] == [1, 2, 1]
