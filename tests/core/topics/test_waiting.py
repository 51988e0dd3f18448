"""What waits for one subscriber: in order, within the limits, and what is lost is one gap before the rest."""

from __future__ import annotations

import json
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.topics.waiting import WaitingRoom
from posthouse.core.values.peers import ConnectionId

from tests.core.world import shared

ONE, TWO = ConnectionId(1), ConnectionId(2)


def read(payloads: list[bytes]) -> list[Any]:
    return [json.loads(each)["params"] if each.startswith(b"{") else each for each in payloads]


def test_what_waits_is_taken_in_order() -> None:
    state = shared()
    room = WaitingRoom(state)
    assert room.find(ONE, "a") is None
    assert room.add(ONE, "a", 1, b"one") == 0
    assert room.add(ONE, "a", 2, b"two") == 0
    room.add(TWO, "a", 2, b"two")
    assert room.find(ONE, "b") is None
    assert state.held == 9
    assert room.take(ONE, "a", 100) == [b"one", b"two"]
    assert (list(room.records), state.held) == ([TWO], 3)


def test_a_portion_has_as_many_bytes_as_fit_and_one_payload_at_least() -> None:
    room = WaitingRoom(shared())
    for offset, payload in enumerate((b"one", b"two", b"three"), 1):
        room.add(ONE, "a", offset, payload)
    assert room.take(ONE, "a", 6) == [b"one", b"two"]
    assert room.take(ONE, "a", 1) == [b"three"]
    assert room.records == {}


@pytest.mark.parametrize(
    ("limits", "lost"),
    [
        ({"max_queued_pushes": 2}, 1),
        ({"max_queued_pushes": 3}, 0),
        ({"max_queued_pushes_bytes": 8}, 1),
        ({"max_queued_pushes_bytes": 9}, 0),
        ({"max_queued_pushes_bytes": 2}, 3),
    ],
)
def test_a_full_ring_loses_its_oldest_publications_and_tells_which(limits: dict[str, int], lost: int) -> None:
    state = shared(**limits)
    room = WaitingRoom(state)
    payloads = [b"one", b"two", b"tri"]
    assert sum(room.add(ONE, "a", offset, each) for offset, each in enumerate(payloads, 7)) == lost
    gap = [{"topic": "a", "from": 7, "to": 6 + lost}] if lost else []
    assert read(room.take(ONE, "a", inf)) == [*gap, *payloads[lost:]]
    assert (room.records, state.held) == ({}, 0)


@pytest.mark.parametrize("limits", [{"max_queued_pushes": 4}, {"max_queued_pushes_bytes": 4}])
def test_the_limits_are_those_of_all_rings_of_a_connection_and_the_longest_loses(limits: dict[str, int]) -> None:
    room = WaitingRoom(shared(**limits))
    for offset in (1, 2, 3, 4):
        room.add(ONE, "a", offset, b"%d" % offset)
    assert room.add(ONE, "b", 1, b"B") == 1
    assert room.add(ONE, "b", 2, b"b") == 1
    assert read(room.take(ONE, "a", inf)) == [{"topic": "a", "from": 1, "to": 2}, b"3", b"4"]
    assert read(room.take(ONE, "b", inf)) == [b"B", b"b"]


def test_a_ring_that_may_lose_nothing_loses_only_its_own() -> None:
    room = WaitingRoom(shared(max_queued_pushes=2))
    room.ring(ONE, "a").loses = False
    room.add(ONE, "a", 1, b"1")
    room.add(ONE, "a", 2, b"2")
    assert room.add(ONE, "b", 1, b"b") == 1
    assert room.add(ONE, "a", 3, b"3") == 1
    assert read(room.take(ONE, "b", inf)) == [{"topic": "b", "from": 1, "to": 1}]
    assert read(room.take(ONE, "a", inf)) == [{"topic": "a", "from": 1, "to": 1}, b"2", b"3"]


def test_a_ring_that_was_served_is_the_last_of_all() -> None:
    room = WaitingRoom(shared())
    for topic in ("a", "a", "b"):
        room.add(ONE, topic, 1, b"one")
    assert room.take_turn(ONE, "a", 1) == [b"one"]
    assert list(room.records[ONE].rings) == ["b", "a"]


def test_those_for_which_something_waits_are_found_among_few_and_among_many() -> None:
    room = WaitingRoom(shared())
    assert room.among({ONE: None}) == []
    room.add(ONE, "a", 1, b"one")
    room.add(TWO, "a", 1, b"one")
    three = ConnectionId(3)
    assert room.among({three: None}) == []
    assert room.among({TWO: None}) == [TWO]
    assert room.among({three: None, TWO: None}) == [TWO]
    assert [room.ring(ONE, "a").waits, room.ring(three, "a").waits] == [True, False]


def test_a_ring_that_is_taken_in_portions_tells_each_gap_once() -> None:
    room = WaitingRoom(shared(max_queued_pushes=2))
    for offset in (1, 2, 3):
        room.add(ONE, "a", offset, b"%d" % offset)
    assert read(room.take(ONE, "a", 1)) == [{"topic": "a", "from": 1, "to": 1}]
    room.add(ONE, "a", 4, b"4")
    assert read(room.take(ONE, "a", 200)) == [{"topic": "a", "from": 2, "to": 2}, b"3", b"4"]


def test_what_is_forgotten_is_not_held() -> None:
    state = shared()
    room = WaitingRoom(state)
    room.add(ONE, "a", 1, b"one")
    room.add(ONE, "b", 1, b"two")
    room.forget(ONE, "a")
    room.forget(ONE, "a")
    room.forget(TWO, "a")
    assert (state.held, list(room.records[ONE].rings)) == (3, ["b"])
    room.forget(ONE, "b")
    assert (state.held, room.records) == (0, {})
    room.ring(ONE, "a")
    room.forget(ONE, "a")
    assert room.records == {}


@given(st.lists(st.sampled_from(("add", "take")), max_size=30), st.integers(1, 4), st.integers(1, 9))
def test_every_publication_is_taken_or_told_as_lost(steps: list[str], most: int, portion: int) -> None:
    room = WaitingRoom(shared(max_queued_pushes=most))
    added, seen = 0, 0
    for step in [*steps, *["take"] * len(steps)]:
        if step == "add":
            added += 1
            room.add(ONE, "a", added, b"%d" % added)
        elif room.find(ONE, "a") is not None:
            for each in read(room.take(ONE, "a", portion)):
                first, last = (each["from"], each["to"]) if isinstance(each, dict) else (int(each), int(each))
                assert (first, last >= first) == (seen + 1, True)
                seen = last
    assert (seen, room.records) == (added, {})
