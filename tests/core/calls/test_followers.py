"""Notifications behind the reply of their call: in order, exactly once, and not without a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.values.config import OBSERVABLE
from posthouse.core.values.effects import Transmit
from posthouse.core.values.errors import RpcError, UsageError
from posthouse.core.values.peers import CallId, ConnectionId

from tests.core.world import World, breached, request, result


def follow(world: World, connection: ConnectionId, call: CallId, number: int = 1) -> bool:
    """The handler of this call sends a notification behind its reply."""
    return world.gateway.notify(connection, "event", [number], world.now, after=call)


def event(number: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "event", "params": [number]}


@pytest.mark.parametrize("kind", ["websocket", "cli"])
def test_a_notification_behind_a_reply_leaves_after_it_and_in_order(kind: Any) -> None:
    world = World()
    one = world.connect(kind)
    call = world.begin(one)
    assert follow(world, one, call, 1)
    assert world.gateway.notify(one, "now", None, 0.0)
    assert follow(world, one, call, 2)
    assert world.said() == [{"jsonrpc": "2.0", "method": "now"}]
    assert world.gateway.memory == 2 * len(b'{"jsonrpc":"2.0","method":"event","params":[1]}')
    assert world.complete(call, "0x1")
    assert world.take() == [
        Transmit(one, b'{"jsonrpc":"2.0","result":"0x1","id":1}'),
        Transmit(one, b'{"jsonrpc":"2.0","method":"event","params":[1]}'),
        Transmit(one, b'{"jsonrpc":"2.0","method":"event","params":[2]}'),
    ]
    assert world.gateway.memory == 0


def fails(world: World, one: ConnectionId, call: CallId) -> None:
    assert world.fail(call, RpcError(5, "no"))


def is_cancelled(world: World, one: ConnectionId, call: CallId) -> None:
    world.receive(one, {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 1}})


def times_out(world: World, one: ConnectionId, call: CallId) -> None:
    world.at(30.0)


def is_late(world: World, one: ConnectionId, call: CallId) -> None:
    world.now = 30.0
    assert not world.complete(call, 1)


def is_unfit(world: World, one: ConnectionId, call: CallId) -> None:
    assert not world.complete(call, object())


def is_too_large(world: World, one: ConnectionId, call: CallId) -> None:
    assert not world.complete(call, "x" * 200)


def is_drained(world: World, one: ConnectionId, call: CallId) -> None:
    world.gateway.shut_down(0.0, grace=1.0)
    world.gateway.outbox.clear()
    world.at(2.0)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (fails, 5),
        (is_cancelled, -32800),
        (times_out, -32030),
        (is_late, -32030),
        (is_unfit, -32603),
        (is_too_large, -32008),
        (is_drained, -32050),
    ],
)
def test_a_call_without_a_result_sends_none_of_them(
    end: Callable[[World, ConnectionId, CallId], None], code: int
) -> None:
    world = World(max_response_bytes=200, call_timeout=30.0, drain_notice=1.0, heartbeat_interval=None)
    one = world.connect()
    call = world.begin(one)
    assert follow(world, one, call)
    end(world, one, call)
    assert [message.get("error", message).get("code") for message in world.said(one)] == [code]
    assert world.gateway.memory == 0


def test_while_the_handler_of_a_call_without_a_result_runs_on_nothing_more_is_taken() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one)
    is_cancelled(world, one, call)
    world.take()
    assert not follow(world, one, call)
    assert world.take() == []
    assert world.gateway.memory == 0


def test_a_call_that_waits_takes_none() -> None:
    world = World(max_calls_per_connection=1)
    one = world.connect()
    running = world.begin(one, id=1)
    world.call(one, id=2)
    assert not follow(world, one, CallId(running + 1))


def test_after_a_call_with_a_result_it_leaves_at_once() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one)
    assert world.complete(call)
    world.take()
    assert follow(world, one, call)
    assert world.said() == [event()]


def test_the_handler_of_a_notification_sends_it_when_it_has_returned() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one, id=None)
    assert follow(world, one, call)
    assert world.take() == []
    assert world.complete(call)
    assert world.said() == [event()]
    failing = world.begin(one, id=None)
    assert follow(world, one, failing)
    world.fail(failing, RpcError(5))
    assert world.take() == []


def test_over_http_it_is_refused() -> None:
    world = World()
    one = world.connect("http")
    call = world.begin(one)
    assert not follow(world, one, call)
    world.complete(call, 1)
    assert world.said() == [result(1)]


def test_a_connection_that_is_gone_or_closing_takes_none_and_loses_those_it_had() -> None:
    world = World(max_bad_messages=1)
    one, two = world.connect(), world.connect()
    finishing, other = world.begin(one, "finish"), world.begin(two, "finish")
    assert follow(world, one, finishing)
    assert follow(world, two, other)
    world.gateway.disconnected(one, None, 0.0)
    for _ in range(2):
        world.receive(two, b"{")
    assert world.gateway.memory == 0
    world.take()
    assert not follow(world, one, finishing)
    assert not follow(world, two, other)
    assert world.complete(finishing)
    assert world.complete(other)
    assert world.take() == []


# Batches


def test_in_a_batch_they_leave_behind_the_reply_of_the_batch_in_the_order_of_their_calls_ends() -> None:
    world = World()
    one = world.connect()
    world.receive(one, [request(id=id) for id in (1, 2, 3)])
    first, second, third = (invoke.call for invoke in world.invoked())
    assert [follow(world, one, first, 1), follow(world, one, second, 2), follow(world, one, third, 3)] == [True] * 3
    assert world.complete(third)
    assert follow(world, one, third, 33)
    world.fail(second, RpcError(5))
    assert world.take() == []
    assert world.complete(first)
    batch, *others = world.said()
    assert [reply["id"] for reply in batch] == [1, 2, 3]
    assert others == [event(3), event(33), event(1)]
    assert world.gateway.memory == 0
    assert follow(world, one, third, 333)
    assert world.said() == [event(333)]


def test_the_last_call_of_a_batch_may_fail_and_those_of_the_others_still_leave() -> None:
    world = World()
    one = world.connect()
    world.receive(one, [request(id=1), request(id=2)])
    first, last = (invoke.call for invoke in world.invoked())
    assert follow(world, one, first, 1)
    assert follow(world, one, last, 2)
    assert world.complete(first)
    world.fail(last, RpcError(5))
    batch, *others = world.said()
    assert len(batch) == 2
    assert others == [event(1)]


def test_a_reply_that_its_batch_has_no_room_for_takes_its_followers_along() -> None:
    world = World(max_batch_reply_bytes=300)
    one = world.connect()
    world.receive(one, [request(id=1), request(id=2)])
    first, last = (invoke.call for invoke in world.invoked())
    assert follow(world, one, first)
    assert not world.complete(first, "x" * 250)
    assert world.complete(last)
    (batch,) = world.said()
    assert [reply.get("error", {}).get("code") for reply in batch] == [-32011, None]
    assert world.gateway.memory == 0


def test_a_batch_of_notifications_has_no_reply_and_they_leave_when_all_have_returned() -> None:
    world = World()
    one = world.connect()
    world.receive(one, [request(id=None), request(id=None)])
    first, last = (invoke.call for invoke in world.invoked())
    assert follow(world, one, first)
    assert world.complete(first)
    assert world.take() == []
    assert world.complete(last)
    assert world.said() == [event()]


def test_another_batch_of_the_connection_keeps_nothing_back() -> None:
    world = World()
    one = world.connect()
    answered = world.begin(one, id=9)
    world.receive(one, [request(id=1), request(id=2)])
    first, last = (invoke.call for invoke in world.invoked())
    single = world.begin(one, id=3)
    assert world.complete(answered)
    assert world.complete(first)
    world.take()
    assert follow(world, one, answered)
    assert world.said() == [event()]
    assert world.complete(single)
    world.take()
    assert follow(world, one, single)
    assert world.said() == [event()]
    assert world.complete(last)


def test_a_batch_loses_them_with_its_connection() -> None:
    world = World()
    one = world.connect()
    world.receive(one, [request(id=1), request("finish", id=2)])
    first, last = (invoke.call for invoke in world.invoked())
    assert follow(world, one, first)
    assert world.complete(first)
    world.gateway.disconnected(one, None, 0.0)
    assert world.gateway.memory == 0
    assert world.complete(last)
    assert world.take() == []


# Slow peers and limits


def test_to_a_slow_peer_they_leave_behind_the_reply_too() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one)
    assert follow(world, one, call, 1)
    world.gateway.report_held(one, 10, 0.0)
    assert world.complete(call, 7)
    assert follow(world, one, call, 2)
    assert world.said() == []
    world.gateway.report_sent(one, 10, 0.0)
    assert world.said() == [result(7), event(1), event(2)]


SIZE = len(b'{"jsonrpc":"2.0","method":"event","params":[1]}')


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        ({"max_queued_pushes": 2}, "max_queued_pushes"),
        ({"max_queued_pushes_bytes": 2 * SIZE}, "max_queued_pushes_bytes"),
    ],
)
def test_they_may_fill_the_limits_of_queued_pushes_and_one_more_closes_the_connection(
    limits: dict[str, int], limit: str
) -> None:
    world = World(**limits)
    one = world.connect()
    first, last = world.begin(one, id=1), world.begin(one, id=2)
    assert follow(world, one, first)
    assert follow(world, one, last)
    assert breached(world) == []
    assert follow(world, one, last)
    assert breached(world) == [(limit, one, True)]
    assert world.gateway.memory == 0
    assert limit not in OBSERVABLE


def test_they_count_against_the_memory_budget() -> None:
    world = World(memory_budget=10)
    one = world.connect()
    assert follow(world, one, world.begin(one))
    assert breached(world) == [("memory_budget", one, True)]


# Misuse


def test_it_is_misuse_to_name_a_call_that_never_existed_or_of_another_connection() -> None:
    world = World()
    one, two = world.connect(), world.connect()
    call = world.begin(one)
    with pytest.raises(UsageError, match="call 2 never existed"):
        follow(world, one, CallId(2))
    with pytest.raises(UsageError, match="call 1 is not a call of connection 2"):
        follow(world, two, call)
    with pytest.raises(UsageError):
        world.gateway.notify(one, "event", [object()], 0.0, after=call)
    assert (world.gateway.memory, world.gateway.outbox) == (0, [])


@given(st.lists(st.tuples(st.sampled_from(["follow", "return", "fail", "cancel"]), st.integers(0, 3)), max_size=20))
def test_every_one_leaves_exactly_once_behind_the_reply_or_never(steps: list[tuple[str, int]]) -> None:
    world = World()
    one = world.connect()
    world.receive(one, [request(id=0), request(id=1)])
    world.call(one, id=2)
    world.call(one, id=3)
    calls = [invoke.call for invoke in world.invoked()]
    taken: dict[int, list[int]] = {place: [] for place in range(4)}
    ended: dict[int, bool] = {}
    for number, (step, place) in enumerate(steps):
        call = calls[place]
        if step == "follow" and ended.get(place, True) and follow(world, one, call, 10 * number + place):
            taken[place].append(10 * number + place)
        elif step == "return":
            ended.setdefault(place, world.complete(call))
        elif step == "fail":
            world.fail(call, RpcError(5))
            ended.setdefault(place, False)
        elif step == "cancel":
            world.receive(one, {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": place}})
            ended.setdefault(place, False)
    said = world.said()
    replied: dict[int, bool] = {}
    received: dict[int, list[int]] = {place: [] for place in range(4)}
    for message in said:
        for reply in message if isinstance(message, list) else [message]:
            if "id" in reply:
                replied[reply["id"]] = "result" in reply
            else:
                (number,) = reply["params"]
                assert replied[number % 10]
                received[number % 10].append(number)
    for place in range(4):
        assert received[place] == (taken[place] if replied.get(place) else [])
