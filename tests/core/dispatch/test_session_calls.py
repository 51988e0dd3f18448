"""`session.*`: created, resumed on other connections, changed, ended; and who learns what of them."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from posthouse.core.store.outcomes import MaybeApplied
from posthouse.core.store.requests import AddSession, EndSession, FindSession, UpdateSession
from posthouse.core.values.effects import Disconnect
from posthouse.core.values.lifecycle import SessionEnded
from posthouse.core.values.peers import Address, ConnectionId, Identity

from tests.core.sessions.sessioned import ADA, BOB, GUESSED, UNKNOWN, SessionWorld, key, outside, resume
from tests.core.world import WALL, code_of

# Create


def test_a_session_is_created_with_data() -> None:
    world = SessionWorld()
    one = world.opened()
    made = world.create(one, a=[1, {"b": None}])
    assert made == {**made, "expires_in": 1_209_600, "data": {"a": [1, {"b": None}]}, "version": 1, "durable": "memory"}
    (row,) = world.store.sessions.values()
    assert (row.id, row.identity, row.current) == (made["id"], ADA, sha256(made["secret"].encode()).digest())


@pytest.mark.parametrize("allowed", [1, 2, 3])
def test_sessions_of_nobody_from_one_address_are_limited(allowed: int) -> None:
    world = SessionWorld(max_anonymous_sessions_per_address=allowed)
    one, two = (world.connect(address=Address(ip)) for ip in ("2001:db8::1", "2001:db8::1:2"))
    for place in range(4):
        world.call(one if place % 2 else two, "session.create", {})
        (reply,) = world.said()
        assert ("result" in reply) is (place < allowed)
        if place == allowed:
            assert (reply["error"]["code"], reply["error"]["data"]) == (
                -32029,
                {"retryable": True, "retry_after_ms": 1000, "limit": "max_anonymous_sessions_per_address"},
            )
    world.create(world.connect(address=Address("2001:db8:0:1::1")))
    world.create(world.connect(identity=ADA, address=Address("2001:db8::1")))
    for _ in range(4):
        world.create(world.connect())  # a pipe has no address
    world.now = 1.0
    world.create(one)


def test_a_limit_that_is_off_or_only_observed_refuses_nobody() -> None:
    for limits in (
        {"max_anonymous_sessions_per_address": None},
        {"max_anonymous_sessions_per_address": 1, "observe": ["max_anonymous_sessions_per_address"]},
    ):
        world = SessionWorld(**limits)
        one = world.connect(address=Address("192.0.2.1"))
        for _ in range(3):
            world.create(one)


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


def test_who_may_change_users_lists_and_ends_the_sessions_of_others() -> None:
    world = SessionWorld(users=True)
    one, root, bob = world.opened(), world.opened(Identity("root", ("users",))), world.opened(BOB)
    made = world.create(one)
    assert world.ask(bob, "list", user="ada") == -32021
    assert world.ask(bob, "end", session=made["id"]) == UNKNOWN
    assert [each["id"] for each in world.ask(one, "list", user="ada")["sessions"]] == [made["id"]]
    assert [each["id"] for each in world.ask(root, "list", user="ada")["sessions"]] == [made["id"]]
    assert world.ask(root, "list", user="nobody") == {"sessions": []}
    world.take()
    world.call(root, "session.end", {"session": made["id"]})
    assert [each.connection for each in world.gateway.outbox if isinstance(each, Disconnect)] == [one]
    assert world.store.sessions == {}
    world.take()
    assert world.ask(root, "end", session=made["id"]) == UNKNOWN


def test_who_may_change_users_does_not_when_its_identity_has_expired() -> None:
    world = SessionWorld(users=True)
    made = world.create(world.opened())
    root = world.opened(Identity("root", ("users",), expires_at=WALL + 5.0))
    world.now = 6.0
    assert [world.ask(root, "list", user="ada"), world.ask(root, "end", session=made["id"])] == [-32022, -32022]


def test_without_users_the_scope_of_those_who_may_change_them_gives_no_right() -> None:
    world = SessionWorld()
    made, root = world.create(world.opened()), world.opened(Identity("root", ("users",)))
    assert [world.ask(root, "list", user="ada"), world.ask(root, "end", session=made["id"])] == [-32021, UNKNOWN]


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
    world.perform()
    (ended,) = world.hear()
    assert isinstance(ended, EndSession)
    assert ended.session == asked.row.id
    world.perform()
    assert list(world.store.sessions) == []


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


def test_a_session_to_end_may_be_unknown_or_foreign_alike() -> None:
    world = SessionWorld()
    made, two = world.create(world.opened()), world.opened(BOB)
    assert world.ask(two, "end", session=made["id"]) == UNKNOWN
    assert world.ask(two, "end", session=GUESSED["session"]) == UNKNOWN
    assert world.ask(world.connect(), "end", session=made["id"]) == UNKNOWN
    assert list(world.store.sessions) == [made["id"]]
