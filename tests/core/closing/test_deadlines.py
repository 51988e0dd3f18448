"""What falls due: each reason is acted on at its time, and early, late or spurious calls are harmless."""

from __future__ import annotations

import pytest
from posthouse.core.closing.deadlines import SUSPENDED
from posthouse.core.values.effects import Disconnect, Drained, Emit
from posthouse.core.values.lifecycle import AcceptingStopped
from posthouse.core.values.peers import Address

from tests.core.world import World


def test_with_nothing_to_wait_for_there_is_no_deadline() -> None:
    world = World()
    world.connect()
    assert world.gateway.next_timeout() is None
    world.gateway.handle_timeout(1e9)
    assert world.take() == []


def test_to_be_called_early_often_or_for_nothing_is_harmless() -> None:
    world = World(call_timeout=30.0)
    one = world.connect()
    world.begin(one)
    for now in (0.0, 10.0, 29.999):
        world.gateway.handle_timeout(now)
        world.gateway.handle_timeout(now)
        assert world.gateway.next_timeout() == 30.0
    assert world.take() == []


def test_to_be_called_late_does_all_that_is_due_in_order_of_its_time() -> None:
    world = World(call_timeout=30.0)
    one = world.connect()
    for id, timeout in ((1, 3000), (2, 1000), (3, 2000), (4, 9000)):
        world.call(one, id=id, timeout_ms=timeout)
    world.take()
    world.gateway.handle_timeout(5.0)
    assert [reply["id"] for reply in world.said()] == [2, 3, 1]
    assert world.gateway.next_timeout() == 9.0


def test_the_deadlines_of_calls_and_of_our_own_requests_are_kept_in_one_order() -> None:
    world = World()
    one = world.connect()
    world.begin(one, timeout_ms=2000)
    world.gateway.request(one, "ask", None, 0.0, timeout=1.0)
    world.gateway.request(one, "ask", None, 0.0, timeout=3.0)
    world.take()
    order: list[tuple[float, str]] = []
    while (due := world.gateway.next_timeout()) is not None:
        world.at(due)
        order.append((due, type(world.take()[0]).__name__))
    assert order == [(1.0, "Resolve"), (2.0, "Cancel"), (3.0, "Resolve")]


def test_a_write_deadline_that_moved_is_armed_again() -> None:
    world = World(write_timeout=10.0)
    one = world.connect()
    world.gateway.report_held(one, 2, 0.0)
    world.gateway.report_sent(one, 1, 6.0)
    world.at(10.0)
    assert world.closes() == []
    assert world.gateway.next_timeout() == 16.0
    world.at(16.0)
    assert world.closes() == [(one, 4100, False)]


def test_calls_and_writes_know_no_suspension() -> None:
    world = World(call_timeout=30.0, write_timeout=10.0)
    one, two = world.connect(), world.connect()
    world.begin(one)
    world.gateway.report_held(two, 2, 0.0)
    world.take()
    world.sleep_until(1000.0)
    effects = world.gateway.outbox.copy()
    assert world.codes() == [-32030]
    world.gateway.outbox[:] = effects
    assert world.closes() == [(two, 4100, False)]


def test_heartbeats_and_idle_deadlines_are_armed_once_more_after_a_suspension() -> None:
    world = World(heartbeat_interval=25.0, heartbeat_timeout=10.0, idle_timeout=100.0)
    one = world.connect()
    announced = world.gateway.next_timeout()
    assert announced is not None
    world.at(announced)
    world.take()
    world.sleep_until(announced + 10.0 + SUSPENDED + 100.0)
    assert world.closes() == []
    due = world.gateway.next_timeout()
    assert due == world.now + 10.0
    world.at(due)
    assert world.closes() == [(one, 4101, False)]


@pytest.mark.parametrize(("late", "asleep"), [(5.0, False), (5.001, True)])
def test_who_is_more_than_five_seconds_late_was_asleep(late: float, asleep: bool) -> None:
    world = World(idle_timeout=100.0)
    one = world.connect()
    world.sleep_until(100.0 + late)
    assert world.closes() == ([] if asleep else [(one, 1000, True)])


def test_a_shut_down_whose_notice_is_longer_than_its_time_accepts_nobody_after_its_end() -> None:
    world = World(drain_notice=60.0, drain_timeout=30.0)
    one = world.connect()
    world.gateway.shut_down(0.0)
    world.gateway.outbox.clear()
    world.at(29.999)
    assert world.gateway.accepting
    world.at(30.0)
    assert world.gateway.outbox == [Emit(AcceptingStopped(30.0)), Disconnect(one, 1012, flush=False), Drained()]
    assert world.gateway.accepted(Address("10.0.0.1", 1), 30.0) is None
    assert world.gateway.next_timeout() is None


def test_a_shut_down_goes_by_its_timetable() -> None:
    world = World(drain_notice=1.0, drain_spread=0.0, drain_grace=5.0, drain_timeout=30.0)
    idle, busy, http = world.connect(), world.connect(), world.connect("http")
    world.begin(busy)
    world.begin(http, id=2)
    world.gateway.shut_down(0.0)
    world.take()
    world.at(1.0)
    assert world.take() == [Disconnect(idle, 1012)]
    world.at(6.0)
    assert [type(effect).__name__ for effect in world.take()] == [
        "Cancel",
        "Transmit",
        "Cancel",
        "Answer",
        "Disconnect",
    ]
    world.at(30.0)
    assert world.take() == [Disconnect(http, 1012, flush=False), Drained()]
    assert world.gateway.next_timeout() is None


def test_a_connection_that_is_busy_with_a_heartbeat_and_idle_at_once_is_closed_once() -> None:
    world = World(heartbeat_interval=25.0, heartbeat_timeout=10.0, idle_timeout=20.0)
    one = world.connect()
    world.at(20.0)
    assert world.closes() == [(one, 1000, True)]
    assert world.gateway.next_timeout() is None
