"""A MemoryStore answers as the simplest of stores does, counts what it holds, and is empty when all is removed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from posthouse.core.operations.operations import Refused
from posthouse.core.store.memory import MemoryStore
from posthouse.core.store.outcomes import EXISTS, NO_ROOM, OTHER_VERSION, STOLEN, UNKNOWN, Done
from posthouse.core.store.requests import (
    AddRevocation,
    AddToken,
    AddUser,
    ChangeUser,
    EndSession,
    EndSessions,
    FindSession,
    FindToken,
    FindUser,
    ListRevocations,
    ListSessions,
    ListTokens,
    ListUsers,
    RemoveToken,
    RemoveUser,
    Request,
    Sweep,
    TokenRemoved,
    Touch,
    UserChanged,
)
from posthouse.core.store.rows import RevocationRow
from posthouse.core.values.peers import Identity

from tests.core.store.model import Model, requests
from tests.core.store.rows import IDLE, add, added, digest, resume, session, token, update, use, user


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_it_answers_as_a_model_does(data: Any) -> None:
    held: list[int] = []
    store, model, now = MemoryStore(held.append), Model(), 0.0
    for advance in data.draw(st.lists(st.sampled_from([0.0, 0.0, 10.0]), min_size=1, max_size=40)):
        now += advance
        request = data.draw(requests(now))
        assert store.perform(request) == model.perform(request)
        assert list(store.users.values()) == model.users
        assert sorted(store.sessions) == sorted(row.id for row in model.sessions)
        assert [store.sessions[row.id] for row in model.sessions] == model.sessions
        assert {row.id: row for row in model.tokens} == store.tokens
        assert sum(held) == model.size
        owned = {(user, id) for user, own in store.by_user.items() for id in own}
        assert owned == {(row.user, row.id) for row in model.sessions if row.user is not None}
        assert all(store.by_user.values())
    for row in model.users:
        store.perform(RemoveUser("w", row.user))
    for id in tuple(store.sessions):
        store.perform(EndSession("w", id))
    tables = {name: table for name, table in vars(store).items() if isinstance(table, dict | list)}
    left = [name for name, table in tables.items() if table and name not in ("_performers", "revocations")]
    assert (left, sum(held)) == ([], 0)


def test_users_are_added_found_changed_and_removed() -> None:
    store = MemoryStore()
    ada, bob = user("ada"), user("bob")
    assert store.perform(AddUser("w", bob, most=2)) == Done()
    assert store.perform(AddUser("w", ada, most=2)) == Done()
    assert store.perform(AddUser("w", ada, most=9)) == EXISTS
    assert store.perform(AddUser("w", user("cy"), most=2)) == NO_ROOM
    assert store.perform(FindUser("ada")) == Done(ada)
    assert store.perform(FindUser("cy")) == Done(None)
    assert store.perform(ListUsers()) == Done((ada, bob))
    assert store.perform(ListUsers("ada", 1)) == Done((bob,))
    changed = replace(ada, password="x", version=2)
    assert store.perform(ChangeUser("w", "ada", password="x")) == Done(UserChanged(changed))
    assert store.perform(ChangeUser("w", "cy")) == UNKNOWN
    assert store.perform(RemoveUser("w", "ada", if_version=1)) == OTHER_VERSION
    assert store.perform(RemoveUser("w", "ada", if_version=2)) == Done(UserChanged(changed))
    assert store.perform(RemoveUser("w", "ada")) == UNKNOWN
    assert store.perform(ListUsers()) == Done((bob,))


def test_another_password_ends_the_sessions_of_a_user_but_one() -> None:
    store = MemoryStore()
    store.perform(AddUser("w", user(), most=1))
    for id in "bac":
        store.perform(add(session(id)))
    work = replace(session("work"), identity=Identity("ada", namespace="work"))
    store.perform(add(work))
    outcome = store.perform(ChangeUser("w", "ada", password="x", but="b"))
    assert outcome == Done(UserChanged(user(password="x", version=2), ("a", "c")))
    assert list(store.sessions) == ["b", "work"]
    assert store.perform(RemoveUser("w", "ada")) == Done(UserChanged(user(password="x", version=2), ("b",)))
    assert list(store.sessions) == ["work"]


def test_a_token_that_ends_at_the_beginning_of_unix_time_has_expired() -> None:
    store = MemoryStore()
    store.perform(AddUser("w", user(), most=1))
    assert store.perform(AddToken("w", token("one", expires_at=0.0), most=1)) == Done()
    assert store.perform(AddToken("w", token("two", created_at=0.0), most=1)) == Done()
    assert store.perform(FindToken(digest("one"))) == Done(None)


def test_tokens_are_added_found_and_removed() -> None:
    store = MemoryStore()
    ada = user()
    one, two = token("one", expires_at=5.0), token("two", created_at=4.0)
    assert store.perform(AddToken("w", one, most=1)) == UNKNOWN
    store.perform(AddUser("w", ada, most=1))
    assert store.perform(AddToken("w", one, most=1)) == Done()
    assert store.perform(AddToken("w", two, most=1)) == NO_ROOM
    assert store.perform(AddToken("w", one, most=9)) == EXISTS
    assert store.perform(AddToken("w", token("x", digest=one.digest), most=9)) == EXISTS
    assert store.perform(FindToken(digest("one"))) == Done((one, ada))
    late = replace(two, created_at=5.0)
    assert store.perform(AddToken("w", late, most=1)) == Done()  # the other one has expired
    assert store.perform(FindToken(digest("one"))) == Done(None)
    assert store.perform(ListTokens("ada")) == Done((late,))
    assert store.perform(ListTokens("ada", after="two")) == Done(())
    assert store.perform(RemoveToken("w", "two", "bob")) == Done(None)
    assert store.perform(RemoveToken("w", "two", "ada")) == Done(TokenRemoved(late))
    assert store.perform(RemoveToken("w", "two")) == Done(None)
    store.perform(AddToken("w", one, most=2))
    store.perform(AddToken("w", two, most=2))
    assert store.perform(RemoveToken("w", "one")) == Done(TokenRemoved(one))
    assert store.perform(ListTokens("ada")) == Done((two,))
    store.perform(RemoveUser("w", "ada"))
    assert store.perform(FindToken(digest("two"))) == Done(None)
    assert store.tokens == {}


def test_the_sessions_that_were_made_with_a_token_end_with_it() -> None:
    store = MemoryStore()
    store.perform(AddUser("w", user(), most=1))
    store.perform(AddToken("w", token("t"), most=9))
    identities = {"b": Identity("ada", token="t"), "a": Identity("ada", token="t"), "c": Identity("ada")}
    identities |= {"d": Identity("ada", namespace="work", token="t"), "e": Identity("ada", token="other")}
    for id, identity in identities.items():
        store.perform(add(replace(session(id), identity=identity)))
    assert store.perform(RemoveToken("w", "t")) == Done(TokenRemoved(token("t"), ("a", "b")))
    assert list(store.sessions) == ["c", "d", "e"]


def test_sessions_are_resumed_used_updated_and_ended() -> None:
    store = MemoryStore()
    assert store.perform(add(session())) == added(session())
    assert store.perform(add(session())) == EXISTS
    outcome = store.perform(resume("one", "two"))
    assert outcome == Done(store.sessions["s"])
    assert store.sessions["s"].current == digest("two")
    assert store.perform(use("two")) == Done(store.sessions["s"])
    assert store.perform(use("no")) == UNKNOWN
    assert store.perform(update(b'{"a":1}')) == Done(store.sessions["s"])
    assert store.perform(update(b'{"a":1}', id="other")) == UNKNOWN
    assert store.perform(FindSession("s", 1.0, IDLE)) == Done(store.sessions["s"])
    assert store.perform(FindSession("s", 1000.0, IDLE)) == Done(None)
    assert store.perform(FindSession("other", 1.0, IDLE)) == Done(None)
    assert store.perform(EndSession("w", "s", ("", "bob"))) == Done(False)
    assert store.perform(EndSession("w", "s", ("", "ada"))) == Done(True)
    assert store.perform(EndSession("w", "s")) == Done(False)
    assert store.by_user == {}


def test_a_stolen_session_ends() -> None:
    store = MemoryStore()
    store.perform(add(session()))
    store.perform(resume("one", "two"))
    store.perform(resume("two", "three"))
    assert store.perform(use("one")) == STOLEN
    assert (dict(store.sessions), store.by_user) == ({}, {})


def test_the_sessions_of_a_user_are_listed_and_ended() -> None:
    store = MemoryStore()
    rows = [session("b"), session("a"), session("x", name="bob")]
    for row in rows:
        store.perform(add(row))
    ada = ("", "ada")
    assert store.perform(ListSessions(ada, 0.0, IDLE)) == Done((rows[1], rows[0]))
    assert store.perform(ListSessions(ada, 0.0, IDLE, "a", 1)) == Done((rows[0],))
    assert store.perform(ListSessions(ada, 1000.0, IDLE)) == Done(())
    assert store.perform(EndSessions("w", ada, "a")) == Done(("b",))
    assert store.perform(EndSessions("w", ("", "cy"))) == Done(())
    assert list(store.sessions) == ["a", "x"]


@pytest.mark.parametrize(("most", "refused"), [(1, True), (2, True), (3, False)])
def test_a_store_has_room_for_a_number_of_sessions(most: int, refused: bool) -> None:
    store = MemoryStore()
    store.perform(add(session("a")))
    store.perform(add(session("b")))
    assert (store.perform(add(session("c"), most=most)) == NO_ROOM) is refused


@pytest.mark.parametrize(("most", "outcome"), [(2, NO_ROOM), (3, ("late", "early")), (4, ("late",)), (5, ())])
def test_the_sessions_of_nobody_that_were_used_the_longest_time_ago_make_room(most: int, outcome: Any) -> None:
    store = MemoryStore()
    for row in (session("ada"), session("early", name=None), session("late", name=None), session("b")):
        store.perform(add(row))
    store.perform(Touch("w", IDLE, (("late", 70.0), ("early", 80.0))))
    new = session("new", used_at=90.0)
    expected = added(new, *outcome) if isinstance(outcome, tuple) else outcome
    assert store.perform(add(new, now=90.0, most=most)) == expected


def test_expired_sessions_make_room() -> None:
    store = MemoryStore()
    store.perform(add(session("idle")))
    store.perform(add(session("old", used_at=90.0, ends_at=95.0)))
    store.perform(add(session("living", used_at=90.0)))
    assert store.perform(add(session("new", used_at=99.0), now=99.0, most=2)) == NO_ROOM
    new = session("new", used_at=100.0)
    assert store.perform(add(new, now=100.0, most=2)) == added(new, "idle", "old")


def test_a_session_takes_the_place_of_another() -> None:
    store = MemoryStore()
    store.perform(add(session("a", name=None)))
    assert store.perform(add(session("b"), most=1, replaces="a")) == added(session("b", replaces=("a",)))
    assert list(store.sessions) == ["a", "b"]
    store.perform(EndSession("w", "a"))
    assert store.perform(add(session("c"), most=1, replaces="a")) == NO_ROOM


@pytest.mark.parametrize(("name", "copied"), [("ada", True), (None, True), ("bob", False)])
def test_it_has_the_data_of_the_other_one_if_that_is_of_the_same_user_or_of_nobody(
    name: str | None, copied: bool
) -> None:
    store = MemoryStore()
    store.perform(add(session("a", name=name)))
    store.perform(update(b'{"n":1}', id="a"))
    expected = session("b", replaces=("a",))
    if copied:
        expected = replace(expected, data=b'{"n":1}', version=2)
    assert store.perform(add(session("b"), replaces="a")) == added(expected)
    assert store.sessions["b"] == expected


def test_a_session_that_has_expired_is_no_longer_copied_and_ends_at_its_time() -> None:
    store = MemoryStore()
    store.perform(add(session("a", data=b'{"n":1}', ends_at=50.0)))
    new = session("b", used_at=50.0)
    assert store.perform(add(new, now=50.0, most=1, replaces="a")) == added(new)
    assert store.perform(Sweep("w", 50.0, IDLE)) == Done(("a",))


def test_a_session_that_is_replaced_makes_no_room_for_others() -> None:
    store = MemoryStore()
    for row in (session("a", name=None), session("late", name=None, used_at=1.0), session("c")):
        store.perform(add(row))
    assert store.perform(add(session("d"), most=1, replaces="a")) == NO_ROOM
    assert store.perform(add(session("d"), most=2, replaces="a")) == added(session("d", replaces=("a",)), "late")
    assert list(store.sessions) == ["a", "c", "d"]


def test_a_session_that_is_replaced_does_not_count_for_its_user() -> None:
    store = MemoryStore()
    for row in (session("a"), session("b", used_at=1.0)):
        store.perform(add(row))
    assert store.perform(add(session("c"), most_per_user=2, replaces="a")) == added(session("c", replaces=("a",)))
    assert store.perform(add(session("d"), most_per_user=2, replaces="a")) == added(session("d", replaces=("a",)), "c")


@pytest.mark.parametrize("request_", [use("one", id="c"), resume("one", "two", id="c")], ids=["use", "resume"])
def test_the_first_use_of_a_session_ends_those_whose_place_it_has_taken(request_: Request) -> None:
    store = MemoryStore()
    store.perform(add(session("a", name=None)))
    store.perform(add(session("b"), replaces="a"))
    assert store.perform(add(session("c"), replaces="b")) == added(session("c", replaces=("b", "a")))
    store.perform(update(b'{"n":1}', id="c"))
    assert list(store.sessions) == ["a", "b", "c"]  # the client may not have its secret yet
    store.perform(EndSession("w", "a"))
    outcome = store.perform(request_)
    assert isinstance(outcome, Done)
    assert outcome.value.replaces == ()
    assert list(store.sessions) == ["c"]


@pytest.mark.parametrize("secret", ["other", "stolen"])
def test_a_secret_that_does_not_count_ends_no_session_that_was_replaced(secret: str) -> None:
    store = MemoryStore()
    store.perform(add(session("a")))
    store.perform(add(session("b", retired=(digest("stolen"),)), replaces="a"))
    assert isinstance(store.perform(use(secret, id="b")), Refused)
    assert "a" in store.sessions


@pytest.mark.parametrize(("most", "ended"), [(1, ("a",)), (2, ("a",)), (3, ())])
def test_the_least_recently_used_session_of_a_user_makes_room(most: int, ended: tuple[str, ...]) -> None:
    store = MemoryStore()
    store.perform(add(session("b", used_at=1.0)))
    store.perform(add(session("a")))
    store.perform(add(session("bob", name="bob")))
    assert store.perform(add(session("c"), most_per_user=most)) == added(session("c"), *ended)


def test_a_sweep_ends_what_has_expired_however_long_it_was_used() -> None:
    store = MemoryStore()
    store.perform(add(session("old", ends_at=150.0)))
    store.perform(add(session("idle", ends_at=2000.0)))
    store.perform(add(session("used", ends_at=2000.0)))
    store.perform(Touch("w", IDLE, sessions=(("old", 90.0), ("used", 80.0))))
    assert store.perform(Sweep("w", 99.9, IDLE)) == Done(())
    assert store.perform(Sweep("w", 150.0, IDLE, 1)) == Done(("idle",))
    assert store.perform(Sweep("w", 150.0, IDLE)) == Done(("old",))
    assert store.perform(Sweep("w", 180.0, IDLE)) == Done(("used",))


def test_a_session_that_lasts_hides_none_that_has_ended() -> None:
    store = MemoryStore()
    store.perform(add(session("lasting")))
    for number in range(3):
        store.perform(add(session(f"ended-{number}", ends_at=50.0 + number)))
    assert store.perform(Sweep("w", 50.0, IDLE)) == Done(("ended-0",))
    assert store.perform(Sweep("w", 52.0, IDLE, 1)) == Done(("ended-1",))
    new = session("new", used_at=52.0)
    assert store.perform(add(new, now=52.0, most=2)) == added(new, "ended-2")


def test_a_session_that_is_made_again_ends_at_its_own_time() -> None:
    store = MemoryStore()
    store.perform(add(session("lasting")))
    for ends_at in (50.0, 60.0, 60.0):
        store.perform(add(session("s", ends_at=ends_at)))
        assert store.perform(EndSession("w", "s")) == Done(True)
    store.perform(add(session("s", ends_at=60.0)))
    assert store.perform(Sweep("w", 59.0, IDLE)) == Done(())
    assert store.perform(Sweep("w", 60.0, IDLE, 2)) == Done(("s",))


def test_the_ends_of_sessions_that_are_over_are_forgotten() -> None:
    store = MemoryStore()
    store.perform(add(session("lasting")))
    for number in range(100):
        store.perform(add(session(f"{number}")))
        store.perform(EndSession("w", f"{number}"))
        assert len(store._ends) <= 18
    store.perform(add(session("last", ends_at=50.0)))
    assert store.perform(Sweep("w", 50.0, IDLE)) == Done(("last",))


def test_what_was_used_is_touched() -> None:
    store = MemoryStore()
    store.perform(AddUser("w", user(), most=1))
    store.perform(AddToken("w", token(), most=1))
    store.perform(add(session()))
    seen = (("ada", 70.0), ("bob", 70.0))
    used = Touch("w", IDLE, (("s", 70.0), ("x", 1.0)), seen, (("t", 70.0), ("x", 1.0)))
    assert store.perform(used) == Done()
    assert store.sessions["s"].used_at == store.users["ada"].seen_at == store.tokens["t"].seen_at == 70.0
    store.perform(Touch("w", IDLE, (("s", 170.0),)))
    assert store.sessions["s"].used_at == 70.0  # it has expired: nothing revives it


@pytest.mark.parametrize(("most", "left"), [(1, ["cy"]), (2, ["bob", "cy"]), (3, ["ada", "bob", "cy"])])
def test_the_oldest_revocation_is_forgotten(most: int, left: list[str]) -> None:
    store = MemoryStore()
    rows = [RevocationRow(("", name), 5.0, 1.0) for name in ("ada", "bob", "cy")]
    for row in rows:
        store.perform(AddRevocation("w", row, most))
    assert store.perform(ListRevocations()) == Done(tuple(row for row in rows if row.user[1] in left))
    store.perform(AddRevocation("w", RevocationRow(("", "cy"), 1.0, 2.0), most))
    assert store.revocations["", "cy"] == RevocationRow(("", "cy"), 5.0, 2.0)


def test_a_limit_of_revocations_that_was_lowered_holds_with_the_next_one() -> None:
    store = MemoryStore()
    rows = [RevocationRow(("", name), 5.0, 1.0) for name in ("ada", "bob", "cy", "dan")]
    for row in rows[:3]:
        store.perform(AddRevocation("w", row, 9))
    store.perform(AddRevocation("w", rows[3], 2))
    assert store.perform(ListRevocations()) == Done((rows[2], rows[3]))


def test_a_store_that_counts_for_nobody_counts_nothing() -> None:
    store = MemoryStore()
    assert store.perform(AddUser("w", user(), most=1)) == Done()
    assert store.durability == "memory"
