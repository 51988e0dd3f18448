"""A store that fails, and a server that is killed: what its clients have been told is true."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import json
from posthouse.core.operations.operations import Busy, Failed
from posthouse.core.store.outcomes import MaybeApplied
from posthouse.core.store.requests import AddSession, EndSession, FindSession

from tests.core.sessions.sessioned import SessionWorld

UNAVAILABLE = {
    "code": -32035,
    "message": "Storage unavailable",
    "data": {"retryable": True, "retry_after_ms": 1_000},
}


def reply(world: SessionWorld, connection: Any) -> Any:
    """The one reply that this connection has got."""
    (data,) = world.said_to(connection)
    assert data is not None
    return json.decode(data)


@pytest.mark.parametrize("outcome", [Failed(), Busy(), MaybeApplied()])
def test_row_50_a_store_that_fails_is_told_and_nothing_is_left_of_it(outcome: object) -> None:
    world = SessionWorld(external=True)
    one = world.opened()
    world.take()
    world.call(one, "session.create", {"data": {"a": 1}})
    (asked,) = world.hear()
    assert isinstance(asked, AddSession)
    if isinstance(outcome, MaybeApplied):
        world.store.perform(asked)
    (operation,) = world.asked_store
    world.settle(operation, outcome)
    undone = world.hear()
    assert [type(request) for request in undone] == ([EndSession] if isinstance(outcome, MaybeApplied) else [])
    assert reply(world, one)["error"] == UNAVAILABLE
    for request in undone:
        world.store.perform(request)
    assert dict(world.store.sessions) == {}
    world.asked_store.clear()
    world.call(one, "session.create", {"data": {"a": 1}}, 2)
    world.perform()
    assert reply(world, one)["result"]["data"] == {"a": 1}


def test_row_50_reads_go_on_while_nothing_can_be_written() -> None:
    world = SessionWorld(external=True)
    one = world.opened()
    world.call(one, "session.create", {"data": {"a": 1}})
    world.perform()
    world.take()
    world.call(one, "session.update", {"set": {"a": 2}}, 2)
    world.hear()
    (operation,) = world.asked_store
    world.settle(operation, Failed())
    assert reply(world, one)["error"] == UNAVAILABLE
    world.call(one, "session.get", {}, 3)
    for request in world.hear():
        assert isinstance(request, FindSession)
        world.perform()
    assert reply(world, one)["result"]["data"] == {"a": 1}


def test_row_50_a_store_that_does_not_answer_is_waited_for_so_long() -> None:
    world = SessionWorld(external=True, storage_timeout=2.0)
    one = world.opened()
    world.take()
    world.call(one, "session.create", {})
    world.hear()
    world.at(1.999)
    assert world.said_to(one) == []
    world.at(2.0)
    assert reply(world, one)["error"] == UNAVAILABLE


def test_row_55_a_session_that_was_acknowledged_is_resumed_at_another_gateway() -> None:
    before, after = SessionWorld(external=True), SessionWorld(external=True)
    one = before.opened()
    before.take()
    before.call(one, "session.create", {"data": {"a": 1}})
    before.perform()
    created = reply(before, one)["result"]
    before.call(one, "session.update", {"set": {"a": 2}}, 2)  # killed before the store has answered
    after.store = before.store
    two = after.opened()
    after.take()
    after.call(two, "session.resume", {"session": created["id"], "secret": created["secret"]})
    after.perform()
    resumed = reply(after, two)["result"]
    assert (resumed["id"], resumed["data"]) == (created["id"], {"a": 1})
    assert resumed["secret"] != created["secret"]
