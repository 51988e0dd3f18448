"""A table of states is followed, and an illegal event names itself and the state."""

from __future__ import annotations

from enum import StrEnum

import pytest
from posthouse.core.values.transitions import IllegalEvent, table


class Door(StrEnum):
    OPEN = "open"
    SHUT = "shut"


class Push(StrEnum):
    PUSH = "push"
    PULL = "pull"


TABLE = table({Door.OPEN: {Push.PUSH: Door.SHUT}, Door.SHUT: {Push.PULL: Door.OPEN}})


def test_a_row_gives_the_next_state() -> None:
    assert TABLE[Door.OPEN][Push.PUSH] is Door.SHUT
    assert TABLE[Door.SHUT][Push.PULL] is Door.OPEN


def test_an_illegal_event_names_itself_and_the_state_and_no_key() -> None:
    with pytest.raises(IllegalEvent) as raised:
        TABLE[Door.OPEN][Push.PULL]
    assert str(raised.value) == "Door OPEN: PULL is not allowed"
    assert raised.value.__context__ is None
    assert TABLE[Door.OPEN] == {Push.PUSH: Door.SHUT}
