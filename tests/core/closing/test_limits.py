"""Limits: what is checked after an input, memory above all."""

from __future__ import annotations

from typing import Any

from posthouse.core.values.effects import Drained
from posthouse.core.values.lifecycle import SessionEnded
from posthouse.core.values.peers import Address, ConnectionId, Peer

from tests.core.identity.credentials import ADA, AuthWorld
from tests.core.sessions.sessioned import SessionWorld, told
from tests.core.topics.rooms import Rooms
from tests.core.world import World, request

HERE = Address("192.0.2.1", 5000)


def held(world: World, connection: ConnectionId, size: int, now: float) -> list[Any]:
    world.now = now
    world.gateway.report_held(connection, size, now)
    return world.closes()


def test_row_59_above_the_budget_new_connections_are_refused_and_the_idlest_is_closed() -> None:
    world = World(memory_budget=1000)
    idle, slow, lively = (world.connect() for _ in range(3))
    world.now = 1.0
    for connection in (slow, lively):
        world.gateway.heard(connection, 1.0)
    assert held(world, slow, 1000, 1.0) == []
    assert held(world, slow, 1, 1.0) == [(idle, 1013, False)]
    refused = world.gateway.connect(Peer("websocket"), 1.0)
    assert world.closes() == [(refused, 1013, True)]
    world.begin(lively)


def test_row_59_the_next_is_closed_after_a_second_or_when_memory_grows() -> None:
    world = World(memory_budget=1000, write_timeout=100.0)
    slow, *others = (world.connect() for _ in range(5))
    world.gateway.heard(slow, 1.0)
    assert held(world, slow, 2000, 0.0) == [(others[0], 1013, False)]
    world.gateway.heard(slow, 0.5)
    world.gateway.report_buffered(0, 0.5)
    assert world.closes() == []
    assert held(world, slow, 1, 0.5) == [(others[1], 1013, False)]
    world.gateway.report_buffered(0, 1.499)
    assert world.closes() == []
    world.gateway.report_buffered(0, 1.5)
    assert world.closes() == [(others[2], 1013, False)]


def test_sessions_of_nobody_end_before_a_connection_is_closed_if_they_take_most_of_the_memory() -> None:
    world = SessionWorld(memory_budget=14_000)
    idle, one = world.connect(), world.connect()
    made = [world.create(one, text="x" * 2_500) for _ in range(3)]
    assert (list(world.store.sessions), world.closes()) == ([each["id"] for each in made], [])
    world.call(one, "session.create", {"data": {"text": "x" * 2_500}})
    assert told(world, SessionEnded) == [SessionEnded(made[0]["id"], "crowded_out", 0, 0.0)]
    assert (list(world.store.sessions)[:2], len(world.store.sessions)) == ([made[1]["id"], made[2]["id"]], 3)
    assert world.gateway.health(0.0).status == "healthy"
    assert world.gateway._connections.records[one].admitted
    assert world.gateway._connections.records[idle].admitted


def test_sessions_of_nobody_that_take_less_than_half_of_the_memory_go_on() -> None:
    world = SessionWorld(memory_budget=10_000)
    one = world.connect()
    made = world.create(one, text="x" * 2_000)
    assert held(world, one, 8_000, 0.0) == [(one, 1013, False)]
    assert list(world.store.sessions) == [made["id"]]


def test_without_connections_memory_over_budget_closes_nothing() -> None:
    world = World(memory_budget=1000)
    world.gateway.report_buffered(2000, 0.0)
    assert world.take() == []
    assert world.gateway.health(0.0).status == "degraded"


def test_memory_over_budget_is_checked_again_without_growth() -> None:
    world = World(memory_budget=1000)
    connections = [world.connect() for _ in range(3)]
    world.gateway.report_buffered(1001, 0.0)
    assert world.closes() == [(connections[0], 1013, False)]
    world.receive(connections[2], request("connection.ping", {}))
    assert world.closes() == []
    world.now = 1.0
    world.receive(connections[2], request("connection.ping", {}))
    assert world.closes() == [(connections[1], 1013, False)]


def test_a_gateway_is_degraded_while_a_global_limit_is_reached() -> None:
    world = World(max_connections=2, max_calls=1)
    one = world.connect("cli")
    assert world.gateway.health(0.0).status == "healthy"
    call = world.begin(one)
    assert (world.gateway.health(0.0).status, world.gateway.health(0.0).calls) == ("degraded", 1)
    world.complete(call)
    two = world.connect("cli")
    assert (world.gateway.health(0.0).status, world.gateway.health(0.0).connections) == ("degraded", 2)
    world.gateway.disconnected(two, None, 0.0)
    for _ in range(2):
        world.gateway.accepted(HERE, 0.0)
    assert (world.gateway.health(0.0).status, world.gateway.health(0.0).sockets) == ("degraded", 2)
    world.gateway.shut_down(0.0)
    assert world.gateway.health(0.0).status == "draining"


def test_a_shut_down_is_over_when_the_last_handler_has_ended() -> None:
    world = World(drain_spread=0.0)
    one = world.connect()
    call = world.begin(one, "finish")
    world.gateway.shut_down(0.0)
    world.at(0.0)
    world.gateway.disconnected(one, None, 0.0)
    assert Drained() not in world.take()
    world.complete(call)
    assert world.take() == [Drained()]


def junk(world: AuthWorld, size: int) -> ConnectionId:
    """A request with credentials of which nobody knows whether they are right, and a text of this size."""
    one = world.arrive(kind="http")
    world.gateway.receive(one, b"x" * size, world.now)
    return one


def test_row_59_who_is_not_verified_goes_first_the_newest_first() -> None:
    world = AuthWorld(memory_budget=1000)
    idle = world.connect()
    first, second = junk(world, 500), junk(world, 500)
    world.take()
    third = junk(world, 1)
    assert world.closes() == [(third, 1013, False)]
    assert held(world, idle, 1, 0.0) == [(second, 1013, False)]
    assert held(world, idle, 499, 0.0) == []
    assert held(world, idle, 1, 0.0) == [(first, 1013, False)]
    assert held(world, idle, 500, 0.0) == [(idle, 1013, False)]
    assert world.gateway._arrivals.holding == {}


def test_row_59_as_many_who_are_not_verified_go_as_must_and_then_the_idlest() -> None:
    world = AuthWorld(memory_budget=1000)
    idle, slow = world.connect(), world.connect()
    world.gateway.heard(slow, 1.0)
    first, second = junk(world, 400), junk(world, 400)
    world.take()
    assert held(world, slow, 700, 1.0) == [(second, 1013, False), (first, 1013, False)]
    assert held(world, slow, 301, 1.0) == [(idle, 1013, False)]


def test_row_59_a_text_of_a_caller_who_was_verified_is_not_held_any_more() -> None:
    world = AuthWorld(memory_budget=1000)
    one = junk(world, 500)
    world.conclude(world.asked().operation, ADA)
    assert (world.gateway._arrivals.holding, world.gateway.memory) == ({}, 0)
    world.gateway.disconnected(one, None, 0.0)


def test_the_history_of_topics_is_forgotten_before_a_connection_is_closed() -> None:
    world = Rooms(memory_budget=1_000)
    one = world.connect()
    world.subscribe(one, "open.a")
    for _ in range(3):
        world.publish("open.a", "x" * 320)
    assert world.closes() == []
    assert world.gateway.memory <= 1_000
    assert len(world.ask(one, "history", topic="open.a", limit=9)["publications"]) == 2
