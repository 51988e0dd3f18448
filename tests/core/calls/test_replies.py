"""Outcomes on the wire: single replies, batches in order, HTTP answers, and their limits."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import decode, encode
from posthouse.core.jsonrpc.messages import encode_error
from posthouse.core.values.effects import Answer, Transmit
from posthouse.core.values.errors import ErrorObject, RpcError
from posthouse.core.values.peers import CallId, WireId

from tests.core.world import World, code_of, data_of, request, result
from tests.values import told_apart


def answer(world: World) -> Answer:
    (effect,) = world.take()
    assert isinstance(effect, Answer)
    return effect


def test_a_reply_is_sent_at_once_and_echoes_its_id() -> None:
    world = World()
    one = world.connect()
    world.complete(world.begin(one, id="a"), [1])
    assert world.take() == [Transmit(one, b'{"jsonrpc":"2.0","result":[1],"id":"a"}')]


@pytest.mark.parametrize("kind", ["websocket", "http", "cli"])
def test_notifications_never_get_a_reply(kind: Any) -> None:
    for outcome in (5, RpcError(data="no")):
        world = World()
        one = world.connect(kind)
        call = world.begin(one, id=None)
        if isinstance(outcome, RpcError):
            world.fail(call, outcome)
        else:
            world.complete(call, outcome)
        assert world.take() == ([Answer(one, None)] if kind == "http" else [])


def test_a_batch_is_answered_once_when_all_have_reported_in_the_order_of_its_entries() -> None:
    world = World()
    one = world.connect()
    world.receive(one, [request(id=1), request(id=None), request("add", [1, "x"], 2), result(1), request(id=3)])
    first, silent, last = (invoke.call for invoke in world.invoked())
    world.complete(last, "last")
    world.complete(first, "first")
    assert world.take() == []
    world.complete(silent)
    (reply,) = world.said()
    assert [(entry["id"], entry.get("result"), code_of(entry)) for entry in reply] == [
        (1, "first", None),
        (2, None, -32602),
        (3, "last", None),
    ]


def test_row_19_a_batch_of_notifications_gets_no_reply() -> None:
    world = World()
    one = world.connect()
    world.receive(one, [request(id=None), request(id=None)])
    for invoke in world.invoked():
        world.complete(invoke.call)
    assert world.take() == []


def test_over_http_one_answer_ends_the_exchange() -> None:
    world = World()
    one = world.connect("http")
    world.complete(world.begin(one, id=7), "x")
    assert answer(world) == Answer(one, b'{"jsonrpc":"2.0","result":"x","id":7}')
    world.call(one)
    assert world.take() == []


def test_over_http_an_error_of_a_single_request_gives_the_answer_its_code() -> None:
    world = World()
    one = world.connect("http")
    world.receive(one, b"{")
    assert (answer(world).code, world.take()) == (-32700, [])
    two = world.connect("http")
    world.fail(world.begin(two), RpcError(-32009))
    effect = answer(world)
    assert (effect.code, effect.retry_after) == (-32009, 1.0)


def test_over_http_a_batch_is_a_success_even_if_all_its_entries_fail() -> None:
    world = World()
    one = world.connect("http")
    world.receive(one, [request("nothing", id=1), request("nothing", id=2)])
    effect = answer(world)
    assert (effect.code, effect.retry_after) == (None, None)
    assert [code_of(entry) for entry in decode(effect.data or b"")] == [-32601, -32601]


def test_over_http_a_notification_is_answered_when_its_handler_has_ended() -> None:
    world = World()
    one = world.connect("http")
    world.receive(one, [request(id=None), result()])
    (invoke,) = world.invoked()
    world.complete(invoke.call)
    assert answer(world) == Answer(one, None)
    two = world.connect("http")
    world.receive(two, result())
    assert answer(world) == Answer(two, None)


def sized(size: int) -> bytes:
    """A reply of so many bytes, with id 1."""
    return b"x" * (size - len(b'{"jsonrpc":"2.0","result":"","id":1}'))


@pytest.mark.parametrize(("size", "code"), [(199, None), (200, None), (201, -32008)])
def test_row_46_a_response_may_fill_its_limit_and_one_byte_more_is_refused(size: int, code: int | None) -> None:
    world = World(max_response_bytes=200)
    one = world.connect()
    world.complete(world.begin(one, id=1), sized(size).decode())
    (reply,) = world.said()
    assert (reply["id"], code_of(reply)) == (1, code)
    if code is not None:
        assert data_of([reply]) == [{"limit": "max_response_bytes", "allowed": 200}]


@pytest.mark.parametrize("kind", ["websocket", "http"])
@pytest.mark.parametrize(("more", "code"), [(0, -32000), (1, -32008)])
def test_row_46_an_error_may_fill_its_limit_and_one_byte_more_is_refused(kind: Any, more: int, code: int) -> None:
    world = World(max_response_bytes=200)
    one = world.connect(kind)
    room = 200 - len(encode_error(WireId(b"1"), RpcError(data="").error_object))
    world.fail(world.begin(one, id=1), RpcError(data="x" * (room + more)))
    (sent,) = world.take()
    assert isinstance(sent, Transmit | Answer)
    assert sent.data is not None
    assert (code_of(decode(sent.data)), len(sent.data) <= 200) == (code, True)


def test_an_error_whose_data_is_too_large_is_refused_too() -> None:
    world = World(max_response_bytes=200)
    one = world.connect("http")
    world.fail(world.begin(one, id=1), RpcError(-32009, data="x" * 200))
    assert answer(world).code == -32008


@pytest.mark.parametrize(("more", "codes"), [(-1, [None, None]), (0, [None, None]), (1, [None, -32011])])
def test_row_19_a_batchs_reply_may_fill_its_limit_and_the_rest_is_refused(more: int, codes: list[int | None]) -> None:
    world = World(max_batch_reply_bytes=300)
    one = world.connect()
    world.receive(one, [request(id=1), request(id=1.0)])
    first, second = (invoke.call for invoke in world.invoked())
    world.complete(first, sized(100).decode())
    world.complete(second, sized(300 - len(b"[,]") - 100 - 2 + more).decode())
    (sent,) = world.take()
    assert isinstance(sent, Transmit)
    assert [code_of(entry) for entry in decode(sent.data)] == codes
    if codes[1] is None:
        assert len(sent.data) == 300 + more


@pytest.mark.parametrize(("more", "code"), [(0, None), (1, -32011)])
def test_row_19_a_reply_leaves_room_to_refuse_the_entries_after_it(more: int, code: int | None) -> None:
    world = World(max_batch_reply_bytes=1_000)
    one = world.connect()
    refused = ErrorObject.of(-32011, {"limit": "max_batch_reply_bytes", "allowed": 1_000})
    room = 1_000 - len(b"[,]") - len(encode_error(WireId(b"2"), refused))
    world.receive(one, [request(id=1), request(id=2)])
    first, second = (invoke.call for invoke in world.invoked())
    world.complete(first, sized(room + more).decode())
    world.complete(second, "x" * 1_000)
    (reply,) = world.said()
    assert [code_of(entry) for entry in reply] == [code, -32011]


@given(st.lists(st.one_of(st.none(), st.integers(0, 900)), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_row_19_a_batchs_reply_is_never_above_its_limit(sizes: list[int | None], chance: Random) -> None:
    world = World(max_batch_reply_bytes=2_000)
    one = world.connect()
    world.receive(one, [request(id=None if size is None else number) for number, size in enumerate(sizes)])
    ends = [(invoke.call, size) for invoke, size in zip(world.invoked(), sizes, strict=True)]
    chance.shuffle(ends)
    for call, size in ends:
        world.complete(call, "x" * (size or 0))
    replies = [effect.data for effect in world.take() if isinstance(effect, Transmit)]
    wanted = [number for number, size in enumerate(sizes) if size is not None]
    assert [[entry["id"] for entry in decode(reply)] for reply in replies] == ([wanted] if wanted else [])
    assert all(len(reply) <= 2_000 for reply in replies)


def test_replies_that_wait_for_the_rest_of_their_batch_count_as_memory() -> None:
    world = World()
    one, two = world.connect(), world.connect()
    for connection in (one, two):
        world.receive(connection, [request(id=1), request(id=2)])
    calls = [invoke.call for invoke in world.invoked()]
    world.complete(calls[0], sized(100).decode())
    world.complete(calls[2], sized(200).decode())
    assert world.gateway.memory == 302
    world.complete(calls[1])
    assert world.gateway.memory == 201
    world.gateway.disconnected(two, None, 0.0)
    assert world.gateway.memory == 0
    world.complete(calls[3])
    assert world.gateway.memory == 0


def test_replies_queue_behind_what_is_held_and_more_than_their_limit_closes() -> None:
    world = World(max_queued_replies_bytes=300)
    one, other = world.connect(), world.connect()
    world.gateway.report_held(one, 10, 0.0)
    for id in range(4):
        world.call(one, id=id)
    world.receive(one, [request(id=4), request(id=5)])
    calls = [invoke.call for invoke in world.invoked()]
    for call in calls[:3]:
        world.complete(call, sized(100).decode())
    assert world.take() == []
    world.complete(calls[3])
    assert world.closes() == [(one, 4100, False)]
    world.complete(world.begin(other))
    assert world.said(other) == [result(id=1)]


@pytest.mark.parametrize("fill", ["result", "error", "batch", "invalid"])
def test_row_8_any_reply_that_overfills_the_queue_closes_the_connection(fill: str) -> None:
    world = World(max_queued_replies_bytes=20)
    one = world.connect()
    world.gateway.report_held(one, 10, 0.0)
    world.take()
    if fill == "invalid":
        world.receive(one, b"{")
    elif fill == "batch":
        world.receive(one, [request("nothing")])
    elif fill == "error":
        world.call(one, "nothing")
    else:
        world.complete(world.begin(one), "x" * 20)
    assert world.closes() == [(one, 4100, False)]


def test_encoded_results_are_not_encoded_twice() -> None:
    world = World()
    one = world.connect()
    world.complete(world.begin(one), {"a": encode([1]).decode()})
    assert world.said() == [result({"a": "[1]"})]
    assert world.gateway.stats()["calls.made"] == CallId(1)


def test_a_record_is_equal_to_itself_alone() -> None:
    assert told_apart("posthouse.core.calls.replies") == ["Batch"]
