"""The outcome of each call: exactly one, at its time, and who is told."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from posthouse.core.calls.calls import Phase
from posthouse.core.identity.revocations import made_since
from posthouse.core.values.effects import Cancel, Emit, Invoke, Transmit
from posthouse.core.values.errors import RpcError, UsageError
from posthouse.core.values.lifecycle import CallCancelled, CallFailed, CallTimedOut
from posthouse.core.values.peers import CallId, Identity, OperationId

from tests.core.identity.credentials import ADA, REFUSED, AuthWorld
from tests.core.topics.rooms import Rooms
from tests.core.world import WALL, World, code_of, internal, request, service

CANCEL = request("$/cancelRequest", {"id": 1}, None)


NOBODY = partial(made_since, None)
"""A revocation that spares nobody."""


def method(name: str) -> Any:
    return service().methods[name]


def bad(world: World, connection: Any, count: int) -> None:
    for _ in range(count):
        world.receive(connection, b"{")


def test_a_cancelled_timed_out_or_failed_call_emits_an_event() -> None:
    world = World(call_timeout=30.0)
    one = world.connect()
    cancelled, late, failed = (world.begin(one, id=id) for id in (1, 2, 3))
    world.receive(one, CANCEL)
    assert world.take_events() == [CallCancelled(cancelled, one, "echo", "client", 0.0)]
    world.fail(failed, internal("abc"))
    event = CallFailed(failed, one, "echo", "abc", "the handler raised an exception other than RpcError", 0.0)
    assert world.gateway.outbox[-1] == Emit(event)
    assert [(code_of(reply), reply["error"]["data"]) for reply in world.said()] == [(-32603, {"incident": "abc"})]
    world.at(30.0)
    assert world.take_events() == [CallTimedOut(late, one, "echo", 30.0)]
    counted = world.gateway.stats()
    assert [counted[f"calls.{name}"] for name in ("made", "cancelled", "failed", "timed_out")] == [3, 1, 1, 1]


def test_a_failure_is_reported_even_if_the_call_has_its_outcome() -> None:
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
def test_an_rpc_error_of_a_handler_is_answered_and_not_reported(error: RpcError) -> None:
    world = World()
    call = world.begin(world.connect())
    world.fail(call, error)
    assert world.take_events() == []


def test_row_46_a_result_that_cannot_be_encoded_is_an_internal_error_with_an_incident() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one)
    world.drawn = 0xABC
    assert not world.complete(call, object())
    told, reply = world.gateway.outbox
    assert isinstance(told, Emit)
    assert isinstance(told.event, CallFailed)
    assert told.event.incident == "000000000abd"
    assert isinstance(reply, Transmit)
    assert b'"code":-32603' in reply.data
    assert b'"data":{"incident":"000000000abd"}' in reply.data


def test_the_result_of_a_call_with_an_outcome_is_not_encoded() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one, id=1)
    world.receive(one, CANCEL)
    world.take()
    assert not world.complete(call, object())
    assert world.gateway.outbox == []


def test_when_its_connection_closes_a_call_is_cancelled_unless_declared_to_finish() -> None:
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
def test_the_event_of_a_cancelled_call_has_its_reason(grace: bool) -> None:
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
    assert world.gateway.stats()["calls.drained" if grace else "calls.disconnected"] == 2


def test_a_call_declared_to_finish_runs_on_without_a_reply_while_its_connection_closes() -> None:
    world = World(max_bad_messages=1)
    one = world.connect()
    call = world.begin(one, "finish")
    bad(world, one, 2)
    world.take()
    assert not world.gateway.busy(one)
    assert world.complete(call, object())
    assert world.gateway.outbox == []


def test_the_replies_of_an_incomplete_batch_are_dropped_with_their_connection() -> None:
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


def test_a_detached_call_keeps_its_deadline() -> None:
    world = World(call_timeout=30.0)
    one = world.connect()
    first, second = world.begin(one, "finish", id=1), world.begin(one, "finish", id=2)
    world.gateway.disconnected(one, None, 0.0)
    world.take()
    world.at(30.0)
    assert world.cancelled() == [first, second]
    assert not world.complete(first)


def test_waiting_calls_of_a_closed_connection_never_start() -> None:
    world = World(max_calls_per_connection=1)
    one = world.connect()
    call = world.begin(one, "finish", id=1)
    for id in (2, 3):
        world.call(one, "finish", id=id)
    world.gateway.disconnected(one, None, 0.0)
    world.take()
    world.complete(call)
    assert (world.take(), world.gateway.memory) == ([], 0)


def test_row_45_at_the_end_of_the_grace_every_call_is_answered_with_draining() -> None:
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


def test_an_outcome_after_the_deadline_is_a_timeout_even_if_the_deadline_was_not_handled() -> None:
    world = World(call_timeout=30.0)
    one = world.connect()
    calls = [world.begin(one, id=id) for id in (1, 2)]
    world.now = 30.0
    assert not world.complete(calls[0], object())
    assert world.fail(calls[1], RpcError(5))
    outbox = world.gateway.outbox.copy()
    assert [type(event) for event in world.take_events()] == [CallTimedOut] * 2
    world.gateway.outbox[:] = outbox
    assert world.codes() == [-32030, -32030]


def test_when_a_handler_ends_the_next_waiting_call_runs_and_an_invalid_one_is_answered() -> None:
    world = World(max_calls_per_connection=1)
    one = world.connect()
    call = world.begin(one, id=1)
    world.call(one, "add", {}, id=2)
    world.call(one, id=3)
    with pytest.raises(UsageError, match="call 2 is waiting"):
        world.fail(CallId(2), internal("abc"))
    assert world.gateway.outbox == []
    world.fail(call, RpcError(5))
    outbox = world.gateway.outbox.copy()
    assert [invoke.call for invoke in world.invoked()] == [3]
    world.gateway.outbox[:] = outbox
    assert world.codes() == [5, -32602]


def test_every_source_of_payloads_notes_the_breach_of_a_queue() -> None:
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


def test_a_connection_with_a_due_farewell_closes_after_its_last_outcome() -> None:
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


def test_a_call_is_answered_exactly_at_its_deadline_and_its_handler_is_cancelled() -> None:
    world = World(call_timeout=30.0)
    one = world.connect()
    world.now = 100.0
    call = world.begin(one)
    assert world.gateway.next_timeout() == 130.0
    world.at(129.999)
    assert world.take() == []
    world.at(130.0)
    effects = world.take()
    assert effects[0] == Cancel(call)
    assert isinstance(effects[1], Transmit)
    assert b'"code":-32030' in effects[1].data
    assert len(effects) == 2


def test_row_42_a_handler_that_never_returns_keeps_its_slot_after_its_deadline() -> None:
    world = World(call_timeout=30.0, max_calls_per_connection=1)
    one = world.connect()
    call = world.begin(one, id=1)
    world.at(29.0)
    world.call(one, id=2)
    world.at(30.0)
    assert world.codes() == [-32030]
    world.at(58.0)
    assert world.take() == []
    assert not world.complete(call)
    assert [invoke.call for invoke in world.invoked()] == [2]


def test_deadlines_include_waiting_and_an_expired_waiting_call_never_starts() -> None:
    world = World(call_timeout=30.0, max_calls_per_connection=1)
    one = world.connect()
    call = world.begin(one, "finish", id=1, timeout_ms=30_000)
    world.call(one, params=[1], id=2, timeout_ms=20_000)
    world.at(19.999)
    assert world.take() == []
    world.at(20.0)
    (reply,) = world.take()
    assert isinstance(reply, Transmit)
    assert b'"code":-32030' in reply.data
    assert world.complete(call)
    assert world.invoked() == []
    assert world.gateway.memory == 0


def test_a_request_can_only_shorten_its_methods_timeout() -> None:
    world = World(call_timeout=30.0)
    one = world.connect()
    for id, method, asked in ((1, "brief", None), (2, "brief", 60_000), (3, "brief", 500), (4, "echo", 60_000)):
        world.call(one, method, id=id, **({} if asked is None else {"timeout_ms": asked}))
    world.take()
    answered: dict[float, list[int]] = {}
    while (due := world.gateway.next_timeout()) is not None:
        world.at(due)
        answered[due] = [reply["id"] for reply in world.said()]
    assert answered == {0.5: [3], 2.0: [1, 2], 30.0: [4]}


def test_an_answer_at_the_deadline_is_too_late() -> None:
    world = World(call_timeout=30.0)
    one = world.connect()
    early, late = world.begin(one, id=1), world.begin(one, id=2)
    world.now = 29.999
    assert world.complete(early)
    assert world.codes() == [None]
    world.now = 30.0
    assert not world.complete(late)
    assert world.codes() == [-32030]
    assert world.gateway.next_timeout() is None


def test_a_call_that_ends_in_its_turn_never_costs_a_deadline() -> None:
    world = World()
    one = world.connect()
    for id in range(3):
        world.complete(world.begin(one, id=id))
    assert world.gateway.next_timeout() is None


def test_a_call_disarms_its_deadline_however_it_ends() -> None:
    world = World()
    one = world.connect()
    ended, cancelled = world.begin(one, id=1), world.begin(one, id=2)
    assert world.gateway.next_timeout() == 30.0
    world.complete(ended)
    assert world.gateway.next_timeout() == 30.0
    world.receive(one, request("$/cancelRequest", {"id": 2}, None))
    assert world.cancelled() == [cancelled]
    assert world.gateway.next_timeout() is None


def test_each_call_that_outlives_its_turn_is_armed_once() -> None:
    world = World()
    one = world.connect()
    for id in (1, 2):
        world.call(one, id=id)
        assert world.gateway.next_timeout() == 30.0
    world.gateway.next_timeout()
    assert len(world.gateway._shared.timers) == 2


def test_deadlines_that_are_equal_come_in_the_order_of_the_calls() -> None:
    world = World()
    one = world.connect()
    world.call(one, id=1)
    assert world.gateway.next_timeout() == 30.0
    for id in (2, 3):
        world.call(one, id=id)
    world.take()
    world.gateway.handle_timeout(30.0)
    assert [reply["id"] for reply in world.said()] == [1, 2, 3]


def test_a_deadline_is_not_missed_if_next_timeout_is_never_called() -> None:
    world = World()
    one = world.connect()
    for id in range(3):
        world.call(one, id=id)
    world.take()
    world.gateway.handle_timeout(30.0)
    assert world.codes() == [-32030] * 3


def test_a_call_is_cancelled_once_and_by_its_own_connection() -> None:
    world = World()
    one, two = world.connect(), world.connect()
    call = world.begin(one, id=1)
    world.receive(two, CANCEL)
    assert world.take() == []
    world.receive(one, CANCEL)
    assert world.cancelled() == [call]
    world.receive(one, CANCEL)
    assert world.take() == []


def test_what_waits_for_a_reply_leaves_behind_a_result_and_is_dropped_with_an_error() -> None:
    world = World()
    one = world.connect()
    good, bad = world.begin(one, id=1), world.begin(one, id=2)
    for call in (good, bad):
        assert world.gateway.notify(one, "event", [call], 0.0, after=call)
    assert world.fail(bad, RpcError(5))
    assert world.complete(good)
    assert [message.get("method", message.get("id")) for message in world.said()] == [2, 1, "event"]
    lost = world.begin(one, id=3)
    assert world.gateway.notify(one, "event", [lost], 0.0, after=lost)
    world.gateway.disconnected(one, None, 0.0)
    assert world.said() == []
    assert world.gateway.memory == 0


LOGIN = {"method": "bearer", "token": "canary-token"}


def test_a_method_of_the_gateway_may_answer_later_with_a_result_or_an_error() -> None:
    world = AuthWorld()
    one, two = world.connect(), world.connect()
    for connection in (one, two):
        world.call(connection, "auth.login", LOGIN, 1)
        world.call(connection, "connection.ping", {}, 2)
        world.call(connection, "private", {}, 3)
    world.take()
    world.gateway.conclude(OperationId(1), ADA, 1.0)
    assert [reply["id"] for reply in world.said()] == [1, 2]
    world.gateway.conclude(OperationId(2), REFUSED, 1.0)
    assert [(reply["id"], code_of(reply)) for reply in world.said()] == [(1, -32020), (2, None), (3, -32020)]
    assert world.gateway._connections.records[two].active_at == 1.0


def test_a_method_of_the_gateway_answers_too_late_at_its_deadline() -> None:
    world = AuthWorld()
    one = world.connect()
    world.call(one, "auth.login", LOGIN, 1, timeout_ms=500)
    world.call(one, "echo", {}, 2)
    world.take()
    world.now = 0.5
    world.gateway.conclude(OperationId(1), ADA, world.now)
    effects = world.take()
    assert [effect.caller.identity.user for effect in effects if isinstance(effect, Invoke)] == [None]
    assert world.gateway.stats()["calls.timed_out"] == 1


def test_a_method_of_the_gateway_that_is_cancelled_lets_the_next_call_run() -> None:
    world = AuthWorld()
    one = world.connect()
    world.call(one, "auth.login", LOGIN, 1)
    world.call(one, "echo", {}, 2)
    world.take()
    world.call(one, "rpc.cancel", {"id": 1}, 3)
    assert [effect.method.name for effect in world.take() if isinstance(effect, Invoke)] == ["echo"]


def test_a_revocation_ends_the_calls_of_the_user_those_of_its_connections_and_strays() -> None:
    world = AuthWorld()
    one, two = world.connect(user="ada"), world.connect(user="ada")
    former, gone = world.begin(one, "finish", id=1), world.begin(two, "finish")
    world.call(one, "auth.login", {"method": "bearer", "token": "x"}, 2)
    world.conclude(world.asked().operation, ADA)
    outcomes, connection = world.gateway._outcomes, world.gateway._connections.records[one]
    fresh = world.begin(one, "finish", id=3)
    world.gateway.disconnected(two, None, 0.0)
    outcomes.revoke(connection, ("", "bob"), 1.0)
    outcomes.revoke_strays(("", "bob"), NOBODY, 1.0)
    world.take()
    outcomes.revoke_strays(("", "ada"), NOBODY, 2.0)
    assert world.gateway._calls.strays == {}
    events = [effect.event for effect in world.gateway.outbox if isinstance(effect, Emit)]
    assert events == [
        CallCancelled(former, one, "finish", "revoked", 2.0),
        CallCancelled(gone, two, "finish", "revoked", 2.0),
    ]
    (reply,) = world.said()
    assert (reply["id"], reply["error"]["data"]) == (1, {"reason": "the user was revoked"})
    outcomes.revoke(connection, ("", "ada"), 3.0)
    assert world.take_events() == [CallCancelled(fresh, one, "finish", "revoked", 3.0)]
    assert world.gateway._calls.records[fresh].phase is Phase.ENDED


def test_a_revocation_ends_a_call_with_a_key_and_those_that_repeat_it_on_the_same_connection() -> None:
    world = World()
    one = world.connect(identity=Identity("ada"))
    for id in (1, 2):
        world.call(one, "echo", [7], id, idempotency_key="k")
    world.take()
    assert world.gateway.revoke("ada", 1.0) == 1
    assert world.gateway._idempotency.records == {}
    assert [call.phase for call in world.gateway._calls.records.values()] == [Phase.ENDED]


def test_a_revocation_ends_strays_with_a_key_and_those_that_repeat_them() -> None:
    world = AuthWorld()
    one = world.connect(user="ada")
    for id in (1, 2):
        world.call(one, "echo", [7], id, idempotency_key="k")
    world.call(one, "auth.login", {"method": "bearer", "token": "x"}, 3)
    world.conclude(world.asked().operation, Identity("bob"))
    world.take()
    world.gateway._outcomes.revoke_strays(("", "ada"), NOBODY, 2.0)
    assert [reply["id"] for reply in world.said()] == [2, 1]
    assert world.gateway._calls.strays == {}


def test_a_stray_that_is_as_young_as_a_revocation_asks_for_goes_on() -> None:
    world = World()
    one = world.connect(identity=Identity("ada", issued_at=WALL))
    call = world.begin(one, "finish")
    world.gateway.disconnected(one, None, 0.0)
    world.gateway._outcomes.revoke_strays(("", "ada"), partial(made_since, WALL), 1.0)
    assert world.complete(call) is True


def test_a_method_of_the_gateway_hears_whether_its_result_was_sent() -> None:
    world = Rooms(max_calls_per_connection=1)
    one = world.connect()
    running = world.begin(one, "echo", [], 1)
    for id, timeout in ((2, 10), (3, 5_000)):
        world.call(one, "topic.subscribe", {"topic": f"open.{id}"}, id, timeout_ms=timeout)
    world.now = 1.0
    world.complete(running, None)
    assert [code_of(reply) for reply in world.said(one)] == [None, -32030, None]
    assert world.gateway._topics.subscriptions.of(one) == ("open.3",)
    assert world.gateway._calls.confirm == {}


def test_what_follows_a_batch_that_a_method_of_the_gateway_ends_leaves_behind_it() -> None:
    world = Rooms()
    one = world.connect()
    batch = [request("topic.subscribe", {"topic": "open.a"}, 1), request("connection.ping", {}, 2)]
    world.receive(one, batch)
    assert [each["id"] for each in world.said(one)[0]] == [1, 2]
