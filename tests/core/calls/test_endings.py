"""`call.ended`: one for each request that named a method, with the outcome that its caller saw."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.calls.calls import Calls
from posthouse.core.calls.endings import Endings
from posthouse.core.service.service import Service
from posthouse.core.values.errors import RpcError
from posthouse.core.values.lifecycle import CallEnded, EventName
from posthouse.core.values.peers import Address, Meta, OperationId

from tests.core.identity.credentials import ADA, AuthWorld
from tests.core.world import World, internal, request, service, shared

ENDED: tuple[EventName, ...] = ("call.ended",)
ADDRESS = Address("192.0.2.1", 5000)


def listening(offered: Service | None = None, **limits: Any) -> World:
    return World(offered, ENDED, **limits)


def ended(world: World) -> list[CallEnded]:
    return [event for event in world.take_events() if isinstance(event, CallEnded)]


def outcomes(world: World) -> list[tuple[int | None, str, str, int | None]]:
    return [(event.call, event.method, event.outcome, event.code) for event in ended(world)]


def test_a_call_that_ends_is_told_with_its_caller_and_its_time() -> None:
    world = listening()
    one = world.connect("websocket", "ada", address=ADDRESS)
    call = world.begin(one, "echo", id="a", request_id="r-1")
    world.now = 2.5
    world.complete(call, 1)
    (event,) = ended(world)
    public_id = world.gateway._connections.records[one].public_id
    told = CallEnded(call, one, public_id, "websocket", ADDRESS, "ada", "echo", "result", None, 2.5, "r-1", 2.5)
    assert event == told


def test_it_is_not_made_if_nobody_listens() -> None:
    world = World()
    one = world.connect()
    world.complete(world.begin(one))
    world.call(one, "none")
    world.call(one, "connection.ping")
    assert ended(world) == []


def test_it_is_made_for_a_hook_of_the_service() -> None:
    offered = service()

    @offered.on("call.ended")
    def hook(event: CallEnded) -> None:
        raise NotImplementedError

    world = World(offered)
    world.complete(world.begin(world.connect()))
    assert len(ended(world)) == 1


def test_an_error_of_the_handler_is_told_with_its_code() -> None:
    world = listening()
    one = world.connect()
    world.fail(world.begin(one), RpcError(7))
    assert outcomes(world) == [(1, "echo", "error", 7)]
    world.fail(world.begin(one, id=None), internal("x"))
    assert outcomes(world) == [(2, "echo", "error", -32603)]


def test_a_result_that_cannot_be_sent_is_the_error_that_is_sent() -> None:
    world = listening(max_response_bytes=150)
    one = world.connect()
    world.complete(world.begin(one), "x" * 150)
    assert outcomes(world) == [(1, "echo", "error", -32008)]
    world.complete(world.begin(one), object())
    assert outcomes(world) == [(2, "echo", "error", -32603)]
    world.fail(world.begin(one), RpcError(7, data="x" * 150))
    assert outcomes(world) == [(3, "echo", "error", -32008)]
    world.fail(world.begin(one, id=None), RpcError(7, data="x" * 150))
    assert outcomes(world) == [(4, "echo", "error", 7)]


def test_a_reply_that_a_batch_has_no_room_for_is_the_error_that_is_sent() -> None:
    world = listening(max_batch_reply_bytes=300)
    world.receive(world.connect(), [request(id=1), request(id=2)])
    first, second = (invoke.call for invoke in world.invoked())
    world.complete(first, "x" * 300)
    assert outcomes(world) == [(1, "echo", "error", -32011)]
    world.fail(second, RpcError(7, data="x" * 300))
    assert outcomes(world) == [(2, "echo", "error", -32011)]


def test_a_call_that_its_caller_cancels_is_told_before_the_cancellation() -> None:
    world = listening()
    one = world.connect()
    call = world.begin(one, id=1)
    world.call(one, "rpc.cancel", {"id": 1}, 2)
    assert outcomes(world) == [(1, "echo", "cancelled", -32800), (None, "rpc.cancel", "result", None)]
    world.complete(call)
    assert ended(world) == []


@pytest.mark.parametrize("reported", [False, True])
def test_a_call_that_is_out_of_time_is_told_once(reported: bool) -> None:
    world = listening(call_timeout=3.0)
    call = world.begin(world.connect())
    if reported:
        world.now = 3.0
        world.complete(call)
        assert [(each.outcome, each.code, each.seconds) for each in ended(world)] == [("timed_out", -32030, 3.0)]
    else:
        world.at(3.0)
        assert [(each.outcome, each.code, each.seconds) for each in ended(world)] == [("timed_out", -32030, 3.0)]
        world.complete(call)
    world.at(9.0)
    assert ended(world) == []


def test_the_calls_of_a_connection_that_closes_are_told_before_its_end() -> None:
    world = listening(max_calls_per_connection=1)
    one = world.connect()
    world.begin(one, id=1)
    world.call(one, id=2)
    world.gateway.disconnected(one, 1001, 1.0)
    events = world.take_events()
    assert [type(event).__name__ for event in events] == [
        "CallCancelled",
        "CallEnded",
        "CallCancelled",
        "CallEnded",
        "ConnectionClosed",
    ]
    told = [(event.call, event.outcome, event.code) for event in events if isinstance(event, CallEnded)]
    assert told == [(1, "disconnected", None), (2, "disconnected", None)]


def test_a_call_that_outlives_its_connection_ends_with_its_handler() -> None:
    world = listening()
    one = world.connect("websocket", "ada", address=ADDRESS)
    calls = [world.begin(one, "finish", id=id) for id in (1, 2, 3)]
    world.gateway.disconnected(one, None, 0.0)
    assert ended(world) == []
    world.now = 1.0
    world.complete(calls[0])
    world.fail(calls[1], RpcError(7))
    told = ended(world)
    assert [(event.outcome, event.code, event.seconds) for event in told] == [("result", None, 1.0), ("error", 7, 1.0)]
    assert [(event.connection, event.user, event.address) for event in told] == [(one, "ada", ADDRESS)] * 2
    world.at(30.0)
    assert outcomes(world) == [(3, "finish", "timed_out", -32030)]


def test_a_call_that_a_shut_down_ends_is_told() -> None:
    world = listening(drain_grace=2.0)
    world.begin(world.connect())
    world.gateway.shut_down(0.0)
    world.at(2.0)
    assert outcomes(world) == [(1, "echo", "drained", -32050)]


def test_a_waiting_call_with_invalid_params_is_told_when_it_would_start() -> None:
    world = listening(max_calls_per_connection=1)
    one = world.connect()
    first = world.begin(one, id=1)
    world.call(one, "add", {"a": "x"}, 2)
    world.complete(first)
    assert outcomes(world) == [(1, "echo", "result", None), (2, "add", "error", -32602)]


REFUSED = [("none", -32601), ("private", -32020), ("guarded", -32020), ("add", -32602), ("connection.stats", -32020)]


@pytest.mark.parametrize(("method", "code"), REFUSED)
def test_a_request_that_is_refused_is_told_without_a_call(method: str, code: int) -> None:
    world = listening()
    one = world.connect(address=ADDRESS)
    world.call(one, method, request_id="r-2")
    (event,) = ended(world)
    assert (event.call, event.method, event.outcome, event.code, event.seconds) == (None, method, "error", code, 0.0)
    assert (event.connection, event.address, event.request_id) == (one, ADDRESS, "r-2")


def test_the_cause_of_a_refusal_does_not_matter() -> None:
    world = listening(max_calls=1)
    one = world.connect()
    world.begin(one, id=1)
    world.call(one, id=1)
    world.call(one, id=2)
    world.gateway.shut_down(0.0)
    world.call(one, id=3)
    assert outcomes(world) == [(None, "echo", "error", code) for code in (-32013, -32009, -32050)]


@pytest.mark.parametrize(
    ("method", "meta"), [("echo", {}), ("brief", {}), ("echo", {"timeout_ms": 700}), ("brief", {"timeout_ms": 9000})]
)
def test_the_time_of_a_call_does_not_depend_on_its_deadline(method: str, meta: dict[str, int]) -> None:
    world = listening(call_timeout=30.0)
    world.now = 1e6
    call = world.begin(world.connect(), method, **meta)
    world.now += 0.25
    world.complete(call)
    (event,) = ended(world)
    assert event.seconds == pytest.approx(0.25, abs=1e-9)


def test_what_names_no_method_is_not_told() -> None:
    world = listening()
    one = world.connect()
    for text in (b"{", b"[]", b'{"jsonrpc":"2.0"}', b'{"jsonrpc":"2.0","result":1,"id":1}', request(request_id="")):
        world.receive(one, text)
    assert ended(world) == []


def test_the_id_of_a_request_is_its_own_or_that_of_its_connection() -> None:
    world = listening()
    one = world.connect(meta=Meta(request_id="proxy"))
    calls = [world.begin(one), world.begin(one, id=2, request_id="own"), world.begin(one, id=3, timeout_ms=5)]
    for call in calls:
        world.complete(call)
    world.call(one, "none")
    world.call(one, "none", request_id="own")
    world.call(one, "none", timeout_ms=5)
    assert [event.request_id for event in ended(world)] == ["proxy", "own", "proxy", "proxy", "own", "proxy"]


def test_an_end_is_counted_even_if_nobody_listens() -> None:
    state = shared()
    assert not Endings(state, Calls(state)).wanted
    world = World()
    one = world.connect()
    world.fail(world.begin(one), RpcError(7))
    world.call(one, "none")
    world.call(one, "connection.ping")
    counted = world.gateway.stats()
    assert [counted[f"calls.{name}"] for name in ("made", "errors", "refused", "builtin")] == [1, 1, 1, 1]


def test_the_end_of_a_call_names_the_user_who_made_it() -> None:
    world = AuthWorld()
    world.gateway._outcomes._endings._told = world.gateway._outcomes._every_end_is_told = True
    one = world.connect()
    before = world.begin(one, "echo", (), 1)
    world.call(one, "auth.login", {"method": "bearer", "token": "canary-token"}, 2)
    world.take()
    world.gateway.conclude(OperationId(1), ADA, 0.0)
    world.complete(before)
    ended = [event for event in world.take_events() if isinstance(event, CallEnded)]
    assert [(event.method, event.user) for event in ended] == [("auth.login", "ada"), ("echo", None)]


def test_a_call_that_ends_is_told_with_its_trace() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    world = listening()
    one = world.connect(meta=Meta(traceparent=trace))
    world.complete(world.begin(one))
    world.call(one, "connection.ping")
    world.call(one, "none", traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    assert [event.traceparent and event.traceparent[:5] for event in ended(world)] == ["00-0a", "00-0a", "00-11"]


def test_errors_are_counted_by_code_and_those_of_the_service_together() -> None:
    world = World()
    one = world.connect()
    world.fail(world.begin(one), RpcError(7))
    world.fail(world.begin(one), RpcError(-7))
    world.call(one, "none")
    world.call(one, "echo", {"unknown": 1})
    counted = world.gateway.stats()
    errors = {name: number for name, number in counted.items() if name.startswith("errors.")}
    assert errors == {"errors.-32601": 1, "errors.-32602": 1, "errors.other": 2}


def measured(world: World) -> dict[tuple[str, str], tuple[list[int], float]]:
    found = world.gateway.measurements().calls
    return {(method, outcome): (durations.counts, durations.seconds) for method, outcome, durations in found}


def test_the_time_of_each_call_is_measured_by_method_and_outcome() -> None:
    world = World(measure_calls=True, latency_buckets=(1.0, 2.0), call_timeout=30.0)
    one = world.connect()
    calls = [world.begin(one, id=id) for id in range(5)]
    shortened = world.begin(one, id=9, timeout_ms=20_000)
    for at, call in zip((0.0, 1.0, 1.5, 2.5), calls, strict=False):
        world.now = at
        world.complete(call, 1)
    world.fail(shortened, RpcError(7))
    world.at(30.0)
    assert measured(world) == {
        ("echo", "result"): ([2, 1, 1], 5.0),
        ("echo", "error"): ([0, 0, 1], 2.5),
        ("echo", "timed_out"): ([0, 0, 1], 30.0),
    }


def test_what_the_gateway_answers_at_once_takes_no_time_and_refused_names_are_not_measured() -> None:
    world = World(measure_calls=True, latency_buckets=(1.0,))
    one = world.connect()
    world.call(one, "connection.ping")
    world.call(one, "connection.ping")
    world.call(one, "never-declared")
    assert measured(world) == {("connection.ping", "result"): ([2, 0], 0.0)}


def test_calls_are_not_measured_unless_that_is_asked_for() -> None:
    world = World()
    world.complete(world.begin(world.connect()))
    assert measured(world) == {}
