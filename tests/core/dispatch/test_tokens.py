"""Tokens of the store: made, told once, listed, used and revoked."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.operations.operations import Failed
from posthouse.core.service.authenticators import Bearer
from posthouse.core.store.outcomes import MaybeApplied
from posthouse.core.store.requests import AddSession, AddToken, FindToken, RemoveToken
from posthouse.core.values.effects import AskStore, Cancel, Disconnect
from posthouse.core.values.lifecycle import SessionEnded
from posthouse.core.values.peers import ConnectionId, Identity, Peer

from tests.core.accounts import AccountWorld, accounted
from tests.core.world import WALL
from tests.values import changeable

GIVES_MORE = "the caller gives scopes that it does not have"
MAY_DO_MORE = "the user has scopes that the caller does not have"
NO_TOKEN = {"parameter": "token", "reason": "there is no such token"}


def code(error: Any) -> int:
    number: int = error["code"]
    return number


def bearer(world: AccountWorld, token: str) -> Any:
    """What a client with this token is, or the code with which it is refused."""
    one = world.join(Bearer(token))
    refused = [effect.code for effect in world.effects if isinstance(effect, Disconnect)]
    return refused[0] if refused else world.ask(one, "connection.info")


def conclude(world: AccountWorld, outcome: object = None) -> AskStore:
    """The store answers what it was asked last, with this outcome or its own."""
    asked = world.asks.pop()
    world.gateway.conclude(asked.operation, outcome or world.store.perform(asked.request), world.now)
    world.run()
    return asked


def test_a_token_logs_in_with_its_scopes_and_is_kept_as_a_hash() -> None:
    world = AccountWorld()
    one = world.user(scopes=("read", "write"))
    made = world.ask(one, "token.create", scopes=["write"], label="laptop")
    token = made.pop("token")
    assert made == {
        "id": made["id"],
        "user": "ada",
        "scopes": ["write"],
        "expires_at": None,
        "durable": "memory",
    }
    assert len(token) == 43
    known = bearer(world, token)
    assert (known["user"], known["scopes"]) == ("ada", ["write"])
    assert token not in repr(world.store.tokens)
    listed = {"id": made["id"], "label": "laptop", "scopes": ["write"], "created_at": WALL, "expires_at": None}
    assert world.ask(one, "token.list") == {"tokens": [{**listed, "seen_at": WALL}]}


def test_without_scopes_a_token_has_those_of_its_maker() -> None:
    world = AccountWorld()
    one = world.user(scopes=("read", "write"))
    assert world.ask(one, "token.create")["scopes"] == ["read", "write"]


def test_a_token_loses_the_scopes_that_its_user_loses() -> None:
    world = AccountWorld()
    root, one = world.user("root", scopes=("*",)), world.user(scopes=("read", "write"))
    token = world.ask(one, "token.create")["token"]
    world.ask(root, "user.scopes", user="ada", scopes=["write", "more"])
    assert bearer(world, token)["scopes"] == ["write"]


def test_nobody_makes_a_token_that_may_do_more_or_lasts_longer() -> None:
    world = AccountWorld()
    one = world.user(scopes=("read", "write"))
    narrow = world.ask(one, "token.create", scopes=["read"], expires_in=60)
    two = world.join(Bearer(narrow["token"]))
    answer = world.ask(two, "token.create", scopes=["write"])
    assert (code(answer), answer["data"]) == (-32021, {"scopes": ["write"], "reason": GIVES_MORE})
    assert world.ask(two, "token.create")["expires_at"] == WALL + 60
    assert world.ask(two, "token.create", expires_in=10)["expires_at"] == WALL + 10
    assert world.ask(two, "token.create", expires_in=600)["expires_at"] == WALL + 60


def test_a_token_of_one_who_may_change_users_makes_none_that_may_do_more_or_lasts_longer() -> None:
    world = AccountWorld()
    root = world.user("root", scopes=("*",))
    narrow = world.ask(root, "token.create", scopes=["users"], expires_in=60)
    two = world.join(Bearer(narrow["token"]))
    for user in (None, "root"):
        answer = world.ask(two, "token.create", user=user, scopes=["*"])
        assert (code(answer), answer["data"]) == (-32021, {"scopes": ["*"], "reason": GIVES_MORE})
        made = world.ask(two, "token.create", user=user)
        assert (made["scopes"], made["expires_at"]) == (["users"], WALL + 60)


def test_one_who_may_change_users_makes_no_token_of_one_who_may_do_more_or_with_more_scopes() -> None:
    world = AccountWorld()
    world.user("root", scopes=("*",))
    world.user("writer", scopes=("write",))
    one = world.user("one", scopes=("users", "read"))
    for user, missing in (("root", "*"), ("writer", "write")):
        for scopes in (None, ["read"]):
            answer = world.ask(one, "token.create", user=user, scopes=scopes)
            assert (code(answer), answer["data"]) == (-32021, {"scopes": [missing], "reason": MAY_DO_MORE})
    world.user("reader", scopes=("read",))
    answer = world.ask(one, "token.create", user="reader", scopes=["write"])
    assert (code(answer), answer["data"]) == (-32021, {"scopes": ["write"], "reason": GIVES_MORE})
    assert world.ask(one, "token.create", user="reader")["scopes"] == ["read"]


def test_a_user_of_another_namespace_makes_tokens_of_its_namesake_as_of_anybody_else() -> None:
    service = accounted()

    @service.authenticator("bearer", namespace="idp")
    def known(credentials: Bearer) -> Any:
        raise NotImplementedError

    world = AccountWorld(service)
    world.user(scopes=("write",))
    one = world.join()
    record = world.gateway._connections.records[one]
    world.gateway._connections.identify(record, Identity("ada", ("users",), namespace="idp"), world.now)
    answer = world.ask(one, "token.create", user="ada")
    assert (code(answer), answer["data"]) == (-32021, {"scopes": ["write"], "reason": MAY_DO_MORE})


def test_a_token_expires() -> None:
    world = AccountWorld()
    token = world.ask(world.user(), "token.create", expires_in=5)["token"]
    world.now = 4.9
    assert bearer(world, token)["user"] == "ada"
    world.now = 5.0
    assert bearer(world, token) == 4401


@pytest.mark.parametrize("seconds", [0, -1, 1e12])
def test_a_token_cannot_last_for_any_time(seconds: float) -> None:
    world = AccountWorld()
    answer = world.ask(world.user(), "token.create", expires_in=seconds)
    reason = "expected more than 0 and at most 315360000 seconds"
    assert answer["data"] == {"parameter": "expires_in", "reason": reason}


def test_a_label_is_a_name() -> None:
    world = AccountWorld(max_name_bytes=4)
    answer = world.ask(world.user(), "token.create", label="longer")
    assert answer["data"] == {"parameter": "label", "reason": "expected 1 to 4 bytes of text"}


@pytest.mark.parametrize(("most", "admitted"), [(1, False), (2, True), (3, True)])
def test_a_user_has_at_most_max_tokens_per_user(most: int, admitted: bool) -> None:
    world = AccountWorld(max_tokens_per_user=most)
    one = world.user()
    world.ask(one, "token.create")
    answer = world.ask(one, "token.create")
    if admitted:
        assert "token" in answer
    else:
        assert (code(answer), answer["data"]["limit"]) == (-32009, "max_tokens_per_user")


def test_a_revoked_token_counts_no_more_although_it_was_verified_a_moment_ago() -> None:
    world = AccountWorld()
    one = world.user()
    made, other = world.ask(one, "token.create"), world.ask(one, "token.create")
    assert bearer(world, made["token"])["user"] == bearer(world, other["token"])["user"] == "ada"
    assert world.ask(one, "token.revoke", token=made["id"]) == {"durable": "memory"}
    assert bearer(world, made["token"]) == 4401
    assert bearer(world, other["token"])["user"] == "ada"
    assert world.ask(one, "token.revoke", token=made["id"])["data"] == NO_TOKEN


def came_with(world: AccountWorld, token: str) -> ConnectionId:
    """A connection that came with this token, and has a session."""
    one = world.join(Bearer(token))
    assert world.ask(one, "session.create")["id"] in world.store.sessions
    return one


def closed(world: AccountWorld) -> list[tuple[ConnectionId, int]]:
    return [(effect.connection, effect.code) for effect in world.effects if isinstance(effect, Disconnect)]


@pytest.mark.parametrize("outside", [False, True])
def test_what_was_made_with_a_token_ends_with_it(outside: bool) -> None:
    world = AccountWorld(accounted(sessions="on"), outside=outside)
    one = world.user()
    made, other = world.ask(one, "token.create"), world.ask(one, "token.create")
    mine = world.ask(one, "session.create")
    two, three = came_with(world, made["token"]), came_with(world, other["token"])
    spare = came_with(world, made["token"])
    kept = world.gateway._connections.records[spare].session
    world.gateway.disconnected(spare, None, world.now)
    stays = world.gateway._connections.records[three].session
    world.ask(one, "token.revoke", token=made["id"])
    assert closed(world) == [(two, 4403)]
    assert sorted(world.store.sessions) == sorted([mine["id"], str(stays)])
    assert kept not in world.store.sessions
    assert [event.reason for event in world.events(SessionEnded)] == ["revoked", "revoked"]


def test_who_revokes_the_token_with_which_it_came_is_logged_out() -> None:
    world = AccountWorld(accounted(sessions="on"))
    made = world.ask(world.user(), "token.create")
    one, two = came_with(world, made["token"]), came_with(world, made["token"])
    assert world.ask(one, "token.revoke", token=made["id"]) == {"durable": "memory"}
    assert closed(world) == [(two, 4403)]
    record = world.gateway._connections.records[one]
    assert (record.identity, record.session) == (Identity(), None)
    assert world.store.sessions == {}


def test_the_calls_of_a_revoked_token_end_though_its_connection_has_left() -> None:
    offered = accounted()

    @offered.method(on_disconnect="finish")
    def finish() -> None:
        raise NotImplementedError

    world = AccountWorld(offered)
    one = world.user()
    made = world.ask(one, "token.create")
    two, three = world.join(Bearer(made["token"])), world.join(Bearer(world.ask(one, "token.create")["token"]))
    for connection in (two, three):
        world.ask(connection, "finish")
        world.gateway.disconnected(connection, None, world.now)
    world.run()
    world.ask(one, "token.revoke", token=made["id"])
    assert len([effect for effect in world.effects if isinstance(effect, Cancel)]) == 1


def test_a_token_that_may_have_been_removed_ends_what_its_user_has_made_with_it() -> None:
    world = AccountWorld(accounted(sessions="on"), outside=True)
    one = world.user()
    made = world.ask(one, "token.create")
    two = came_with(world, made["token"])
    world.answers = False
    world.ask(one, "token.revoke", token=made["id"])
    conclude(world, MaybeApplied())
    assert closed(world) == [(two, 4403)]
    assert code(world.reply(one)) == -32035


def test_a_host_that_is_no_user_may_remove_tokens_and_is_not_told_whether_one_was_removed() -> None:
    world = AccountWorld(outside=True)
    made = world.ask(world.user(), "token.create")
    host = world.gateway.connect(Peer("local", identity=Identity(scopes=("*",))), world.now)
    world.run()
    world.answers = False
    world.ask(host, "token.revoke", token=made["id"])
    conclude(world, MaybeApplied())
    assert code(world.reply(host)) == -32035
    assert closed(world) == []


def test_a_session_that_is_made_with_a_token_while_it_is_removed_does_not_count() -> None:
    world = AccountWorld(accounted(sessions="on"), outside=True)
    one, two = world.user(), world.join()
    made = world.ask(one, "token.create")
    world.answers = False
    world.ask(two, "auth.login", method="bearer", token=made["token"], session=True)
    conclude(world)  # the token is found
    world.run()
    seen = [each for each in world.asks if isinstance(each.request, AddSession)]
    world.ask(one, "token.revoke", token=made["id"])
    conclude(world)
    world.asks[:] = seen
    conclude(world)
    assert code(world.reply(two)) == -32020
    assert world.gateway._verifications.revocations.tokens == {}


def test_tokens_of_others_are_for_those_who_may_change_users() -> None:
    world = AccountWorld()
    root, one, two = world.user("root", scopes=("users", "read", "x")), world.user(scopes=("read",)), world.user("bob")
    made = world.ask(one, "token.create")
    assert code(world.ask(two, "token.list", user="ada")) == -32021
    assert code(world.ask(two, "token.create", user="ada")) == -32021
    assert world.ask(two, "token.revoke", token=made["id"])["data"] == NO_TOKEN
    assert [each["id"] for each in world.ask(root, "token.list", user="ada")["tokens"]] == [made["id"]]
    given = world.ask(root, "token.create", user="ada")
    assert (given["user"], given["scopes"]) == ("ada", ["read"])
    assert world.ask(root, "token.create", user="ada", scopes=["x"])["scopes"] == ["x"]
    for scopes in (None, ["x"]):
        answer = world.ask(root, "token.create", user="nobody", scopes=scopes)
        assert answer["data"] == {"parameter": "user", "reason": "there is no such user"}
    assert world.ask(root, "token.revoke", token=made["id"]) == {"durable": "memory"}
    assert world.ask(one, "token.list", user="ada")["tokens"] != []


def test_tokens_are_listed_page_by_page() -> None:
    world = AccountWorld(max_tokens_per_user=200)
    one = world.user()
    made = sorted(world.ask(one, "token.create")["id"] for _ in range(101))
    first = world.ask(one, "token.list")
    assert ([each["id"] for each in first["tokens"]], first["next"]) == (made[:100], made[99])
    assert [each["id"] for each in world.ask(one, "token.list", after=made[99])["tokens"]] == made[100:]


# A store outside


def outside() -> tuple[AccountWorld, ConnectionId]:
    """A world whose store is outside and does not answer by itself, and a user."""
    world = AccountWorld(outside=True)
    one = world.user()
    world.answers = False
    return world, one


def test_a_token_that_may_have_been_made_is_removed_again() -> None:
    world, one = outside()
    assert world.ask(one, "token.create") is None
    made = conclude(world, MaybeApplied())
    assert code(world.reply(one)) == -32035
    assert isinstance(made.request, AddToken)
    (removes,) = world.asks
    assert isinstance(removes.request, RemoveToken)
    assert removes.request.token == made.request.row.id
    conclude(world)
    assert not world.gateway._procedures.records


def test_a_token_that_nobody_is_told_of_is_removed_again() -> None:
    world, one = outside()
    world.ask(one, "token.create")
    world.gateway.disconnected(one, None, world.now)
    made = conclude(world)
    (removes,) = world.asks
    assert isinstance(made.request, AddToken) and isinstance(removes.request, RemoveToken)
    assert removes.request.token == made.request.row.id
    conclude(world)
    assert not world.store.tokens


def test_a_token_whose_call_was_too_late_is_removed_again() -> None:
    world, one = outside()
    world.ask(one, "token.create")
    world.now = 30.0
    conclude(world)
    conclude(world)
    assert code(world.reply(one)) == -32030
    assert not world.store.tokens


def test_a_token_that_was_not_made_is_not_removed() -> None:
    world, one = outside()
    world.ask(one, "token.create")
    conclude(world, Failed())
    assert (code(world.reply(one)), world.asks) == (-32035, [])


def test_a_token_that_may_have_been_removed_counts_no_more_from_the_cache() -> None:
    world, one = outside()
    world.answers = True
    made = world.ask(one, "token.create")
    assert bearer(world, made["token"])["user"] == "ada"
    world.answers = False
    world.ask(one, "token.revoke", token=made["id"])
    conclude(world, MaybeApplied())
    assert code(world.reply(one)) == -32035
    world.gateway.connect(world.gateway._connections.records[one].peer, world.now, credentials=Bearer(made["token"]))
    world.run()
    assert isinstance(world.asks.pop().request, FindToken)


def test_a_token_that_was_found_before_it_was_removed_does_not_count_after_it() -> None:
    world, one = outside()
    world.answers = True
    made = world.ask(one, "token.create")
    world.answers = False
    late = world.join(Bearer(made["token"]))
    found = world.asks.pop()
    was = world.store.perform(found.request)
    world.ask(one, "token.revoke", token=made["id"])
    conclude(world)
    world.gateway.conclude(found.operation, was, world.now)
    world.run()
    assert [effect.code for effect in world.effects if isinstance(effect, Disconnect)] == [4401]
    assert late in {effect.connection for effect in world.effects if isinstance(effect, Disconnect)}


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.dispatch.tokens") == []
