"""Users of the store: they register, log in, change and are removed, and their live connections follow."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.operations.operations import Busy, Failed, Hashed, Matched
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.store.outcomes import MaybeApplied
from posthouse.core.store.requests import ChangeUser, RemoveUser
from posthouse.core.values.effects import ComparePassword, Disconnect, HashPassword
from posthouse.core.values.lifecycle import (
    AuthFailed,
    AuthRevoked,
    SessionEnded,
    UserChanged,
    UserRegistered,
    UserRemoved,
)
from posthouse.core.values.peers import Identity

from tests.core.accounts import THERE, AccountWorld, Profile, accounted
from tests.core.world import WALL
from tests.values import changeable

WRONG_USER = {"code": -32602, "message": "Invalid params", "data": {"parameter": "user", "reason": "the name is taken"}}
NO_USER = {"parameter": "user", "reason": "there is no such user"}
UNAUTHENTICATED = {"code": -32020, "message": "Unauthenticated"}
UNAVAILABLE = {
    "code": -32035,
    "message": "Storage unavailable",
    "data": {"retryable": True, "retry_after_ms": 1000},
}


def closed(world: AccountWorld) -> list[tuple[int, int]]:
    """The connections that are closed by the last input, with their codes."""
    return [(effect.connection, effect.code) for effect in world.effects if isinstance(effect, Disconnect)]


def code(error: Any) -> int:
    number: int = error["code"]
    return number


# Registration


def test_a_user_registers_and_logs_in() -> None:
    world = AccountWorld()
    one = world.join()
    made = {"user": "ada", "scopes": [], "disabled": False, "created_at": WALL, "durable": "memory"}
    assert world.ask(one, "user.register", user="ada", password="pw") == made
    assert world.log_in(one) == {"user": "ada", "scopes": [], "expires_at": None}
    me = {"user": "ada", "scopes": [], "disabled": False, "created_at": WALL, "seen_at": WALL}
    assert world.ask(one, "user.me") == me
    assert [event.user for event in world.events(UserRegistered)] == ["ada"]
    assert world.store.users["ada"].password == "hash of pw"


def test_a_name_is_taken_once_and_the_second_attempt_costs_a_hash_too() -> None:
    world = AccountWorld()
    one = world.user()
    assert world.ask(one, "user.register", user="ada", password="other") == WRONG_USER
    assert any(isinstance(effect, HashPassword) for effect in world.effects)
    assert world.store.users["ada"].password == "hash of pw"


@pytest.mark.parametrize(("most", "admitted"), [(1, False), (2, True), (3, True)])
def test_there_are_at_most_max_users(most: int, admitted: bool) -> None:
    world = AccountWorld(max_users=most)
    one = world.user()
    answer = world.ask(one, "user.register", user="bob", password="pw")
    if admitted:
        assert answer["user"] == "bob"
    else:
        assert (code(answer), answer["data"]) == (-32009, {"retryable": True, "limit": "max_users"})


@pytest.mark.parametrize(("size", "valid"), [(3, True), (4, True), (5, False)])
def test_a_name_has_at_most_max_name_bytes(size: int, valid: bool) -> None:
    world = AccountWorld(max_name_bytes=4)
    answer = world.ask(world.join(), "user.register", user="x" * size, password="pw")
    assert ("user" in answer) is valid
    if not valid:
        assert answer["data"] == {"parameter": "user", "reason": "expected 1 to 4 bytes of text"}


@pytest.mark.parametrize(("size", "valid"), [(0, False), (3, True), (4, True), (5, False)])
def test_a_password_has_at_most_max_password_bytes(size: int, valid: bool) -> None:
    world = AccountWorld(max_password_bytes=4)
    answer = world.ask(world.join(), "user.register", user="ada", password="x" * size)
    assert ("user" in answer) is valid
    if not valid:
        assert answer["data"] == {"parameter": "password", "reason": "expected 1 to 4 bytes of text"}


def test_a_profile_is_checked_by_its_declared_type_and_stands_in_the_document() -> None:
    world = AccountWorld(accounted(profile=Profile))
    one = world.join()
    answer = world.ask(one, "user.register", user="ada", password="pw", profile={"email": 7})
    assert code(answer) == -32602
    assert answer["data"] == {"parameter": "profile", "reason": "expected str, got int", "path": ".email"}
    made = world.ask(one, "user.register", user="ada", password="pw", profile={"email": "a@example.org"})
    assert made["profile"] == {"email": "a@example.org", "age": 0}
    world.log_in(one)
    updated = world.ask(one, "user.update", profile={"email": "b@example.org", "age": 7})
    assert (updated["profile"], updated["durable"]) == ({"email": "b@example.org", "age": 7}, "memory")
    assert world.ask(one, "user.me")["profile"] == {"email": "b@example.org", "age": 7}
    assert [event.change for event in world.events(UserChanged)] == ["profile"]
    document = world.ask(one, "rpc.discover")
    (register,) = [each for each in document["methods"] if each["name"] == "user.register"]
    (profile,) = [each for each in register["params"] if each["name"] == "profile"]
    assert (profile["required"], profile["schema"]) == (False, {"$ref": "#/components/schemas/Profile"})
    assert document["components"]["schemas"]["Profile"]["required"] == ["email"]


def test_a_user_without_a_profile_may_have_one_later() -> None:
    world = AccountWorld(accounted(profile=Profile))
    one = world.user()
    assert "profile" not in world.ask(one, "user.me")
    assert world.ask(one, "user.update", profile={"email": "x"})["profile"] == {"email": "x", "age": 0}


@pytest.mark.parametrize(("most", "valid"), [(21, False), (22, True), (23, True)])
def test_a_profile_has_at_most_max_profile_bytes(most: int, valid: bool) -> None:
    world = AccountWorld(accounted(profile=Profile), max_profile_bytes=most)
    answer = world.ask(world.join(), "user.register", user="ada", password="pw", profile={"email": "xx"})
    assert ("user" in answer) is valid
    if not valid:
        assert answer["data"] == {"parameter": "profile", "reason": "expected at most 21 bytes"}


def test_without_a_declared_profile_none_can_be_given() -> None:
    world = AccountWorld()
    answer = world.ask(world.join(), "user.register", user="ada", password="pw", profile={})
    assert answer["data"] == {"parameter": "profile", "reason": "unknown parameter"}
    assert code(world.ask(world.join(), "user.update", profile={})) == -32601


def test_registration_that_is_not_open_is_for_those_who_may_change_users() -> None:
    world = AccountWorld(accounted(registration="off"))
    assert code(world.ask(world.join(), "user.register", user="ada", password="pw")) == -32020


@pytest.mark.parametrize(("allowed", "admitted"), [(1, 1), (2, 2), (3, 3)])
def test_registrations_from_one_address_are_limited(allowed: int, admitted: int) -> None:
    world = AccountWorld(max_registrations_per_address=allowed)
    one = world.join()
    answers = [world.ask(one, "user.register", user=f"u{n}", password="pw") for n in range(4)]
    assert [("user" in answer) for answer in answers] == [place < admitted for place in range(4)]
    refused = answers[admitted]
    assert (code(refused), refused["data"]) == (
        -32029,
        {"retryable": True, "retry_after_ms": 1000, "limit": "max_registrations_per_address"},
    )
    assert "user" in world.ask(world.join(address=THERE), "user.register", user="x", password="pw")
    world.now = 1.0
    assert "user" in world.ask(one, "user.register", user="later", password="pw")


def test_a_hash_that_cannot_be_made_fails_the_registration() -> None:
    world = AccountWorld()
    world.hashes = False
    for outcome, error in ((Busy(), -32009), (Failed(), -32603)):
        one = world.join()
        assert world.ask(one, "user.register", user="ada", password="pw") is None
        (asked,) = [effect for effect in world.effects if isinstance(effect, HashPassword)]
        world.gateway.conclude(asked.operation, outcome, world.now)
        world.run()
        assert code(world.reply(one)) == error
    assert not world.store.users


def test_a_hash_that_takes_too_long_fails_the_registration() -> None:
    world = AccountWorld()
    world.hashes = False
    one = world.join()
    world.ask(one, "user.register", user="ada", password="pw")
    world.now = 10.0
    world.gateway.handle_timeout(world.now)
    world.run()
    assert code(world.reply(one)) == -32030


def test_hashes_of_one_address_wait_for_their_turns() -> None:
    world = AccountWorld()
    world.hashes = False
    for number in range(3):
        world.ask(world.join(), "user.register", user=f"u{number}", password="pw")
    assert len(world.gateway._verifications.passwords.running) == 2
    assert len(world.gateway._verifications.passwords.records) == 3


def test_nobody_waits_for_the_hash_of_a_caller_that_has_left() -> None:
    world = AccountWorld()
    world.hashes = False
    one = world.join()
    world.ask(one, "user.register", user="ada", password="pw")
    (asked,) = [effect for effect in world.effects if isinstance(effect, HashPassword)]
    world.gateway.disconnected(one, None, world.now)
    assert not world.gateway._procedures.records
    assert world.gateway.conclude(asked.operation, Hashed("h"), world.now) is False
    assert not world.store.users


# Oneself


def test_a_caller_of_another_namespace_is_no_user_of_the_store() -> None:
    service = accounted()

    @service.authenticator("bearer", namespace="idp")
    def known(credentials: Bearer) -> Any:
        raise NotImplementedError

    world = AccountWorld(service)
    one = world.user()
    record = world.gateway._connections.records[one]
    world.gateway._connections.identify(record, Identity("ada", namespace="idp"), world.now)
    answer = world.ask(one, "user.me")
    assert (code(answer), answer["data"]) == (-32021, {"reason": "the caller is no user of this server's store"})


def test_a_user_that_was_removed_behind_the_server_knows_nothing_of_itself() -> None:
    world = AccountWorld()
    one = world.user()
    world.store.perform(RemoveUser("w", "ada"))
    answer = world.ask(one, "user.me")
    assert (code(answer), answer["data"]) == (-32021, {"reason": "there is no such user"})


def test_a_changed_password_ends_the_other_connections_and_log_ins() -> None:
    world = AccountWorld()
    one, two = world.user(), world.join(Basic("ada", "pw"), THERE)
    answer = world.ask(one, "user.password", old="pw", new="better")
    assert (answer["user"], answer["durable"]) == ("ada", "memory")
    assert closed(world) == [(two, 4403)]
    assert world.ask(one, "user.me")["user"] == "ada"
    assert world.log_in(world.join()) == UNAUTHENTICATED
    assert world.log_in(world.join(), password="better")["user"] == "ada"
    (event,) = world.events(UserChanged)
    assert (event.user, event.change, event.by, event.certain) == ("ada", "password", "ada", True)


def test_a_password_is_changed_if_the_old_one_is_right_alone() -> None:
    world = AccountWorld()
    one = world.user()
    assert world.ask(one, "user.password", old="wrong", new="better") == UNAUTHENTICATED
    answer = world.ask(one, "user.password", old=None, new="better")
    assert answer["data"] == {"parameter": "old", "reason": "expected your password"}
    assert world.store.users["ada"].password == "hash of pw"
    assert [event.reason for event in world.events(AuthFailed)] == ["refused"]


def test_guessing_the_old_password_is_slowed_down_like_a_log_in() -> None:
    world = AccountWorld(max_auth_failures=1)
    one = world.user()
    world.ask(one, "user.password", old="wrong", new="better")
    assert code(world.ask(one, "user.password", old="wrong too", new="better")) == -32023


def test_a_new_password_must_be_one() -> None:
    world = AccountWorld()
    one = world.user()
    answer = world.ask(one, "user.password", old="pw", new="")
    assert answer["data"] == {"parameter": "new", "reason": "expected 1 to 1024 bytes of text"}


def test_calls_behind_a_changing_password_wait_for_it() -> None:
    world = AccountWorld()
    one = world.user()
    world.hashes = False
    assert world.ask(one, "user.password", old="pw", new="better") is None
    assert world.ask(one, "connection.ping") is None
    (asked,) = world.gateway._verifications.passwords.running
    world.gateway.conclude(asked, Hashed("hash of better"), world.now)
    world.run()
    assert "pong" in world.reply(one)


def test_a_user_removes_itself_and_its_connection_is_logged_out() -> None:
    world = AccountWorld()
    one, two = world.user(), world.join(Basic("ada", "pw"), THERE)
    assert world.ask(one, "user.remove", password="wrong") == UNAUTHENTICATED
    assert world.ask(one, "user.remove", password="pw") == {"durable": "memory"}
    assert closed(world) == [(two, 4403)]
    assert world.ask(one, "connection.info")["user"] is None
    assert world.log_in(one) == UNAUTHENTICATED
    (event,) = world.events(UserRemoved)
    assert (event.user, event.by, event.certain) == ("ada", "ada", True)
    assert "user" in world.ask(one, "user.register", user="ada", password="new")


def test_an_expired_identity_changes_no_user() -> None:
    world = AccountWorld(auth_grace=100.0)
    one = world.user()
    token = world.ask(one, "token.create", expires_in=5)["token"]
    world.ask(one, "auth.login", method="bearer", token=token)
    world.now = 6.0
    world.gateway.handle_timeout(world.now)
    world.run()
    assert code(world.ask(one, "user.remove", password="pw")) == -32022
    assert code(world.ask(one, "user.password", old="pw", new="x", user="ada")) == -32022
    assert code(world.ask(one, "user.remove", user="bob")) == -32022


# Others


def test_those_who_may_list_users_page_by_page() -> None:
    world = AccountWorld(max_registrations_per_address=None)
    one = world.user("root", scopes=("users",))
    for number in range(100):
        world.ask(one, "user.register", user=f"u{number:03}", password="pw")
    first = world.ask(one, "user.list")
    assert (len(first["users"]), first["users"][0]["user"], first["next"]) == (100, "root", "u098")
    assert world.ask(one, "user.list", after="u098") == {
        "users": [{"user": "u099", "scopes": [], "disabled": False, "created_at": WALL}]
    }


def test_others_are_changed_with_the_scope_alone() -> None:
    world = AccountWorld()
    one = world.user()
    for method, params in (
        ("user.list", {}),
        ("user.disable", {"user": "ada"}),
        ("user.scopes", {"user": "ada", "scopes": ["x"]}),
        ("user.remove", {"user": "bob"}),
        ("user.password", {"user": "bob", "old": None, "new": "x"}),
    ):
        answer = world.ask(one, method, **params)
        assert (code(answer), answer["data"]) == (-32021, {"scopes": ["users"]})


def test_a_disabled_user_is_out_at_once_and_in_again_when_enabled() -> None:
    world = AccountWorld()
    root, one = world.user("root", scopes=("users",)), world.user("bob")
    answer = world.ask(root, "user.disable", user="bob")
    assert (answer["disabled"], closed(world)) == (True, [(one, 4403)])
    assert world.log_in(world.join(), "bob") == UNAUTHENTICATED
    assert world.ask(root, "user.disable", user="bob", disabled=False)["disabled"] is False
    assert world.log_in(world.join(), "bob")["user"] == "bob"
    changes = [(event.user, event.change, event.by) for event in world.events(UserChanged)]
    assert changes == [("bob", "disabled", "root"), ("bob", "enabled", "root")]


def test_those_who_disable_themselves_are_logged_out() -> None:
    world = AccountWorld()
    root = world.user("root", scopes=("users",))
    assert world.ask(root, "user.disable", user="root")["disabled"] is True
    assert closed(world) == []
    assert world.ask(root, "connection.info")["user"] is None
    assert [event.by for event in world.events(UserChanged)] == ["root"]


def test_connections_lose_the_scopes_that_their_user_loses() -> None:
    world = AccountWorld()
    root, one = world.user("root", scopes=("*",)), world.user("bob", scopes=("read", "write"))
    assert world.ask(root, "user.scopes", user="bob", scopes=["read", "extra", "read"])["scopes"] == ["extra", "read"]
    assert world.ask(one, "connection.info")["scopes"] == ["read"]
    assert code(world.ask(one, "write")) == -32021
    assert world.log_in(one, "bob")["scopes"] == ["extra", "read"]
    assert world.ask(root, "user.scopes", user="bob", scopes=["*"])["scopes"] == ["*"]
    assert world.ask(one, "connection.info")["scopes"] == ["extra", "read"]


def test_scopes_are_names_and_not_too_many() -> None:
    world = AccountWorld(max_profile_bytes=10)
    root = world.user("root", scopes=("users",))
    answer = world.ask(root, "user.scopes", user="root", scopes=[""])
    assert answer["data"] == {"parameter": "scopes", "reason": "expected 1 to 128 bytes of text"}
    answer = world.ask(root, "user.scopes", user="root", scopes=["sixsix", "fives"])
    assert answer["data"] == {"parameter": "scopes", "reason": "expected at most 10 bytes of text"}


def test_the_password_of_another_user_is_set_without_the_old_one() -> None:
    world = AccountWorld()
    root, one = world.user("root", scopes=("users",)), world.user("bob")
    answer = world.ask(root, "user.password", user="bob", old="pw", new="set")
    assert answer["data"]["parameter"] == "old"
    assert world.ask(root, "user.password", user="bob", old=None, new="set")["user"] == "bob"
    assert closed(world) == [(one, 4403)]
    assert world.log_in(world.join(), "bob", "set")["user"] == "bob"


def test_another_user_is_removed_without_a_password() -> None:
    world = AccountWorld()
    root, one = world.user("root", scopes=("users",)), world.user("bob")
    assert world.ask(root, "user.remove", user="bob") == {"durable": "memory"}
    assert closed(world) == [(one, 4403)]
    assert world.ask(root, "user.remove", user="bob")["data"] == NO_USER
    assert world.ask(root, "user.disable", user="bob")["data"] == NO_USER
    assert len(world.events(UserRemoved)) == 1


MORE = "the user has scopes that the caller does not have"


def test_one_who_may_change_users_changes_nobody_who_may_do_more() -> None:
    world = AccountWorld()
    root, one = world.user("root", scopes=("*",)), world.user("one", scopes=("users", "read"))
    world.user("writer", scopes=("write",))
    for user, missing in (("root", "*"), ("writer", "write")):
        for method, params in (
            ("user.disable", {}),
            ("user.disable", {"disabled": False}),
            ("user.scopes", {"scopes": []}),
            ("user.remove", {}),
            ("user.password", {"old": None, "new": "x"}),
        ):
            answer = world.ask(one, method, user=user, **params)
            assert (code(answer), answer["data"]) == (-32021, {"scopes": [missing], "reason": MORE})
    assert not world.events(UserChanged) and not world.events(UserRemoved)
    assert world.ask(root, "user.me")["user"] == "root"


def test_one_who_may_change_users_gives_scopes_that_it_has_alone() -> None:
    world = AccountWorld()
    one, _ = world.user("one", scopes=("users", "read")), world.user("bob")
    for user in ("one", "bob"):
        for scope in ("*", "write"):
            answer = world.ask(one, "user.scopes", user=user, scopes=["read", scope])
            reason = "the caller gives scopes that it does not have"
            assert (code(answer), answer["data"]) == (-32021, {"scopes": [scope], "reason": reason})
    assert world.ask(one, "user.scopes", user="bob", scopes=["read"])["scopes"] == ["read"]
    assert world.ask(one, "user.scopes", user="nobody", scopes=["read"])["data"] == NO_USER
    assert world.ask(one, "user.disable", user="bob")["disabled"] is True
    assert world.ask(one, "user.remove", user="bob") == {"durable": "memory"}


def test_a_narrow_token_does_not_change_its_own_user_who_may_do_more() -> None:
    world = AccountWorld()
    token = world.ask(world.user("root", scopes=("*",)), "token.create", scopes=["users"])["token"]
    narrow = world.join(Bearer(token))
    answer = world.ask(narrow, "user.scopes", user="root", scopes=["users"])
    assert (code(answer), answer["data"]) == (-32021, {"scopes": ["*"], "reason": MORE})
    assert world.ask(narrow, "user.password", old="pw", new="better")["user"] == "root"


# A store outside


def test_a_user_who_may_do_more_when_it_is_changed_than_when_its_scopes_were_compared_is_not_changed() -> None:
    world = AccountWorld(outside=True)
    one, root, bob = world.user("one", scopes=("users",)), world.user("root", scopes=("*",)), world.user("bob")
    for method, params in (("user.disable", {}), ("user.scopes", {"scopes": []}), ("user.password", {"old": None})):
        world.answers = False
        world.ask(one, method, user="bob", **params, **({"new": "x"} if params.get("old", 0) is None else {}))
        conclude(world)
        world.answers = True
        world.ask(root, "user.scopes", user="bob", scopes=["write"])
        conclude(world)
        busy = {"retryable": True, "reason": "the user was changed in the meantime"}
        assert (code(world.reply(one)), world.reply(one)["data"]) == (-32009, busy)
        world.ask(root, "user.scopes", user="bob", scopes=[])
    assert world.ask(bob, "user.me")["disabled"] is False


def test_a_service_may_ask_for_other_scopes_of_those_who_change_users() -> None:
    world = AccountWorld(accounted(builtin_scopes={"user.disable": ["helpdesk"]}))
    one, _ = world.user("one", scopes=("helpdesk",)), world.user("bob")
    assert world.ask(one, "user.disable", user="bob")["disabled"] is True


def test_a_store_outside_answers_later_and_calls_behind_it_go_on() -> None:
    world = AccountWorld(outside=True)
    one = world.user()
    world.answers = False
    assert world.ask(one, "user.me") is None
    assert "pong" in world.ask(one, "connection.ping")
    (asked,) = world.asks
    world.gateway.conclude(asked.operation, world.store.perform(asked.request), world.now)
    world.run()
    assert world.reply(one)["user"] == "ada"


def test_a_change_that_may_have_been_made_ends_connections_and_the_caller_is_told_to_try_again() -> None:
    world = AccountWorld(outside=True)
    root, one = world.user("root", scopes=("*",)), world.user("bob")
    world.answers = False
    world.ask(root, "user.disable", user="bob")
    (asked,) = world.asks
    assert isinstance(asked.request, ChangeUser)
    world.gateway.conclude(asked.operation, MaybeApplied(), world.now)
    world.run()
    assert world.reply(root) == UNAVAILABLE
    assert closed(world) == [(one, 4403)]
    assert [(event.change, event.certain) for event in world.events(UserChanged)] == [("disabled", False)]


def test_a_change_that_was_not_made_changes_nothing() -> None:
    world = AccountWorld(outside=True)
    root, _ = world.user("root", scopes=("*",)), world.user("bob")
    world.answers = False
    for method, params in (
        ("user.disable", {}),
        ("user.scopes", {"scopes": []}),
        ("user.remove", {}),
        ("user.password", {"old": None, "new": "x"}),
    ):
        world.asks.clear()
        world.ask(root, method, user="bob", **params)
        (asked,) = world.asks
        world.gateway.conclude(asked.operation, Failed(), world.now)
        world.run()
        assert (world.reply(root), closed(world)) == (UNAVAILABLE, [])
    assert not world.events(UserChanged) and not world.events(UserRemoved) and not world.events(AuthRevoked)


def test_a_change_whose_caller_has_left_is_followed_nevertheless() -> None:
    world = AccountWorld(outside=True)
    root, one = world.user("root", scopes=("*",)), world.user("bob")
    world.answers = False
    world.ask(root, "user.disable", user="bob")
    world.gateway.disconnected(root, None, world.now)
    world.run()
    (asked,) = world.asks
    world.gateway.conclude(asked.operation, world.store.perform(asked.request), world.now)
    world.run()
    assert closed(world) == [(one, 4403)]
    assert not world.gateway._procedures.records


def test_a_password_that_was_checked_before_its_change_does_not_count_after_it() -> None:
    world = AccountWorld(outside=True, credential_cache=0, max_hashes_per_user=3)
    one, late = world.user(), world.join()
    world.hashes = False
    world.log_in(late)
    (compare,) = [effect for effect in world.effects if isinstance(effect, ComparePassword)]
    world.hashes = True
    world.ask(one, "user.password", old="pw", new="better")
    world.gateway.conclude(compare.operation, Matched(), world.now)
    world.run()
    assert world.reply(late) == UNAUTHENTICATED


# A connection with a session


def conclude(world: AccountWorld) -> None:
    """The store answers what it was asked first."""
    asked = world.asks.pop(0)
    world.gateway.conclude(asked.operation, world.store.perform(asked.request), world.now)
    world.run()


def with_session(*, outside: bool, scopes: tuple[str, ...] = ("users", "write")) -> tuple[AccountWorld, Any, Any]:
    """A user, its connection, and the session of that."""
    world = AccountWorld(accounted(sessions="on"), outside=outside)
    one = world.user(scopes=scopes)
    return world, one, world.ask(one, "session.create")


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize(
    ("method", "params", "member"),
    [("user.remove", {"password": "pw"}, "durable"), ("user.disable", {"user": "ada"}, "disabled")],
)
def test_those_who_lock_themselves_out_leave_their_session(
    method: str, params: dict[str, Any], member: str, outside: bool
) -> None:
    world, one, _ = with_session(outside=outside)
    assert member in world.ask(one, method, **params)
    assert closed(world) == []
    assert world.ask(one, "connection.info")["user"] is None
    assert code(world.ask(one, "session.get")) == -32040
    assert not world.store.sessions
    assert [event.reason for event in world.events(SessionEnded)] == ["revoked"]


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize(
    ("method", "params"),
    [("user.password", {"old": "pw", "new": "better"}), ("user.scopes", {"user": "ada", "scopes": ["write"]})],
)
def test_a_session_ends_with_the_password_and_the_scopes_that_it_knew(
    method: str, params: dict[str, Any], outside: bool
) -> None:
    world, one, session = with_session(outside=outside)
    key = {"session": session["id"], "secret": session["secret"]}
    same = world.join()
    world.ask(same, "session.resume", **key)
    key["secret"] = world.reply(same)["secret"]
    assert world.ask(one, method, **params)["session_ended"] is True
    assert closed(world) == [(same, 4403)]
    assert world.ask(one, "user.me")["user"] == "ada"
    assert code(world.ask(one, "session.get")) == -32040
    assert code(world.ask(world.join(), "session.resume", **key)) == -32040
    assert not world.store.sessions
    assert "session_ended" not in world.ask(one, "user.password", old=params.get("new", "pw"), new="best")


def test_a_session_of_another_user_is_not_that_of_the_caller() -> None:
    world, _, _ = with_session(outside=False)
    root = world.user("root", scopes=("*",))
    assert "id" in world.ask(root, "session.create")
    assert "session_ended" not in world.ask(root, "user.password", user="ada", old=None, new="set")
    assert "session_ended" not in world.ask(root, "user.scopes", user="ada", scopes=[])
    assert "id" in world.ask(root, "session.get")


@pytest.mark.parametrize(("method", "params"), [("user.disable", {}), ("user.scopes", {"scopes": []})])
def test_a_log_out_does_not_overtake_a_change_of_oneself(method: str, params: dict[str, Any]) -> None:
    world, one, _ = with_session(outside=True)
    world.answers = False
    assert world.ask(one, method, user="ada", **params) is None
    busy = {"retryable": True, "reason": "the identity of the connection is changing already"}
    assert world.ask(one, "auth.logout")["data"] == busy
    while world.asks:
        conclude(world)
    assert world.reply(one) is None or world.reply(one)["user"] == "ada"


def test_a_change_that_ends_its_own_call_is_followed_to_its_end() -> None:
    world = AccountWorld(outside=True)
    one, root = world.user(scopes=("*",)), world.user("root", scopes=("*",))
    world.answers = False
    world.ask(one, "user.disable", user="ada")
    world.ask(root, "user.scopes", user="ada", scopes=["users"])
    world.asks.reverse()  # the store answers the second one first: it ends what the caller of the first one was
    conclude(world)
    conclude(world)
    cancelled = {"code": -32800, "message": "Request cancelled", "data": {"reason": "the user was revoked"}}
    assert world.reply(one) == cancelled
    world.answers = True
    assert world.ask(one, "connection.info")["user"] is None
    assert world.store.users["ada"].disabled
    assert not world.gateway._procedures.records and not world.gateway._procedures.by_call


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.dispatch.users") == []
