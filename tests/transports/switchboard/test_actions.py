"""Actions are values: equal by what they say, and not to be changed."""

from __future__ import annotations

from typing import get_args

import pytest
from posthouse.core.values.peers import SocketId
from posthouse.transports.switchboard.actions import Action, CloseSocket, Write

from tests.values import changeable


def test_actions_are_values_that_cannot_change() -> None:
    action = Write(SocketId(1), b"x")
    assert action == Write(SocketId(1), b"x", report=False)
    with pytest.raises(AttributeError):
        action.data = b"y"  # type: ignore[misc]


def test_closing_a_socket_flushes_it_by_default() -> None:
    assert CloseSocket(SocketId(1)).flush


def test_every_action_of_the_union_has_a_docstring() -> None:
    assert len(get_args(Action)) == 17
    assert all(kind.__doc__ for kind in get_args(Action))


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.switchboard.actions") == []
