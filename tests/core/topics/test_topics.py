"""What callers may do with topics, and what the service does."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.values.effects import Resolve, Transmit
from posthouse.core.values.errors import ErrorObject, UsageError
from posthouse.core.values.peers import ConnectionId, Identity

from tests.core.topics.rooms import Rooms, with_topics
from tests.core.world import breached, request

ADA = Identity("ada")
STAFF = Identity("staff", ("staff",))


def test_a_subscriber_gets_what_is_published_from_then_on() -> None:
    world = Rooms()
    one, two = world.connect(), world.connect(identity=ADA)
    world.publish("open.a", "before")
    answer = world.subscribe(one, "open.a")
    assert answer == {"epoch": "0000000000000003", "offset": 1}
    assert world.ask(two, "publish", topic="open.a", data={"n": [1, 2.50]}) == {**answer, "offset": 2}
    world.ask(two, "publish", topic="open.a", data="x")
    world.gateway.publish("open.a", [3], 0.0)
    (notification,) = world.said(one)
    assert notification == {
        "jsonrpc": "2.0",
        "method": "topic.publication",
        "params": {"topic": "open.a", "epoch": "0000000000000003", "offset": 4, "data": [3]},
    }


def test_a_publication_of_a_caller_says_whose_it_is() -> None:
    world = Rooms()
    one = world.connect()
    named = world.connect(identity=Identity("ada", namespace="idp"))
    world.subscribe(one, "open.a")
    world.call(named, "topic.publish", {"topic": "open.a", "data": None}, 1)
    event, reply = world.said()
    sender = {"connection": (2).to_bytes(12, "big").hex(), "user": "ada", "namespace": "idp"}
    assert event["params"]["from"] == sender
    assert reply["result"]["offset"] == 1


def test_after_the_reply_to_unsubscribe_nothing_comes() -> None:
    world = Rooms()
    one = world.connect()
    world.subscribe(one, "open.a")
    assert world.ask(one, "unsubscribe", topic="open.a") == {"unsubscribed": True}
    world.publish("open.a")
    assert world.heard(one) == []
    error = world.ask(one, "unsubscribe", topic="open.a")
    assert (error["code"], error["data"]) == (-32036, {"topic": "open.a"})
    assert world.ask(one, "unsubscribe", topic="x" * 300)["data"] == {"topic": "x" * 255}


def test_the_end_of_a_subscription_does_not_overtake_a_subscription_that_waits() -> None:
    world = Rooms(max_calls_per_connection=1)
    one = world.connect()
    running = world.begin(one, "echo", [], 1)
    world.call(one, "topic.subscribe", {"topic": "open.a"}, 2)
    world.call(one, "topic.unsubscribe", {"topic": "open.a"}, 3)
    assert world.said(one) == []
    world.complete(running)
    assert [(each["id"], "result" in each) for each in world.said(one)] == [(1, True), (2, True), (3, True)]
    world.publish("open.a")
    assert world.said(one) == []


def test_a_connection_that_has_gone_is_not_subscribed() -> None:
    world = Rooms()
    one, two = world.connect(), world.connect()
    for connection in (one, two):
        world.subscribe(connection, "open.a")
    world.gateway.disconnected(one, None, 0.0)
    world.take()
    world.publish("open.a")
    assert world.heard(two) == [("open.a", 1, 0)]
    assert world.gateway.stats()["topics.subscriptions"] == 1


# Resume


@pytest.mark.parametrize(
    ("seen", "recovered"), [(5, []), (4, [5]), (2, [3, 4, 5]), (1, None), (0, None), (6, None), (2**53, None)]
)
def test_a_subscriber_that_comes_back_gets_exactly_what_it_missed_or_nothing(
    seen: int, recovered: list[int] | None
) -> None:
    world = Rooms()
    one = world.connect()
    for number in range(5):
        world.publish("open.a", number)
    epoch = world.ask(one, "history", topic="open.a", limit=1)["epoch"]
    answer = world.subscribe(one, "open.a", position={"epoch": epoch, "offset": seen})
    here = {"epoch": epoch, "offset": 5, "recovered": recovered is not None}
    if recovered is None:
        assert answer == here
    else:
        assert answer == {**here, "publications": [{"offset": each, "data": each - 1} for each in recovered]}
    stats = world.gateway.stats()
    assert (stats.get("topics.recovered", 0), stats.get("topics.not_recovered", 0)) == (
        (1, 0) if recovered is not None else (0, 1)
    )
    world.publish("open.a")
    assert world.heard(one) == [("open.a", 6, 0)]


def test_a_position_of_another_epoch_is_not_recovered() -> None:
    world = Rooms()
    one = world.connect()
    answer = world.subscribe(one, "open.a", position={"epoch": "other", "offset": 0})
    assert answer == {"epoch": "0000000000000002", "offset": 0, "recovered": False}


@pytest.mark.parametrize("position", [{"epoch": "e", "offset": -1}, {"epoch": "e"}, 7, {"epoch": 1, "offset": 1}])
def test_what_is_no_position_is_refused(position: Any) -> None:
    world = Rooms()
    one = world.connect()
    error = world.subscribe(one, "open.a", position=position)
    assert (error["code"], error["data"]["parameter"]) == (-32602, "position")
    assert world.gateway.stats()["topics.subscriptions"] == 0


def test_row_56_what_is_told_twice_has_the_same_offset() -> None:
    world = Rooms()
    one = world.connect()
    epoch = world.subscribe(one, "open.a")["epoch"]
    world.publish("open.a", "x")
    assert world.heard(one) == [("open.a", 1, "x")]
    world.gateway.disconnected(one, None, 0.0)
    two = world.connect()
    again = world.subscribe(two, "open.a", position={"epoch": epoch, "offset": 0})["publications"]
    assert again == [{"offset": 1, "data": "x"}]


def test_a_recovery_that_does_not_fit_into_a_reply_is_none() -> None:
    world = Rooms(max_response_bytes=1_500)
    one, two = world.connect(), world.connect()
    epoch = world.subscribe(one, "open.a")["epoch"]
    for _ in range(2):
        world.publish("open.a", "x" * 700)
    assert world.subscribe(two, "open.a", position={"epoch": epoch, "offset": 1})["recovered"] is True
    world.ask(two, "unsubscribe", topic="open.a")
    assert world.subscribe(two, "open.a", position={"epoch": epoch, "offset": 0})["recovered"] is False
    assert len(world.ask(two, "history", topic="open.a", limit=9)["publications"]) == 1


# Who may


def test_a_topic_that_is_not_declared_is_refused() -> None:
    world = Rooms()
    one = world.connect()
    for method, params in (("subscribe", {}), ("publish", {"data": 1}), ("history", {"limit": 1})):
        error = world.ask(one, method, topic="other.a", **params)
        assert (error["code"], error["data"]) == (-32036, {"topic": "other.a"})


@pytest.mark.parametrize("topic", ["open.*", "open.>", "open.\x01", "open", ">", "", "open.a b", "open.é"])
def test_row_24_what_is_no_topic_is_refused(topic: str) -> None:
    world = Rooms()
    one = world.connect()
    error = world.subscribe(one, topic)
    assert error["code"] == (-32036 if topic == "open" else -32602)


@pytest.mark.parametrize(("size", "code"), [(254, None), (255, None), (256, -32602)])
def test_a_name_has_no_more_bytes_than_its_limit(size: int, code: int | None) -> None:
    world = Rooms()
    one = world.connect()
    answer = world.subscribe(one, "open." + "a" * (size - 5))
    assert answer.get("code") == code
    if code is not None:
        assert answer["data"] == {"parameter": "topic", "limit": "max_topic_bytes", "allowed": 255}


def test_a_topic_is_for_those_for_whom_its_rule_is() -> None:
    world = Rooms()
    anonymous, ada, staff = (world.connect(identity=each) for each in (Identity(), ADA, STAFF))
    assert world.subscribe(anonymous, "news")["code"] == -32020
    assert "epoch" in world.subscribe(ada, "news")
    error = world.ask(staff, "publish", topic="news", data=1)
    assert (error["code"], error["data"]) == (-32021, {"reason": "only the server may do this"})
    assert world.subscribe(ada, "staff")["data"] == {"scopes": ["staff"]}
    assert "epoch" in world.subscribe(staff, "staff")
    assert world.ask(ada, "publish", topic="staff", data={})["code"] == -32021
    assert world.ask(ada, "history", topic="staff", limit=1)["code"] == -32021
    assert world.ask(anonymous, "publish", topic="staff", data={})["code"] == -32020  # row 36
    assert world.ask(staff, "publish", topic="staff", data={"a": "x"})["data"]["path"] == ".a"
    assert world.ask(staff, "publish", topic="staff", data={"a": 1})["offset"] == 1


def test_a_connection_that_carries_one_answer_cannot_subscribe() -> None:
    world = Rooms()
    page = world.connect("http")
    world.call(page, "topic.subscribe", {"topic": "open.a"})
    (answer,) = world.said()
    assert answer["error"]["code"] == -32602
    assert world.gateway.stats()["topics.open"] == 0
    other = world.connect("http")
    world.call(other, "topic.publish", {"topic": "open.a", "data": 1})
    (answer,) = world.said()
    assert answer["result"]["offset"] == 1


def test_a_second_subscription_to_a_topic_is_refused() -> None:
    world = Rooms()
    one = world.connect()
    world.subscribe(one, "open.a")
    error = world.subscribe(one, "open.a", position={"epoch": "e", "offset": 0})
    reason = "this connection is subscribed to it already"
    assert (error["code"], error["data"]) == (-32602, {"parameter": "topic", "reason": reason})
    world.publish("open.a")
    assert world.heard(one) == [("open.a", 1, 0)]


@pytest.mark.parametrize(("number", "code"), [(1, None), (2, None), (3, -32006)])
def test_row_23_a_flood_of_subscriptions_is_refused_and_others_are_unaffected(number: int, code: int | None) -> None:
    world = Rooms(max_subscriptions=2)
    one, two = world.connect(), world.connect()
    answers = [world.subscribe(one, f"open.{each}") for each in range(number)]
    assert answers[-1].get("code") == code
    assert breached(world) == []
    assert "epoch" in world.subscribe(two, "open.0")


@pytest.mark.parametrize(("number", "code"), [(1, None), (2, None), (3, -32009)])
def test_there_are_no_more_topics_than_their_limit(number: int, code: int | None) -> None:
    world = Rooms(max_topics=2)
    one = world.connect()
    for each in range(number):
        answer = world.subscribe(one, f"open.{each}")
    assert answer.get("code") == code
    if code is not None:
        assert answer["data"] == {"retryable": True, "limit": "max_topics"}
        assert world.ask(one, "publish", topic="open.x", data=1)["code"] == code
        assert world.ask(one, "history", topic="open.x", limit=1)["publications"] == []
        world.publish("open.x")
        assert world.ask(one, "history", topic="open.x", limit=1)["publications"] == [{"offset": 1, "data": 0}]


# Keys


def test_a_publication_with_a_key_is_published_once() -> None:
    world = Rooms()
    ada, other, anonymous = world.connect(identity=ADA), world.connect(identity=ADA), world.connect()
    world.subscribe(anonymous, "open.a")
    keyed = {"topic": "open.a", "data": {"n": 1}, "idempotency_key": "k"}
    world.call(ada, "topic.publish", keyed, 1)
    world.call(other, "topic.publish", keyed, 2)
    event, first, second = world.said()
    assert event["params"]["offset"] == first["result"]["offset"] == second["result"]["offset"] == 1
    error = world.ask(ada, "publish", topic="open.a", data={"n": 2}, idempotency_key="k")
    assert error["data"] == {"parameter": "idempotency_key", "reason": "this key was used with other data"}
    error = world.ask(anonymous, "publish", topic="open.a", data=1, idempotency_key="k")
    reason = "a caller without a user and without a session has no keys"
    assert error["data"] == {"parameter": "idempotency_key", "reason": reason}


@pytest.mark.parametrize(("size", "code"), [(125, None), (126, None), (127, -32602)])
def test_a_key_has_no_more_bytes_than_its_limit(size: int, code: int | None) -> None:
    world = Rooms()
    ada = world.connect(identity=ADA)
    answer = world.ask(ada, "publish", topic="open.a", data=1, idempotency_key="k" * size)
    assert answer.get("code") == code


def test_a_session_of_nobody_has_keys_of_its_own() -> None:
    world = Rooms(with_topics(sessions="on"))
    one, two = world.connect(), world.connect()
    for each in (one, two):
        world.call(each, "session.create", {})
        world.take()
    keyed = {"topic": "open.a", "data": 1, "idempotency_key": "k"}
    offsets = []
    for each in (one, one, two):
        world.call(each, "topic.publish", keyed, 5)
        (answer,) = world.said(each)
        offsets.append(answer["result"]["offset"])
    assert offsets == [1, 1, 2]


# The history


def test_a_history_is_read_in_pages_by_those_who_may_subscribe() -> None:
    world = Rooms()
    one = world.connect()
    for number in range(4):
        world.publish("open.a", number)
    newest = world.ask(one, "history", topic="open.a", limit=2, reverse=True)
    assert (newest["offset"], [each["offset"] for each in newest["publications"]]) == (4, [4, 3])
    since = {"epoch": newest["epoch"], "offset": 3}
    page = world.ask(one, "history", topic="open.a", limit=2, since=since)
    assert [each["offset"] for each in page["publications"]] == [4]
    before = world.ask(one, "history", topic="open.a", limit=2, reverse=True, since=since)
    assert [each["offset"] for each in before["publications"]] == [2]


def test_a_history_cannot_be_read_from_a_position_of_another_epoch() -> None:
    world = Rooms()
    one = world.connect()
    error = world.ask(one, "history", topic="open.a", limit=1, since={"epoch": "e", "offset": 0})
    reason = "the topic has begun another epoch since"
    assert (error["code"], error["data"]) == (-32602, {"parameter": "from", "reason": reason})


# A subscription exists if its reply says so


def test_a_subscription_whose_reply_does_not_fit_does_not_exist() -> None:
    world = Rooms(max_batch_reply_bytes=210)
    one = world.connect()
    params = {"topic": "open.a"}
    world.receive(one, [request("topic.subscribe", params, 1), request("topic.history", {**params, "limit": 1}, 2)])
    reply = world.said(one)[0]
    assert [each["error"]["code"] for each in reply] == [-32011, -32011]
    world.publish("open.a")
    assert world.heard(one) == []
    assert world.gateway.stats()["topics.subscriptions"] == 0


def test_a_subscription_that_is_out_of_time_does_not_exist() -> None:
    world = Rooms(max_calls_per_connection=1)
    one = world.connect()
    first = world.begin(one, "echo", [], 1)
    world.call(one, "topic.subscribe", {"topic": "open.a"}, 2, timeout_ms=10)
    world.now = 1.0
    world.complete(first, None)
    assert [each.get("error", {}).get("code") for each in world.said(one)] == [None, -32030]
    world.publish("open.a")
    assert world.heard(one) == []


# The service


def test_the_service_publishes_and_is_told_the_position() -> None:
    world = Rooms()
    id = world.gateway.publish("open.a", {"n": 1}, 0.0)
    assert world.take() == [Resolve(id, b'{"epoch":"0000000000000001","offset":1}')]
    id = world.gateway.publish("other", 1, 0.0)
    assert world.take() == [Resolve(id, ErrorObject(-32036, "Unknown topic, or not subscribed", {"topic": "other"}))]


def test_the_service_cannot_publish_what_is_not_as_declared() -> None:
    world = Rooms()
    with pytest.raises(UsageError, match="the data cannot be published: it is not as declared: expected int, got str"):
        world.gateway.publish("staff", {"a": "x"}, 0.0)
    assert world.take() == []


# The right ends


def narrow(world: Rooms, connection: ConnectionId, identity: Identity) -> None:
    """The connection has another identity."""
    gateway = world.gateway
    gateway._connections.identify(gateway._connections.records[connection], identity, world.now)


def test_a_connection_that_loses_a_scope_loses_its_subscriptions_and_is_told() -> None:
    world = Rooms()
    one, other = world.connect(identity=STAFF), world.connect(identity=STAFF)
    for connection in (one, other):
        world.subscribe(connection, "staff")
    world.subscribe(one, "open.a")
    narrow(world, one, Identity("staff"))
    assert world.heard(one) == [("topic.unsubscribed", {"topic": "staff", "reason": "forbidden"})]
    world.publish("staff", {"a": 1})
    world.publish("open.a")
    assert world.heard(one) == [("open.a", 1, 0)]
    assert world.gateway._topics.subscriptions.by_user == {("", "staff"): 2}
    narrow(world, world.connect(identity=STAFF), Identity())  # it has no subscription
    narrow(world, other, Identity())
    assert world.heard(other) == [("topic.unsubscribed", {"topic": "staff", "reason": "forbidden"})]


def test_subscriptions_count_for_the_user_whose_they_are_now() -> None:
    world = Rooms(max_subscriptions_per_user=2)
    one, two = world.connect(identity=ADA), world.connect()
    world.subscribe(one, "open.a")
    for topic in ("open.b", "open.c", "open.d"):
        world.subscribe(two, topic)
    narrow(world, two, ADA)
    reason = "max_subscriptions_per_user"
    assert world.heard(two) == [
        ("topic.unsubscribed", {"topic": topic, "reason": reason}) for topic in ("open.c", "open.d")
    ]
    assert world.gateway._topics.subscriptions.by_user == {("", "ada"): 2}
    narrow(world, two, ADA)
    narrow(world, two, Identity())
    assert world.heard(two) == []
    assert world.gateway._topics.subscriptions.by_user == {("", "ada"): 1}


def test_a_limit_that_is_only_observed_ends_no_subscription() -> None:
    world = Rooms(max_subscriptions_per_user=1, observe=["max_subscriptions_per_user"])
    one = world.connect()
    for topic in ("open.a", "open.b"):
        world.subscribe(one, topic)
    narrow(world, one, ADA)
    assert world.heard(one) == []


def test_in_a_batch_the_end_of_a_subscription_is_told_behind_the_reply() -> None:
    world = Rooms()
    one = world.connect(identity=STAFF)
    world.receive(one, [request("topic.subscribe", {"topic": "staff"}, 1), request("echo", {}, 2)])
    (invoke,) = world.invoked()
    world.publish("staff", {"a": 1})
    narrow(world, one, ADA)
    assert world.take()[1:] == []
    world.complete(invoke.call, None)
    reply, told = world.said(one)
    assert [each["id"] for each in reply] == [1, 2]
    assert told["params"] == {"topic": "staff", "reason": "forbidden"}
    assert world.gateway.memory == 0


def test_a_revoked_user_loses_its_subscriptions_with_its_connections() -> None:
    world = Rooms()
    one = world.connect(identity=ADA)
    world.subscribe(one, "open.a")
    assert world.gateway.revoke("ada", 0.0) == 1
    assert world.gateway.stats()["topics.subscriptions"] == 0


def test_the_service_takes_subscriptions_back() -> None:
    world = Rooms()
    one, two, bob = world.connect(identity=ADA), world.connect(identity=ADA), world.connect(identity=Identity("bob"))
    for connection in (one, two, bob):
        for topic in ("open.a", "open.b"):
            world.subscribe(connection, topic)
    assert world.gateway.unsubscribe(0.0, user="ada", topic="open.a") == 2
    told = ("topic.unsubscribed", {"topic": "open.a", "reason": "server"})
    assert [effect.connection for effect in world.gateway.outbox if isinstance(effect, Transmit)] == [one, two]
    assert world.heard(one) == [told]
    assert world.gateway.unsubscribe(0.0, user="ada") == 2
    assert world.gateway.unsubscribe(0.0, user="ada") == 0
    assert world.gateway._topics.subscriptions.by_connection.keys() == {bob}
