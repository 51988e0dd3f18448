"""`token.*`: which methods a service has, and that each of them answers."""

from __future__ import annotations

from posthouse.core.service.service import Service

from tests.core.accounts import AccountWorld


def test_a_service_with_users_has_tokens() -> None:
    world = AccountWorld()
    methods = world.gateway._dispatch._builtins.methods
    tokens = {name: each for name, each in methods.items() if name.startswith("token.")}
    assert list(tokens) == ["token.create", "token.list", "token.revoke"]
    assert all(not each.public and not each.scopes and each.later for each in tokens.values())
    assert [name for name, each in tokens.items() if each.changes] == ["token.revoke"]


def test_a_service_without_users_has_none() -> None:
    world = AccountWorld(Service("s", public=True))
    assert world.ask(world.join(), "token.list")["code"] == -32601


def test_each_method_answers() -> None:
    world = AccountWorld()
    one = world.user()
    made = world.ask(one, "token.create", label="laptop")
    assert world.ask(one, "token.list")["tokens"][0]["label"] == "laptop"
    assert world.ask(one, "token.revoke", token=made["id"]) == {"durable": "memory"}
    assert world.ask(one, "token.list") == {"tokens": []}
