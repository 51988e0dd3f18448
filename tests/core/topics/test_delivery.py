"""Delivery: at once to everybody who reads, to others by the rule of the topic, and never before the reply."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from msgspec.json import decode
from posthouse.core.topics.delivery import encode_publication
from posthouse.core.values.effects import Disconnect, Multicast, ResumeReading, Transmit
from posthouse.core.values.peers import ConnectionId

from tests.core.counting import calls_of
from tests.core.topics.rooms import Rooms
from tests.core.world import request


def hold(world: Rooms, connection: ConnectionId, size: int = 10) -> None:
    world.gateway.report_held(connection, size, world.now)
    world.take()


def sent(world: Rooms, connection: ConnectionId, size: int = 10) -> None:
    world.gateway.report_sent(connection, size, world.now)


def drain(world: Rooms, connection: ConnectionId) -> list[Any]:
    """The peer reads everything: what it gets meanwhile."""
    found: list[Any] = []
    while connection in world.gateway._flow.backlogs:
        sent(world, connection, world.gateway._flow.held(connection))
        found += [effect for effect in world.take() if isinstance(effect, Transmit)]
    return [decode(effect.data) for effect in found]


def what(messages: list[Any]) -> list[Any]:
    """The offsets of publications, and the ranges of gaps."""
    return [
        params["offset"] if "offset" in (params := message["params"]) else (params["from"], params["to"])
        for message in messages
    ]


def test_a_publication_is_encoded_once_for_everybody() -> None:
    world = Rooms()
    ones = [world.connect() for _ in range(3)]
    for one in ones:
        world.subscribe(one, "open.a")
    world.subscribe(ones[0], "open.b")
    world.publish("open.a", {"n": 1})
    payload = encode_publication("open.a", "00" * 7 + "04", b'"offset":1,"data":{"n":1}')
    assert Multicast(ones, payload) in world.take()
    assert decode(payload) == {
        "jsonrpc": "2.0",
        "method": "topic.publication",
        "params": {"topic": "open.a", "epoch": "0000000000000004", "offset": 1, "data": {"n": 1}},
    }


def test_a_publication_without_subscribers_is_sent_to_nobody() -> None:
    world = Rooms()
    one = world.connect()
    world.subscribe(one, "open.b")
    world.publish("open.a")
    assert world.heard(one) == []


def test_a_slow_peer_makes_a_publication_to_many_others_no_dearer() -> None:
    costs = []
    for number in (3, 300):
        world = Rooms()
        ones = [world.connect() for _ in range(number)]
        for one in ones:
            world.subscribe(one, "lossy.a")
        stranger = world.connect()
        world.receive(stranger, batch(("topic.subscribe", {"topic": "lossy.b"}), ("echo", {})))
        for one in (world.connect(), ones[0]):
            hold(world, one)
        world.publish("lossy.a")
        world.take()
        costs.append(calls_of(partial(world.publish, "lossy.a")))
        assert [effect.connections for effect in world.take() if isinstance(effect, Multicast)] == [ones[1:]]
    assert costs[0] == costs[1]


@pytest.mark.parametrize("limit", [{"max_queued_pushes": 2}, {"max_queued_pushes_bytes": 300}])
def test_a_slow_subscriber_is_closed_by_the_rule_of_its_topic(limit: dict[str, int]) -> None:
    world = Rooms(**limit)
    slow, other = world.connect(), world.connect()
    for one in (slow, other):
        world.subscribe(one, "plain.a")
    hold(world, slow)
    for _ in range(2):
        world.publish("plain.a", "x" * 20)
    assert [type(effect) for effect in world.take()].count(Disconnect) == 0
    world.publish("plain.a", "x" * 20)
    effects = world.take()
    assert [effect.code for effect in effects if isinstance(effect, Disconnect)] == [4100]
    assert [effect.connections for effect in effects if isinstance(effect, Multicast)] == [[other]]
    assert world.gateway._topics.subscriptions.of(slow) == ()


def test_a_slow_subscriber_may_lose_the_oldest_publications_and_is_told_which() -> None:
    world = Rooms(max_queued_pushes=2)
    slow, other = world.connect(), world.connect()
    for one in (slow, other):
        world.subscribe(one, "lossy.a")
    world.publish("lossy.a")
    hold(world, slow)
    for _ in range(5):
        world.publish("lossy.a")
    assert [each[1] for each in world.heard(other)] == [2, 3, 4, 5, 6]
    assert what(drain(world, slow)) == [(2, 4), 5, 6]
    world.publish("lossy.a")
    assert [each[1] for each in world.heard(slow)] == [7]
    assert world.gateway.stats()["topics.lost"] == 3


def test_a_slow_subscriber_gets_what_waits_in_portions() -> None:
    world = Rooms(write_ahead=1)
    slow = world.connect()
    world.subscribe(slow, "lossy.a")
    world.subscribe(slow, "lossy.b")
    hold(world, slow)
    for topic in ("lossy.a", "lossy.b", "lossy.a"):
        world.publish(topic)
    world.take()
    sent(world, slow)
    (first,) = world.take()
    assert isinstance(first, Transmit)
    assert first.report
    world.publish("lossy.b")
    assert world.heard(slow) == []
    rest = [message["params"] for message in drain(world, slow)]
    assert [(each["topic"], each["offset"]) for each in rest] == [("lossy.b", 1), ("lossy.a", 2), ("lossy.b", 2)]
    assert world.gateway.memory == 0


def test_a_busy_topic_does_not_hold_up_a_quiet_one_on_its_way_to_a_slow_subscriber() -> None:
    world = Rooms(write_ahead=1)
    slow = world.connect()
    for topic in ("lossy.a", "lossy.b"):
        world.subscribe(slow, topic)
    hold(world, slow)
    for topic in ("lossy.a", "lossy.b", "lossy.b"):
        world.publish(topic)
    heard = []
    for _ in range(4):
        sent(world, slow, world.gateway._flow.held(slow))
        heard += [each[0] for each in world.heard(slow)]
        world.publish("lossy.a")
    assert heard == ["lossy.a", "lossy.b", "lossy.a", "lossy.b"]


def test_replies_and_other_notifications_do_not_wait_for_what_may_be_lost() -> None:
    world = Rooms()
    slow = world.connect()
    world.subscribe(slow, "lossy.a")
    hold(world, slow)
    world.publish("lossy.a")
    world.gateway.notify(slow, "news", None, world.now)
    messages = drain(world, slow)
    assert [message["method"] for message in messages] == ["news", "topic.publication"]


def test_what_waits_for_a_connection_that_closes_is_forgotten() -> None:
    world = Rooms()
    slow = world.connect()
    world.subscribe(slow, "lossy.a")
    hold(world, slow)
    world.publish("lossy.a")
    world.gateway.disconnected(slow, None, world.now)
    assert (world.gateway.memory, world.gateway._topics.delivery.waiting.records) == (0, {})


def test_a_peer_that_has_taken_everything_is_read_again() -> None:
    world = Rooms()
    slow = world.connect()
    world.subscribe(slow, "lossy.a")
    hold(world, slow)
    sent(world, slow)
    assert world.take() == [ResumeReading(slow)]


# The reply comes first


def batch(*entries: tuple[str, dict[str, Any]], first: int = 1) -> list[Any]:
    return [request(method, params, id) for id, (method, params) in enumerate(entries, first)]


def test_in_a_batch_publications_wait_for_its_reply() -> None:
    world = Rooms()
    one = world.connect()
    subscribe = ("topic.subscribe", {"topic": "open.a"})
    world.receive(one, batch(subscribe, ("topic.publish", {"topic": "open.a", "data": 1}), ("connection.ping", {})))
    reply, event = world.said(one)
    assert [each["id"] for each in reply] == [1, 2, 3]
    assert event["params"]["offset"] == 1
    world.publish("open.a")
    assert [each[1] for each in world.heard(one)] == [2]


def test_in_a_batch_publications_wait_for_a_call_that_takes_a_while() -> None:
    world = Rooms()
    one = world.connect()
    world.subscribe(one, "open.b", id=9)
    world.receive(one, batch(("topic.subscribe", {"topic": "open.a"}), ("echo", {})))
    (invoke,) = world.invoked()
    world.publish("open.a")
    world.publish("open.b")
    assert world.heard(one) == [("open.b", 1, 0)]
    world.complete(invoke.call, None)
    reply, event = world.said(one)
    assert [each["id"] for each in reply] == [1, 2]
    assert event["params"]["topic"] == "open.a"
    assert world.gateway.memory == (120 + len('"offset":1,"data":0')) * 2


@pytest.mark.parametrize(("topic", "after"), [("plain.a", [1]), ("lossy.a", [1])])
def test_what_has_waited_for_the_reply_to_a_batch_waits_for_its_slow_peer_then(topic: str, after: list[int]) -> None:
    world = Rooms()
    one = world.connect()
    world.receive(one, batch(("topic.subscribe", {"topic": topic}), ("echo", {})))
    (invoke,) = world.invoked()
    world.publish(topic)
    hold(world, one)
    world.complete(invoke.call, None)
    assert world.take() == []
    reply, *events = drain(world, one)
    assert isinstance(reply, list)
    assert what(events) == after


def test_a_subscription_without_publications_does_not_hold_up_others_after_its_batch() -> None:
    world = Rooms()
    one = world.connect()
    world.subscribe(one, "lossy.b")
    world.receive(one, batch(("topic.subscribe", {"topic": "lossy.a"}), ("echo", {}), first=5))
    (invoke,) = world.invoked()
    hold(world, one)
    world.publish("lossy.b")
    world.complete(invoke.call, None)
    reply, *events = drain(world, one)
    assert isinstance(reply, list)
    assert what(events) == [1]
    world.publish("lossy.b")
    assert [each[1] for each in world.heard(one)] == [2]


def test_a_topic_that_closes_slow_peers_closes_those_that_let_the_reply_to_a_batch_wait() -> None:
    world = Rooms(max_queued_pushes=1)
    one, other = world.connect(), world.connect()
    for connection, topic in ((one, "plain.a"), (other, "lossy.a")):
        world.receive(connection, batch(("topic.subscribe", {"topic": topic}), ("echo", {})))
    (_, kept) = world.invoked()
    for topic in ("plain.a", "lossy.a"):
        world.publish(topic)
        world.publish(topic)
    assert [each.connection for each in world.take() if isinstance(each, Disconnect)] == [one]
    world.complete(kept.call, None)
    _, *events = world.said(other)
    assert what(events) == [(1, 1), 2]


def test_a_batch_of_a_connection_without_subscriptions_is_followed_by_nothing_of_topics() -> None:
    world = Rooms()
    one = world.connect()
    world.receive(one, batch(("echo", {}), ("echo", {})))
    first, second = world.invoked()
    world.gateway.notify(one, "news", None, world.now, after=first.call)
    world.complete(first.call, None)
    world.complete(second.call, None)
    _, event = world.said(one)
    assert event["method"] == "news"


def test_a_subscription_that_ends_within_its_batch_sends_nothing() -> None:
    world = Rooms()
    one = world.connect()
    topic = {"topic": "open.a"}
    publish = ("topic.publish", {"topic": "open.a", "data": 1})
    world.receive(one, batch(("topic.subscribe", topic), publish, ("topic.unsubscribe", topic), ("echo", {})))
    (invoke,) = world.invoked()
    world.complete(invoke.call, None)
    (reply,) = world.said(one)
    assert [each["id"] for each in reply] == [1, 2, 3, 4]


def test_two_batches_each_hold_back_their_own_topics() -> None:
    world = Rooms()
    one = world.connect()
    calls = []
    for first, topic in ((1, "open.a"), (11, "open.b")):
        world.receive(one, batch(("topic.subscribe", {"topic": topic}), ("echo", {}), first=first))
        calls.append(world.invoked()[0].call)
        world.call(one, "connection.ping", {}, 7)
    for topic in ("open.a", "open.b"):
        world.publish(topic)
    world.take()
    world.complete(calls[1], None)
    assert [message["params"]["topic"] for message in world.said(one)[1:]] == ["open.b"]
    world.complete(calls[0], None)
    assert [message["params"]["topic"] for message in world.said(one)[1:]] == ["open.a"]


def test_a_batch_that_is_not_answered_does_not_hold_up_what_waits_for_a_slow_peer() -> None:
    world = Rooms()
    slow = world.connect()
    world.receive(slow, batch(("topic.subscribe", {"topic": "lossy.b"}), ("echo", {})))
    (invoke,) = world.invoked()
    world.subscribe(slow, "lossy.a", id=9)
    hold(world, slow)
    for topic in ("lossy.b", "lossy.a"):
        world.publish(topic)
    assert [message["params"]["topic"] for message in drain(world, slow)] == ["lossy.a"]
    world.complete(invoke.call, None)
    assert [each["params"]["topic"] for each in world.said(slow)[1:]] == ["lossy.b"]


def test_what_is_told_of_a_subscription_leaves_behind_its_reply() -> None:
    world = Rooms()
    one = world.connect()
    record, delivery = world.gateway._connections.records[one], world.gateway._topics.delivery
    world.receive(one, batch(("topic.subscribe", {"topic": "open.a"}), ("echo", {})))
    (invoke,) = world.invoked()
    delivery.tell(record, "open.a", b'{"method":"told"}', 0.0)
    assert world.take() == []
    world.complete(invoke.call, None)
    assert world.said(one)[1:] == [{"method": "told"}]
    delivery.tell(record, "open.a", b'{"method":"told"}', 0.0)
    assert world.said(one) == [{"method": "told"}]
