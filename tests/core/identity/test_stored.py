"""Credentials of users in the store: looked up, compared, and refused alike."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from posthouse.core.identity.stored import granted, is_fresh
from posthouse.core.operations.operations import Busy, Failed, Hashed, Matched, Refused
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.store.outcomes import Done, MaybeApplied
from posthouse.core.store.requests import FindToken, FindUser, Touch
from posthouse.core.values.effects import AskStore, ComparePassword, Disconnect, Withdraw
from posthouse.core.values.lifecycle import AuthFailed, AuthSucceeded
from posthouse.core.values.peers import ConnectionId, Identity

from tests.core.accounts import THERE, AccountWorld, accounted
from tests.core.world import WALL
from tests.values import changeable


def closed(world: AccountWorld) -> list[tuple[str, int]]:
    """Why connections are refused by the last input."""
    return [(effect.reason.name, effect.code) for effect in world.effects if isinstance(effect, Disconnect)]


def compared(world: AccountWorld) -> list[str | None]:
    """The hashes that the last input has had compared."""
    return [effect.hash for effect in world.effects if isinstance(effect, ComparePassword)]


def why(world: AccountWorld) -> list[tuple[str, str]]:
    """The reasons of the last refusals, for hooks and logs."""
    return [(event.reason, event.why) for event in world.events(AuthFailed)]


def away(**limits: Any) -> tuple[AccountWorld, Bearer]:
    """A world whose store is outside and answers nothing by itself, and a token of ada."""
    world = AccountWorld(outside=True, **limits)
    token = Bearer(world.ask(world.user(), "token.create")["token"])
    world.answers = False
    world.told.clear()
    return world, token


def conclude(world: AccountWorld, outcome: object = None) -> object:
    """The store answers what it was asked first. Returns what that was."""
    asked = world.asks.pop(0)
    world.gateway.conclude(asked.operation, outcome or world.store.perform(asked.request), world.now)
    world.run()
    return asked.request


def test_a_user_and_a_token_of_the_store_are_known() -> None:
    world = AccountWorld()
    one = world.user(scopes=("write",))
    made = world.ask(one, "token.create")
    identities = []
    for credentials in (Basic("ada", "pw"), Bearer(made["token"])):
        connection = world.join(credentials, THERE)
        identities.append(world.gateway._connections.records[connection].identity)
    assert identities == [Identity("ada", ("write",)), Identity("ada", ("write",), issued_at=WALL, token=made["id"])]
    assert [event.authenticator for event in world.events(AuthSucceeded)] == ["users", "tokens"]


@pytest.mark.parametrize("name", ["nobody", "", "\ud800", "locked", "keyless", "ada"])
def test_whoever_does_not_get_in_costs_a_hash_and_gets_the_same_answer(name: str) -> None:
    world = AccountWorld()
    root = world.user("root", scopes=("users",))
    for user in ("ada", "locked", "keyless"):
        world.ask(root, "user.register", user=user, password="pw")
    world.ask(root, "user.disable", user="locked")
    world.store.users["keyless"] = replace(world.store.users["keyless"], password=None)
    world.told.clear()
    password = "pw" if name == "locked" else "wrong"
    world.join(Basic(name, password), THERE)
    assert closed(world) == [("authentication_failed", 4401)]
    assert compared(world) == ["hash of pw" if name in ("ada", "locked") else None]
    texts = {
        "locked": "users: the user is disabled",
        "keyless": "users: the password is wrong",
        "ada": "users: the password is wrong",
    }
    assert why(world) == [("refused", texts.get(name, "users: the store has no such user"))]


def test_a_token_that_does_not_count_is_refused_without_a_hash() -> None:
    world = AccountWorld()
    root, one = world.user("root", scopes=("users",)), world.user()
    token = world.ask(one, "token.create")["token"]
    world.ask(root, "user.disable", user="ada")
    world.told.clear()
    world.join(Bearer(token)), world.join(Bearer("unknown"))
    assert why(world) == [
        ("refused", "tokens: the user is disabled"),
        ("refused", "tokens: the store has no such token"),
    ]
    assert compared(world) == []


def test_what_was_verified_is_known_for_a_while() -> None:
    world = AccountWorld()
    world.user()
    world.join(Basic("ada", "pw"), THERE)
    assert compared(world) == []
    world.now = 60.0
    world.join(Basic("ada", "pw"), THERE)
    assert compared(world) == ["hash of pw"]


def test_users_and_tokens_are_noted_as_seen_once_a_minute() -> None:
    world = AccountWorld(outside=True, credential_cache=0)
    token = Bearer(world.ask(world.user(), "token.create")["token"])
    seen = []
    for world.now in (1.0, 30.0, 59.9, 60.0, 61.0, 125.0):
        for credentials in (Basic("ada", "pw"), token):
            world.join(credentials, THERE)
            touches = [each.request for each in world.effects if isinstance(each, AskStore)]
            seen += [(each.users, each.tokens) for each in touches if isinstance(each, Touch)]
    (made,) = world.store.tokens
    assert seen == [
        ((), ((made, WALL + 1),)),
        ((("ada", WALL + 60),), ()),
        ((), ((made, WALL + 61),)),
        ((("ada", WALL + 125),), ()),
        ((), ((made, WALL + 125),)),
    ]


def test_an_expired_token_is_not_noted_as_seen() -> None:
    world = AccountWorld()
    token = Bearer(world.ask(world.user(), "token.create", expires_in=5)["token"])
    world.now = 70.0
    world.join(token)
    (row,) = world.store.tokens.values()
    assert row.seen_at is None
    assert world.events(AuthFailed)[-1].reason == "expired"


@pytest.mark.parametrize("outcome", [Failed(), Busy(), MaybeApplied()])
def test_a_store_that_cannot_say_refuses_nobody_for_good(outcome: object) -> None:
    world, token = away()
    world.join(token)
    assert isinstance(conclude(world, outcome), FindToken)
    assert closed(world) == [("credentials_unknown", 1013)]
    (refused,) = [effect for effect in world.effects if isinstance(effect, Disconnect)]
    assert refused.retry_after_ms == 1000
    assert why(world) == [("unavailable", "")]
    assert not world.gateway._verifications.budgets.addresses.records


def test_a_log_in_that_the_store_cannot_judge_gets_its_error() -> None:
    world, _ = away(credential_cache=0)
    one = world.join()
    assert world.log_in(one) is None
    assert isinstance(conclude(world, Failed()), FindUser)
    answer = world.reply(one)
    assert (answer["code"], answer["data"]) == (-32035, {"retryable": True, "retry_after_ms": 1000})


def test_another_authenticator_may_know_what_the_store_cannot_say() -> None:
    service = accounted()

    @service.authenticator("bearer", name="idp", namespace="idp")
    def idp(credentials: Bearer) -> Identity | None:
        raise NotImplementedError

    world = AccountWorld(service, outside=True)
    world.answers = False
    for outcome, refused in ((Identity("ada"), []), (Refused(), [("credentials_unknown", 1013)])):
        world.gateway.connect(
            world.gateway._connections.records[world.join()].peer, world.now, credentials=Bearer(f"{outcome}")
        )
        world.run()
        conclude(world, Failed())
        (operation,) = world.gateway._verifications.records
        world.gateway.conclude(operation, outcome, world.now)
        world.run()
        assert closed(world) == refused


def test_the_store_outside_is_asked_for_the_user_and_then_the_password_is_compared() -> None:
    world, _ = away(credential_cache=0)
    one = world.join(Basic("ada", "pw"), THERE)
    assert isinstance(conclude(world), FindUser)
    assert compared(world) == ["hash of pw"]
    assert world.gateway._connections.records[one].identity == Identity("ada")
    assert not world.gateway._verifications.looked_up


@pytest.mark.parametrize("step", ["asked", "compared", "waiting"])
def test_nothing_is_left_of_a_client_that_leaves_before_it_is_known(step: str) -> None:
    world, _ = away(credential_cache=0)
    world.hashes = False
    others = [world.join(Basic("ada", "other"), THERE)] if step == "waiting" else []
    if others:
        conclude(world)
    one = world.join(Basic("ada", "pw"), THERE)
    if step != "asked":
        conclude(world)
    world.gateway.disconnected(one, None, world.now)
    withdrawn = [effect for effect in world.run() if isinstance(effect, Withdraw)]
    assert len(withdrawn) == (step != "waiting")
    for other in others:
        world.gateway.disconnected(other, None, world.now)
    verifications = world.gateway._verifications
    assert not (verifications.looked_up or verifications.stored.records or verifications.passwords.records)


def test_a_full_server_asks_no_store() -> None:
    world, token = away(max_external_operations=1)
    world.join(Bearer("one"))
    world.join(token)
    assert closed(world) == [("max_external_operations", 1013)]


def test_a_full_server_compares_no_password() -> None:
    world = AccountWorld(max_external_operations=1)
    world.user()
    world.hashes = False
    world.join(Basic("ada", "one"), THERE)
    world.join(Basic("ada", "two"))
    assert closed(world) == [("max_external_operations", 1013)]


def test_a_turn_that_does_not_come_refuses_without_a_failure() -> None:
    world = AccountWorld()
    world.user()
    world.hashes = False
    world.join(Basic("ada", "one"), THERE), world.join(Basic("ada", "two"))
    world.now = 10.0
    world.gateway.handle_timeout(world.now)
    world.run()
    assert sorted(closed(world)) == [("authentication_failed", 4401), ("max_hashes_per_user", 1013)]


def test_an_outcome_of_the_outside_that_is_no_judgement_fails() -> None:
    world = AccountWorld()
    world.user()
    world.hashes = False
    world.join(Basic("ada", "one"), THERE)
    (operation,) = world.gateway._verifications.passwords.running
    world.gateway.conclude(operation, Failed(), world.now)
    world.run()
    assert why(world)[-1] == ("failed", "")


def test_a_user_that_is_removed_while_it_logs_in_does_not_get_in() -> None:
    world = AccountWorld(credential_cache=0)
    root, _ = world.user("root", scopes=("users",)), world.user()
    world.hashes = False
    late = world.join()
    world.log_in(late)
    (operation,) = world.gateway._verifications.passwords.running
    world.hashes = True
    world.ask(root, "user.remove", user="ada")
    world.gateway.conclude(operation, Matched(), world.now)
    world.run()
    assert world.reply(late)["code"] == -32020
    assert why(world)[-1] == ("revoked", "")
    assert not world.gateway._verifications.revocations.recent


def test_a_token_has_those_scopes_that_its_user_has() -> None:
    assert granted(("a", "b"), ("b", "c")) == ("b",)
    assert granted(("a", "b"), ("*",)) == ("a", "b")
    assert granted(("*",), ("b", "c")) == ("b", "c")
    assert granted(("*",), ("*",)) == ("*",)


def test_what_was_noted_less_than_a_minute_ago_is_fresh() -> None:
    assert [is_fresh(at, 100.0) for at in (None, 40.0, 40.1)] == [False, False, True]


def test_outcomes_that_come_while_nobody_asks_change_nothing() -> None:
    world = AccountWorld(outside=True, credential_cache=0)
    world.user()
    world.answers = False
    world.now = 100.0
    world.join(Basic("ada", "pw"), THERE)
    conclude(world)
    assert isinstance(conclude(world, Done()), Touch)
    assert world.gateway._storage.records == {}
    assert ConnectionId(1) in world.gateway._connections.records
    assert repr(Hashed("text")) == "Hashed(text=<hidden>)"


def test_only_what_waits_can_change() -> None:
    assert changeable("posthouse.core.identity.stored") == ["LookUp"]


def test_a_token_that_is_revoked_concerns_no_password_that_is_looked_up() -> None:
    world, _ = away(credential_cache=0)
    world.hashes = False
    one = world.join(Basic("ada", "pw"), THERE)
    world.gateway._verifications.stored.revoke(None)
    conclude(world)
    assert len(compared(world)) == 1
    assert not any(each.revoked for each in world.gateway._verifications.stored.records.values())
    world.gateway.disconnected(one, None, world.now)
