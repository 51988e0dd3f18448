"""The inputs of a gateway about topics."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.values.effects import Resolve
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity

from tests.core.topics.rooms import Rooms, with_topics
from tests.core.world import World


def test_the_service_publishes() -> None:
    world = Rooms()
    one = world.connect()
    world.subscribe(one, "open.a")
    id = world.gateway.publish("open.a", 1, 0.0)
    effects = world.take()
    assert effects[-1] == Resolve(id, b'{"epoch":"0000000000000002","offset":1}')
    assert len(effects) == 2


@pytest.mark.parametrize("topic", [7, None, b"open.a"])
def test_a_topic_is_named_by_a_text(topic: Any) -> None:
    world = Rooms()
    with pytest.raises(UsageError, match="it must be a string"):
        world.gateway.publish(topic, 1, 0.0)
    assert world.take() == []


def test_a_service_without_topics_cannot_publish() -> None:
    with pytest.raises(UsageError, match="the service declares no topics"):
        World().gateway.publish("news", 1, 0.0)


def test_a_conversion_of_the_service_cannot_publish_itself() -> None:
    world = Rooms()

    class Reentering:
        def __iter__(self) -> Any:
            world.gateway.publish("open.a", 1, 0.0)
            return iter(())

    with pytest.raises(UsageError):
        world.gateway.publish("open.a", Reentering(), 0.0)
    world.publish("open.a")
    assert world.gateway.stats()["topics.published"] == 1


def test_topics_are_counted_if_there_are_some() -> None:
    world = Rooms()
    one = world.connect()
    world.subscribe(one, "open.a")
    world.publish("open.a")
    stats = world.gateway.stats()
    assert (stats["topics.open"], stats["topics.subscriptions"], stats["topics.history_bytes"]) == (1, 1, 139)
    assert list(stats) == sorted(stats)
    assert "topics.open" not in World().gateway.stats()


def test_the_subscriptions_of_a_user_or_of_a_session_are_ended() -> None:
    world = Rooms(with_topics(sessions="on"))
    one, two = world.connect(identity=Identity("ada", namespace="idp")), world.connect()
    world.call(two, "session.create", {})
    session = world.said(two)[0]["result"]["id"]
    for connection in (one, two):
        world.subscribe(connection, "open.a")
    assert world.gateway.unsubscribe(0.0, user="ada") == 0
    assert world.gateway.unsubscribe(0.0, user="ada", namespace="idp", topic="open.b") == 0
    assert world.gateway.unsubscribe(0.0, user="ada", namespace="idp", topic="open.a") == 1
    assert world.gateway.unsubscribe(0.0, session="none") == 0
    assert world.gateway.unsubscribe(0.0, session=session) == 1
    assert world.gateway.stats()["topics.subscriptions"] == 0


@pytest.mark.parametrize("named", [{}, {"user": "ada", "session": "s"}])
def test_subscriptions_to_end_are_those_of_a_user_or_of_a_session(named: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="give exactly one of the two"):
        Rooms().gateway.unsubscribe(0.0, **named)
