"""Calls in flight: ids, slots, waiting in order, deadlines, and exactly one outcome each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posthouse.core.values.effects import Cancel, Invoke, Transmit, Withdraw
from posthouse.core.values.errors import RpcError, UsageError
from posthouse.core.values.lifecycle import ConnectionClosed
from posthouse.core.values.peers import CallId, Identity, Meta, OperationId

from tests.core.identity.credentials import ADA, AuthWorld
from tests.core.world import WALL, World, code_of, data_of, request, result
from tests.values import told_apart

BUSY = {"retryable": True}


def test_a_call_is_invoked_with_its_arguments_and_its_caller() -> None:
    world = World()
    one = world.connect(user="ada")
    world.call(one, "add", {"a": 1, "b": 2}, traceparent="00-1")
    (invoke,) = world.invoked()
    assert (invoke.call, invoke.method.name, invoke.args, invoke.kwargs) == (1, "add", (1, 2), {})
    assert (invoke.caller.connection, invoke.caller.kind, invoke.caller.identity.user) == (one, "websocket", "ada")
    assert invoke.meta == Meta(traceparent="00-1")


def test_calls_start_in_order_of_arrival() -> None:
    world = World()
    one, two = world.connect(), world.connect()
    for connection, value in ((one, 1), (two, 2), (one, 3)):
        world.call(connection, params=[value], id=value)
    assert [invoke.args for invoke in world.invoked()] == [(1,), (2,), (3,)]


def test_row_20_the_same_id_twice_in_flight_is_refused_and_the_first_unaffected() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one, id="x")
    world.call(one, id="x")
    assert world.codes() == [-32013]
    world.complete(call, 5)
    assert world.said() == [{"jsonrpc": "2.0", "result": 5, "id": "x"}]
    world.begin(one, id="x")


def test_ids_are_compared_byte_for_byte_and_within_their_connection() -> None:
    world = World()
    one, two = world.connect(), world.connect()
    for text in (b"1", b'"1"', b"1.0", b"10"):
        world.receive(one, b'{"jsonrpc":"2.0","method":"echo","id":%b}' % text)
    world.call(two, id=1)
    assert len(world.invoked()) == 5


def test_a_request_with_id_null_is_answered_but_cannot_be_cancelled() -> None:
    world = World()
    one = world.connect()
    text = b'{"jsonrpc":"2.0","method":"echo","id":null}'
    world.receive(one, text)
    world.receive(one, text)
    first, second = world.invoked()
    world.receive(one, b'{"jsonrpc":"2.0","method":"rpc.cancel","params":[null],"id":9}')
    assert world.said() == [{"jsonrpc": "2.0", "result": {"cancelled": False}, "id": 9}]
    world.complete(second.call, 2)
    world.complete(first.call, 1)
    assert [reply["result"] for reply in world.said()] == [2, 1]


def test_calls_may_fill_the_limit_of_their_connection_and_one_more_waits() -> None:
    world = World(max_calls_per_connection=2)
    one, two = world.connect(), world.connect()
    for id in (1, 2, 3, 4):
        world.call(one, params=[id], id=id)
    assert [invoke.args for invoke in world.invoked()] == [(1,), (2,)]
    world.begin(two)
    world.complete(CallId(2))
    assert world.take() == [
        Transmit(one, b'{"jsonrpc":"2.0","result":null,"id":2}'),
        Invoke(CallId(3), _caller(world, one), _method(world), (3,), {}, Meta()),
    ]
    world.complete(CallId(1))
    assert [invoke.args for invoke in world.invoked()] == [(4,)]


def _caller(world: World, connection: Any) -> Any:
    return world.gateway._connections.records[connection].caller


def _method(world: World, name: str = "echo") -> Any:
    return world.gateway._dispatch._methods[name]


def test_later_calls_do_not_overtake_waiting_ones() -> None:
    world = World(max_calls_per_connection=1)
    one = world.connect()
    world.begin(one, id=1)
    for id in (2, 3):
        world.call(one, params=[id], id=id)
    world.complete(CallId(1))
    world.call(one, params=[4], id=4)
    assert [invoke.args for invoke in world.invoked()] == [(2,)]


def test_row_21_calls_may_fill_the_queue_and_one_more_is_refused() -> None:
    world = World(max_calls_per_connection=1, max_waiting_calls=2)
    one = world.connect()
    for id in (1, 2, 3):
        world.call(one, id=id)
    assert len(world.take()) == 1
    assert world.gateway.health(0.0).waiting == 2
    world.call(one, id=4)
    assert data_of(world.said()) == [{**BUSY, "limit": "max_waiting_calls"}]
    world.complete(CallId(1))
    world.take()
    assert world.gateway.health(0.0).waiting == 1
    world.call(one, id=4)
    assert world.take() == []
    assert world.gateway.health(0.0).waiting == 2


def test_waiting_params_may_fill_their_limit_and_one_byte_more_is_refused() -> None:
    world = World(max_calls_per_connection=1, max_waiting_bytes=10)
    one = world.connect()
    world.begin(one, id=1)
    for size in (2, 4, 4):
        world.receive(one, b'{"jsonrpc":"2.0","method":"echo","params":[%b]}' % (b"1" * (size - 2)))
    assert (world.take(), world.gateway.memory) == ([], 10)
    world.receive(one, b'{"jsonrpc":"2.0","method":"echo","params":[],"id":5}')
    assert data_of(world.said()) == [{**BUSY, "limit": "max_waiting_bytes"}]
    world.receive(one, b'{"jsonrpc":"2.0","method":"echo","id":6}')
    assert world.take() == []
    for call in (1, 2, 3, 4):
        world.complete(CallId(call))
    assert [invoke.args for invoke in world.invoked()] == [(None,), (11,), (11,), ()]
    assert world.gateway.memory == 0
    for size in (8, 2):
        world.receive(one, b'{"jsonrpc":"2.0","method":"echo","params":[%b]}' % (b"1" * (size - 2)))
    assert (world.take(), world.gateway.memory) == ([], 10)


def test_handlers_may_fill_the_global_limit_and_one_more_is_refused() -> None:
    world = World(max_calls=2)
    connections = [world.connect() for _ in range(3)]
    first = world.begin(connections[0])
    world.begin(connections[1])
    world.call(connections[2])
    assert data_of(world.said()) == [{**BUSY, "limit": "max_calls"}]
    world.complete(first)
    world.take()
    world.begin(connections[2])


def test_the_handler_of_a_call_that_waited_counts_once() -> None:
    world = World(max_calls=2, max_calls_per_connection=1)
    one, two, three = (world.connect() for _ in range(3))
    first = world.begin(one, id=1)
    world.call(one, id=2)
    world.complete(first)
    world.take()
    world.begin(two)
    world.call(three)
    assert data_of(world.said()) == [{**BUSY, "limit": "max_calls"}]


def test_a_call_that_waited_drops_its_params_when_it_runs_or_ends() -> None:
    world = World(max_calls_per_connection=1)
    one = world.connect()
    first = world.begin(one, id=1)
    for id in (2, 3):
        world.call(one, params=["x"], id=id)
    second, third = (world.gateway._calls.records[CallId(number)] for number in (2, 3))
    assert (second.params, third.params) == (b'["x"]', b'["x"]')
    world.complete(first)
    world.receive(one, request("$/cancelRequest", {"id": 3}, None))
    assert (second.params, third.params) == (None, None)
    assert [*world.gateway._calls.records] == [second.number]


def test_the_event_of_a_closed_connection_has_its_number_of_calls() -> None:
    world = World(max_calls_per_connection=1)
    one = world.connect()
    for id in (1, 2, 3):
        world.call(one, id=id)
    world.gateway.disconnected(one, None, 0.0)
    assert [event.calls for event in world.take_events() if isinstance(event, ConnectionClosed)] == [3]
    assert world.gateway.stats()["calls.made"] == 3


def test_invalid_params_of_a_waiting_call_are_refused_at_its_turn_and_the_next_runs() -> None:
    world = World(max_calls_per_connection=1)
    one = world.connect()
    call = world.begin(one, id=1)
    world.call(one, "add", ["x", "y"], id=2)
    world.call(one, "add", [1, 2], id=3)
    assert world.take() == []
    world.complete(call)
    effects = world.take()
    assert [type(effect) for effect in effects] == [Transmit, Transmit, Invoke]
    assert isinstance(effects[1], Transmit)
    assert b'"code":-32602' in effects[1].data


def test_a_waiting_call_that_is_cancelled_never_starts() -> None:
    world = World(max_calls_per_connection=1)
    one = world.connect()
    call = world.begin(one, id=1)
    world.call(one, params=["x" * 100], id=2)
    world.receive(one, request("$/cancelRequest", {"id": 2}, None))
    assert world.codes() == [-32800]
    assert world.gateway.memory == 0
    world.complete(call)
    assert world.invoked() == []


def test_the_slot_of_a_cancelled_call_is_held_until_its_handler_ends() -> None:
    world = World(max_calls_per_connection=1)
    one = world.connect()
    call = world.begin(one, id=1)
    world.receive(one, request("$/cancelRequest", {"id": 1}, None))
    world.call(one, id=1)
    assert [type(effect) for effect in world.take()] == [Cancel, Transmit]
    assert not world.complete(call)
    assert [invoke.call for invoke in world.invoked()] == [2]


def test_a_call_that_outlives_its_connection_holds_its_slot_until_its_handler_ends() -> None:
    world = World(max_calls=2)
    for timeout_ms in (None, 1_000):
        one = world.connect()
        call = world.begin(one, "finish", **({} if timeout_ms is None else {"timeout_ms": timeout_ms}))
        world.gateway.disconnected(one, None, 0.0)
        assert world.gateway.health(0.0).calls == 1
        world.at(5.0 if timeout_ms else 0.0)
        assert world.cancelled() == ([call] if timeout_ms else [])
        assert world.complete(call) is (timeout_ms is None)
        assert world.gateway.health(0.0).calls == 0


@pytest.mark.parametrize("late", [False, True])
def test_a_call_may_end_while_its_connection_is_closing(late: bool) -> None:
    world = World(max_bad_messages=1, call_timeout=30.0)
    one = world.connect()
    call = world.begin(one, "finish")
    for _ in range(2):
        world.receive(one, b"{")
    assert world.closes() == [(one, 4400, True)]
    if late:
        world.at(30.0)
        assert world.take() == [Cancel(call)]
    assert world.complete(call) is not late
    assert world.take() == []
    world.gateway.disconnected(one, None, 30.0)
    assert world.gateway._calls.records == {}


def test_row_21_endless_requests_and_cancels_never_exceed_the_limit_on_handlers() -> None:
    world = World(max_calls_per_connection=4, max_waiting_calls=4)
    one = world.connect()
    running: list[CallId] = []
    for id in range(2000):
        world.call(one, id=id)
        world.receive(one, request("$/cancelRequest", {"id": id}, None))
        running += [invoke.call for invoke in world.invoked()]
        assert len(running) <= 4
        if id % 3 == 0 and running:
            world.complete(running.pop(0))
            running += [invoke.call for invoke in world.invoked()]
    for call in running:
        world.complete(call)
    assert (world.gateway.health(0.0).calls, world.gateway.memory) == (0, 0)


def test_row_21_handlers_that_all_wait_for_their_caller_get_its_answers() -> None:
    world = World()
    one = world.connect()
    for id in range(64 + 10):
        world.call(one, id=id)
    calls = [invoke.call for invoke in world.invoked()]
    assert len(calls) == 64
    asked = {world.gateway.request(one, "ask", None, 0.0, timeout=10.0): call for call in calls}
    for request_id in asked:
        world.receive(one, result(id=request_id))
    for resolve in world.resolved():
        assert world.complete(asked[resolve.request])
    late = [invoke.call for invoke in world.invoked()]
    assert len(late) == 10
    for call in late:
        assert world.complete(call)
    assert world.codes() == [None] * 10


def test_an_id_that_never_existed_is_misuse_and_an_ended_one_is_harmless() -> None:
    world = World()
    call = world.begin(world.connect())
    assert world.complete(call)
    assert not world.complete(call)
    for never in (0, -1, 2):
        with pytest.raises(UsageError, match=f"call {never} never existed"):
            world.complete(CallId(never))


def test_before_the_first_call_no_call_exists() -> None:
    with pytest.raises(UsageError, match="call 1 never existed"):
        World().complete(CallId(1))


def test_a_handler_can_fail_and_report_progress() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one, progress_token="t")
    assert world.gateway.progress(call, 0.5, 0.0)
    assert world.fail(call, RpcError(1))
    assert [reply.get("method") for reply in world.said()] == ["$/progress", None]


def test_ending_the_handler_of_a_waiting_call_is_misuse() -> None:
    world = World(max_calls_per_connection=1)
    one = world.connect()
    world.begin(one, id=1)
    world.call(one, id=2)
    with pytest.raises(UsageError, match="call 2 is waiting"):
        world.complete(CallId(2))
    world.complete(CallId(1))
    assert [invoke.call for invoke in world.invoked()] == [2]


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("call"), st.integers(0, 1)),
            st.tuples(st.just("cancel"), st.integers(0, 30)),
            st.tuples(st.just("end"), st.integers(0, 10)),
            st.tuples(st.just("time"), st.integers(1, 12)),
            st.tuples(st.just("gone"), st.just(0)),
        ),
        max_size=40,
    )
)
def test_row_45_in_every_interleaving_each_call_has_exactly_one_outcome(steps: list[tuple[str, int]]) -> None:
    world = World(max_calls_per_connection=2, max_waiting_calls=3, call_timeout=30.0)
    one = world.connect()
    asked: list[int] = []
    answers: list[int] = []
    running: list[CallId] = []

    def perform() -> None:
        for effect in world.take():
            if isinstance(effect, Invoke):
                running.append(effect.call)
            elif isinstance(effect, Transmit):
                answers.append(int(effect.data.rpartition(b":")[2][:-1]))
        assert world.gateway.health(0.0).calls == len(running) <= 2

    gone = False
    for step, number in steps:
        if step == "call" and not gone:
            asked.append(len(asked))
            world.call(one, ("echo", "finish")[number], id=asked[-1])
        elif step == "cancel" and not gone:
            world.receive(one, request("$/cancelRequest", {"id": number}, None))
        elif step == "end" and running:
            world.complete(running.pop(number % len(running)))
        elif step == "time":
            world.at(world.now + number)
        elif step == "gone" and not gone:
            gone = True
            world.gateway.disconnected(one, None, world.now)
        perform()
        if gone:
            assert len(answers) == len(dict.fromkeys(answers))
    world.at(world.now + 30.0)
    perform()
    while running:
        world.complete(running.pop())
        perform()
    if not gone:
        assert sorted(answers) == asked
    assert world.gateway._calls.records == {}
    assert world.gateway._calls.waiting == world.gateway.memory == 0
    assert world.gateway.next_timeout() is None


def test_a_record_is_equal_to_itself_alone() -> None:
    assert told_apart("posthouse.core.calls.calls") == ["Call"]


@pytest.mark.parametrize(("method", "timeout_ms"), [("echo", None), ("brief", None), ("echo", 700), ("brief", 9_000)])
def test_when_a_call_began_follows_from_its_deadline(method: str, timeout_ms: int | None) -> None:
    world = World(call_timeout=30.0)
    world.now = 16.0
    call = world.begin(world.connect(), method, **({} if timeout_ms is None else {"timeout_ms": timeout_ms}))
    calls = world.gateway._calls
    assert calls.began(calls.records[call]) == 16.0


LOGIN = {"method": "bearer", "token": "canary-token"}


def test_calls_behind_one_that_changes_the_identity_wait_and_are_authorised_when_they_start() -> None:
    world = AuthWorld(max_waiting_calls=3)
    one = world.connect()
    world.call(one, "auth.login", LOGIN, 1)
    for id, method in ((2, "private"), (3, "guarded"), (4, "connection.ping"), (5, "echo")):
        world.call(one, method, (), id)
    assert [code_of(reply) for reply in world.said()] == [-32009]
    assert (world.gateway.health(0.0).calls, world.gateway.health(0.0).waiting) == (1, 3)
    world.gateway.conclude(OperationId(1), ADA, 0.0)
    effects = world.take()
    assert [effect.method.name for effect in effects if isinstance(effect, Invoke)] == ["private"]
    assert (world.gateway.health(0.0).calls, world.gateway.health(0.0).waiting) == (1, 0)


def test_a_method_of_the_gateway_that_ends_early_frees_its_slot_and_is_withdrawn() -> None:
    world = AuthWorld()
    one = world.connect()
    world.call(one, "auth.login", LOGIN, 1)
    world.call(one, "connection.ping", {}, 2)
    world.take()
    world.call(one, "rpc.cancel", {"id": 1}, 3)
    assert Withdraw(OperationId(1)) in world.take()
    assert world.gateway._connections.records[one].changing is None
    assert (world.gateway.health(0.0).calls, world.gateway.health(0.0).waiting) == (0, 0)


def test_a_log_in_that_waits_for_a_slot_may_be_cancelled() -> None:
    world = AuthWorld(max_calls_per_connection=1)
    one = world.connect()
    first = world.begin(one, "echo", (), 1)
    world.call(one, "auth.login", LOGIN, 2)
    world.call(one, "echo", (), 3)
    world.call(one, "rpc.cancel", {"id": 2}, 4)
    world.take()
    world.complete(first)
    assert len(world.invoked()) == 1


def test_a_call_that_runs_keeps_its_caller_when_the_identity_changes() -> None:
    world = AuthWorld()
    one = world.connect()
    before = world.begin(one, "echo", (), 1)
    world.call(one, "auth.login", LOGIN, 2)
    world.take()
    world.gateway.conclude(OperationId(1), ADA, 0.0)
    after = world.begin(one, "echo", (), 3)
    world.call(one, "auth.logout", {}, 4)
    callers = [world.gateway._calls.records[call].caller for call in (before, after)]
    assert [caller and caller.identity.user for caller in callers] == [None, "ada"]
    assert world.complete(before)


def test_calls_that_waited_for_a_log_in_do_not_exceed_the_limit_of_handlers() -> None:
    world = AuthWorld(max_calls=2)
    one = world.connect()
    world.call(one, "auth.login", LOGIN, 1)
    for id in (2, 3, 4):
        world.call(one, "echo", (), id)
    world.take()
    world.gateway.conclude(OperationId(1), ADA, 0.0)
    assert world.gateway.health(0.0).calls == 2
    assert [(reply["id"], code_of(reply)) for reply in world.said()] == [(1, None), (4, -32009)]


def test_a_call_that_its_connection_does_not_lead_to_is_found_by_its_user() -> None:
    world = AuthWorld()
    one, two, nobody = world.connect(user="ada"), world.connect(user="ada"), world.connect()
    running = [world.begin(one, "finish", id=id) for id in (1, 2)]
    detached = [world.begin(each, "finish") for each in (two, nobody)]
    assert world.gateway._calls.strays == {}
    world.call(one, "auth.login", {"method": "bearer", "token": "x"}, 3)
    world.conclude(world.asked().operation, Identity("bob"))
    world.gateway.disconnected(two, None, 0.0)
    world.gateway.disconnected(nobody, None, 0.0)
    mine = world.begin(one, "finish", id=4)
    strays = world.gateway._calls.strays
    assert strays == {("", "ada"): dict.fromkeys((*running, detached[0]))}
    world.gateway.disconnected(one, None, 0.0)
    assert strays == {("", "ada"): dict.fromkeys((*running, detached[0])), ("", "bob"): {mine: None}}
    for call in (*running, *detached, mine):
        world.complete(call)
    assert strays == {}


def test_a_call_of_a_former_user_that_is_cancelled_is_no_stray_any_more() -> None:
    world = AuthWorld()
    one = world.connect(user="ada")
    world.begin(one, id="old")
    world.call(one, "auth.login", {"method": "bearer", "token": "x"}, 2)
    world.conclude(world.asked().operation, Identity("bob"))
    assert list(world.gateway._calls.strays) == [("", "ada")]
    world.call(one, "rpc.cancel", {"id": "old"}, 3)
    assert world.gateway._calls.strays == {}


def test_a_call_that_waited_is_compared_with_the_time_when_it_starts() -> None:
    world = World(max_calls_per_connection=1)
    one = world.connect(identity=Identity("ada", expires_at=WALL + 5.0))
    running = world.begin(one, id=1)
    world.call(one, "echo", {}, 2)
    world.now = 5.0
    world.complete(running)
    assert world.codes() == [None, -32022]
