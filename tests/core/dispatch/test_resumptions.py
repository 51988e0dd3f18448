"""`session.resume`: who attaches to a session, with which secret, and in place of which connection."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.dispatch.resumptions import Resumption
from posthouse.core.operations.operations import Failed
from posthouse.core.store.outcomes import MaybeApplied
from posthouse.core.store.requests import ResumeSession, UseSession
from posthouse.core.values.effects import AskStore, Disconnect, Transmit
from posthouse.core.values.lifecycle import LimitBreached, SessionEnded, SessionResumed
from posthouse.core.values.peers import Identity, OperationId

from tests.core.sessions.sessioned import (
    ADA,
    BOB,
    GUESSED,
    TAKEN_OVER,
    UNKNOWN,
    SessionWorld,
    key,
    outside,
    resume,
    told,
)


def ended(world: SessionWorld) -> list[tuple[str, str]]:
    """The sessions that have ended since this was last asked, and why."""
    return [(event.session, event.reason) for event in told(world, SessionEnded) if isinstance(event, SessionEnded)]


# Resume


def test_a_connection_that_resumes_has_the_user_the_data_and_a_new_secret() -> None:
    world = SessionWorld()
    one, two = world.opened(), world.connect()
    made = world.create(one, a=1)
    resumed = resume(world, two, made)
    assert resumed == {**made, "secret": resumed["secret"]}
    assert resumed["secret"] != made["secret"]
    assert world.gateway._connections.records[two].identity == ADA
    assert list(world.gateway._connections.by_user["", "ada"]) == [one, two]


def test_the_old_secret_works_until_the_new_one_is_used_and_is_theft_after_that() -> None:
    world = SessionWorld()
    one, two, three, four = world.opened(), world.connect(), world.connect(), world.connect()
    made = world.create(one)
    lost = resume(world, two, made)
    again = resume(world, two, made)  # the reply was lost
    assert len({made["secret"], lost["secret"], again["secret"]}) == 3
    assert resume(world, three, again)["id"] == made["id"]
    world.gateway.outbox.clear()
    world.call(four, "session.resume", key(made))
    closed = [(each.connection, each.code) for each in world.gateway.outbox if isinstance(each, Disconnect)]
    assert closed == [(one, 4410), (two, 4410), (three, 4410)]
    assert told(world, SessionEnded) == [SessionEnded(made["id"], "stolen", 3, 0.0)]
    assert list(world.store.sessions) == []
    assert resume(world, four, again) == UNKNOWN


@pytest.mark.parametrize("more", [{}, {"replaces": "00"}])
def test_unknown_expired_and_foreign_sessions_give_equal_answers_in_equal_effects(more: dict[str, Any]) -> None:
    found = []
    for kind in ("unknown", "expired", "foreign", "wrong"):
        world, one, made = outside(session_idle=50.0)
        if kind == "expired":
            world.gateway.disconnected(one, None, 0.0)
            world.now = 50.0
        given = GUESSED if kind == "unknown" else key(made)
        if kind == "wrong":
            given = {**given, "secret": GUESSED["secret"]}
        three = world.opened(BOB)
        world.call(three, "session.resume", {**given, **more}, 7)
        first = [type(each.request) for each in world.gateway.outbox if isinstance(each, AskStore)]
        world.hear()
        others = [type(each) for each in world.gateway.outbox]
        world.gateway.outbox.clear()
        world.perform()
        said = [each.data for each in world.gateway.outbox if isinstance(each, Transmit)]
        kinds = [type(each) for each in world.gateway.outbox]
        found.append((first, others, said, kinds))
    assert found == [found[0]] * 4
    assert found[0][2] == [b'{"jsonrpc":"2.0","error":{"code":-32040,"message":"Unknown or expired session"},"id":7}']


def test_who_has_other_credentials_resumes_its_own_sessions_alone() -> None:
    world = SessionWorld()
    made = world.create(world.opened())
    other, same = world.opened(BOB), world.opened(Identity("ada", ("admin",)))
    assert resume(world, other, made) == UNKNOWN
    assert world.gateway._connections.records[other].identity == BOB
    assert resume(world, same, made)["id"] == made["id"]
    assert world.gateway._connections.records[same].identity == ADA


def test_an_anonymous_session_is_resumed_by_anybody_without_a_user() -> None:
    world = SessionWorld()
    made = world.create(world.connect(), cart=1)
    assert resume(world, world.connect(), made)["data"] == {"cart": 1}
    assert resume(world, world.opened(), {**made}) == UNKNOWN


def test_calls_that_run_keep_their_caller() -> None:
    world = SessionWorld()
    made, two = world.create(world.opened()), world.connect()
    call = world.begin(two, "echo", [], 5)
    resume(world, two, made)
    assert world.gateway._calls.records[call].caller is not None
    world.call(two, "private", [], 6)
    (invoke,) = world.invoked()
    assert invoke.caller.identity == ADA


def test_a_user_with_too_many_connections_resumes_on_none_more() -> None:
    world = SessionWorld(max_connections_per_user=1)
    made = world.create(world.opened())
    two = world.connect()
    world.call(two, "session.resume", key(made))
    breaches = [each.limit for each in told(world, LimitBreached) if isinstance(each, LimitBreached)]
    assert breaches == ["max_connections_per_user"]
    assert world.gateway._connections.records[two].session is None


def test_an_observed_limit_lets_it_resume() -> None:
    world = SessionWorld(max_connections_per_user=1, observe=("max_connections_per_user",))
    made = world.create(world.opened())
    assert resume(world, world.connect(), made)["id"] == made["id"]


def test_requests_behind_a_resumption_wait_for_it() -> None:
    world, _one, made = outside()
    two = world.connect()
    world.call(two, "session.resume", key(made), 1)
    world.call(two, "private", [], 2)
    world.call(two, "session.create", {}, 3)
    world.hear()
    assert world.codes() == [-32009]
    world.perform()
    (invoke,) = world.invoked()
    assert (invoke.method.name, invoke.caller.identity) == ("private", ADA)


# Replace


def test_the_connection_that_is_replaced_is_closed() -> None:
    world = SessionWorld()
    one, two = world.opened(), world.connect()
    made = world.create(one)
    world.call(two, "session.resume", {**key(made), "replaces": world.public_id(one)})
    assert world.closes() == [(one, 4409, True)]


def test_of_two_that_replace_one_connection_the_first_wins_and_its_secret_works() -> None:
    world = SessionWorld()
    one, two, three, four = world.opened(), world.connect(), world.connect(), world.connect()
    made, old = world.create(one), world.public_id(one)
    won = resume(world, two, made, replaces=old)
    assert resume(world, three, made, replaces=old) == TAKEN_OVER
    assert world.gateway._connections.records[three].session is None
    assert resume(world, four, won, replaces=world.public_id(two))["id"] == made["id"]


@pytest.mark.parametrize("order", [(0, 0, 0), (1, 0, 0)])
def test_of_two_at_once_exactly_one_wins(order: tuple[int, ...]) -> None:
    world, one, made = outside()
    two, three, old = world.connect(), world.connect(), world.public_id(one)
    for connection in (two, three):
        world.call(connection, "session.resume", {**key(made), "replaces": old})
    for place in order:
        world.perform(place)
    replies = {each.connection: each.data for each in world.gateway.outbox if isinstance(each, Transmit)}
    closed = [each.connection for each in world.gateway.outbox if isinstance(each, Disconnect)]
    assert sorted(b"-32043" in (data or b"") for data in replies.values()) == [False, True]
    assert closed == [one]
    assert world.gateway._resumptions.claims == {}


def test_a_claim_ends_with_its_call() -> None:
    world, one, made = outside()
    two, old = world.connect(), world.public_id(one)
    world.call(two, "session.resume", {**key(made), "replaces": old})
    world.perform()
    world.hear()
    assert list(world.gateway._resumptions.claims) == [(made["id"], old)]
    world.gateway.disconnected(two, None, 0.0)
    three = world.connect()
    world.call(three, "session.resume", {**key(made), "replaces": old}, 3)
    world.hear()
    world.perform(1)  # the use of the third; the resumption of the second has no answer yet
    world.hear()
    assert list(world.gateway._resumptions.claims.values()) == [3]
    world.perform(0)
    assert list(world.gateway._resumptions.claims.values()) == [3]
    world.perform(0)
    assert ["result" in reply for reply in world.said(three)] == [True]
    assert world.gateway._resumptions.claims == {}


@pytest.mark.parametrize("outcome", [Failed(), MaybeApplied()])
def test_a_claim_ends_if_the_store_is_unavailable(outcome: object) -> None:
    world, one, made = outside()
    two = world.connect()
    world.call(two, "session.resume", {**key(made), "replaces": world.public_id(one)})
    world.perform()
    world.hear()
    (operation,) = world.asked_store
    world.settle(operation, outcome)
    assert world.codes(two) == [-32035]
    assert (world.gateway._resumptions.claims, world.gateway._session_keys.asked) == ({}, {})


def test_a_connection_that_is_unknown_or_gone_is_replaced_by_nobody() -> None:
    world = SessionWorld()
    one, two, three = world.opened(), world.connect(), world.connect()
    made, old = world.create(one), world.public_id(one)
    world.gateway.disconnected(one, None, 0.0)
    resumed = resume(world, two, made, replaces=old)
    assert resumed["id"] == made["id"]
    assert resume(world, three, resumed, replaces=old) == TAKEN_OVER


def test_a_connection_cannot_replace_itself() -> None:
    world = SessionWorld()
    one = world.opened()
    made = world.create(one)
    assert resume(world, one, made, replaces=world.public_id(one)) == -32602
    assert resume(world, one, made)["id"] == made["id"]


def test_the_secret_of_a_request_is_in_no_repr() -> None:
    assert repr(Resumption("one", "canary", None)) == "Resumption('one', secret=<hidden>, None)"


# The store is late, or does not say


def test_a_resumption_that_may_have_been_done_loses_nothing() -> None:
    world, _one, made = outside()
    two = world.connect()
    world.call(two, "session.resume", key(made), 1)
    (asked,) = world.hear()
    assert isinstance(asked, ResumeSession)
    world.store.perform(asked)
    world.at(5.0)
    assert world.codes(two) == [-32035]
    world.asked_store.clear()
    world.call(two, "session.resume", key(made), 2)
    world.perform()
    assert world.codes(two) == [None]


def test_a_drain_ends_a_resumption() -> None:
    world, _one, made = outside()
    two = world.connect()
    world.call(two, "session.resume", key(made), 1)
    world.hear()
    world.gateway.shut_down(0.0, grace=0.0)
    world.at(0.0)
    assert -32050 in world.codes(two)
    world.perform()
    assert world.gateway._session_keys.asked == {}


def test_a_proof_that_is_not_waited_for_changes_nothing() -> None:
    world, one, made = outside()
    two = world.connect()
    world.call(two, "session.resume", {**key(made), "replaces": world.public_id(one)})
    (asked,) = world.hear()
    assert isinstance(asked, UseSession)
    world.gateway.disconnected(two, None, 0.0)
    assert world.settle(OperationId(2), world.store.perform(asked)) is True
    assert world.hear() == []
    assert (world.gateway._session_keys.asked, world.gateway._resumptions.claims) == ({}, {})
    assert list(world.gateway._sessions.records) == [made["id"]]


@pytest.mark.parametrize("replaces", [False, True])
def test_a_theft_is_seen_though_the_thief_has_left(replaces: bool) -> None:
    world, one, made = outside()
    two = world.connect()
    world.call(two, "session.resume", key(made), 2)
    world.perform()
    (resumed,) = world.said(two)
    world.call(two, "session.resume", key(resumed["result"]), 3)
    world.perform()
    thief = world.connect()
    more = {"replaces": world.public_id(one)} if replaces else {}
    world.call(thief, "session.resume", {**key(made), **more}, 4)
    world.hear()
    world.gateway.disconnected(thief, None, 0.0)
    world.take_events()
    world.perform()
    assert (ended(world), world.gateway._sessions.records) == ([(made["id"], "stolen")], {})


def test_an_exchange_resumes_with_a_new_secret_and_is_not_told() -> None:
    world = SessionWorld()
    made = world.create(world.opened())
    http = world.connect("http")
    world.call(http, "session.resume", key(made))
    assert told(world, SessionResumed) == []
    assert world.gateway._connections.records[http].identity == ADA
