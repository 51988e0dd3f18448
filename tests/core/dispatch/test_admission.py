"""Authorization, and the rate of calls."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.dispatch.admission import uncallable
from posthouse.core.values.effects import Answer
from posthouse.core.values.lifecycle import LimitBreached
from posthouse.core.values.peers import ALL_SCOPES, Address, Identity, Kind

from tests.core.world import World, code_of, data_of, request, service

CANCEL = request("$/cancelRequest", {"id": 1}, None)


def method(name: str) -> Any:
    return service().methods[name]


def bad(world: World, connection: Any, count: int) -> None:
    for _ in range(count):
        world.receive(connection, b"{")


@pytest.mark.parametrize(
    ("name", "identity", "refusal"),
    [
        ("echo", Identity(), None),
        ("private", Identity(), (-32020, {"requires": "authentication"})),
        ("private", Identity("ada"), None),
        ("private", Identity(scopes=(ALL_SCOPES,)), None),
        ("guarded", Identity(), (-32020, {"requires": "authentication", "scopes": ["read", "write"]})),
        ("guarded", Identity("ada"), (-32021, {"scopes": ["read", "write"]})),
        ("guarded", Identity("ada", ("write",)), (-32021, {"scopes": ["read"]})),
        ("guarded", Identity("ada", ("read", "write")), None),
        ("guarded", Identity(scopes=("read", "write")), None),
        ("guarded", Identity(scopes=(ALL_SCOPES,)), None),
    ],
)
def test_row_36_a_refusal_names_the_missing_scopes(name: str, identity: Identity, refusal: Any) -> None:
    world = World()
    one = world.connect(identity=identity)
    world.call(one, name)
    if refusal is None:
        assert len(world.invoked()) == 1
    else:
        (reply,) = world.said()
        assert (code_of(reply), reply["error"].get("data")) == refusal


def test_row_22_calls_above_their_rate_are_refused_with_the_time_to_wait() -> None:
    world = World(call_rate=2.0)
    one, two = world.connect(), world.connect()
    world.receive(one, [request("connection.ping", id=id) for id in range(3)])
    (replies,) = world.said()
    assert [code_of(reply) for reply in replies] == [None, None, -32029]
    assert data_of(replies[2:]) == [{"retryable": True, "retry_after_ms": 501, "limit": "call_rate"}]
    world.call(two, "connection.ping")
    assert world.codes() == [None]
    world.at(0.501)
    world.call(one, "connection.ping")
    assert world.codes() == [None]


def test_a_call_of_an_unknown_method_costs_as_much_as_any_other() -> None:
    world = World(call_rate=1.0)
    one = world.connect()
    world.call(one, "nowhere")
    world.call(one, "nowhere")
    assert world.codes() == [-32601, -32029]


def test_a_user_has_one_rate_over_all_connections_and_from_one_to_the_next() -> None:
    world = World(call_rate=2.0)
    kinds: tuple[Kind, ...] = ("websocket", "http")
    for kind in kinds:
        one = world.connect(kind, "ada")
        world.call(one, "connection.ping")
        assert world.codes() == [None]
        world.gateway.disconnected(one, None, 0.0)
    one, two = world.connect("http", "ada"), world.connect("http", "bob")
    world.call(one, "connection.ping")
    world.call(two, "connection.ping")
    assert world.codes() == [-32029, None]


def asks(world: World, host: str, **peer: Any) -> int | None:
    """One HTTP request from this address: the code of its answer."""
    exchange = world.connect("http", address=Address(host, 5000), **peer)
    world.call(exchange, "connection.ping")
    (code,) = world.codes()
    world.gateway.disconnected(exchange, None, world.now)
    return code


def test_row_22_anonymous_http_callers_have_one_rate_for_each_address() -> None:
    world = World(call_rate=2.0)
    here, there = "192.0.2.1", "192.0.2.2"
    assert [asks(world, here) for _ in range(4)] == [None, None, -32029, -32029]
    assert [asks(world, there) for _ in range(3)] == [None, None, -32029]
    world.at(0.5)
    assert [asks(world, here) for _ in range(2)] == [None, -32029]


def test_row_22_an_anonymous_http_caller_is_told_how_long_to_wait() -> None:
    world = World(call_rate=2.0)
    asks(world, "192.0.2.1"), asks(world, "192.0.2.1")
    exchange = world.connect("http", address=Address("192.0.2.1", 5001))
    world.call(exchange, "connection.ping")
    (answer,) = world.take()
    assert isinstance(answer, Answer)
    assert (answer.code, answer.retry_after) == (-32029, 0.501)


def test_row_22_the_addresses_of_one_ipv6_subnet_have_one_rate() -> None:
    world = World(call_rate=1.0)
    assert [asks(world, f"2001:db8::{last}") for last in (1, 2)] == [None, -32029]
    assert asks(world, "2001:db8:0:1::1") is None


def test_the_rate_of_an_address_is_not_that_of_its_users_websockets_and_unix_sockets() -> None:
    world = World(call_rate=1.0)
    assert [asks(world, "192.0.2.1") for _ in range(2)] == [None, -32029]
    assert asks(world, "192.0.2.1", user="ada") is None
    websocket = world.connect(address=Address("192.0.2.1", 5001))
    world.call(websocket, "connection.ping")
    assert world.codes() == [None]
    assert [asks(world, "") for _ in range(3)] == [None, None, None]


def test_no_more_addresses_are_remembered_than_connections_may_be_open() -> None:
    world = World(call_rate=1.0, max_connections=2)
    assert [asks(world, f"192.0.2.{last}") for last in (1, 2, 1, 3, 2)] == [None, None, -32029, None, None]


def test_row_22_ten_seconds_of_refusals_close_the_sockets_of_an_anonymous_http_caller() -> None:
    world = World(call_rate=1.0)
    closed: list[float] = []
    for half in range(22):
        world.now = half / 2
        exchange = world.connect("http", address=Address("192.0.2.1", 5000))
        world.call(exchange, "connection.ping")
        closed += [world.now for _ in world.closes()]
        world.gateway.disconnected(exchange, None, world.now)
    assert closed == [10.5]


def test_row_22_a_call_of_an_unknown_method_costs_the_same() -> None:
    world = World(call_rate=1.0)
    one = world.connect()
    for method in ("nothing", "nothing", "echo"):
        world.call(one, method)
    assert world.codes() == [-32601, -32029, -32029]


def test_row_22_ten_seconds_of_refusals_close_the_connection() -> None:
    world = World(call_rate=2.0)
    one = world.connect()
    for tenth in range(111):
        world.now = tenth / 10
        world.call(one, "connection.ping")
        if closes := world.closes():
            assert closes == [(one, 4429, True)]
            break
    # The first refusal came at 0.3 s: two calls had been saved up, and 0.1 s each brought a fifth of another.
    assert world.now == pytest.approx(10.3, abs=0.11)


def test_row_22_the_connection_closes_at_the_refusal_that_comes_ten_seconds_after_the_first() -> None:
    world = World(call_rate=1.0)
    one = world.connect()
    closed: list[float] = []
    for half in range(22):
        world.now = half / 2
        world.call(one, "connection.ping")
        closed += [world.now for _ in world.closes()]
    assert closed == [10.5]


def test_row_22_the_time_to_wait_is_exact_to_the_millisecond() -> None:
    world = World(call_rate=0.1)
    one = world.connect()
    for _ in range(2):
        world.call(one, "connection.ping")
    assert world.said()[1]["error"]["data"]["retry_after_ms"] == 10_001


def test_an_observed_rate_is_counted_and_reported_but_not_enforced() -> None:
    world = World(call_rate=1.0, observe=["call_rate"])
    one = world.connect()
    world.take()
    for _ in range(3):
        world.call(one, "connection.ping")
    assert world.take_events() == [LimitBreached("call_rate", one, Address(), False, 0.0)] * 2
    assert world.gateway.stats()["limit.call_rate.would_refuse"] == 2
    world.receive(one, [request("connection.ping", id=id) for id in range(3)])
    assert [code_of(reply) for reply in world.said()[0]] == [None] * 3


def test_methods_are_uncallable_if_no_caller_may_call_them() -> None:
    methods = [method(name) for name in ("guarded", "echo", "private")]

    def names(*callers: Identity) -> list[str]:
        return [each.name for each in uncallable(methods, callers)]

    assert names() == ["guarded", "echo", "private"]
    assert names(Identity()) == ["guarded", "private"]
    assert names(Identity(), Identity("ada")) == ["guarded"]
    assert names(Identity("ada"), Identity(scopes=("read", "write"))) == []
    assert names(Identity(scopes=(ALL_SCOPES,))) == []
