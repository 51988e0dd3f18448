"""The session of a caller, as the handler of its call uses it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw, json
from posthouse.core.operations.operations import Failed
from posthouse.core.store.requests import UpdateSession
from posthouse.core.values.effects import Disconnect, Resolve
from posthouse.core.values.errors import ErrorObject, UsageError
from posthouse.core.values.peers import CallId, ConnectionId

from tests.core.sessions.sessioned import ADA, BOB, SessionWorld


def calling(**options: Any) -> tuple[SessionWorld, ConnectionId, CallId]:
    """A connection with a session, whose call has a handler."""
    world = SessionWorld(**options)
    one = world.opened()
    world.call(one, "session.create", {"data": {"n": 0}})
    if options.get("external"):
        world.perform()
    world.take()
    return world, one, world.begin(one)


def asked(world: SessionWorld, call: CallId, method: str = "update", params: Any = None) -> Any:
    """The outcome of what the handler of this call asks for: the result, or the code of the error."""
    id = world.gateway.ask_session(call, method, params, world.now)
    return outcome_of(world, id)


def outcome_of(world: SessionWorld, id: int) -> Any:
    found = [each.outcome for each in world.gateway.outbox if isinstance(each, Resolve) and each.request == id]
    if not found:
        return None
    (outcome,) = found
    return outcome.code if isinstance(outcome, ErrorObject) else json.decode(outcome)


def test_a_handler_sees_and_changes_the_data_of_the_session_of_its_caller() -> None:
    world, one, call = calling()
    row = world.gateway.session_of(call)
    assert row is not None
    assert (row.data, row.version) == (b'{"n":0}', 1)
    assert asked(world, call, params={"set": {"a": [1]}, "unset": ["n"], "version": 1}) == {
        "version": 2,
        "durable": "memory",
    }
    assert asked(world, call, params=Raw(b'{"set":{"b":2}}')) == {"version": 3, "durable": "memory"}
    row = world.gateway.session_of(call)
    assert row is not None
    assert row.data == b'{"a":[1],"b":2}'
    assert world.ask(one, "get", 2)["data"] == {"a": [1], "b": 2}


@pytest.mark.parametrize(("params", "code"), [({"version": 7}, -32602), ({"set": {"a": "x" * 70_000}}, -32602)])
def test_what_the_rows_forbid_is_an_error(params: Any, code: int) -> None:
    world, _, call = calling()
    assert asked(world, call, params=params) == code


def test_a_handler_ends_the_session_of_its_caller() -> None:
    world, one, call = calling()
    (made,) = world.store.sessions
    two = world.opened()
    world.gateway._sessions.attach(world.gateway._connections.records[two], world.store.sessions[made], 0.0)
    assert asked(world, call, "end") == {"durable": "memory"}
    assert [each.connection for each in world.gateway.outbox if isinstance(each, Disconnect)] == [two]
    assert world.gateway.session_of(call) is None
    assert asked(world, call, "end") == -32040
    assert world.gateway._connections.records[one].session is None


def test_a_caller_without_a_session_has_none() -> None:
    world = SessionWorld()
    call = world.begin(world.opened())
    assert world.gateway.session_of(call) is None
    assert asked(world, call, params={}) == -32040


def test_a_call_that_has_ended_or_whose_connection_has_another_identity_has_none() -> None:
    world, one, call = calling()
    record = world.gateway._connections.records[one]
    world.gateway._calls.identity_changes(record, CallId(0))
    world.gateway._connections.identify(record, BOB, 0.0)
    assert world.gateway.session_of(call) is None
    world.complete(call)
    assert world.gateway.session_of(call) is None
    with pytest.raises(UsageError):
        world.gateway.session_of(CallId(99))


def test_a_store_outside_answers_later() -> None:
    world, _, call = calling(external=True)
    id = world.gateway.ask_session(call, "update", {"set": {"n": 1}}, 0.0)
    (request,) = world.hear()
    assert isinstance(request, UpdateSession)
    assert outcome_of(world, id) is None
    world.perform()
    assert outcome_of(world, id) == {"version": 2, "durable": "outside"}
    second = world.gateway.ask_session(call, "update", {}, 0.0)
    world.hear()
    (operation,) = world.asked_store
    world.settle(operation, Failed())
    assert outcome_of(world, second) == -32035
    assert world.gateway._own_sessions.records == {}


@pytest.mark.parametrize(
    ("method", "params"),
    [("create", {}), ("update", None), ("update", {"sets": {}}), ("update", {"set": {1: object()}})],
)
def test_anything_else_is_misuse(method: str, params: Any) -> None:
    world, _, call = calling()
    with pytest.raises(UsageError):
        world.gateway.ask_session(call, method, params, 0.0)


def test_a_handler_changes_nothing_while_a_log_in_renews_the_session() -> None:
    world, one, call = calling(external=True)
    world.call(one, "auth.login", {"method": "bearer", "token": "a"}, 9)
    world.conclude(world.asked().operation, ADA)
    world.hear()
    assert asked(world, call, params={"set": {"a": 1}}) == -32009
    assert world.hear() == []
