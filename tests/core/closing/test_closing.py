"""Why connections are closed or refused, with which code, and what is settled as they leave."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.closing.closing import CLOSES
from posthouse.core.closing.drain import SHUTDOWN
from posthouse.core.connections.connections import State
from posthouse.core.values.config import OBSERVABLE, Config
from posthouse.core.values.effects import Accept, Answer, Cancel, Disconnect, Emit, Resolve, Transmit
from posthouse.core.values.lifecycle import CallCancelled, ConnectionClosed, ConnectionOpened, LimitBreached
from posthouse.core.values.peers import Address, ConnectionId, Identity, Peer

from tests.core.world import World

HERE = Address("192.0.2.1", 5000)


def breached(world: World) -> list[tuple[str, ConnectionId | None, bool]]:
    """The limits that were met, on whom, and whether they were enforced."""
    events = [event for event in world.take_events() if isinstance(event, LimitBreached)]
    return [(event.limit, event.connection, event.enforced) for event in events]


def test_each_reason_closes_with_its_code_and_only_slow_or_silent_peers_and_too_much_memory_drop_what_is_queued() -> (
    None
):
    assert CLOSES == {
        SHUTDOWN: (1012, True),
        "idle_timeout": (1000, True),
        "max_connections": (1013, True),
        "max_connections_per_user": (4429, True),
        "memory_budget": (1013, False),
        "max_bad_messages": (4400, True),
        "call_rate": (4429, True),
        "max_queued_replies_bytes": (4100, False),
        "max_queued_pushes_bytes": (4100, False),
        "max_queued_pushes": (4100, False),
        "max_push_age": (4100, False),
        "write_timeout": (4100, False),
        "heartbeat_timeout": (4101, False),
    }


def test_whatever_closes_is_a_limit_or_a_shut_down() -> None:
    assert [reason for reason in CLOSES if reason not in (*Config.__struct_fields__, SHUTDOWN)] == []


def test_a_limit_that_is_met_closes_with_its_code_and_is_told_and_counted() -> None:
    world = World(max_bad_messages=1)
    one = world.connect(address=HERE)
    world.receive(one, b"{")
    world.gateway.outbox.clear()
    world.now = 3.0
    world.receive(one, b"{")
    reply, told, disconnect = world.gateway.outbox
    assert isinstance(reply, Transmit)
    assert told == Emit(LimitBreached("max_bad_messages", one, HERE, True, 3.0))
    assert disconnect == Disconnect(one, 4400, flush=True)
    assert world.gateway.stats()["limit.max_bad_messages"] == 1


def test_a_limit_that_is_observed_is_told_and_counted_and_nothing_else() -> None:
    world = World(max_bad_messages=1, observe=["max_bad_messages"])
    one = world.connect()
    for _ in range(3):
        world.receive(one, b"{")
    assert breached(world) == [("max_bad_messages", one, False)] * 2
    assert world.gateway.stats()["limit.max_bad_messages.would_refuse"] == 2
    world.begin(one)


def test_who_meets_several_limits_at_once_is_closed_once() -> None:
    world = World(max_bad_messages=1, max_queued_replies_bytes=1)
    one = world.connect()
    world.receive(one, b"{")
    world.gateway.report_held(one, 1, 0.0)
    world.take()
    world.receive(one, b"{")
    assert world.closes() == [(one, 4100, False)]


def test_a_shut_down_is_no_limit_and_is_not_told_as_one() -> None:
    world = World(drain_spread=0.0)
    one = world.connect()
    world.gateway.shut_down(0.0)
    world.at(0.0)
    refused = world.gateway.connect(Peer("websocket"), 0.0)
    effects = world.gateway.outbox.copy()
    assert breached(world) == []
    world.gateway.outbox[:] = effects
    assert world.closes() == [(one, 1012, True), (refused, 1012, True)]


def test_who_is_closing_is_not_closed_again() -> None:
    world = World(max_bad_messages=1)
    one = world.connect()
    for _ in range(2):
        world.receive(one, b"{")
    world.gateway.shut_down(0.0)
    world.take()
    world.at(30.0)
    assert world.closes() == []
    world.gateway.disconnected(one, None, 30.0)
    assert world.gateway._connections.records == {}


def test_the_age_of_a_push_closes_when_bytes_go() -> None:
    world = World(max_push_age=10.0)
    one = world.connect()
    world.gateway.report_held(one, 10, 0.0)
    world.gateway.notify(one, "news", None, 0.0)
    world.at(5.0)
    world.gateway.report_sent(one, 1, 5.0)
    world.at(10.001)
    world.take()
    world.gateway.report_sent(one, 1, 10.001)
    assert world.closes() == [(one, 4100, False)]


def test_a_peer_that_takes_nothing_is_closed_at_the_write_deadline_exactly() -> None:
    world = World(write_timeout=10.0)
    one = world.connect()
    world.gateway.report_held(one, 10, 0.0)
    world.take()
    world.at(4.0)
    world.gateway.report_sent(one, 1, 4.0)
    world.at(13.999)
    assert world.closes() == []
    world.at(14.0)
    assert world.closes() == [(one, 4100, False)]


# Refusals


def test_a_user_may_have_so_many_connections_and_one_more_is_refused() -> None:
    world = World(max_connections_per_user=2)
    for _ in range(2):
        world.connect(user="ada")
    peer = Peer("websocket", HERE, identity=Identity("ada"))
    third = world.gateway.connect(peer, 0.0)
    told, disconnect = world.gateway.outbox
    assert told == Emit(LimitBreached("max_connections_per_user", None, HERE, True, 0.0))
    assert disconnect == Disconnect(third, 4429)
    world.gateway.outbox.clear()
    world.gateway.disconnected(third, None, 0.0)
    assert world.gateway.outbox == []


def test_row_40_sockets_are_refused_before_anything_is_read_and_others_are_unharmed() -> None:
    world = World(max_connections_per_address=1)
    assert world.gateway.accepted(HERE, 0.0) == 1
    assert world.gateway.accepted(HERE, 0.0) is None
    assert breached(world) == [("max_connections_per_address", None, True)]
    assert world.gateway.accepted(Address("192.0.2.2"), 0.0) == 2


@pytest.mark.parametrize("limit", ["max_connections_per_address", "accept_rate_per_address"])
def test_what_is_observed_of_sockets_is_let_through(limit: str) -> None:
    assert limit in OBSERVABLE
    world = World(**{limit: 1}, observe=[limit])
    for _ in range(2):
        assert world.gateway.accepted(HERE, 0.0) is not None
    assert breached(world) == [(limit, None, False)]


def test_what_is_observed_of_connections_is_let_through() -> None:
    world = World(max_connections_per_user=1, observe=["max_connections_per_user"])
    world.connect(user="ada")
    two = world.gateway.connect(Peer("websocket", identity=Identity("ada")), 0.0)
    assert world.gateway.outbox[1:2] == [Accept(two)]
    assert breached(world) == [("max_connections_per_user", None, False)]


# Memory


def held(world: World, connection: ConnectionId, size: int, now: float) -> list[Any]:
    world.now = now
    world.gateway.report_held(connection, size, now)
    return world.closes()


def test_row_59_above_the_budget_new_connections_are_refused_and_the_idlest_goes() -> None:
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


def test_row_59_the_next_goes_when_more_is_taken_or_the_last_was_no_help() -> None:
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


def test_where_nobody_is_left_to_go_nothing_does() -> None:
    world = World(memory_budget=1000)
    world.gateway.report_buffered(2000, 0.0)
    assert world.take() == []
    assert world.gateway.health(0.0).status == "degraded"


# What is settled


def test_row_47_whoever_closes_everything_that_a_connection_has_is_settled_at_once() -> None:
    for close in ("we", "peer"):
        world = World(max_bad_messages=1, heartbeat_interval=25.0, idle_timeout=60.0, max_calls_per_connection=1)
        one = world.connect(user="ada")
        record = world.gateway._connections.records[one]
        call = world.begin(one, id=1)
        world.call(one, id=2)
        request = world.gateway.request(one, "ask", None, 0.0, timeout=10.0)
        world.gateway.report_held(one, 10, 0.0)
        world.receive(one, b"{")
        world.gateway.notify(one, "news", None, 0.0)
        world.gateway.outbox.clear()
        if close == "we":
            world.receive(one, b"{")
        else:
            world.gateway.disconnected(one, 1001, 0.0)
        effects = world.gateway.outbox.copy()
        told = [effect.event for effect in effects if isinstance(effect, Emit)]
        ended = [event for event in told if isinstance(event, CallCancelled)]
        assert [(event.call, event.reason) for event in ended] == [(1, "disconnected"), (2, "disconnected")]
        assert Cancel(call) in effects
        assert [effect.request for effect in effects if isinstance(effect, Resolve)] == [request]
        assert (world.gateway.memory, world.gateway.next_timeout()) == (0, None)
        health = world.gateway.health(0.0)
        assert (health.connections, health.waiting, health.calls) == (0, 0, 1)
        if close == "we":
            sent = [effect for effect in effects if isinstance(effect, Transmit)]
            assert len(sent) == 3  # the close is one that flushes: two errors and the news
            assert effects[-1] == Disconnect(one, 4400)
            world.gateway.disconnected(one, 1001, 0.0)
        else:
            assert [effect for effect in effects if isinstance(effect, Transmit | Disconnect)] == []
        assert record.state is State.GONE
        assert world.gateway._connections.records == {}
        assert not world.complete(call)


def test_who_goes_during_a_shut_down_leaves_no_farewell_behind() -> None:
    world = World(drain_spread=5.0)
    connections = [world.connect() for _ in range(3)]
    world.gateway.shut_down(0.0)
    world.at(0.0)
    for connection in connections:
        world.gateway.disconnected(connection, None, 0.0)
    assert world.gateway.next_timeout() is None


def test_a_connection_is_told_of_when_it_opens_and_when_it_is_gone() -> None:
    world = World()
    world.now = 5.0
    one = world.gateway.connect(Peer("websocket", HERE, identity=Identity("ada")), 5.0)
    public_id = "000000000000000000000001"
    assert world.take_events() == [ConnectionOpened(one, public_id, "websocket", HERE, "ada", 5.0)]
    world.complete(world.begin(one))
    world.gateway.disconnected(one, 1001, 7.5)
    assert world.take_events() == [ConnectionClosed(one, public_id, "websocket", HERE, "ada", 1001, 2.5, 1, 7.5)]
    stats = world.gateway.stats()
    assert (stats["connections.opened"], stats["connections.closed"]) == (1, 1)


def test_the_code_that_counts_is_that_of_who_closed_first() -> None:
    world = World(max_bad_messages=1)
    one = world.connect()
    for _ in range(2):
        world.receive(one, b"{")
    world.take()
    world.gateway.disconnected(one, 1000, 0.0)
    (event,) = world.take_events()
    assert isinstance(event, ConnectionClosed)
    assert event.code == 4400


def test_an_exchange_that_was_answered_can_still_be_closed() -> None:
    world = World(write_timeout=10.0)
    one = world.connect("http")
    world.call(one, "connection.ping")
    (answer,) = world.take()
    assert isinstance(answer, Answer)
    world.gateway.report_held(one, 10, 0.0)
    world.at(10.0)
    assert world.closes() == [(one, 4100, False)]
    world.gateway.disconnected(one, None, 10.0)
    assert world.gateway._connections.records == {}
