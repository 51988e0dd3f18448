"""The counters and sizes of a gateway: every call is counted once, by its outcome or as not ended."""

from __future__ import annotations

from posthouse.core.calls.totals import totals
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import Address

from tests.core.world import World

NOTHING = {
    "calls.builtin": 0,
    "calls.cancelled": 0,
    "calls.disconnected": 0,
    "calls.drained": 0,
    "calls.errors": 0,
    "calls.failed": 0,
    "calls.made": 0,
    "calls.refused": 0,
    "calls.results": 0,
    "calls.running": 0,
    "calls.timed_out": 0,
    "calls.waiting": 0,
    "connections.closed": 0,
    "connections.closed.cli": 0,
    "connections.closed.http": 0,
    "connections.closed.local": 0,
    "connections.closed.websocket": 0,
    "connections.open": 0,
    "connections.open.cli": 0,
    "connections.open.http": 0,
    "connections.open.local": 0,
    "connections.open.websocket": 0,
    "connections.opened": 0,
    "connections.opened.cli": 0,
    "connections.opened.http": 0,
    "connections.opened.local": 0,
    "connections.opened.websocket": 0,
    "memory.bytes": 0,
    "messages.bad": 0,
    "operations.pending": 0,
    "requests.pending": 0,
    "responses.unmatched": 0,
    "sockets.open": 0,
}


def changed(world: World) -> dict[str, int]:
    """The figures that are not 0."""
    return {name: count for name, count in world.gateway.stats().items() if count}


def test_every_figure_is_there_from_the_beginning_in_order() -> None:
    gateway = World().gateway
    found = totals(gateway._shared, gateway._connections, gateway._calls, gateway._requests, gateway._operations)
    assert found == NOTHING == gateway.stats()
    assert list(found) == sorted(found)


def test_calls_are_counted_by_outcome() -> None:
    world = World(max_calls_per_connection=4, call_timeout=30.0)
    one = world.connect()
    done, failed, cancelled, late = (world.begin(one, id=id) for id in (1, 2, 3, 4))
    world.complete(done)
    world.fail(failed, RpcError(7))
    world.call(one, "rpc.cancel", {"id": 3}, 9)
    world.at(30.0)
    world.call(one, id=5)
    world.call(one, id=6)
    world.call(one, id=7)
    assert changed(world) == {
        "calls.builtin": 1,
        "calls.cancelled": 1,
        "calls.errors": 1,
        "calls.made": 7,
        "calls.results": 1,
        "calls.running": 4,
        "calls.timed_out": 1,
        "calls.waiting": 1,
        "connections.open": 1,
        "connections.open.websocket": 1,
        "connections.opened": 1,
        "connections.opened.websocket": 1,
        "errors.-32030": 1,
        "errors.-32800": 1,
        "errors.other": 1,
        "memory.bytes": 2,
    }
    world.gateway.disconnected(one, None, 30.0)
    world.complete(late)
    world.complete(cancelled)
    counted = changed(world)
    assert (counted["calls.disconnected"], counted["calls.results"], counted["calls.running"]) == (3, 1, 2)


def test_connections_are_counted_by_kind() -> None:
    world = World()
    world.gateway.accepted(Address("192.0.2.1"), 0.0)
    gone = world.connect("http")
    for kind in ("http", "cli", "cli"):
        world.connect(kind)
    world.gateway.disconnected(gone, None, 0.0)
    assert changed(world) == {
        "connections.closed": 1,
        "connections.closed.http": 1,
        "connections.open": 3,
        "connections.open.cli": 2,
        "connections.open.http": 1,
        "connections.opened": 4,
        "connections.opened.cli": 2,
        "connections.opened.http": 2,
        "sockets.open": 1,
    }


def test_requests_to_peers_and_limits_are_counted() -> None:
    world = World(max_connections=1)
    one = world.connect()
    world.gateway.request(one, "ask", None, 0.0, timeout=5.0)
    world.connect()
    world.receive(one, b"{")
    counted = changed(world)
    assert (counted["requests.pending"], counted["limit.max_connections"], counted["messages.bad"]) == (1, 1, 1)


def test_the_highest_level_that_a_limit_has_seen_stands_beside_the_limit() -> None:
    world = World(max_calls_per_connection=2, max_connections=50)
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
        world.gateway.accepted(Address(address), 0.0)
    one = world.connect()
    first, second = world.begin(one, id=1), world.begin(one, id=2)
    world.call(one, id=3)
    world.gateway.next_timeout()
    world.complete(first)
    world.complete(second)
    found = world.gateway.measurements()
    assert found.levels == {
        "max_calls": 2,
        "max_calls_per_connection": 2,
        "max_connections": 3,
        "max_connections_per_address": 2,
        "max_in_head": 3,
        "max_waiting_bytes": 2,
        "max_waiting_calls": 1,
        "memory_budget": 2,
    }
    assert found.limits["max_connections"] == 50
    assert "max_connections_per_address" not in found.limits  # it is off
    assert found.counters == world.gateway.stats()
