"""Sessions that log-ins make, and that begin anew when the identity of their connection changes."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.operations.operations import Failed, Refused
from posthouse.core.store.outcomes import MaybeApplied
from posthouse.core.store.requests import AddSession, EndSession
from posthouse.core.values.effects import Disconnect
from posthouse.core.values.lifecycle import SessionCreated, SessionEnded
from posthouse.core.values.peers import ConnectionId, Identity, OperationId

from tests.core.sessions.sessioned import ADA, BOB, SessionWorld, told
from tests.core.world import WALL


def log_in(
    world: SessionWorld, one: ConnectionId, identity: Identity = ADA, method: str = "login", **wishes: Any
) -> Any:
    """Log in, with an answer of the authenticator: the result, or the code of the error; None if it comes later."""
    world.call(one, f"auth.{method}", {"method": "bearer", "token": f"of {identity}", **wishes}, 9)
    world.conclude(world.asked().operation, identity)
    world.hear()
    replies = world.said(one)
    return replies[0].get("result", replies[0].get("error", {}).get("code")) if replies else None


def test_a_log_in_makes_a_session_if_it_is_asked_to() -> None:
    world = SessionWorld()
    one, two = world.connect(), world.connect()
    result = log_in(world, one, session=True)
    assert result == {"user": "ada", "scopes": ["read"], "expires_at": None, "session": result["session"]}
    given = result["session"]
    assert given["expires_in"] == 1_209_600
    resumed = world.ask(two, "resume", session=given["id"], secret=given["secret"])
    assert (resumed["id"], resumed["data"], resumed["version"]) == (given["id"], {}, 1)
    assert world.gateway._connections.records[two].identity == ADA


def test_a_log_in_makes_none_by_itself() -> None:
    world = SessionWorld()
    assert "session" not in log_in(world, world.connect())
    assert list(world.store.sessions) == []


@pytest.mark.parametrize(("kind", "sessions"), [("websocket", 1), ("cli", 1), ("http", 0)])
def test_a_service_may_make_one_at_each_log_in_on_a_connection_that_lasts(kind: Any, sessions: int) -> None:
    world = SessionWorld(sessions="login")
    assert ("session" in log_in(world, world.connect(kind))) is bool(sessions)
    assert len(world.store.sessions) == sessions


def test_without_sessions_nobody_can_ask_for_one() -> None:
    world = SessionWorld(sessions="off")
    one = world.connect()
    world.call(one, "auth.login", {"method": "bearer", "token": "a", "session": True})
    (reply,) = world.said()
    assert reply["error"]["data"] == {"parameter": "session", "reason": "the service has no sessions"}


@pytest.mark.parametrize(
    ("before", "method", "after", "data"),
    [
        (Identity(), "login", ADA, {"n": 1}),
        (ADA, "login", ADA, {"n": 1}),
        (ADA, "refresh", Identity("ada", ("admin",)), {"n": 1}),
        (BOB, "login", ADA, {}),
    ],
)
def test_a_session_gets_a_new_id_when_the_identity_changes(
    before: Identity, method: str, after: Identity, data: dict[str, Any]
) -> None:
    world = SessionWorld()
    one, two = world.opened(before), world.connect()
    made = world.create(one, n=1)
    world.ask(two, "resume", session=made["id"], secret=made["secret"])
    world.call(one, f"auth.{method}", {"method": "bearer", "token": "a"}, 9)
    world.conclude(world.asked().operation, after)
    closed = [each.connection for each in world.gateway.outbox if isinstance(each, Disconnect)]
    ended, created = told(world, SessionCreated, SessionEnded)
    assert closed == [two]
    assert ended == SessionEnded(made["id"], "renewed", 1, 0.0)
    assert isinstance(created, SessionCreated)
    assert (created.connection, created.user) == (one, "ada")
    (row,) = world.store.sessions.values()
    assert (row.id, row.identity) == (created.session, after)
    assert world.ask(one, "get")["data"] == data
    assert world.ask(world.connect(), "resume", session=made["id"], secret=made["secret"]) == -32040


def renewing(before: Identity = ADA) -> tuple[SessionWorld, ConnectionId, dict[str, Any]]:
    """A connection with a session that logs in, with a store outside which is asked to renew the session."""
    world = SessionWorld(external=True)
    one = world.opened(before)
    world.call(one, "session.create", {"data": {"n": 1}}, 1)
    world.perform()
    (made,) = world.said(one)
    assert log_in(world, one) is None
    return world, one, made["result"]


def resumed(world: SessionWorld, made: dict[str, Any]) -> Any:
    """What another connection gets that resumes this session; the store outside answers."""
    two = world.connect()
    world.call(two, "session.resume", {"session": made["id"], "secret": made["secret"]}, 7)
    world.perform()
    (reply,) = world.said(two)
    return reply.get("result", reply.get("error", {}).get("code"))


def do_all(world: SessionWorld) -> None:
    """The store outside does all that it was asked."""
    while world.hear() or world.asked_store:
        world.perform()


@pytest.mark.parametrize("leaves", ["cancels", "disconnects"])
def test_a_session_goes_on_if_nobody_waits_for_the_log_in_that_renews_it(leaves: str) -> None:
    world, one, made = renewing()
    operation, request = next(iter(world.asked_store.items()))
    outcome = world.store.perform(request)
    if leaves == "cancels":
        world.call(one, "rpc.cancel", {"id": 9}, 10)
    else:
        world.gateway.disconnected(one, None, 0.0)
    world.settle(operation, outcome)
    do_all(world)
    assert list(world.store.sessions) == [made["id"]]
    assert told(world, SessionEnded) == []
    assert resumed(world, made)["data"] == {"n": 1}
    assert (world.gateway._session_calls.renewing, world.gateway._session_keys.asked) == ({}, {})


@pytest.mark.parametrize("outcome", [Failed(), MaybeApplied(), Refused("full")])
def test_a_session_goes_on_if_the_store_cannot_renew_it(outcome: object) -> None:
    world, one, made = renewing()
    operation, request = next(iter(world.asked_store.items()))
    if isinstance(outcome, MaybeApplied):
        world.store.perform(request)
    world.settle(operation, outcome)
    do_all(world)
    assert list(world.store.sessions) == [made["id"]]
    assert world.gateway._connections.records[one].session == made["id"]
    assert resumed(world, made)["data"] == {"n": 1}
    assert world.gateway._session_calls.renewing == {}


def test_a_renewed_session_ends_with_the_answer_and_does_not_count_until_the_store_says_so() -> None:
    world, one, made = renewing()
    world.perform()
    (end,) = world.hear()
    assert world.codes(one) == [None]
    assert isinstance(end, EndSession)
    assert end.session == made["id"]
    (operation,) = world.asked_store
    world.settle(operation, Failed())
    assert resumed(world, made) == -32040
    world.at(1.0)
    do_all(world)
    assert [row.data for row in world.store.sessions.values()] == [b'{"n":1}']
    assert world.gateway._chores.ending == {}


def test_a_renewed_session_has_what_was_changed_while_its_log_in_was_verified() -> None:
    world = SessionWorld(external=True)
    one = world.opened()
    world.call(one, "session.create", {"data": {"n": 1}}, 1)
    world.perform()
    (made,) = world.said(one)
    world.call(one, "auth.login", {"method": "bearer", "token": "a"}, 9)
    asked = world.asked()
    two = world.connect()
    world.call(two, "session.resume", {"session": made["result"]["id"], "secret": made["result"]["secret"]}, 7)
    world.perform()
    world.call(two, "session.update", {"set": {"n": 2}}, 8)
    world.hear()  # the store has the change, and has not answered yet
    operation, change = next(iter(world.asked_store.items()))
    outcome = world.store.perform(change)
    world.conclude(asked.operation, ADA)
    world.hear()
    world.settle(operation, outcome)
    do_all(world)
    assert [(row.data, row.version) for row in world.store.sessions.values()] == [(b'{"n":2}', 2)]
    assert world.gateway._sessions.records[next(iter(world.store.sessions))].row.data == b'{"n":2}'


def test_nothing_changes_a_session_while_it_is_renewed() -> None:
    world, one, made = renewing()
    two = world.connect()
    world.gateway._sessions.attach(world.gateway._connections.records[two], world.store.sessions[made["id"]], 0.0)
    other = world.opened()
    world.gateway._sessions.attach(world.gateway._connections.records[other], world.store.sessions[made["id"]], 0.0)
    assert log_in(world, other, BOB) is None
    for _ in range(2):
        world.call(two, "session.update", {"set": {"n": 2}}, 8)
        (reply,) = world.said(two)
        assert reply["error"]["code"] == -32009
        assert reply["error"]["data"] == {
            "retryable": True,
            "retry_after_ms": 1000,
            "reason": "a log-in renews the session",
        }
        world.call(one, "rpc.cancel", {"id": 9}, 10)
        world.call(other, "rpc.cancel", {"id": 9}, 10)
        world.perform()
        world.hear()
    do_all(world)
    world.take()
    world.call(two, "session.update", {"set": {"n": 2}}, 8)
    do_all(world)
    assert world.codes(two) == [None]
    assert [row.data for row in world.store.sessions.values()] == [b'{"n":2}']


def test_a_log_out_ends_the_session() -> None:
    world = SessionWorld()
    one, two = world.connect(), world.connect()
    given = log_in(world, one, session=True)["session"]
    world.ask(two, "resume", session=given["id"], secret=given["secret"])
    world.call(one, "auth.logout", {})
    closed = [each.connection for each in world.gateway.outbox if isinstance(each, Disconnect)]
    assert closed == [two]
    assert told(world, SessionEnded) == [SessionEnded(given["id"], "logged_out", 1, 0.0)]
    assert list(world.store.sessions) == []
    assert world.gateway._connections.records[one].identity == Identity()


def test_a_log_out_without_a_session_asks_nobody() -> None:
    world = SessionWorld(external=True)
    one = world.connect()
    log_in(world, one)
    world.call(one, "auth.logout", {})
    assert world.codes(one) == [None]


def test_a_session_that_was_given_and_not_used_ends_with_a_resumption() -> None:
    world = SessionWorld(sessions="login")
    one = world.connect()
    mine = world.create(world.opened())
    given = log_in(world, one)["session"]
    assert world.ask(one, "resume", session=mine["id"], secret=mine["secret"])["id"] == mine["id"]
    assert given["id"] not in world.store.sessions


@pytest.mark.parametrize("outcome", [Failed(), MaybeApplied()])
def test_nobody_is_logged_in_if_the_store_cannot_keep_the_session(outcome: object) -> None:
    world = SessionWorld(external=True)
    one = world.connect()
    assert log_in(world, one, session=True) is None
    (operation,) = world.asked_store
    world.settle(operation, outcome)
    assert world.codes(one) == [-32035]
    assert world.gateway._connections.records[one].identity == Identity()
    assert world.gateway._session_keys.asked == {}


def test_nobody_is_logged_out_if_the_store_cannot_end_the_session() -> None:
    world = SessionWorld(external=True)
    one = world.connect()
    log_in(world, one, session=True)
    world.perform()
    world.take()
    world.call(one, "auth.logout", {})
    world.hear()
    (operation,) = world.asked_store
    world.settle(operation, Failed())
    assert world.codes(one) == [-32035]
    assert world.gateway._connections.records[one].identity == ADA


def test_a_user_who_is_revoked_meanwhile_is_not_logged_in_and_the_session_ends() -> None:
    world = SessionWorld(external=True)
    one = world.connect()
    log_in(world, one, session=True)
    world.gateway.revoke("ada", 0.0)
    world.perform()
    assert world.codes(one) == [-32020]
    assert world.gateway._connections.records[one].identity == Identity()
    assert [type(each) for each in world.asked_store.values()][-1:] != [AddSession]


def test_a_log_in_that_ends_meanwhile_leaves_no_session() -> None:
    world = SessionWorld(external=True)
    one = world.connect()
    log_in(world, one, session=True)
    world.call(one, "rpc.cancel", {"id": 9}, 10)
    world.perform()
    (ended,) = world.hear()
    assert isinstance(ended, EndSession)
    world.perform()
    assert list(world.store.sessions) == []
    assert world.gateway._session_keys.asked == {}


def test_a_limit_that_is_reached_meanwhile_leaves_no_session() -> None:
    world = SessionWorld(external=True, max_connections_per_user=1)
    one = world.connect()
    log_in(world, one, session=True)
    world.opened()
    world.perform()
    (ended,) = world.hear()
    assert isinstance(ended, EndSession)
    assert world.codes(one) == [-32029]


def test_a_session_ends_with_the_identity_that_has_logged_in() -> None:
    world = SessionWorld()
    one = world.connect()
    result = log_in(world, one, Identity("ada", expires_at=WALL + 60.0), session=True)
    assert result["session"]["expires_in"] == 60


def test_the_requests_behind_a_log_in_wait_for_its_session() -> None:
    world = SessionWorld(external=True)
    one = world.connect()
    log_in(world, one, session=True)
    world.call(one, "private", [], 10)
    assert world.invoked() == []
    world.settle(OperationId(2), world.store.perform(next(iter(world.asked_store.values()))))
    (invoke,) = world.invoked()
    assert invoke.caller.identity == ADA
