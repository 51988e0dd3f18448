"""The keys of publications: known for a while, of one owner, for one topic."""

from __future__ import annotations

from posthouse.core.service.topics.position import Position
from posthouse.core.topics.keys import PublicationKeys
from posthouse.core.topics.requests import Accepted, KeyTaken

from tests.core.world import shared

ADA = ("user", "", "ada", "k")
BOB = ("user", "", "bob", "k")
HERE = Position("e", 1)


def test_a_key_gives_the_position_of_its_first_publication() -> None:
    state = shared()
    keys = PublicationKeys(state)
    assert keys.find("a", ADA, b"1", 0.0) is None
    keys.keep("a", ADA, b"1", HERE, 0.0)
    assert keys.find("a", ADA, b"1", 1.0) == Accepted(HERE, None)
    assert keys.find("a", ADA, b"2", 1.0) == KeyTaken()
    assert keys.find("b", ADA, b"1", 1.0) is None
    assert keys.find("a", BOB, b"1", 1.0) is None
    assert state.held == len("auseradak")


def test_a_key_is_known_for_a_while() -> None:
    state = shared(idempotency_ttl=10.0)
    keys = PublicationKeys(state)
    keys.keep("a", ADA, b"1", HERE, 0.0)
    keys.keep("a", BOB, b"1", HERE, 5.0)
    assert keys.find("a", ADA, b"1", 9.999) is not None
    assert keys.find("a", ADA, b"1", 10.0) is None
    state.timers.run(10.0)
    assert list(keys.records) == [("a", BOB)]
    assert state.timers.next() == 15.0
    state.timers.run(15.0)
    assert (keys.records, state.held, state.timers.next()) == ({}, 0, None)


def test_a_key_that_is_too_old_may_be_used_again() -> None:
    state = shared(idempotency_ttl=10.0)
    keys = PublicationKeys(state)
    keys.keep("a", ADA, b"1", HERE, 0.0)
    keys.keep("a", ADA, b"2", Position("e", 2), 10.0)
    assert keys.find("a", ADA, b"2", 11.0) == Accepted(Position("e", 2), None)
    assert state.held == len("auseradak")


def test_the_keys_of_one_user_do_not_take_the_room_of_others() -> None:
    for number, known in ((1, True), (2, True), (3, False)):
        state = shared(max_idempotency_per_identity=2)
        keys = PublicationKeys(state)
        keys.keep("a", ADA, b"1", HERE, 0.0)
        for each in range(number):
            keys.keep("a", (*BOB[:-1], str(each)), b"1", HERE, 0.0)
        assert keys.find("a", ADA, b"1", 0.0) == Accepted(HERE, None)
        assert (keys.find("a", (*BOB[:-1], "0"), b"1", 0.0) is not None) is known
        state.timers.run(1_000.0)
        assert (keys.records, keys.by_owner, state.held) == ({}, {}, 0)


def test_the_oldest_key_is_forgotten_above_the_limit() -> None:
    for number, known in ((1, True), (2, True), (3, False)):
        keys = PublicationKeys(shared(max_publication_keys=2))
        for each in range(number):
            keys.keep("a", (str(each),), b"1", HERE, 0.0)
        assert (keys.find("a", ("0",), b"1", 0.0) is not None) is known
