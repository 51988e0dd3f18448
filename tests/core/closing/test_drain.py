"""Leaving in good order: the timetable of a shut-down, to the very time."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.json import decode
from posthouse.core.values.close_reasons import DRAIN_TIMEOUT, DRAINING
from posthouse.core.values.effects import BeginDrain, Disconnect, Drained, Emit, Multicast, StopAccepting
from posthouse.core.values.lifecycle import AcceptingStopped, DrainStarted
from posthouse.core.values.peers import Address, Peer

from tests.core.world import World


def drained(world: World) -> bool:
    """Was `Drained` among the effects since they were last taken? Once, and last."""
    effects = world.take()
    assert Drained() not in effects[:-1]
    return effects[-1:] == [Drained()]


def timetable(world: World, until: float) -> dict[float, list[Any]]:
    """The closes and events until then, with their times."""
    happened: dict[float, list[Any]] = {}
    while (due := world.gateway.next_timeout()) is not None and due <= until:
        world.at(due)
        happened[due] = [
            effect.event if isinstance(effect, Emit) else effect
            for effect in world.gateway.outbox
            if isinstance(effect, Emit | StopAccepting | Disconnect | Drained)
        ]
        world.gateway.outbox.clear()
    return happened


def test_peers_are_told_at_once_when_to_reconnect() -> None:
    world = World(drain_notice=1.0, drain_spread=5.0)
    one, pipe = world.connect(), world.connect("cli")
    world.connect("http")
    world.gateway.shut_down(7.0)
    begin, told, multicast = world.gateway.outbox
    assert (begin, told) == (BeginDrain(), Emit(DrainStarted(7.0)))
    assert isinstance(multicast, Multicast)
    assert multicast.connections == [one, pipe]
    assert decode(multicast.data) == {
        "jsonrpc": "2.0",
        "method": "connection.draining",
        "params": {"reconnect_after_ms": 6000},
    }


def test_row_57_accepting_stops_after_the_notice_and_the_closes_are_spread() -> None:
    world = World(drain_notice=2.0, drain_spread=4.0)
    connections = [world.connect() for _ in range(3)] + [world.connect("cli")]
    world.now = 100.0
    world.gateway.shut_down(100.0)
    world.take()
    assert world.gateway.draining
    assert world.gateway.accepting
    assert timetable(world, 105.0) == {
        102.0: [StopAccepting(), AcceptingStopped(102.0), Disconnect(connections[0], DRAINING)],
        103.0: [Disconnect(connections[1], DRAINING)],
        104.0: [Disconnect(connections[2], DRAINING)],
        105.0: [Disconnect(connections[3], DRAINING)],
    }
    assert not world.gateway.accepting


def test_row_57_two_hundred_clients_are_told_and_closed_at_different_times() -> None:
    world = World(drain_spread=5.0)
    connections = [world.connect() for _ in range(200)]
    calls = {connection: world.begin(connection) for connection in connections[::10]}
    world.gateway.shut_down(0.0)
    begin, told = world.take()
    assert begin == BeginDrain()
    assert isinstance(told, Multicast)
    assert told.connections == connections
    left: list[tuple[float, Any]] = []
    while len(left) < 180:
        due = world.gateway.next_timeout()
        assert due is not None
        world.at(due)
        left += [(due, connection) for connection, *_ in world.closes()]
    idle = [(place, connection) for place, connection in enumerate(connections) if connection not in calls]
    assert left == [(place / 40, connection) for place, connection in idle]
    for connection, call in calls.items():
        world.complete(call)
        assert [type(effect).__name__ for effect in world.take()] == ["Transmit", "Disconnect"]
        world.gateway.disconnected(connection, None, 5.0)
    for _, connection in idle:
        world.gateway.disconnected(connection, None, 5.0)
    assert drained(world)


def test_sockets_are_accepted_until_the_notice_is_over() -> None:
    world = World(drain_notice=2.0)
    world.gateway.shut_down(0.0)
    socket = world.gateway.accepted(Address(), 0.0)
    assert socket is not None
    world.at(2.0)
    assert world.gateway.accepted(Address(), 2.0) is None


def test_a_new_connection_in_a_shut_down_is_refused_but_http_is_answered() -> None:
    world = World(drain_notice=2.0)
    world.gateway.shut_down(0.0)
    world.take()
    late = world.gateway.connect(Peer("websocket"), 0.0)
    assert world.gateway.outbox == [Disconnect(late, DRAINING)]
    http = world.connect("http")
    world.call(http)
    assert world.codes() == [-32050]


def test_a_connection_with_a_call_is_closed_after_its_answer() -> None:
    world = World(drain_spread=0.0)
    one = world.connect()
    call = world.begin(one)
    world.gateway.shut_down(0.0)
    world.at(9.999)
    assert world.closes() == []
    world.complete(call)
    assert world.closes() == [(one, 1012, True)]


def test_calls_end_by_the_earlier_of_their_deadline_and_the_grace() -> None:
    world = World(drain_notice=1.0, drain_grace=10.0, drain_spread=0.0, call_timeout=30.0)
    one = world.connect()
    world.begin(one, "brief", id=1)
    world.begin(one, id=2)
    world.gateway.shut_down(0.0)
    world.take()
    world.at(1.999)
    assert world.codes() == []
    world.at(2.0)
    assert world.codes() == [-32030]
    world.at(10.999)
    assert world.codes() == []
    world.at(11.0)
    effects = world.gateway.outbox.copy()
    assert world.codes() == [-32050]
    world.gateway.outbox[:] = effects
    assert world.closes() == [(one, 1012, True)]


def test_the_grace_can_be_given() -> None:
    world = World(drain_grace=10.0, drain_spread=0.0)
    one = world.connect()
    world.begin(one)
    world.gateway.shut_down(0.0, grace=3.0)
    world.take()
    world.at(2.999)
    assert world.codes() == []
    world.at(3.0)
    assert world.codes() == [-32050]


def test_a_connection_that_closed_itself_needs_no_farewell() -> None:
    world = World(drain_spread=10.0)
    one, two = world.connect(), world.connect()
    world.gateway.shut_down(0.0)
    world.at(0.0)
    world.gateway.disconnected(two, None, 1.0)
    world.gateway.disconnected(one, None, 1.0)
    assert drained(world)
    assert world.gateway.next_timeout() is None


def test_a_shut_down_is_over_once_when_all_is_gone_and_leaves_no_deadline() -> None:
    world = World(drain_spread=0.0)
    socket = world.gateway.accepted(Address(), 0.0)
    assert socket is not None
    one = world.gateway.connect(Peer("websocket", socket=socket), 0.0)
    world.take()
    call = world.begin(one, "finish")
    world.gateway.shut_down(0.0)
    world.at(0.0)
    assert not drained(world)
    world.gateway.disconnected(one, None, 1.0)
    assert not drained(world)
    world.gateway.released(socket, 1.0)
    assert not drained(world)
    world.complete(call)
    assert drained(world)
    assert world.gateway.next_timeout() is None
    world.gateway.handle_timeout(100.0)
    assert world.take() == []


def test_without_connections_a_shut_down_is_over_when_accepting_stops() -> None:
    world = World(drain_notice=2.0)
    world.gateway.shut_down(0.0)
    assert not drained(world)
    world.at(1.999)
    assert not drained(world)
    world.at(2.0)
    assert drained(world)


def test_a_shut_down_is_over_at_its_timeout_even_with_connections_left() -> None:
    world = World(drain_timeout=30.0, drain_spread=0.0)
    one = world.connect()
    http = world.connect("http")
    world.gateway.report_held(one, 10, 0.0)
    call = world.begin(http, "finish", timeout_ms=30_000)
    world.gateway.shut_down(0.0)
    world.at(0.0)
    world.take()
    world.at(29.999)
    world.take()
    world.at(30.0)
    assert world.take() == [Disconnect(http, DRAIN_TIMEOUT, flush=False), Drained()]
    world.gateway.disconnected(http, None, 31.0)
    world.gateway.disconnected(one, None, 31.0)
    world.complete(call)
    assert world.take() == []


@pytest.mark.parametrize("again", [0.0, 5.0])
def test_a_second_shut_down_changes_nothing(again: float) -> None:
    world = World()
    world.connect()
    world.gateway.shut_down(0.0)
    world.at(again)
    world.take()
    world.gateway.shut_down(again, grace=100.0)
    assert world.gateway.outbox == []


def test_a_shut_down_whose_notice_exceeds_its_timeout_stops_accepting_at_its_end() -> None:
    world = World(drain_notice=60.0, drain_timeout=30.0)
    one = world.connect()
    world.gateway.shut_down(0.0)
    world.gateway.outbox.clear()
    world.at(29.999)
    assert world.gateway.accepting
    world.at(30.0)
    assert world.gateway.outbox == [
        StopAccepting(),
        Emit(AcceptingStopped(30.0)),
        Disconnect(one, DRAIN_TIMEOUT, flush=False),
        Drained(),
    ]
    assert world.gateway.accepted(Address("10.0.0.1", 1), 30.0) is None
    assert world.gateway.next_timeout() is None


def test_a_shut_down_follows_its_timetable() -> None:
    world = World(drain_notice=1.0, drain_spread=0.0, drain_grace=5.0, drain_timeout=30.0)
    idle, busy, http = world.connect(), world.connect(), world.connect("http")
    world.begin(busy)
    world.begin(http, id=2)
    world.gateway.shut_down(0.0)
    world.take()
    world.at(1.0)
    assert world.take() == [StopAccepting(), Disconnect(idle, DRAINING)]
    world.at(6.0)
    assert [type(effect).__name__ for effect in world.take()] == [
        "Cancel",
        "Transmit",
        "Cancel",
        "Answer",
        "Disconnect",
    ]
    world.at(30.0)
    assert world.take() == [Disconnect(http, DRAIN_TIMEOUT, flush=False), Drained()]
    assert world.gateway.next_timeout() is None
