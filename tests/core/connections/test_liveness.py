"""Is anybody there? Heartbeats and idle deadlines, to the very time."""

from __future__ import annotations

import pytest
from posthouse.core.connections.connections import NOTHING
from posthouse.core.values.effects import Heartbeat
from posthouse.core.values.peers import CallId, ConnectionId, Kind

from tests.core.world import World


class Still(World):
    """A world in which every interval is drawn at its shortest: 20 seconds of 25."""

    def entropy(self, size: int) -> bytes:
        return bytes(size) if size == 2 else super().entropy(size)


def silent(world: World, until: float) -> bool:
    """Nothing happens until then, in which the time is included."""
    world.at(until)
    return world.take() == []


def asked(world: World, connection: ConnectionId, when: float) -> bool:
    """It is asked for a sign of life at this very time."""
    assert silent(world, when - 0.001)
    world.at(when)
    return world.take() == [Heartbeat(connection)]


def test_a_silent_peer_gets_a_heartbeat_and_is_closed_without_an_answer() -> None:
    world = Still(heartbeat_interval=25.0, heartbeat_timeout=10.0)
    one = world.connect()
    assert asked(world, one, 20.0)
    assert silent(world, 29.999)
    world.at(30.0)
    assert world.closes() == [(one, 4101, False)]
    assert world.gateway.next_timeout() is None


def test_any_inbound_bytes_are_a_sign_of_life() -> None:
    world = Still(heartbeat_interval=25.0)
    one, two = world.connect(), world.connect()
    world.now = 15.0
    world.gateway.heard(one, 15.0)
    world.receive(two, b'{"jsonrpc":"2.0","result":1,"id":1}')
    assert silent(world, 34.999)
    world.at(35.0)
    assert world.take() == [Heartbeat(one), Heartbeat(two)]


@pytest.mark.parametrize("when", [20.0, 25.0, 29.999])
def test_a_peer_that_answers_gets_the_next_heartbeat_after_an_interval(when: float) -> None:
    world = Still(heartbeat_interval=25.0)
    one = world.connect()
    assert asked(world, one, 20.0)
    world.at(when)
    world.gateway.heard(one, when)
    assert asked(world, one, when + 20.0)


def test_intervals_vary_by_20_percent_and_are_drawn_once() -> None:
    class Drawn(World):
        def entropy(self, size: int) -> bytes:
            return draws.pop(0).to_bytes(2, "big") if size == 2 else super().entropy(size)

    draws = [0, 0x8000, 0xFFFF]
    world = Drawn(heartbeat_interval=25.0, heartbeat_timeout=100.0)
    for _ in range(3):
        world.connect()
    times: list[float] = []
    for _ in range(3):
        due = world.gateway.next_timeout()
        assert due is not None
        world.at(due)
        times.append(due)
    assert times == pytest.approx([20.0, 20.0 + 10.0 * 0x8000 / 0xFFFF, 30.0], abs=1e-9)
    assert draws == []


@pytest.mark.parametrize("kind", ["http", "cli"])
def test_heartbeats_are_sent_to_websockets_only(kind: Kind) -> None:
    world = World(heartbeat_interval=25.0)
    world.connect(kind)
    assert world.gateway.next_timeout() is None


def test_heartbeats_may_be_off() -> None:
    world = World(heartbeat_interval=None)
    world.connect()
    assert world.gateway.next_timeout() is None


def test_a_paused_connection_is_not_closed_for_an_unread_answer() -> None:
    world = Still(heartbeat_interval=25.0, heartbeat_timeout=10.0)
    one = world.connect()
    assert asked(world, one, 20.0)
    world.at(21.0)
    world.gateway.report_held(one, 100, 21.0)
    world.take()
    for now in (28.0, 36.0, 44.0):
        world.at(now)
        world.gateway.report_sent(one, 10, now)
    assert world.closes() == []
    world.gateway.report_sent(one, 70, 44.0)
    world.take()
    assert silent(world, 53.999)
    world.at(54.0)
    assert world.closes() == [(one, 4101, False)]


def test_resumed_reading_without_a_heartbeat_changes_no_deadline() -> None:
    world = Still(heartbeat_interval=25.0)
    one = world.connect()
    world.gateway.report_held(one, 1, 0.0)
    world.at(5.0)
    world.gateway.report_sent(one, 1, 5.0)
    world.take()
    assert asked(world, one, 20.0)


