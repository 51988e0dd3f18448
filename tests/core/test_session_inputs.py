"""The inputs of a gateway about the sessions of callers."""

from __future__ import annotations

import pytest
from posthouse.core.values.effects import Resolve
from posthouse.core.values.errors import UsageError

from tests.core.sessions.sessioned import SessionWorld


def test_a_handler_changes_the_session_of_its_caller() -> None:
    world = SessionWorld()
    one = world.opened()
    world.create(one, n=0)
    call = world.begin(one, "echo", [], 2)
    id = world.gateway.ask_session(call, "update", {"set": {"n": 1}}, 0.0)
    assert world.take() == [Resolve(id, b'{"version":2,"durable":"memory"}')]
    row = world.gateway.session_of(call)
    assert row is not None
    assert row.data == b'{"n":1}'


def test_misuse_changes_nothing_and_the_gateway_goes_on() -> None:
    world = SessionWorld()
    one = world.opened()
    world.create(one)
    call = world.begin(one, "echo", [], 2)
    with pytest.raises(UsageError):
        world.gateway.ask_session(call, "create", None, 0.0)
    assert world.take() == []
    assert world.ask(one, "get", 3)["version"] == 1


def test_attached_sessions_are_counted_if_there_are_sessions() -> None:
    world = SessionWorld()
    world.create(world.opened())
    stats = world.gateway.stats()
    assert (stats["sessions.attached"], stats["session.created"]) == (1, 1)
    assert list(stats) == sorted(stats)
    assert "sessions.attached" not in SessionWorld(sessions="off").gateway.stats()
