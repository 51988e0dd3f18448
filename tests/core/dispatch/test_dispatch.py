"""What a text asks for, whether it may, and how each of its entries ends."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.json import decode, encode
from posthouse.core.dispatch.dispatch import authorize, combined, reply_id
from posthouse.core.jsonrpc.messages import Decoder
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Answer, Cancel, Emit, Transmit
from posthouse.core.values.errors import RpcError, UsageError
from posthouse.core.values.lifecycle import CallCancelled, CallFailed, CallTimedOut, LimitBreached
from posthouse.core.values.peers import ALL_SCOPES, Address, CallId, Identity, Kind, Meta

from tests.core.world import ADMIN, World, code_of, data_of, internal, request, result, service

CANCEL = request("$/cancelRequest", {"id": 1}, None)


def method(name: str) -> Any:
    return service().methods[name]


# Who may


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
def test_row_36_a_refusal_says_what_would_have_let_the_call_through(
    name: str, identity: Identity, refusal: Any
) -> None:
    world = World()
    one = world.connect(identity=identity)
    world.call(one, name)
    if refusal is None:
        assert len(world.invoked()) == 1
    else:
        (reply,) = world.said()
        assert (code_of(reply), reply["error"].get("data")) == refusal


def test_a_method_that_is_not_public_and_asks_for_scopes_asks_for_both_at_once() -> None:
    offered = Service("closed")
    offered.method("f", scopes={"read"})(lambda: None)
    with pytest.raises(RpcError) as refused:
        authorize(offered.methods["f"], Identity())
    assert refused.value.data == {"requires": "authentication", "scopes": ["read"]}


def test_an_unknown_method_is_not_found_and_a_notification_of_one_is_passed_over() -> None:
    world = World()
    one = world.connect()
    world.call(one, "nothing")
    world.call(one, "rpc.nothing")
    world.call(one, "nothing", id=None)
    assert world.codes() == [-32601, -32601]


# Metadata


def test_a_key_that_came_with_the_connection_stands_for_one_call_and_not_for_a_batch() -> None:
    world = World()
    one = world.connect("http", meta=Meta(idempotency_key="k"))
    assert world.gateway.outbox == []
    world.receive(one, [request(id=1), request(id=2)])
    (answer,) = world.take()
    assert isinstance(answer, Answer)
    assert answer.code == -32600
    assert answer.data is not None
    assert data_of([decode(answer.data)]) == [
        {"member": "meta.idempotency_key", "reason": "one key cannot stand for all of a batch"}
    ]
    two = world.connect("http", meta=Meta(idempotency_key="k"))
    world.call(two)
    (invoke,) = world.invoked()
    assert invoke.meta == Meta(idempotency_key="k")


def test_what_a_request_says_itself_counts_before_what_its_connection_was_given() -> None:
    given = Meta(timeout_ms=500, traceparent="given")
    assert combined(Meta(traceparent="own"), given) == Meta(timeout_ms=500, traceparent="own")
    world = World()
    one = world.connect("http", meta=given)
    world.call(one, progress_token="p")
    assert [invoke.meta for invoke in world.invoked()] == [Meta(None, 500, "given", "p")]
    two = world.connect("http", meta=given)
    world.call(two)
    assert [invoke.meta for invoke in world.invoked()] == [given]
    three = world.connect()
    world.call(three, timeout_ms=1)
    assert [invoke.meta for invoke in world.invoked()] == [Meta(timeout_ms=1)]


# Built in


def test_built_in_methods_are_answered_at_once_and_checked_as_any_other() -> None:
    world = World()
    one = world.connect()
    world.call(one, "connection.ping", id=1)
    world.call(one, "connection.ping", ["x"], id=2)
    world.call(one, "connection.stats", id=3)
    world.call(one, "connection.ping", id=None)
    ping, unfit, stats = world.said()
    assert ping["result"]["pong"] is True
    assert (code_of(unfit), code_of(stats)) == (-32602, -32020)


@pytest.mark.parametrize("params", [{"id": 1}, [1]])
def test_a_call_is_cancelled_by_its_id_with_an_answer(params: Any) -> None:
    world = World()
    one = world.connect()
    call = world.begin(one, id=1)
    world.call(one, "rpc.cancel", params, id=2)
    cancel, first, second = world.take()
    assert cancel == Cancel(call)
    assert isinstance(first, Transmit)
    assert b'"code":-32800' in first.data
    assert second == Transmit(one, b'{"jsonrpc":"2.0","result":{"cancelled":true},"id":2}')
    world.call(one, "rpc.cancel", params, id=3)
    assert world.said() == [result({"cancelled": False}, 3)]


def test_only_calls_of_the_same_connection_can_be_cancelled() -> None:
    world = World()
    one, two = world.connect(), world.connect(identity=ADMIN)
    world.begin(one, id=1)
    world.call(two, "rpc.cancel", [1], id=2)
    assert world.said() == [result({"cancelled": False}, 2)]


def test_who_is_over_the_cap_or_in_a_shut_down_may_still_cancel_and_answer() -> None:
    world = World(max_calls_per_connection=1, max_waiting_calls=0, call_rate=1.0)
    one = world.connect()
    call = world.begin(one, id=1)
    asked = world.gateway.request(one, "ask", None, 0.0, timeout=10.0)
    world.gateway.shut_down(0.0)
    world.take()
    world.receive(one, result(id=asked))
    assert len(world.resolved()) == 1
    world.receive(one, CANCEL)
    assert world.cancelled() == [call]


# Outcomes


def test_a_call_that_is_cancelled_times_out_or_fails_is_told() -> None:
    world = World(call_timeout=30.0)
    one = world.connect()
    cancelled, late, failed = (world.begin(one, id=id) for id in (1, 2, 3))
    world.receive(one, CANCEL)
    assert world.take_events() == [CallCancelled(cancelled, one, "echo", "client", 0.0)]
    world.fail(failed, internal("abc"))
    event = CallFailed(failed, one, "echo", "abc", "the handler raised what is no RpcError", 0.0)
    assert world.gateway.outbox[-1] == Emit(event)
    assert [(code_of(reply), reply["error"]["data"]) for reply in world.said()] == [(-32603, {"incident": "abc"})]
    world.at(30.0)
    assert world.take_events() == [CallTimedOut(late, one, "echo", 30.0)]
    counted = world.gateway.stats()
    assert [counted[f"calls.{name}"] for name in ("made", "cancelled", "failed", "timed_out")] == [3, 1, 1, 1]


def test_a_handler_that_fails_after_its_call_had_its_outcome_is_told_all_the_same() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one, id=1)
    world.receive(one, CANCEL)
    world.take()
    assert not world.fail(call, internal("abc"))
    (event,) = world.take_events()
    assert isinstance(event, CallFailed)


MEANT = [RpcError(5), RpcError(-32603), RpcError(-32603, data={"why": 1}), RpcError(data={"incident": "x"})]


@pytest.mark.parametrize("error", MEANT)
def test_an_error_that_a_handler_meant_is_answered_and_not_told(error: RpcError) -> None:
    world = World()
    call = world.begin(world.connect())
    world.fail(call, error)
    assert world.take_events() == []


def test_row_46_a_result_that_cannot_be_encoded_is_an_internal_error_with_an_incident() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one)
    world.drawn = 0xABC
    assert world.complete(call, object())
    told, reply = world.gateway.outbox
    assert isinstance(told, Emit)
    assert isinstance(told.event, CallFailed)
    assert told.event.incident == "000000000abd"
    assert isinstance(reply, Transmit)
    assert b'"code":-32603' in reply.data
    assert b'"data":{"incident":"000000000abd"}' in reply.data


def test_the_result_of_a_call_that_had_its_outcome_is_not_looked_at() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one, id=1)
    world.receive(one, CANCEL)
    world.take()
    assert not world.complete(call, object())
    assert world.gateway.outbox == []


def test_when_its_connection_goes_a_call_is_cancelled_unless_it_was_declared_to_finish() -> None:
    world = World()
    one = world.connect()
    stopped, finishing = world.begin(one, "echo", id=1), world.begin(one, "finish", id=2)
    world.gateway.disconnected(one, None, 0.0)
    assert world.cancelled() == [stopped]
    assert world.gateway.health(0.0).calls == 2
    assert world.complete(finishing, object())
    assert not world.complete(stopped)
    assert world.take() == []
    assert world.gateway.health(0.0).calls == 0


@pytest.mark.parametrize("grace", [False, True])
def test_calls_that_end_with_their_connection_or_with_the_grace_are_told_why(grace: bool) -> None:
    world = World(max_calls_per_connection=1, drain_grace=10.0)
    one = world.connect()
    world.begin(one, id=1)
    world.call(one, id=2)
    if grace:
        world.gateway.shut_down(0.0)
        world.gateway.outbox.clear()
        world.gateway.handle_timeout(10.0)
    else:
        world.gateway.disconnected(one, None, 0.0)
    reason = "draining" if grace else "disconnected"
    told = [event for event in world.take_events() if isinstance(event, CallCancelled)]
    assert [(event.call, event.method, event.reason) for event in told] == [(1, "echo", reason), (2, "echo", reason)]
    assert world.gateway.stats()["calls.cancelled"] == 2


def test_while_its_connection_is_closing_a_call_that_was_declared_to_finish_goes_on_and_answers_nobody() -> None:
    world = World(max_bad_messages=1)
    one = world.connect()
    call = world.begin(one, "finish")
    bad(world, one, 2)
    world.take()
    assert not world.gateway.busy(one)
    assert world.complete(call, object())
    assert world.gateway.outbox == []


def test_the_replies_of_a_batch_that_will_not_be_whole_are_given_up_with_their_connection() -> None:
    world = World()
    one = world.connect()
    world.receive(one, [request("connection.ping", id=1), request(id=2)])
    assert world.gateway.memory > 0
    world.gateway.disconnected(one, None, 0.0)
    assert world.gateway.memory == 0


def test_a_connection_is_active_when_its_handlers_end() -> None:
    world = World(idle_timeout=100.0)
    one = world.connect()
    call = world.begin(one)
    world.at(50.0)
    world.complete(call)
    world.at(149.999)
    assert world.closes() == []
    world.at(150.0)
    assert world.closes() == [(one, 1000, True)]


def test_a_call_that_goes_on_without_its_connection_still_has_its_deadline() -> None:
    world = World(call_timeout=30.0)
    one = world.connect()
    first, second = world.begin(one, "finish", id=1), world.begin(one, "finish", id=2)
    world.gateway.disconnected(one, None, 0.0)
    world.take()
    world.at(30.0)
    assert world.cancelled() == [first, second]
    assert not world.complete(first)


def test_calls_that_waited_when_their_connection_went_are_never_handed_out() -> None:
    world = World(max_calls_per_connection=1)
    one = world.connect()
    call = world.begin(one, "finish", id=1)
    for id in (2, 3):
        world.call(one, "finish", id=id)
    world.gateway.disconnected(one, None, 0.0)
    world.take()
    world.complete(call)
    assert (world.take(), world.gateway.memory) == ([], 0)


def test_row_45_at_the_end_of_a_shut_downs_grace_every_call_is_told_so() -> None:
    world = World(max_calls_per_connection=2, drain_grace=10.0, drain_spread=0.0)
    one, two, http = world.connect(), world.connect(), world.connect("http")
    ended = world.begin(two, id=1)
    world.receive(two, CANCEL)
    running, third = world.begin(one, id=1), world.begin(one, id=2)
    world.call(one, id=3)
    over_http = world.begin(http)
    world.gateway.shut_down(0.0)
    world.at(9.999)
    world.take()
    world.at(10.0)
    outbox = world.gateway.outbox.copy()
    assert world.cancelled() == [running, third, over_http]
    world.gateway.outbox[:] = outbox
    assert world.codes() == [-32050] * 4
    assert not world.complete(ended)


def test_a_handler_that_returns_or_raises_after_its_deadline_is_too_late_even_where_nobody_looked() -> None:
    world = World(call_timeout=30.0)
    one = world.connect()
    calls = [world.begin(one, id=id) for id in (1, 2)]
    world.now = 30.0
    assert world.complete(calls[0], object())
    assert world.fail(calls[1], RpcError(5))
    outbox = world.gateway.outbox.copy()
    assert [type(event) for event in world.take_events()] == [CallTimedOut] * 2
    world.gateway.outbox[:] = outbox
    assert world.codes() == [-32030, -32030]


def test_when_a_handler_ends_who_waits_has_its_turn_and_what_is_no_call_is_answered() -> None:
    world = World(max_calls_per_connection=1)
    one = world.connect()
    call = world.begin(one, id=1)
    world.call(one, "add", {}, id=2)
    world.call(one, id=3)
    with pytest.raises(UsageError, match="call 2 waits"):
        world.fail(CallId(2), internal("abc"))
    assert world.gateway.outbox == []
    world.fail(call, RpcError(5))
    outbox = world.gateway.outbox.copy()
    assert [invoke.call for invoke in world.invoked()] == [3]
    world.gateway.outbox[:] = outbox
    assert world.codes() == [5, -32602]


def test_what_fills_the_queue_of_a_slow_peer_is_seen_wherever_it_comes_from() -> None:
    for end in ("refuse", "complete"):
        world = World(max_queued_replies_bytes=1)
        one = world.connect()
        call = world.begin(one, id=1)
        world.gateway.report_held(one, 1, 0.0)
        if end == "refuse":
            world.call(one, "nothing", id=2)
        else:
            world.complete(call)
        assert world.closes() == [(one, 4100, False)]


def test_an_answer_to_nothing_is_counted_and_passed_over() -> None:
    world = World()
    one = world.connect()
    world.receive(one, result(id=5))
    assert world.take() == []
    assert world.gateway.stats()["responses.unmatched"] == 1


def test_a_connection_that_leaves_goes_when_its_last_call_has_its_outcome() -> None:
    world = World(drain_spread=0.0)
    one = world.connect()
    first, second = world.begin(one, id=1), world.begin(one, id=2)
    world.gateway.shut_down(0.0)
    world.at(0.0)
    world.complete(first)
    assert world.closes() == []
    world.at(5.0)
    world.complete(second)
    assert [type(effect).__name__ for effect in world.take()] == ["Transmit", "Disconnect"]


# Bad texts


def bad(world: World, connection: Any, count: int) -> None:
    for _ in range(count):
        world.receive(connection, b"{")


def test_row_18_what_is_no_request_is_answered_and_the_connection_stays() -> None:
    world = World()
    one = world.connect()
    for text in (b"", b"{", b"1", b'{"jsonrpc":"2.0"}', b"[]", b"[1]", b"\xff"):
        world.receive(one, text)
    replies = [reply[0] if isinstance(reply, list) else reply for reply in world.said()]
    assert [code_of(reply) for reply in replies] == [-32700, -32700, -32600, -32600, -32600, -32600, -32700]
    assert world.gateway.stats()["messages.bad"] == 7
    world.begin(one)


def test_row_18_so_many_bad_messages_a_minute_are_borne_and_one_more_closes() -> None:
    world = World(max_bad_messages=3)
    one = world.connect()
    bad(world, one, 3)
    world.take()
    world.at(60.0)
    bad(world, one, 3)
    assert world.closes() == []
    world.at(119.999)
    bad(world, one, 1)
    assert world.closes() == [(one, 4400, True)]


def test_bad_messages_may_be_borne_without_end() -> None:
    world = World(max_bad_messages=None)
    one = world.connect()
    bad(world, one, 100)
    assert world.closes() == []


def test_a_response_that_is_none_is_not_answered_but_counts() -> None:
    world = World(max_bad_messages=1)
    one = world.connect()
    bogus = {"jsonrpc": "2.0", "error": 5, "id": 1}
    world.receive(one, bogus)
    assert world.take() == []
    world.receive(one, bogus)
    assert world.closes() == [(one, 4400, True)]


# Rates


def test_row_22_calls_above_their_rate_are_refused_and_say_when_to_come_back() -> None:
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


def test_a_call_of_a_method_that_there_is_not_costs_as_much_as_any() -> None:
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


def test_row_22_what_is_called_costs_the_same_where_there_is_no_such_method() -> None:
    world = World(call_rate=1.0)
    one = world.connect()
    for method in ("nothing", "nothing", "echo"):
        world.call(one, method)
    assert world.codes() == [-32601, -32029, -32029]


def test_row_22_ten_seconds_of_it_close_the_connection() -> None:
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


def test_row_22_who_has_to_wait_long_is_told_to_the_millisecond() -> None:
    world = World(call_rate=0.1)
    one = world.connect()
    for _ in range(2):
        world.call(one, "connection.ping")
    assert world.said()[1]["error"]["data"]["retry_after_ms"] == 10_001


def test_a_rate_that_is_observed_is_counted_and_told_and_not_enforced() -> None:
    world = World(call_rate=1.0, observe=["call_rate"])
    one = world.connect()
    world.take()
    for _ in range(3):
        world.call(one, "connection.ping")
    assert world.take_events() == [LimitBreached("call_rate", one, Address(), False, 0.0)] * 2
    assert world.gateway.stats()["limit.call_rate.would_refuse"] == 2
    world.receive(one, [request("connection.ping", id=id) for id in range(3)])
    assert [code_of(reply) for reply in world.said()[0]] == [None] * 3


def test_in_a_shut_down_new_calls_are_refused() -> None:
    world = World()
    one = world.connect()
    world.gateway.shut_down(0.0)
    world.take()
    world.call(one)
    world.call(one, "connection.ping")
    world.call(one, "nothing")
    assert data_of(world.said()) == [{"retryable": True}] * 3


def test_what_is_asked_or_cannot_be_read_gets_a_reply_with_its_id_and_nothing_else_does() -> None:
    decoder = Decoder(World().config)
    messages = decoder.decode(encode(ENTRIES))
    assert isinstance(messages, list)
    assert [reply_id(message) for message in messages] == [b"1", None, None, b"null", b"2", None]


ENTRIES = [
    request(id=1),
    request(id=None),
    result(5),
    7,
    {"jsonrpc": "2.0", "method": 5, "id": 2},
    {"jsonrpc": "2.0", "error": 5, "id": 1},
]


def test_a_response_in_a_batch_gets_no_reply_and_holds_up_no_other() -> None:
    world = World()
    one = world.connect()
    world.receive(one, [result(7), request("connection.ping", id=1)])
    (reply,) = world.said()
    assert [entry["id"] for entry in reply] == [1]
