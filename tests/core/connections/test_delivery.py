"""Pushing to one connection and to many: nobody waits for anybody."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from posthouse.core.connections.delivery import sender_of
from posthouse.core.values.close_reasons import MAX_QUEUED_PUSHES
from posthouse.core.values.effects import Disconnect, Multicast, Transmit
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import ConnectionId, Identity, Peer

from tests.core.counting import calls_of
from tests.core.world import World

NEWS = b'{"jsonrpc":"2.0","method":"news","params":[1]}'


def notify(world: World, to: ConnectionId) -> bool:
    return world.gateway.notify(to, "news", [1], world.now)


def broadcast(world: World, **to: Any) -> int:
    return world.gateway.broadcast("news", [1], world.now, **to)


@pytest.mark.parametrize(("kind", "told"), [("websocket", True), ("cli", True), ("http", False)])
def test_a_notification_is_sent_to_a_pushable_connection(kind: Any, told: bool) -> None:
    world = World()
    one = world.connect(kind)
    assert notify(world, one) is told
    assert world.take() == ([Transmit(one, NEWS)] if told else [])


def test_a_closing_or_gone_connection_gets_no_pushes() -> None:
    world = World(max_bad_messages=1)
    closing, gone = world.connect(), world.connect()
    for _ in range(2):
        world.receive(closing, b"{")
    world.gateway.disconnected(gone, None, 0.0)
    world.take()
    assert (notify(world, closing), notify(world, gone)) == (False, False)
    assert broadcast(world) == 0
    assert world.take() == []


def test_a_broadcast_is_one_payload_for_all_pushable_connections() -> None:
    world = World()
    pipe, one = world.connect("cli"), world.connect()
    world.connect("http")
    two = world.connect()
    assert broadcast(world) == 3
    assert world.take() == [Multicast([one, two, pipe], NEWS)]


def test_users_of_one_name_in_two_namespaces_are_two() -> None:
    world = World()
    here = world.connect(user="ada")
    there = world.connect(identity=Identity("ada", namespace="idp"))
    for to, expected in (({"users": ["ada"]}, here), ({"users": ["ada"], "namespace": "idp"}, there)):
        assert broadcast(world, **to) == 1
        assert world.take() == [Multicast([expected], NEWS)]


def test_a_broadcast_can_be_for_some_kinds_and_some_users() -> None:
    world = World()
    ada, pipe = world.connect(user="ada"), world.connect("cli", "ada")
    bob = world.connect(user="bob")
    world.connect()
    for to, expected in (
        ({"kinds": ["cli"]}, [pipe]),
        ({"users": ["bob", "ada", "bob"]}, [ada, pipe, bob]),
        ({"users": ["ada"], "kinds": ["websocket", "http"]}, [ada]),
        ({"kinds": ["http"]}, []),
        ({"users": ["eve"]}, []),
        ({"users": []}, []),
        ({"kinds": []}, []),
    ):
        assert broadcast(world, **to) == len(expected)
        assert world.take() == ([Multicast(expected, NEWS)] if expected else [])


def test_an_unknown_kind_is_misuse() -> None:
    world = World()
    world.connect()
    for users in (None, ["ada"]):
        with pytest.raises(UsageError, match="unknown kind 'carrier pigeon'"):
            broadcast(world, kinds=["carrier pigeon"], users=users)
    assert world.take() == []


@pytest.mark.parametrize("to", [{"users": "ada"}, {"kinds": "http"}, {"users": ["ada", 1]}, {"kinds": [None]}])
def test_a_single_string_and_other_types_are_refused_as_names(to: Any) -> None:
    world = World()
    world.connect(user="a")
    with pytest.raises(
        UsageError, match=f"^{next(iter(to))} (is a single string: give a list|contains .*must be a string)"
    ):
        broadcast(world, **to)
    assert world.take() == []


def test_row_8_a_peer_that_reads_nothing_is_closed_and_a_thousand_others_are_unaffected() -> None:
    world = World(max_queued_pushes=3)
    slow = world.connect()
    others = [world.connect() for _ in range(1000)]
    world.gateway.report_held(slow, 10, 0.0)
    world.take()
    for _ in range(3):
        assert broadcast(world) == 1001
        assert world.take() == [Multicast(others, NEWS)]
    broadcast(world)
    assert world.take() == [Multicast(others, NEWS), Disconnect(slow, MAX_QUEUED_PUSHES, flush=False)]
    assert broadcast(world) == 1000
    assert world.gateway.memory == 0


def test_a_slow_peer_makes_a_broadcast_to_many_others_no_dearer() -> None:
    costs = []
    for number in (3, 300):
        world = World()
        others = [world.connect() for _ in range(number)]
        for slow in (world.connect("http"), others.pop()):
            world.gateway.report_held(slow, 10, 0.0)
        world.take()
        costs.append(calls_of(partial(broadcast, world)))
        assert world.take() == [Multicast(others, NEWS)]
    assert costs[0] == costs[1]


def test_a_broadcast_to_slow_peers_only_is_queued() -> None:
    world = World()
    one = world.connect()
    world.gateway.report_held(one, 10, 0.0)
    world.take()
    assert broadcast(world) == 1
    assert world.take() == []
    world.gateway.report_sent(one, 10, 0.0)
    assert world.take()[0] == Transmit(one, NEWS, report=True)


def test_a_notification_that_fills_the_queue_of_a_slow_peer_closes_it() -> None:
    world = World(max_queued_pushes=1)
    one = world.connect()
    world.gateway.report_held(one, 10, 0.0)
    assert notify(world, one)
    assert world.closes() == []
    assert notify(world, one)
    assert world.closes() == [(one, 4100, False)]
    assert not notify(world, one)


def test_a_sender_is_its_connection_and_its_user() -> None:
    connections = World().gateway._connections
    one = connections.add(Peer("websocket", identity=Identity("ada", namespace="idp")), 0.0)
    two = connections.add(Peer("websocket"), 0.0)
    assert sender_of(one) == {"connection": one.public_id, "user": "ada", "namespace": "idp"}
    assert sender_of(two) == {"connection": two.public_id, "user": None}
