"""What procedures about users and tokens ask for, whom they refuse, and what follows for those who are locked out."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from posthouse.core.dispatch.accounts import Check, NewHash, maybe_applied, user_of_hash
from posthouse.core.identity.hashes.passwords import NotBegun
from posthouse.core.identity.refusal import Refusal
from posthouse.core.operations.operations import Busy, Expired, Failed, Hashed, Refused
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.store.outcomes import Done, Full, MaybeApplied
from posthouse.core.values.close_reasons import MAX_HASHES_PER_USER
from posthouse.core.values.effects import Disconnect
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import Address, CallId, Identity

from tests.core.accounts import AccountWorld, Profile, accounted
from tests.values import changeable


def error(world: AccountWorld, method: str, *arguments: Any, **named: Any) -> tuple[int, Any]:
    """The error that a method of the table raises."""
    with pytest.raises(RpcError) as raised:
        getattr(world.gateway._accounts, method)(*arguments, **named)
    return raised.value.code, raised.value.data


def test_the_outcome_of_a_hash_is_its_text_or_an_error() -> None:
    world = AccountWorld()
    assert world.gateway._accounts.hash_of(Hashed("text")) == "text"
    busy = {"retryable": True, "limit": "max_hashes_per_user"}
    assert error(world, "hash_of", NotBegun("waited", MAX_HASHES_PER_USER)) == (-32009, busy)
    assert error(world, "hash_of", NotBegun("waited", None)) == (-32009, {"retryable": True})
    assert error(world, "hash_of", Expired()) == (-32030, None)
    assert error(world, "hash_of", Failed()) == (-32603, None)


def test_what_may_have_been_done_counts_as_done() -> None:
    outcomes = (Done(), MaybeApplied(), Failed(), Busy(), Full(), Refused())
    assert [maybe_applied(outcome) for outcome in outcomes] == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("identity", "code"), [(Identity(), -32021), (Identity("a", namespace="x"), -32021), (Identity("a"), None)]
)
def test_a_user_of_the_store_has_no_namespace(identity: Identity, code: int | None) -> None:
    world = AccountWorld()
    record = world.gateway._connections.records[world.join()]
    world.gateway._connections.identify(record, identity, 0.0)
    if code is None:
        assert world.gateway._accounts.own_user(record, 0.0) == "a"
    else:
        reason = {"reason": "the caller is no user of this server's store"}
        assert error(world, "own_user", record, 0.0) == (code, reason)


def test_a_password_that_was_refused_has_the_error_of_a_log_in() -> None:
    world = AccountWorld()
    record = world.gateway._connections.records[world.user()]
    world.gateway._accounts.check_password(record, "ada", Identity("ada"), 0.0)
    assert error(world, "check_password", record, "ada", Refusal("refused"), 0.0) == (-32020, None)
    assert error(world, "check_password", record, "ada", Refusal("expired"), 0.0) == (-32022, None)


def test_a_result_that_is_no_profile_cannot_be_written() -> None:
    world = AccountWorld(accounted(profile=Profile))
    assert world.gateway._accounts.profile(Profile("x")) == b'{"email":"x","age":0}'
    code, data = error(world, "profile", object())
    assert (code, data["parameter"]) == (-32602, "profile")


def test_callers_without_an_address_register_as_often_as_they_like() -> None:
    world = AccountWorld(max_registrations_per_address=1)
    one = world.join(address=Address())
    answers = [world.ask(one, "user.register", user=f"u{number}", password="pw") for number in range(3)]
    assert all("user" in answer for answer in answers)


def test_a_limit_on_registrations_may_be_off_or_observed() -> None:
    for allowed, observed in ((None, ()), (1, ("max_registrations_per_address",))):
        world = AccountWorld(max_registrations_per_address=allowed, observe=list(observed))
        one = world.join()
        answers = [world.ask(one, "user.register", user=f"u{number}", password="pw") for number in range(3)]
        assert all("user" in answer for answer in answers)


def test_a_user_is_locked_out_of_its_own_connection_that_is_closing() -> None:
    world = AccountWorld(outside=True)
    one = world.user()
    world.answers = False
    world.ask(one, "user.remove", password="pw")
    world.gateway.disconnected(one, None, world.now)
    world.run()
    asked = world.asks.pop()
    world.gateway.conclude(asked.operation, world.store.perform(asked.request), world.now)
    assert not [effect for effect in world.run() if isinstance(effect, Disconnect)]
    assert not world.store.users


def test_the_password_is_that_of_the_store_whoever_else_knows_the_name() -> None:
    service = accounted()

    @service.authenticator("basic", name="idp", namespace="idp")
    def idp(credentials: Basic) -> Any:
        raise NotImplementedError

    world = AccountWorld(service)
    one = world.user()
    assert world.ask(one, "user.remove", password="wrong")["code"] == -32020
    assert not world.gateway._verifications.records


def test_those_who_may_change_users_have_the_scope_or_every_scope() -> None:
    world = AccountWorld()
    record = world.gateway._connections.records[world.join()]
    for scopes, may in (((), False), (("users",), True), (("*",), True)):
        world.gateway._connections.identify(record, Identity("a", scopes), 0.0)
        assert world.gateway._accounts.is_admin(record) is may


def test_a_token_is_made_of_secrets_that_a_host_may_give() -> None:
    world = AccountWorld()
    world.gateway.draw_secrets_from(lambda size: b"\x01" * size)
    one = world.user()
    assert world.ask(one, "token.create")["token"] == "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"
    assert world.gateway._connections.records[world.join(Bearer("AQ"))].admitted is False


def test_hashes_of_a_user_wait_for_each_other_and_values_do_not_change() -> None:
    assert user_of_hash("ada") == user_of_hash("ada") != user_of_hash("bob")
    assert replace(NewHash("pw"), user=b"x") == NewHash("pw", b"x")
    assert Check("ada", "pw") == Check("ada", "pw")
    assert changeable("posthouse.core.dispatch.accounts") == []


@pytest.mark.parametrize("name", ["", "\ud800", "x" * 129])
def test_a_name_is_text_and_not_too_long(name: str) -> None:
    reason = {"parameter": "user", "reason": "expected 1 to 128 bytes of text"}
    assert error(AccountWorld(), "check_name", name, "user") == (-32602, reason)


def test_a_new_password_has_at_least_one_byte() -> None:
    world = AccountWorld()
    reason = {"parameter": "new", "reason": "expected 1 to 1024 bytes of text"}
    assert error(world, "check_new_password", "", "new") == (-32602, reason)


def test_scopes_are_sorted_names() -> None:
    world = AccountWorld(max_profile_bytes=10)
    assert world.gateway._accounts.scopes(("b", "a", "b")) == ("a", "b")
    assert error(world, "scopes", ("",))[1]["reason"] == "expected 1 to 128 bytes of text"
    assert error(world, "scopes", ("sixsix", "fives"))[1]["reason"] == "expected at most 10 bytes of text"


def test_a_profile_is_not_too_large() -> None:
    world = AccountWorld(accounted(profile=Profile), max_profile_bytes=21)
    assert error(world, "profile", Profile("xx"))[1]["reason"] == "expected at most 21 bytes"


def test_oneself_is_changed_with_a_password_and_others_with_the_scope_and_without_one() -> None:
    world = AccountWorld()
    one, root = (world.gateway._connections.records[each] for each in (world.user(), world.user("root", scopes=("*",))))
    change = world.gateway._accounts.user_to_change
    assert change(one, None, "old", "pw", 0.0) == change(one, "ada", "old", "pw", 0.0) == "ada"
    assert error(world, "user_to_change", one, None, "old", None, 0.0)[1]["reason"] == "expected your password"
    assert error(world, "user_to_change", one, "bob", "old", None, 0.0) == (-32021, {"scopes": ["users"]})
    assert change(root, "ada", "old", None, 0.0) == "ada"
    assert error(world, "user_to_change", root, "ada", "old", "pw", 0.0)[1]["parameter"] == "old"


def test_registrations_of_one_address_are_limited() -> None:
    world = AccountWorld(max_registrations_per_address=1)
    record = world.gateway._connections.records[world.join()]
    world.gateway._accounts.charge_registration(record, 0.0)
    code, data = error(world, "charge_registration", record, 0.0)
    assert (code, data["limit"]) == (-32029, "max_registrations_per_address")


def test_those_who_lock_themselves_out_are_logged_out() -> None:
    world = AccountWorld()
    record = world.gateway._connections.records[world.user()]
    world.gateway._accounts.lock_out("ada", record, CallId(0), 0.0)
    assert record.identity == Identity()


def test_a_caller_gives_scopes_that_it_has() -> None:
    world = AccountWorld()
    for scopes in (("a",), ("a", "b", "c"), ("*",)):
        world.gateway._accounts.check_gives(Identity("root", scopes), ("a",))
    reason = {"scopes": ["b"], "reason": "the caller gives scopes that it does not have"}
    assert error(world, "check_gives", Identity("root", ("a", "users")), ("a", "b")) == (-32021, reason)


def test_a_caller_reaches_users_who_may_do_no_more_and_with_every_scope_everybody() -> None:
    world = AccountWorld()
    root, one, _ = world.user("root", scopes=("*",)), world.user("one", scopes=("users",)), world.user("bob")
    reason = {"scopes": ["*"], "reason": "the user has scopes that the caller does not have"}
    assert world.ask(one, "user.disable", user="root")["data"] == reason
    assert world.ask(one, "user.disable", user="nobody")["data"]["reason"] == "there is no such user"
    assert world.ask(one, "user.disable", user="bob")["disabled"] is True
    assert world.ask(root, "user.disable", user="one")["disabled"] is True
