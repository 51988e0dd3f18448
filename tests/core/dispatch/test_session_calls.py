"""`session.*`: created, resumed on other connections, changed, ended; and who learns what of them."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from posthouse.core.dispatch.session_calls import Resumption
from posthouse.core.operations.operations import Failed
from posthouse.core.store.outcomes import Done, MaybeApplied
from posthouse.core.store.requests import AddSession, EndSession, FindSession, ResumeSession, UpdateSession, UseSession
from posthouse.core.values.effects import AskStore, Disconnect, Transmit
from posthouse.core.values.lifecycle import LimitBreached, SessionEnded, SessionResumed
from posthouse.core.values.peers import ConnectionId, Identity, OperationId

from tests.core.sessions.sessioned import ADA, BOB, SessionWorld, told
from tests.core.world import WALL, code_of

UNKNOWN, TAKEN_OVER = -32040, -32043
GUESSED = {"session": "A" * 21 + "Q", "secret": "A" * 43}


def key(made: dict[str, Any]) -> dict[str, Any]:
    """What a client sends to resume a session."""
    return {"session": made["id"], "secret": made["secret"]}


def resume(world: SessionWorld, connection: ConnectionId, made: dict[str, Any], **given: Any) -> Any:
    return world.ask(connection, "resume", **key(made), **given)


def outside(**limits: Any) -> tuple[SessionWorld, ConnectionId, dict[str, Any]]:
    """A session with one connection, in a store outside."""
    world = SessionWorld(external=True, **limits)
    one = world.opened()
    world.call(one, "session.create", {"data": {"n": 0}}, 1)
    world.perform()
    (reply,) = world.said()
    return world, one, reply["result"]


# Create


def test_a_session_is_created_with_data() -> None:
    world = SessionWorld()
    one = world.opened()
    made = world.create(one, a=[1, {"b": None}])
    assert made == {**made, "expires_in": 1_209_600, "data": {"a": [1, {"b": None}]}, "version": 1, "durable": "memory"}
    (row,) = world.store.sessions.values()
    assert (row.id, row.identity, row.current) == (made["id"], ADA, sha256(made["secret"].encode()).digest())


@pytest.mark.parametrize(("more", "code"), [(-1, None), (0, None), (1, -32602)])
def test_data_has_a_limit(more: int, code: int | None) -> None:
    world = SessionWorld(max_session_bytes=100)
    one = world.opened()
    world.call(one, "session.create", {"data": {"a": "x" * (92 + more)}})
    (reply,) = world.said()
    assert code_of(reply) == code
    if code is not None:
        assert reply["error"]["data"] == {"parameter": "data", "limit": "max_session_bytes", "allowed": 100}


@pytest.mark.parametrize(("most", "codes"), [(1, [None, -32009]), (2, [None, None])])
def test_there_are_so_many_sessions(most: int, codes: list[int | None]) -> None:
    world = SessionWorld(max_sessions=most)
    ones = [world.opened(identity) for identity in (ADA, BOB)]
    for one in ones:
        world.call(one, "session.create", {})
    assert world.codes() == codes


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


def test_a_session_to_end_may_be_unknown_or_foreign_alike() -> None:
    world = SessionWorld()
    made, two = world.create(world.opened()), world.opened(BOB)
    assert world.ask(two, "end", session=made["id"]) == UNKNOWN
    assert world.ask(two, "end", session=GUESSED["session"]) == UNKNOWN
    assert world.ask(world.connect(), "end", session=made["id"]) == UNKNOWN
    assert list(world.store.sessions) == [made["id"]]


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
    assert world.gateway._session_calls.claims == {}


def test_a_claim_ends_with_its_call() -> None:
    world, one, made = outside()
    two, old = world.connect(), world.public_id(one)
    world.call(two, "session.resume", {**key(made), "replaces": old})
    world.perform()
    world.hear()
    assert list(world.gateway._session_calls.claims) == [(made["id"], old)]
    world.gateway.disconnected(two, None, 0.0)
    assert world.gateway._session_calls.claims == {}


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
    assert (world.gateway._session_calls.claims, world.gateway._session_keys.asked) == ({}, {})


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
    assert world.gateway._session_keys.asked == {}


# The caller's own session


def test_a_session_is_described() -> None:
    world = SessionWorld(session_lifetime=100.0)
    one, two = world.opened(), world.connect()
    made = world.create(one, a=1)
    resume(world, two, made)
    assert world.ask(two, "get") == {
        "id": made["id"],
        "data": {"a": 1},
        "version": 1,
        "created_at": WALL,
        "ends_at": WALL + 100.0,
        "expires_in": 100,
        "connections": 2,
    }


@pytest.mark.parametrize("method", ["get", "update", "end"])
def test_a_connection_without_a_session_has_none(method: str) -> None:
    world = SessionWorld()
    assert world.ask(world.opened(), method) == UNKNOWN


def test_data_is_merged_and_members_are_removed() -> None:
    world = SessionWorld()
    one = world.opened()
    world.create(one, a=1, b=2)
    assert world.ask(one, "update", set={"b": 3, "c": 4}, unset=["a", "x"]) == {"version": 2, "durable": "memory"}
    assert world.ask(one, "update") == {"version": 3, "durable": "memory"}
    assert world.ask(one, "get")["data"] == {"b": 3, "c": 4}


def test_data_is_changed_only_if_it_has_this_version() -> None:
    world = SessionWorld()
    one = world.opened()
    world.create(one)
    assert world.ask(one, "update", set={"a": 1}, version=1) == {"version": 2, "durable": "memory"}
    world.call(one, "session.update", {"set": {"a": 2}, "version": 1})
    (reply,) = world.said()
    reason = "the data has another version now: read it with session.get"
    assert reply["error"]["data"] == {"parameter": "version", "reason": reason}
    assert world.ask(one, "get")["data"] == {"a": 1}


@pytest.mark.parametrize(("more", "code"), [(-1, None), (0, None), (1, -32602)])
def test_data_that_is_changed_has_the_limit(more: int, code: int | None) -> None:
    world = SessionWorld(max_session_bytes=100)
    one = world.opened()
    world.create(one)
    world.call(one, "session.update", {"set": {"a": "x" * (92 + more)}})
    (reply,) = world.said()
    assert code_of(reply) == code


@pytest.mark.parametrize(("method", "asks"), [("get", FindSession), ("update", UpdateSession)])
def test_a_session_that_the_store_does_not_know_any_more_closes_its_connections(method: str, asks: type) -> None:
    world, one, made = outside()
    two = world.connect()
    world.call(two, "session.resume", key(made))
    world.perform()
    world.take()
    world.store.perform(EndSession("w", made["id"]))
    world.call(one, f"session.{method}", {})
    (asked,) = world.hear()
    assert type(asked) is asks
    world.perform()
    closed = [each.connection for each in world.gateway.outbox if isinstance(each, Disconnect)]
    assert closed == [two]
    assert world.codes(one) == [UNKNOWN]
    assert world.gateway._sessions.records == {}


def test_a_session_that_was_left_meanwhile_is_not_looked_for() -> None:
    world, one, _made = outside()
    world.call(one, "session.get", {}, 1)
    world.call(one, "session.end", {}, 2)
    (find, end) = world.hear()
    assert (type(find), type(end)) == (FindSession, EndSession)
    world.perform(1)
    world.perform(0)
    assert sorted(world.codes(one), key=str) == [UNKNOWN, None]


# End and list


def test_the_caller_ends_its_own_session_or_another_one_of_its_user() -> None:
    world = SessionWorld()
    one, two = world.opened(), world.opened()
    mine, other = world.create(one), world.create(two)
    world.call(one, "session.end", {"session": other["id"]})
    assert world.closes() == [(two, 4410, True)]
    assert world.ask(one, "end", session=mine["id"]) == {"durable": "memory"}
    assert list(world.store.sessions) == []


def test_a_session_that_the_store_has_ended_before_ends_here() -> None:
    world, one, made = outside()
    world.store.perform(EndSession("w", made["id"]))
    world.call(one, "session.end", {})
    world.perform()
    assert world.codes(one) == [None]
    assert world.gateway._sessions.records == {}


def test_the_sessions_of_a_user_are_listed() -> None:
    world = SessionWorld()
    one, two = world.opened(), world.opened()
    mine, other = world.create(one), world.create(two)
    world.create(world.opened(BOB))
    world.gateway.disconnected(two, None, 0.0)
    listed = world.ask(one, "list")
    about = {"created_at": WALL, "used_at": WALL, "ends_at": WALL + 7_776_000.0}
    assert listed == {
        "sessions": [
            {"id": mine["id"], **about, "connections": 1, "current": True},
            {"id": other["id"], **about, "connections": 0, "current": False},
        ]
    }
    assert world.ask(one, "list", after=mine["id"])["sessions"] == listed["sessions"][1:]
    assert world.ask(world.connect(), "list") == {"sessions": []}


def test_a_page_that_is_full_says_where_the_next_one_begins() -> None:
    world = SessionWorld()
    one = world.opened()
    ids = [world.create(one)["id"] for _ in range(100)]
    assert world.ask(one, "list")["next"] == max(ids)


def test_a_new_session_that_nobody_learns_of_ends() -> None:
    world = SessionWorld(external=True)
    one = world.opened()
    world.call(one, "session.create", {}, 1)
    (asked,) = world.hear()
    assert isinstance(asked, AddSession)
    world.gateway.disconnected(one, None, 0.0)
    (ended,) = world.hear()
    assert isinstance(ended, EndSession)
    assert ended.session == asked.row.id
    world.perform()
    world.perform()
    assert list(world.store.sessions) == []


def test_a_proof_that_is_not_waited_for_changes_nothing() -> None:
    world, one, made = outside()
    two = world.connect()
    world.call(two, "session.resume", {**key(made), "replaces": world.public_id(one)})
    (asked,) = world.hear()
    assert isinstance(asked, UseSession)
    world.gateway.disconnected(two, None, 0.0)
    assert world.gateway._session_keys.asked == {}
    assert world.settle(OperationId(2), Done(None)) is True
    assert list(world.gateway._sessions.records) == [made["id"]]


def another(world: SessionWorld, made: dict[str, Any]) -> ConnectionId:
    """Another connection of this session."""
    two = world.connect()
    world.call(two, "session.resume", key(made), 2)
    world.perform()
    world.take()
    return two


def ends(world: SessionWorld) -> list[tuple[str, str]]:
    """The sessions that have ended, and why, since the effects were last taken."""
    return [(event.session, event.reason) for event in world.take_events() if isinstance(event, SessionEnded)]


def leaves(world: SessionWorld, one: ConnectionId, how: str) -> None:
    """The call with the id 7 ends before the store has answered."""
    if how == "cancelled":
        world.call(one, "rpc.cancel", {"id": 7}, 8)
    elif how == "late":
        world.now = 4.0  # its deadline is due, and was not handled yet
    else:
        world.gateway.disconnected(one, 1001, 0.0)


@pytest.mark.parametrize("how", ["cancelled", "late", "disconnected"])
@pytest.mark.parametrize(("method", "why"), [("session.end", "ended"), ("auth.logout", "logged_out")])
def test_a_session_whose_end_is_not_waited_for_ends_for_its_other_connections(how: str, method: str, why: str) -> None:
    world, one, made = outside(call_timeout=3.0)
    two = another(world, made)
    world.call(one, method, {}, 7)
    world.hear()
    leaves(world, one, how)
    world.take_events()
    world.perform()
    assert ends(world) == [(made["id"], why)]
    assert (world.gateway._sessions.records, world.gateway._connections.records[two].session) == ({}, None)


@pytest.mark.parametrize("method", ["session.end", "auth.logout"])
def test_a_session_that_may_have_ended_has_ended_here_and_the_store_is_told_again(method: str) -> None:
    world, one, made = outside()
    another(world, made)
    world.call(one, method, {}, 7)
    world.hear()
    (operation,) = world.asked_store
    world.settle(operation, MaybeApplied())
    (again,) = world.hear()
    assert isinstance(again, EndSession)
    assert (again.session, again.user, world.gateway._sessions.records) == (made["id"], None, {})
    assert world.codes() == [-32035]


def test_the_session_of_another_user_that_may_have_ended_goes_on_here() -> None:
    world, _one, made = outside()
    bob = world.opened(BOB)
    world.call(bob, "session.end", {"session": made["id"]}, 7)
    world.hear()
    (operation,) = world.asked_store
    world.settle(operation, MaybeApplied())
    assert (world.hear(), list(world.gateway._sessions.records)) == ([], [made["id"]])


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
    assert (ends(world), world.gateway._sessions.records) == ([(made["id"], "stolen")], {})


def test_a_session_that_made_room_ends_though_nobody_waits_for_the_new_one() -> None:
    world, _one, made = outside(max_sessions_per_user=1)
    two = world.opened()
    world.call(two, "session.create", {}, 7)
    world.hear()
    leaves(world, two, "disconnected")
    world.take_events()
    world.perform()
    assert ends(world) == [(made["id"], "crowded_out")]


def test_a_new_session_that_the_store_refuses_when_nobody_waits_changes_nothing() -> None:
    world, _one, made = outside()
    two = world.opened()
    world.call(two, "session.create", {}, 7)
    world.hear()
    leaves(world, two, "disconnected")
    (operation, *_) = world.asked_store
    world.settle(operation, MaybeApplied())
    assert list(world.gateway._sessions.records) == [made["id"]]


def test_an_exchange_resumes_with_a_new_secret_and_is_not_told() -> None:
    world = SessionWorld()
    made = world.create(world.opened())
    http = world.connect("http")
    world.call(http, "session.resume", key(made))
    assert told(world, SessionResumed) == []
    assert world.gateway._connections.records[http].identity == ADA
