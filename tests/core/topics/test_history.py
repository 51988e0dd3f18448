"""The history of one topic: exactly what has not been seen, or nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.service.topics.position import Position
from posthouse.core.topics.history import History, Publication, fitting, size_of, unseen

HERE = Position("e", 5)


def kept(*offsets: int) -> History:
    history = History(deque())
    for offset in offsets:
        history.append(Publication(offset, float(offset), b'"offset":%d' % offset))
    return history


def offsets(history: History | None, position: Position, most: int = 10, room: int = 1000) -> list[bytes] | None:
    found = unseen(history, HERE, position, most, room)
    return None if found is None else [bytes(each) for each in found]


def test_what_is_kept_is_counted() -> None:
    history = kept(3, 4)
    assert history.bytes == 260
    assert history.drop() == 130
    assert (history.bytes, [each.offset for each in history.kept]) == (130, [4])


@pytest.mark.parametrize(
    ("seen", "missed"),
    [(5, []), (4, [b'{"offset":5}']), (2, [b'{"offset":3}', b'{"offset":4}', b'{"offset":5}']), (1, None), (0, None)],
)
def test_the_gap_must_be_empty_or_still_held(seen: int, missed: list[bytes] | None) -> None:
    # The last publication that was seen need not be held: 2 is not.
    assert offsets(kept(3, 4, 5), Position("e", seen)) == missed


def test_an_empty_gap_needs_no_history() -> None:
    assert offsets(None, HERE) == []
    assert offsets(None, Position("e", 4)) is None


@pytest.mark.parametrize("position", [Position("e", 6), Position("other", 5), Position("", 0)])
def test_a_position_of_the_future_or_of_another_epoch_cannot_be_caught_up(position: Position) -> None:
    assert offsets(kept(3, 4, 5), position) is None


@pytest.mark.parametrize(
    ("most", "room", "recovers"), [(1, 1000, False), (2, 1000, True), (2, 26, True), (2, 25, False)]
)
def test_more_than_may_be_recovered_at_once_is_not_recovered_at_all(most: int, room: int, recovers: bool) -> None:
    assert (offsets(kept(3, 4, 5), Position("e", 3), most, room) is not None) is recovers


def test_publications_are_read_in_both_directions() -> None:
    history = kept(3, 4, 5)
    assert [each.offset for each in history.after(3)] == [4, 5]
    assert [each.offset for each in history.after(0)] == [3, 4, 5]
    assert [each.offset for each in history.after(5)] == []
    assert [each.offset for each in history.before(5)] == [4, 3]
    assert [each.offset for each in history.before(9)] == [5, 4, 3]
    assert [each.offset for each in history.before(3)] == []
    assert list(History(deque()).after(0)) == list(History(deque()).before(9)) == []


class Unwalkable(deque[Publication]):
    """Its elements can be taken by their places alone."""

    def __iter__(self) -> Iterator[Publication]:
        raise AssertionError

    __reversed__ = __iter__


def test_a_page_of_a_long_history_is_found_without_a_walk_through_it() -> None:
    history = History(Unwalkable(kept(*range(1, 1_000)).kept))
    assert next(iter(history.after(500))).offset == 501
    assert next(iter(history.before(500))).offset == 499


@pytest.mark.parametrize(
    ("limit", "room", "number"), [(1, 100, 1), (2, 100, 2), (9, 100, 3), (9, 26, 2), (9, 25, 1), (9, 0, 0)]
)
def test_a_page_has_as_many_as_fit(limit: int, room: int, number: int) -> None:
    page = fitting(kept(3, 4, 5).after(0), limit, room)
    assert len(page) == number
    assert size_of(page) <= room


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_a_recovery_is_the_whole_suffix_or_nothing(first: int, last: int, seen: int) -> None:
    history = kept(*range(first + 1, last + 1)) if last > first else None
    found = unseen(history, Position("e", last), Position("e", seen), 10, 1000)
    if found is not None:
        assert [bytes(each) for each in found] == [b'{"offset":%d}' % each for each in range(seen + 1, last + 1)]
    assert (found is not None) is (seen == last or first <= seen < last)
