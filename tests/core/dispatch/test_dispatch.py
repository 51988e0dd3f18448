"""What a text asks for, and what each of its entries becomes."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.json import decode, encode
from posthouse.core.dispatch.dispatch import reply_id
from posthouse.core.jsonrpc.messages import Decoder
from posthouse.core.values.effects import Answer, Cancel, Transmit
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import Meta

from tests.core.world import ADMIN, World, code_of, data_of, request, result, service

CANCEL = request("$/cancelRequest", {"id": 1}, None)


def method(name: str) -> Any:
    return service().methods[name]


# Who may


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


MEANT = [RpcError(5), RpcError(-32603), RpcError(-32603, data={"why": 1}), RpcError(data={"incident": "x"})]


def test_an_answer_to_nothing_is_counted_and_passed_over() -> None:
    world = World()
    one = world.connect()
    world.receive(one, result(id=5))
    assert world.take() == []
    assert world.gateway.stats()["responses.unmatched"] == 1


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


def test_a_reply_that_fills_the_queue_of_a_slow_peer_closes_it() -> None:
    world = World(max_queued_replies_bytes=1)
    one = world.connect()
    world.gateway.report_held(one, 1, 0.0)
    world.call(one, "nothing")
    assert world.closes() == [(one, 4100, False)]


def test_a_call_of_a_method_costs_its_rate() -> None:
    world = World(call_rate=1.0)
    one = world.connect()
    world.begin(one, id=1)
    world.call(one, id=2)
    assert world.codes() == [-32029]


def test_a_method_that_is_not_for_everybody_is_refused_to_who_may_not_call_it() -> None:
    world = World()
    world.call(world.connect(), "private")
    assert world.codes() == [-32020]
