"""Who is subscribed to what: the tables agree, and the limits hold."""

from __future__ import annotations

import pytest
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.topics.subscriptions import Subscriptions
from posthouse.core.values.effects import Emit
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import ANONYMOUS, Identity, Peer
from posthouse.core.values.shared import Shared

from tests.core.world import shared

ADA = Identity("ada")


def made(state: Shared, *identities: Identity) -> list[Connection]:
    connections = Connections(state)
    return [connections.add(Peer("websocket", identity=each), 0.0) for each in identities]


def test_a_subscription_is_found_by_its_topic_its_connection_and_its_user() -> None:
    state = shared()
    subscriptions = Subscriptions(state)
    one, two = made(state, ADA, ADA)
    subscriptions.add(one, "a")
    subscriptions.add(two, "a")
    subscriptions.add(one, "b")
    assert (subscriptions.has(one.id, "a"), subscriptions.has(two.id, "b")) == (True, False)
    assert (subscriptions.of(one.id), subscriptions.of(two.id)) == (("a", "b"), ("a",))
    assert (subscriptions.by_user, len(subscriptions)) == ({("", "ada"): 3}, 3)


def test_a_subscription_that_ends_leaves_nothing() -> None:
    state = shared()
    subscriptions = Subscriptions(state)
    one, two = made(state, ADA, ANONYMOUS)
    subscriptions.add(one, "a")
    subscriptions.add(two, "a")
    subscriptions.add(one, "b")
    assert subscriptions.remove(one.id, "b") is True
    assert (subscriptions.of(one.id), subscriptions.by_user) == (("a",), {("", "ada"): 1})
    assert subscriptions.remove(one.id, "a") is False
    assert subscriptions.remove(two.id, "a") is True
    assert (subscriptions.by_topic, subscriptions.by_connection, subscriptions.by_user) == ({}, {}, {})
    assert (subscriptions.of(one.id), len(subscriptions)) == ((), 0)


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        ({"max_subscriptions": 2}, "max_subscriptions"),
        ({"max_subscriptions_per_user": 2}, "max_subscriptions_per_user"),
    ],
)
def test_a_connection_and_a_user_have_no_more_subscriptions_than_their_limits(
    limits: dict[str, int], limit: str
) -> None:
    state = shared(**limits)
    subscriptions = Subscriptions(state)
    (one,) = made(state, ADA)
    for topic in ("a", "b"):
        subscriptions.check_room(one, 0.0)
        subscriptions.add(one, topic)
    with pytest.raises(RpcError) as caught:
        subscriptions.check_room(one, 0.0)
    assert (caught.value.code, caught.value.data) == (-32006, {"limit": limit})
    assert state.stats.counters == {f"limit.{limit}": 1}
    assert len([each for each in state.outbox if isinstance(each, Emit)]) == 1


def test_a_limit_may_be_observed_only() -> None:
    state = shared(max_subscriptions=1, observe=["max_subscriptions"])
    subscriptions = Subscriptions(state)
    (one,) = made(state, ADA)
    subscriptions.add(one, "a")
    subscriptions.check_room(one, 0.0)
    assert state.stats.counters == {"limit.max_subscriptions.would_refuse": 1}


def test_subscriptions_move_with_the_identity_of_their_connection() -> None:
    state = shared(max_subscriptions_per_user=1)
    subscriptions = Subscriptions(state)
    one, two = made(state, ANONYMOUS, ANONYMOUS)
    assert subscriptions.move(one) == 0
    for topic in ("a", "b"):
        subscriptions.add(one, topic)
    one.identity = ADA
    assert subscriptions.move(one) == 1
    assert subscriptions.move(one) == 0
    subscriptions.add(two, "a")
    two.identity = ADA
    assert (subscriptions.move(two), subscriptions.by_user) == (1, {("", "ada"): 3})
    two.identity = ANONYMOUS
    assert (subscriptions.move(two), subscriptions.by_user) == (0, {("", "ada"): 2})