def test_row_49_after_a_suspension_every_peer_gets_the_full_time_once_more() -> None:
    world = Still(heartbeat_interval=25.0, heartbeat_timeout=10.0)
    connections = [world.connect() for _ in range(100)]
    world.at(20.0)
    world.take()
    world.sleep_until(1000.0)
    assert world.closes() == []
    world.at(1005.0)
    for connection in connections[1:]:
        world.gateway.heard(connection, 1005.0)
    assert silent(world, 1009.999)
    world.at(1010.0)
    assert world.closes() == [(connections[0], 4101, False)]
    assert silent(world, 1024.999)


def test_a_late_process_was_not_suspended() -> None:
    for now, closed in ((35.0, True), (35.001, False)):
        world = Still(heartbeat_interval=25.0, heartbeat_timeout=10.0)
        one = world.connect()
        assert asked(world, one, 20.0)
        world.sleep_until(now)
        assert (world.closes() == [(one, 4101, False)]) is closed


def test_deadlines_are_armed_for_their_exact_time() -> None:
    world = Still(heartbeat_interval=25.0, heartbeat_timeout=10.0)
    one = world.connect()
    assert world.gateway.next_timeout() == 20.0
    world.at(20.0)
    world.gateway.report_held(one, 1, 22.0)
    world.gateway.report_sent(one, 1, 22.0)
    assert world.gateway.next_timeout() == 32.0
    idle = World(idle_timeout=60.0)
    idle.now = 5.0
    idle.connect()
    assert idle.gateway.next_timeout() == 65.0


# Idle


@pytest.mark.parametrize("kind", ["websocket", "cli"])
def test_a_peer_without_texts_is_closed_exactly_at_the_idle_deadline(kind: Kind) -> None:
    world = World(idle_timeout=60.0)
    one = world.connect(kind)
    assert silent(world, 59.999)
    world.at(60.0)
    assert world.closes() == [(one, 1000, True)]


def test_texts_move_the_idle_deadline_and_other_signs_of_life_do_not() -> None:
    world = World(idle_timeout=60.0)
    one, two = world.connect(), world.connect()
    world.at(30.0)
    world.call(one, "connection.ping", id=None)
    world.gateway.heard(two, 30.0)
    world.at(60.0)
    assert world.closes() == [(two, 1000, True)]
    assert silent(world, 89.999)
    world.at(90.0)
    assert world.closes() == [(one, 1000, True)]


def test_a_connection_with_a_call_is_not_idle_and_has_the_full_time_after_it() -> None:
    world = World(idle_timeout=60.0, call_timeout=200.0)
    one = world.connect()
    call = world.begin(one)
    world.at(100.0)
    assert world.complete(call)
    world.take()
    assert silent(world, 159.999)
    world.at(180.0)
    assert world.closes() == [(one, 1000, True)]


def test_http_exchanges_are_never_idle() -> None:
    world = World(idle_timeout=60.0)
    world.connect("http")
    assert world.gateway.next_timeout() is None


def test_row_49_after_a_suspension_no_connection_is_idle_at_once() -> None:
    world = World(idle_timeout=60.0)
    one = world.connect()
    world.sleep_until(1000.0)
    assert world.closes() == []
    assert silent(world, 1059.999)
    world.at(1060.0)
    assert world.closes() == [(one, 1000, True)]


def test_a_dropped_connection_has_no_deadlines() -> None:
    world = World(heartbeat_interval=25.0, idle_timeout=60.0)
    one = world.connect()
    world.gateway.disconnected(one, None, 0.0)
    assert world.gateway.next_timeout() is None


def test_a_heartbeat_gives_back_the_room_of_calls_that_have_ended() -> None:
    world = Still(heartbeat_interval=25.0)
    one = world.connect()
    record = world.gateway._connections.records[one]
    record.calls = {CallId(1): CallId(1)}
    world.take()
    assert asked(world, one, 20.0)
    assert record.calls == {CallId(1): CallId(1)}
    world.gateway.heard(one, 20.0)
    del record.calls[CallId(1)]
    assert asked(world, one, 40.0)
    assert record.calls is NOTHING
