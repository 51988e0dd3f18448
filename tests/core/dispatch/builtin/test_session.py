"""`session.*`: which methods there are, who may call them, and what they take."""

from __future__ import annotations

import pytest
from posthouse.core.service.authenticators import Bearer
from posthouse.core.service.service import Service
from posthouse.core.values.peers import Identity

from tests.core.sessions.sessioned import SessionWorld
from tests.core.world import World, code_of

METHODS = ("create", "resume", "get", "update", "end", "list")


def test_without_sessions_there_are_no_methods() -> None:
    world = SessionWorld(sessions="off")
    one = world.opened()
    assert [world.ask(one, method) for method in METHODS] == [-32601] * 6


def test_each_method_takes_its_parameters_by_name_and_by_position() -> None:
    world = SessionWorld()
    one, two = world.opened(), world.connect()
    made = world.create(one, a=1)
    world.call(two, "session.resume", [made["id"], made["secret"]])
    (reply,) = world.said(two)
    assert reply["result"]["data"] == {"a": 1}
    assert world.ask(two, "update", set={"b": 2}, unset=["a"], version=1)["version"] == 2
    assert world.ask(two, "get")["data"] == {"b": 2}
    assert [each["current"] for each in world.ask(two, "list", after="")["sessions"]] == [True]
    assert world.ask(two, "end", session=made["id"]) == {"durable": "memory"}
    assert world.ask(two, "create")["data"] == {}


@pytest.mark.parametrize("method", METHODS)
def test_unknown_parameters_are_refused(method: str) -> None:
    world = SessionWorld()
    assert world.ask(world.opened(), method, identity="root") == -32602


@pytest.mark.parametrize(("public", "code"), [(True, None), (False, -32020)])
def test_who_may_create_one_is_as_the_service_says(public: bool, code: int | None) -> None:
    offered = Service("offered", public=public, sessions="on")

    @offered.authenticator("bearer")
    def bearer(credentials: Bearer) -> Identity | None:
        raise NotImplementedError

    world = World(offered)
    world.call(world.connect(), "session.create", {})
    assert world.codes() == [code]
    world.call(world.connect("websocket", "ada"), "session.create", {})
    assert world.codes() == [None]


def test_a_service_may_ask_for_scopes() -> None:
    world = World(Service("offered", public=True, sessions="on", builtin_scopes={"session.create": ["keep"]}))
    world.call(world.connect("websocket", "ada"), "session.create", {})
    (reply,) = world.said()
    assert code_of(reply) == -32021
