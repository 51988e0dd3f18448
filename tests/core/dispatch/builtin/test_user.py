"""`user.*`: which methods a service has, who may call them, and what they take."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.service.service import Service

from tests.core.accounts import AccountWorld, Profile, accounted


def offered(world: AccountWorld) -> dict[str, tuple[bool, tuple[str, ...], bool, bool]]:
    """The methods of `user.*`: public or not, their scopes, whether they change the identity and may answer later."""
    methods = world.gateway._dispatch._builtins.methods
    return {
        name: (method.public, method.scopes, method.changes, method.later)
        for name, method in methods.items()
        if name.startswith("user.")
    }


EVERY = {
    "user.register": (True, (), False, True),
    "user.me": (False, (), False, True),
    "user.update": (False, (), False, True),
    "user.password": (False, (), True, True),
    "user.remove": (False, (), True, True),
    "user.list": (False, ("users",), False, True),
    "user.disable": (False, ("users",), True, True),
    "user.scopes": (False, ("users",), True, True),
}


def test_a_service_with_open_registration_and_profiles_has_every_method() -> None:
    assert offered(AccountWorld(accounted(profile=Profile))) == EVERY


def test_without_profiles_there_is_nothing_to_update() -> None:
    assert offered(AccountWorld()) == {name: each for name, each in EVERY.items() if name != "user.update"}


def test_where_registration_is_not_open_it_is_for_those_who_may_change_users() -> None:
    assert offered(AccountWorld(accounted(registration="off")))["user.register"] == (False, ("users",), False, True)


def test_a_service_without_users_has_none_of_them() -> None:
    world = AccountWorld(Service("s", public=True))
    assert offered(world) == {}
    assert world.ask(world.join(), "user.me")["code"] == -32601


def test_a_service_may_ask_for_other_scopes() -> None:
    world = AccountWorld(accounted(builtin_scopes={"user.register": {"invited"}}))
    assert offered(world)["user.register"] == (False, ("invited",), False, True)


@pytest.mark.parametrize(
    ("method", "params", "answer"),
    [
        ("user.me", {}, "ada"),
        ("user.list", {"after": "zz"}, []),
        ("user.scopes", {"user": "ada", "scopes": ["users"]}, "ada"),
        ("user.disable", {"user": "ada", "disabled": False}, "ada"),
        ("user.update", {"profile": {"email": "x"}}, "ada"),
        ("user.password", {"old": "pw", "new": "pw2"}, "ada"),
        ("user.remove", {"password": "pw"}, "memory"),
    ],
)
def test_each_method_answers(method: str, params: dict[str, Any], answer: object) -> None:
    world = AccountWorld(accounted(profile=Profile))
    one = world.user(scopes=("users",))
    given = world.ask(one, method, **params)
    assert answer in (given.get("user"), given.get("users"), given.get("durable"))


def test_registration_takes_a_profile_of_the_declared_type() -> None:
    world = AccountWorld(accounted(profile=Profile))
    one = world.join()
    assert world.ask(one, "user.register", user="ada", password="pw")["user"] == "ada"
    made = world.ask(one, "user.register", user="bob", password="pw", profile={"email": "x", "age": 3})
    assert made["profile"] == {"email": "x", "age": 3}


def test_registration_without_profiles_takes_none() -> None:
    world = AccountWorld()
    assert world.ask(world.join(), "user.register", user="ada", password="pw")["user"] == "ada"
    assert world.ask(world.join(), "user.register", user="bob", password="pw", profile={})["code"] == -32602
