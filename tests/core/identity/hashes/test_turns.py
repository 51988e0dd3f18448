"""Turns: few authenticators that hash run at once for an address and for a user, and the others wait in order."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.identity.hashes.turns import Turn, Turns
from posthouse.core.values.close_reasons import MAX_HASHES_PER_ADDRESS, MAX_HASHES_PER_USER

from tests.core.world import shared

ADA, BOB, EVE = b"ada", b"bob", b"eve"


class Lines:
    """The table alone. `came`: the numbers of the turns that have come after they waited."""

    def __init__(self, **limits: Any) -> None:
        self.shared = shared(**limits)
        self.turns = Turns(self.shared)
        self.came: list[int] = []
        self.unusable: list[int] = []

    def has_come(self, turn: Turn, now: float) -> None:
        """A turn has come. One that is `unusable` is released at once."""
        self.came.append(turn.number)
        if turn.number in self.unusable:
            self.turns.release(turn, now)

    def come(
        self, address: str, user: bytes | None = None, now: float = 0.0, *, known: bool = False, slow: bool = False
    ) -> Turn:
        """A turn, which takes its places or waits."""
        turn = Turn(self.turns.next_number(), address, user, known, slow, self.has_come)
        if not self.turns.take(turn, now):
            self.turns.wait(turn)
        return turn

    def release(self, turn: Turn, now: float = 0.0) -> list[int]:
        """The turns that come because the hash of this one has ended."""
        before = len(self.came)
        self.turns.release(turn, now)
        return self.came[before:]


@pytest.mark.parametrize(("running", "waits"), [(1, False), (2, True)])
def test_row_38_two_hashes_run_at_once_for_an_address(running: int, waits: bool) -> None:
    lines = Lines()
    for number in range(running):
        lines.come("here", b"%d" % number)
    turn = Turn(9, "here", ADA, known=False, slow=False, came=lines.has_come)
    assert lines.turns.obstacle(turn) is (MAX_HASHES_PER_ADDRESS if waits else None)
    assert lines.turns.take(Turn(9, "there", ADA, known=False, slow=False, came=lines.has_come), 0.0)


@pytest.mark.parametrize(("limit", "waits"), [(1, True), (2, False)])
def test_row_38_one_hash_runs_at_once_for_a_user(limit: int, waits: bool) -> None:
    lines = Lines(max_hashes_per_user=limit)
    lines.come("here", ADA)
    turn = Turn(9, "there", ADA, known=False, slow=False, came=lines.has_come)
    assert lines.turns.obstacle(turn) is (MAX_HASHES_PER_USER if waits else None)


def test_turns_come_in_their_order() -> None:
    lines = Lines(max_hashes_per_address=1)
    first = lines.come("here", ADA)
    second, _ = lines.come("here", BOB), lines.come("here", EVE)
    assert lines.release(first) == [2]
    assert lines.release(second) == [3]


def test_a_turn_whose_user_is_busy_lets_others_of_its_address_go_first() -> None:
    lines = Lines(max_hashes_per_address=1)
    elsewhere, here = lines.come("there", ADA), lines.come("here", BOB)
    lines.come("here", ADA), lines.come("here", EVE)
    assert lines.release(here) == [4]
    assert lines.release(elsewhere) == []


def test_the_end_of_one_hash_lets_one_of_its_user_and_one_of_its_address_run() -> None:
    lines = Lines(max_hashes_per_address=1)
    running = lines.come("here", ADA)
    lines.come("there", ADA), lines.come("here", BOB), lines.come("here", EVE)
    assert lines.release(running) == [2, 3]


def test_a_known_user_goes_first() -> None:
    lines = Lines(max_hashes_per_address=1)
    running = lines.come("here", EVE)
    lines.come("here", ADA), lines.come("here", BOB, known=True)
    assert lines.release(running) == [3]


def test_a_turn_that_waits_no_more_does_not_come() -> None:
    lines = Lines()
    running, second, _ = lines.come("here", ADA), lines.come("here", ADA), lines.come("", ADA)
    lines.turns.leave(second)
    assert lines.release(running) == [3]
    assert not lines.turns.waiting


def test_hashes_count_by_what_is_known_of_their_callers() -> None:
    lines = Lines(max_hashes_per_address=1)
    for _ in range(3):
        lines.come("", None)
    assert (lines.turns.by_address, lines.turns.by_user, lines.turns.waiting) == ({}, {}, {})
    token = lines.come("here", None)
    lines.come("here", None)
    assert lines.release(token) == [5]


def test_nothing_is_kept_of_hashes_that_have_ended() -> None:
    lines = Lines()
    for turn in [lines.come("here", ADA), lines.come("here", BOB)]:
        assert lines.release(turn) == []
    assert (lines.turns.by_address, lines.turns.by_user, lines.turns.waiting) == ({}, {}, {})


def test_slow_turns_of_a_user_come_once_a_second_with_one_timer_for_all() -> None:
    lines = Lines()
    running = lines.come("a", ADA, slow=True)
    lines.come("b", ADA, slow=True), lines.come("c", ADA, slow=True)
    lines.come("d", BOB, 0.5, slow=True)
    assert len(lines.shared.timers) == 1
    assert lines.release(running, 0.9) == []
    lines.shared.timers.run(0.999)
    assert lines.came == []
    lines.shared.timers.run(1.0)
    assert lines.came == [2]
    assert list(lines.turns.pauses) == [BOB, ADA]
    lines.shared.timers.run(1.5)
    assert list(lines.turns.pauses) == [ADA]
    lines.shared.timers.run(2.0)
    assert (lines.came, lines.turns.pauses, len(lines.shared.timers)) == ([2], {}, 0)


def test_a_user_who_is_known_does_not_wait_for_a_pause() -> None:
    lines = Lines()
    running = lines.come("a", ADA, slow=True)
    assert lines.release(running, 0.1) == []
    lines.come("b", ADA, 0.2, known=True)
    assert lines.turns.by_user == {ADA: 1}


def test_a_turn_that_cannot_be_used_lets_the_next_one_come_at_once() -> None:
    lines = Lines(max_hashes_per_address=1)
    running = lines.come("here", ADA)
    lines.come("here", BOB), lines.come("here", EVE), lines.come("here", b"dan")
    lines.unusable = [2, 3]
    assert lines.release(running) == [2, 3, 4]
    assert lines.turns.by_address == {"here": 1}
