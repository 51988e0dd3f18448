"""The rules of sessions and users: rotation and theft, merging and compare-and-set, expiry and activity."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json
from msgspec.structs import replace
from posthouse.core.operations.operations import Refused
from posthouse.core.store import rules
from posthouse.core.store.outcomes import OTHER_VERSION, STOLEN, TOO_LARGE, UNKNOWN, Done
from posthouse.core.store.requests import ChangeUser
from posthouse.core.store.rows import RevocationRow, SessionRow

from tests.core.store.rows import IDLE, add, digest, resume, session, token, update, use, user

# Rotation


def test_a_resume_rotates_the_secret() -> None:
    row, outcome = rules.resume(session(), resume("one", "two"))
    assert row is not None
    assert outcome == Done(row)
    assert (row.current, row.previous, row.retired) == (digest("two"), digest("one"), ())
    assert row.used_at == 1.0


def test_the_old_secret_works_until_the_new_one_is_used() -> None:
    row, _ = rules.resume(session(), resume("one", "lost"))
    row, outcome = rules.resume(row, resume("one", "two"))
    assert row is not None
    assert outcome == Done(row)
    assert (row.current, row.previous, row.retired) == (digest("two"), digest("one"), (digest("lost"),))
    row, _ = rules.resume(row, resume("two", "three"))
    assert row is not None
    assert (row.current, row.previous) == (digest("three"), digest("two"))
    assert rules.resume(row, resume("one", "four")) == (None, STOLEN)


def test_of_two_that_resume_with_one_secret_the_first_cannot_go_on_beside_the_second() -> None:
    row, _ = rules.resume(session(), resume("one", "first"))
    row, _ = rules.resume(row, resume("one", "second"))
    assert rules.resume(row, resume("first", "third")) == (None, STOLEN)
    assert rules.use(row, use("first")) == (None, STOLEN)


def test_the_use_of_the_new_secret_over_http_retires_the_old_one() -> None:
    row, _ = rules.resume(session(), resume("one", "two"))
    row, outcome = rules.use(row, use("two"))
    assert row is not None
    assert outcome == Done(row)
    assert (row.current, row.previous, row.retired) == (digest("two"), None, (digest("one"),))
    assert rules.use(row, use("one")) == (None, STOLEN)
    assert rules.resume(row, resume("one", "three")) == (None, STOLEN)


def test_the_old_secret_over_http_works_and_retires_nothing() -> None:
    row, _ = rules.resume(session(), resume("one", "two"))
    again, outcome = rules.use(row, use("one"))
    assert again is row
    assert outcome == Done(row)


def test_a_use_that_changes_nothing_leaves_the_same_row() -> None:
    row = session()
    assert rules.use(row, use("one"))[0] is row


def test_eight_old_secrets_are_remembered() -> None:
    row: SessionRow | None = session()
    for number in range(10):
        row, _ = rules.resume(row, resume("one" if not number else str(number - 1), str(number)))
    assert row is not None
    assert (row.current, row.previous) == (digest("9"), digest("8"))
    assert row.retired == tuple(digest(str(number)) for number in range(8))
    assert rules.resume(row, resume("one", "x")) == (row, UNKNOWN)
    assert rules.resume(row, resume("0", "x")) == (None, STOLEN)


@pytest.mark.parametrize("secret", ["two", ""])
def test_a_secret_that_never_was_is_unknown_and_changes_nothing(secret: str) -> None:
    row = session()
    assert rules.resume(row, resume(secret, "x")) == (row, UNKNOWN)
    assert rules.use(row, use(secret)) == (row, UNKNOWN)


def test_an_unknown_session_is_refused_as_an_unknown_secret_is() -> None:
    assert rules.resume(None, resume("one", "x")) == (None, UNKNOWN)
    assert rules.use(None, use("one")) == (None, UNKNOWN)
    assert rules.update(None, update()) == (None, UNKNOWN)


# Replaced sessions


@pytest.mark.parametrize(("known", "kept"), [(0, 1), (6, 7), (7, 8), (8, 8), (9, 8)])
def test_a_session_remembers_the_last_eight_whose_place_it_takes(known: int, kept: int) -> None:
    before = tuple(f"before-{number}" for number in range(known))
    row = rules.renewed(session("new"), session("old", replaces=before), add(session("new"), replaces="old"))
    assert row.replaces == ("old", *before)[:kept]


def test_it_remembers_none_that_has_expired_or_is_unknown() -> None:
    request = add(session("new"), now=50.0, replaces="old")
    assert rules.renewed(session("new"), session("old", ends_at=50.0), request).replaces == ()
    assert rules.renewed(session("new"), None, request).replaces == ()


def test_they_end_with_its_first_use_alone() -> None:
    was = session(replaces=("old",))
    used, _ = rules.use(was, use("one"))
    resumed, _ = rules.resume(was, resume("one", "two"))
    changed, _ = rules.update(was, update(b'{"n":1}'))
    assert used is not None
    assert resumed is not None
    assert changed is not None
    assert [rules.replaced(was, row) for row in (used, resumed, changed)] == [("old",), ("old",), ()]
    assert rules.replaced(used, used) == ()


@pytest.mark.parametrize(
    ("row", "living", "over"),
    [
        pytest.param(session(), 99.999, 100.0, id="idle"),
        pytest.param(session(used_at=50.0), 149.999, 150.0, id="idle after its last use"),
        pytest.param(session(ends_at=70.0), 69.999, 70.0, id="lifetime"),
    ],
)
def test_an_expired_session_is_refused_as_an_unknown_one_is(row: SessionRow, living: float, over: float) -> None:
    assert not rules.expired(row, living, IDLE)
    assert rules.expired(row, over, IDLE)
    for rule, request in (
        (rules.resume, lambda now: resume("one", "two", now)),
        (rules.use, lambda now: use("one", now)),
        (rules.update, lambda now: update(now=now)),
    ):
        applied: Any = rule
        assert isinstance(applied(row, request(living))[1], Done)
        assert applied(row, request(over)) == (row, UNKNOWN)


def test_the_time_of_the_last_use_never_goes_back() -> None:
    row, _ = rules.resume(session(used_at=50.0), resume("one", "two", now=40.0))
    assert row is not None
    assert row.used_at == 50.0


SECRETS = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=30)


@given(SECRETS)
def test_however_secrets_are_used_theft_and_success_are_told_apart(steps: list[tuple[bool, int]]) -> None:
    """A model: the secrets that were told in order, of which the last works, and the one it followed while it was not
    used. All older ones are theft."""
    told = ["0"]
    follows: str | None = None  # works as well, until told[-1] is used
    row: SessionRow | None = session(current=digest("0"))
    for resumes, back in steps:
        secret = told[max(0, len(told) - 1 - back)]
        fresh = str(len(told))
        if resumes:
            row, outcome = rules.resume(row, resume(secret, fresh))
        else:
            row, outcome = rules.use(row, use(secret))
        if secret not in (told[-1], follows):
            older = [each for each in told[:-1] if each != follows]
            assert outcome == (STOLEN if secret in older[-8:] else UNKNOWN)
            if outcome is STOLEN:
                assert row is None
                return
            continue
        assert isinstance(outcome, Done)
        if resumes:
            follows = secret
            told.append(fresh)
        elif secret == told[-1]:
            follows = None
    assert row is not None
    assert row.current == digest(told[-1])


# Data


def test_an_update_merges_members_and_counts() -> None:
    row, outcome = rules.update(session(data=b'{"a":1,"b":[2]}'), update(b'{"c": {"d":3}, "a": null}', "b", "x"))
    assert row is not None
    assert outcome == Done(row)
    assert (row.data, row.version) == (b'{"a":null,"c":{"d":3}}', 2)


def test_members_keep_their_bytes() -> None:
    assert rules.merge(b'{"a":1e400,"b":12345678901234567890}', b'{"c":"\\u0000"}', ()) == (
        b'{"a":1e400,"b":12345678901234567890,"c":"\\u0000"}'
    )


def test_an_update_of_another_version_is_refused() -> None:
    row = session(version=3)
    assert rules.update(row, update(b'{"a":1}', version=2)) == (row, OTHER_VERSION)
    assert rules.update(row, update(b'{"a":1}', version=4)) == (row, OTHER_VERSION)
    changed, _ = rules.update(row, update(b'{"a":1}', version=3))
    assert changed is not None
    assert changed.version == 4


@pytest.mark.parametrize(("most", "refused"), [(6, True), (7, False), (8, False)])
def test_the_data_of_a_session_has_a_limit(most: int, refused: bool) -> None:
    row = session()
    changed, outcome = rules.update(row, update(b'{"a":1}', most=most))
    assert (outcome is TOO_LARGE) is refused
    assert (changed is row) is refused


OBJECTS = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=4)


@given(OBJECTS, OBJECTS, st.lists(st.text(max_size=3)))
def test_a_merge_is_that_of_the_objects(data: dict[str, Any], set: dict[str, Any], unset: list[str]) -> None:
    expected = {name: value for name, value in (data | set).items() if name not in unset}
    merged = rules.merge(json.encode(data), json.encode(set), tuple(unset))
    assert json.decode(merged) == expected
    assert list(json.decode(merged)) == list(expected)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=20))
def test_of_updates_that_have_read_one_version_one_wins(steps: list[tuple[int, bool]]) -> None:
    row: SessionRow | None = session()
    seen = dict.fromkeys(range(4), 1)
    won: list[int] = []
    for client, reads in steps:
        assert row is not None
        if reads:
            seen[client] = row.version
        else:
            version = seen[client]
            row, outcome = rules.update(row, update(b"{}", version=version))
            if isinstance(outcome, Done):
                assert version not in won
                won.append(version)
    assert row is not None
    assert row.version == len(won) + 1
    assert won == list(range(1, len(won) + 1))


# Activity


@pytest.mark.parametrize(
    ("idle", "at", "written"),
    [(1000.0, 59.9, False), (1000.0, 60.0, True), (40.0, 9.9, False), (40.0, 10.0, True), (1000.0, -5.0, False)],
)
def test_the_last_use_of_a_session_is_written_once_a_minute_or_in_a_quarter_of_its_idle_time(
    idle: float, at: float, written: bool
) -> None:
    row = session()
    touched = rules.touch_session(row, at, idle)
    assert touched == (replace(row, used_at=at) if written else row)
    assert (touched is row) is not written


def test_users_and_tokens_are_seen_once_a_minute() -> None:
    ada, key = user(), token()
    assert rules.touch_user(ada, 5.0) == replace(ada, seen_at=5.0)
    assert rules.touch_token(key, 5.0) == replace(key, seen_at=5.0)
    ada, key = replace(ada, seen_at=5.0), replace(key, seen_at=5.0)
    assert rules.touch_user(ada, 64.9) is ada
    assert rules.touch_token(key, 64.9) is key
    assert rules.touch_user(ada, 65.0) == replace(ada, seen_at=65.0)
    assert rules.touch_token(key, 65.0) == replace(key, seen_at=65.0)


def test_a_use_and_an_update_are_activity() -> None:
    row, _ = rules.use(session(), use("one", now=60.0))
    assert row is not None
    assert row.used_at == 60.0
    row, _ = rules.update(session(), update(now=60.0))
    assert row is not None
    assert row.used_at == 60.0


def test_of_the_sessions_of_a_user_expired_ones_end_first_then_those_unused_for_longest() -> None:
    rows = [
        session("new", used_at=9.0),
        session("b", used_at=2.0),
        session("a", used_at=2.0),
        session("over", used_at=9.0, ends_at=10.0),
    ]
    ordered = sorted(rows, key=lambda row: rules.evicted_first(row, 10.0))
    assert [row.id for row in ordered] == ["over", "a", "b", "new"]


# Users


def test_a_change_keeps_what_is_not_given() -> None:
    row = user(password="hash", scopes=("read",))
    changed, ends, refused = rules.change(row, ChangeUser("w", "ada", profile=b"{}"))
    assert (changed, ends, refused) == (replace(row, profile=b"{}", version=2), False, None)
    changed, ends, refused = rules.change(row, ChangeUser("w", "ada", password=None, scopes=(), disabled=True))
    assert (changed, ends, refused) == (
        replace(row, password=None, scopes=(), disabled=True, version=2),
        True,
        None,
    )


@pytest.mark.parametrize(
    ("members", "ends"),
    [
        ({"password": "other"}, True),
        ({"password": "hash"}, False),
        ({"password": None}, True),
        ({"scopes": ("write",)}, True),
        ({"scopes": ("read",)}, False),
        ({"disabled": True}, True),
        ({"disabled": False}, False),
        ({"profile": b"{}"}, False),
        ({}, False),
    ],
)
def test_what_a_user_may_do_and_with_which_password_ends_its_sessions(members: dict[str, Any], ends: bool) -> None:
    row = user(password="hash", scopes=("read",))
    changed, ended, _ = rules.change(row, ChangeUser("w", "ada", **members))
    assert ended is ends
    assert changed is not None
    assert changed.version == 2


@pytest.mark.parametrize(("version", "refused"), [(2, OTHER_VERSION), (3, None), (4, OTHER_VERSION)])
def test_a_change_can_be_for_one_version_alone(version: int, refused: Refused | None) -> None:
    row = user(version=3)
    changed, ends, why = rules.change(row, ChangeUser("w", "ada", password="x", if_version=version))
    assert why is refused
    assert (changed is row, ends) == ((False, True) if refused is None else (True, False))


def test_an_unknown_user_cannot_change() -> None:
    assert rules.change(None, ChangeUser("w", "ada")) == (None, False, UNKNOWN)


# Revocations


def test_of_two_revocations_of_a_user_the_later_time_counts() -> None:
    first, second = RevocationRow(("", "ada"), 5.0, 1.0), RevocationRow(("", "ada"), 3.0, 2.0)
    assert rules.later(first, None) is first
    assert rules.later(first, second) is first
    assert rules.later(second, first) == RevocationRow(("", "ada"), 5.0, 2.0)
