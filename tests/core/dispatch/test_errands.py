"""Calls of the gateway's own methods that wait for the store."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.dispatch.errands import value_of
from posthouse.core.operations.operations import Busy, Failed, Refused
from posthouse.core.store.outcomes import Done, Full, MaybeApplied
from posthouse.core.store.requests import AddSession, EndSession, FindSession
from posthouse.core.values.effects import Withdraw
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import ConnectionId, OperationId

from tests.core.sessions.sessioned import SessionWorld
from tests.core.world import code_of

ONE, TWO = OperationId(1), OperationId(2)


def asking(**limits: Any) -> tuple[SessionWorld, ConnectionId]:
    """A connection whose call waits for the store outside."""
    world = SessionWorld(external=True, **limits)
    one = world.opened()
    world.call(one, "session.create", {}, 1)
    return world, one


def test_a_store_in_memory_answers_at_once() -> None:
    world = SessionWorld()
    assert world.create(world.opened())["version"] == 1
    assert world.gateway._errands.records == {}


def test_a_call_is_answered_when_the_store_has_answered() -> None:
    world, _one = asking()
    (asked,) = world.hear()
    assert isinstance(asked, AddSession)
    assert world.said() == []
    world.perform()
    (reply,) = world.said()
    assert (reply["id"], reply["result"]["version"]) == (1, 1)
    assert (world.gateway._errands.records, world.gateway._calls.later) == ({}, {})


@pytest.mark.parametrize("outcome", [Failed(), Busy(), MaybeApplied(), Refused("exists")])
def test_a_store_that_cannot_do_it_is_unavailable(outcome: object) -> None:
    world, _one = asking()
    world.hear()
    world.settle(ONE, outcome)
    (reply,) = world.said()
    assert reply["error"]["code"] == -32035
    assert reply["error"]["data"] == {"retryable": True, "retry_after_ms": 1000}


def test_a_store_that_does_not_answer_in_time_is_unavailable_and_told_to_take_it_back() -> None:
    world, _one = asking(storage_timeout=5.0)
    (asked,) = world.hear()
    assert isinstance(asked, AddSession)
    world.at(5.0)
    (taken_back,) = world.hear()
    assert isinstance(taken_back, EndSession)
    assert taken_back.session == asked.row.id
    assert world.codes() == [-32035]
    assert world.settle(ONE, Done(())) is False


def test_with_too_many_operations_the_server_is_busy() -> None:
    world, _one = asking(max_external_operations=1)
    two = world.opened()
    world.call(two, "session.create", {}, 2)
    assert [code_of(reply) for reply in world.said(two)] == [-32009]


def test_a_call_that_ends_before_takes_its_write_back_whose_outcome_still_counts() -> None:
    world, one = asking()
    world.hear()
    world.call(one, "rpc.cancel", {"id": 1}, 2)
    (taken_back,) = world.hear()
    assert isinstance(taken_back, EndSession)
    assert Withdraw(ONE) not in world.gateway.outbox
    assert world.codes() == [-32800, None]
    assert (world.gateway._errands.records, list(world.gateway._errands.alone)) == ({}, [1])
    assert world.settle(ONE, Done(())) is True
    assert world.gateway._errands.alone == {}


def test_a_question_that_changes_nothing_is_only_withdrawn() -> None:
    world, one = asking()
    world.perform()
    world.call(one, "session.get", {}, 2)
    (asked,) = world.hear()
    assert isinstance(asked, FindSession)
    world.gateway.disconnected(one, None, 0.0)
    assert Withdraw(TWO) in world.gateway.outbox
    assert world.hear() == []


def test_an_answer_that_comes_too_late_for_the_call_is_taken_back() -> None:
    world = SessionWorld(external=True, call_timeout=3.0, storage_timeout=5.0)
    one = world.opened()
    world.call(one, "session.create", {}, 1)
    world.hear()
    world.now = 4.0  # its deadline is due, and was not handled yet
    world.perform()
    (taken_back,) = world.hear()
    assert isinstance(taken_back, EndSession)
    assert world.codes() == [-32030]


def test_a_call_that_asks_twice_answers_after_the_second() -> None:
    world, one = asking()
    world.perform()
    (made,) = world.said()
    key = {"session": made["result"]["id"], "secret": made["result"]["secret"]}
    two = world.opened()
    world.call(two, "session.resume", {**key, "replaces": world.public_id(one)}, 3)
    world.perform()
    world.hear()
    assert world.said(two) == []
    world.perform()
    (reply,) = world.said(two)
    assert reply["result"]["id"] == made["result"]["id"]


def test_the_value_of_an_outcome_or_an_error() -> None:
    assert value_of(Done(7)) == 7
    for outcome, code in ((Full(), -32009), (Failed(), -32035), (Refused("unknown"), -32035)):
        with pytest.raises(RpcError) as raised:
            value_of(outcome)
        assert raised.value.code == code
