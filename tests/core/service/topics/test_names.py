"""The names of topics, and the patterns that stand for several."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.service.topics.names import ONE, REST, is_topic, matches, overlap, read_pattern


@pytest.mark.parametrize("name", ["a", "news.sport", "a_b:c-d.$e", "$user", "1.2.3"])
def test_a_topic_is_segments_with_points_between_them(name: str) -> None:
    assert is_topic(name)


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", "a b", "a\n", "é", "a.*", "a.>", "{a}", "a\x00", "a/b"])
def test_other_texts_are_no_topics(name: str) -> None:
    assert not is_topic(name)


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("news", ("news",)),
        ("news.*", ("news", "*")),
        ("rooms.{room}.typing", ("rooms", "*", "typing")),
        ("*.>", ("*", ">")),
        (">", (">",)),
    ],
)
def test_a_pattern_has_segments_that_stand_for_others(text: str, segments: tuple[str, ...]) -> None:
    assert read_pattern(text) == segments


@pytest.mark.parametrize("text", ["", "a.", "a.>.b", "a*", "a.{}", "a.{1}", "a.{b", "a b", "a.>>"])
def test_other_texts_are_no_patterns(text: str) -> None:
    assert read_pattern(text) is None


@pytest.mark.parametrize(
    ("pattern", "name", "stands"),
    [
        ("news", "news", True),
        ("news", "news.sport", False),
        ("news.*", "news.sport", True),
        ("news.*", "news", False),
        ("news.*", "news.sport.golf", False),
        ("news.>", "news.sport.golf", True),
        ("news.>", "news", False),
        ("*.sport", "news.sport", True),
        ("*.sport", "news.golf", False),
    ],
)
def test_a_star_stands_for_one_segment_and_an_angle_for_the_rest(pattern: str, name: str, stands: bool) -> None:
    segments = read_pattern(pattern)
    assert segments is not None
    assert matches(segments, name.split(".")) is stands


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("a.*", "*.b", True),
        ("a.*", "b.*", False),
        ("a.*", "a.*.c", False),
        ("a.>", "a.*.c", True),
        ("a.>", "a", False),
        ("*.>", "a.b.c", True),
        (">", "*", True),
    ],
)
def test_two_patterns_overlap_if_a_name_exists_for_both(one: str, other: str, both: bool) -> None:
    first, second = read_pattern(one), read_pattern(other)
    assert first is not None
    assert second is not None
    assert overlap(first, second) is overlap(second, first) is both


segment = st.sampled_from(("a", "b", ONE, REST))
patterns = st.lists(segment, min_size=1, max_size=4).filter(lambda parts: REST not in parts[:-1]).map(tuple)
names = st.lists(st.sampled_from("ab"), min_size=1, max_size=5)


@given(patterns, patterns, names)
def test_a_name_of_two_patterns_shows_that_they_overlap(
    one: tuple[str, ...], other: tuple[str, ...], name: list[str]
) -> None:
    if matches(one, name) and matches(other, name):
        assert overlap(one, other)
