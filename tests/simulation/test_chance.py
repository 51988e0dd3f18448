"""Sources of choices: each actor has a stream of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.adapters.simulation import Chance, Drawn, Recorded, Recording, Seeded


def choices(chance: Chance, actor: str, count: int = 20, n: int = 1000) -> list[int]:
    stream = chance.stream(actor)
    return [stream.choose(n) for _ in range(count)]


def test_a_seed_is_the_same_chance_every_time_and_in_every_version_of_python() -> None:
    assert choices(Seeded(7), "alice", 6) == [977, 225, 284, 158, 177, 622]
    assert choices(Seeded("a test"), "alice", 6) == choices(Seeded("a test"), "alice", 6)


def test_a_new_actor_does_not_change_the_choices_of_others() -> None:
    alone, crowded = Seeded(7), Seeded(7)
    bob = crowded.stream("bob")
    mixed = []
    for _ in range(20):
        bob.choose(10)
        mixed.append(crowded.stream("alice").choose(1000))
    assert mixed == choices(alone, "alice")
    assert choices(Seeded(7), "bob") != choices(Seeded(7), "alice")
    assert choices(Seeded(8), "alice") != choices(Seeded(7), "alice")


@given(st.integers(), st.integers(1, 10**9))
def test_every_choice_is_in_range(seed: int, n: int) -> None:
    assert all(0 <= choice < n for choice in choices(Seeded(seed), "alice", n=n))


def test_recorded_choices_are_repeated_then_the_simplest_follow() -> None:
    recording = Recording(Seeded(3))
    first = choices(recording, "alice") + choices(recording, "bob")
    recorded = Recorded(recording.choices)
    assert choices(recorded, "alice") + choices(recorded, "bob") == first
    assert choices(recorded, "alice", 3) == [0, 0, 0]
    assert choices(Recorded({"alice": [5, 1]}), "alice", 3, n=3) == [0, 1, 0]


def test_choices_can_come_from_a_function() -> None:
    asked: list[int] = []

    def draw(n: int) -> int:
        asked.append(n)
        return n - 1

    chance = Drawn(draw)
    assert choices(chance, "alice", 2, n=5) == [4, 4]
    assert asked == [5, 5]


@pytest.mark.parametrize("chance", [Drawn(lambda n: 0), Recorded({}), Recorded({"alice": [9, 9, 9]}), Seeded(1)])
def test_every_source_gives_different_entropy_each_time(chance: Chance) -> None:
    stream = chance.stream("alice")
    assert len({stream.entropy(6) for _ in range(300)}) == 300


def test_recorded_entropy_is_repeated() -> None:
    recording = Recording(Drawn(lambda n: n - 1))
    drawn = [recording.stream("alice").entropy(size) for size in (4, 1, 12)]
    recorded = Recorded(recording.choices).stream("alice")
    assert [recorded.entropy(size) for size in (4, 1, 12)] == drawn


@pytest.mark.parametrize("chance", [Seeded(1), Recorded({}), Recording(Seeded(1))])
def test_entropy_has_the_requested_size(chance: Chance) -> None:
    assert [len(chance.stream("alice").entropy(size)) for size in (1, 4, 16)] == [1, 4, 16]


def test_weights_are_per_thousand_and_weight_zero_never_happens() -> None:
    stream = Seeded(1).stream("alice")
    assert not any(stream.happens(0) for _ in range(1000))
    assert all(stream.happens(1000) for _ in range(1000))
    assert 50 < sum(stream.happens(100) for _ in range(1000)) < 150
    assert not any(Recorded({}).stream("alice").happens(999) for _ in range(10))
    assert Recorded({}).stream("alice").pick("abc") == "a"
