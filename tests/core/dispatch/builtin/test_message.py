"""`message.*`: what callers send each other arrives, with who sent it."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.values.effects import Transmit
from posthouse.core.values.errors import INVALID_PARAMS
from posthouse.core.values.peers import Identity

from tests.core.dispatch.builtin.house import ADA, ADMIN, House, public_id
from tests.core.sessions.sessioned import BOB, SessionWorld
from tests.core.world import result
from tests.values import changeable


def test_a_message_is_sent_to_one_connection_by_its_id() -> None:
    house = House()
    ada, other = house.connect(ADA), house.connect()
    assert house.call(ada, "message.send", {"to": {"connection": public_id(2)}, "data": [1]}) == {"delivered": 1}
    sender = {"connection": public_id(1), "user": "ada"}
    assert house.received() == [(other, {"from": sender, "data": [1]})]


def test_a_message_is_sent_to_every_connection_of_a_user() -> None:
    house = House()
    ada, root, root_too = house.connect(ADA), house.connect(ADMIN), house.connect(ADMIN, "cli")
    house.connect(ADMIN, "http")
    assert house.call(ada, "message.send", {"to": {"user": "root"}, "data": None}) == {"delivered": 2}
    assert [to for to, _ in house.received()] == [root, root_too]


@pytest.mark.parametrize("to", [{"connection": "nobody"}, {"user": "nobody"}])
def test_a_message_to_an_unknown_target_is_delivered_to_0_connections(to: dict[str, str]) -> None:
    house = House()
    assert house.call(house.connect(ADA), "message.send", {"to": to, "data": 1}) == {"delivered": 0}


def test_a_user_is_a_name_in_a_namespace() -> None:
    house = House()
    root, ada = house.connect(ADMIN), house.connect(Identity("ada", namespace="idp"))
    house.connect(ADA)
    to = {"user": "ada", "namespace": "idp"}
    assert house.call(ada, "message.send", {"to": to, "data": 1}) == {"delivered": 1}
    sender = {"connection": public_id(2), "user": "ada", "namespace": "idp"}
    assert house.received() == [(ada, {"from": sender, "data": 1})]
    params = {"data": 1, "users": ["ada"], "namespace": "idp"}
    assert house.call(root, "message.broadcast", params) == {"delivered": 1}
    assert [target for target, _ in house.received()] == [ada]


@pytest.mark.parametrize(
    "to",
    [
        {},
        {"connection": "a", "namespace": "b"},
        {"connection": "a", "user": "b"},
        {"topic": "t"},
        {"user": "b", "topic": "t"},
        "root",
        None,
    ],
)
def test_a_message_has_exactly_one_target(to: Any) -> None:
    house = House()
    error = house.call(house.connect(ADA), "message.send", {"to": to, "data": 1})
    assert (error["code"], error["data"]["parameter"]) == (INVALID_PARAMS, "to")


def test_row_37_a_sender_is_identified_by_its_connection_not_by_its_parameters() -> None:
    house = House()
    ada = house.connect(ADA)
    params = {"to": {"user": "ada"}, "data": 1, "from": {"user": "root"}}
    error = house.call(ada, "message.send", params)
    assert (error["code"], error["data"]) == (INVALID_PARAMS, {"parameter": "from", "reason": "unknown parameter"})
    assert house.received() == []


def test_a_broadcast_reaches_all_pushable_connections_including_its_sender() -> None:
    house = House()
    root, ada = house.connect(ADMIN), house.connect(ADA, "cli")
    house.connect(ADA, "http")
    assert house.call(root, "message.broadcast", {"data": {"a": 1}}) == {"delivered": 2}
    sender = {"connection": public_id(1), "user": "root"}
    assert house.received() == [(root, {"from": sender, "data": {"a": 1}}), (ada, {"from": sender, "data": {"a": 1}})]


def test_a_broadcast_is_narrowed_to_kinds_and_users() -> None:
    house = House()
    root = house.connect(ADMIN)
    ada, ada_too = house.connect(ADA), house.connect(ADA, "cli")
    assert house.call(root, "message.broadcast", {"data": 1, "kinds": ["cli"]}) == {"delivered": 1}
    assert [to for to, _ in house.received()] == [ada_too]
    assert house.call(root, "message.broadcast", {"data": 1, "users": ["ada"]}) == {"delivered": 2}
    assert [to for to, _ in house.received()] == [ada, ada_too]
    error = house.call(root, "message.broadcast", {"data": 1, "kinds": ["pigeon"]})
    assert (error["code"], error["data"]["parameter"]) == (INVALID_PARAMS, "kinds")


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.dispatch.builtin.message") == []


def test_a_message_reaches_the_connections_of_a_session() -> None:
    world = SessionWorld()
    one, two, three = world.opened(), world.connect("cli"), world.opened(BOB)
    made = world.create(one)
    world.ask(two, "resume", session=made["id"], secret=made["secret"])
    world.create(three)
    world.call(three, "message.send", {"to": {"session": made["id"]}, "data": 1}, 7)
    effects = world.take()
    assert [each.connection for each in effects if isinstance(each, Transmit)] == [one, two, three]
    world.call(three, "message.send", {"to": {"session": "x"}, "data": 1}, 7)
    assert world.said() == [result({"delivered": 0}, 7)]


@pytest.mark.parametrize(
    ("filters", "reached"),
    [
        ({}, [0, 1]),
        ({"kinds": ["cli"]}, [1]),
        ({"kinds": ["http"]}, []),
        ({"users": ["ada"]}, [0, 1]),
        ({"users": ["bob"]}, []),
        ({"users": ["ada"], "namespace": "idp"}, []),
    ],
)
def test_a_broadcast_to_sessions_is_filtered_by_kind_and_user(filters: dict[str, Any], reached: list[int]) -> None:
    world = SessionWorld()
    ones = [world.opened(), world.connect("cli")]
    made = world.create(ones[0])
    world.ask(ones[1], "resume", session=made["id"], secret=made["secret"])
    root = world.opened(Identity("root", ("*",)))
    world.call(root, "message.broadcast", {"data": 1, "sessions": [made["id"], "x"], **filters}, 7)
    effects = [each.connection for each in world.take() if isinstance(each, Transmit)]
    assert effects == [*(ones[place] for place in reached), root]
