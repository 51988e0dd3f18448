"""From a text to calls, answers and errors."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.json import decode, encode
from posthouse.core.dispatch.dispatch import reply_id
from posthouse.core.jsonrpc.messages import Decoder
from posthouse.core.values.effects import Answer, Cancel, Transmit
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import Identity, Meta, OperationId

from tests.core.identity.credentials import ADA, AuthWorld
from tests.core.topics.rooms import Rooms
from tests.core.world import ADMIN, WALL, World, code_of, data_of, request, result, service

CANCEL = request("$/cancelRequest", {"id": 1}, None)


def method(name: str) -> Any:
    return service().methods[name]


# Access


def test_an_unknown_method_is_not_found_and_its_notification_is_ignored() -> None:
    world = World()
    one = world.connect()
    world.call(one, "nothing")
    world.call(one, "rpc.nothing")
    world.call(one, "nothing", id=None)
    assert world.codes() == [-32601, -32601]


# Metadata


def test_a_batch_with_one_idempotency_key_for_the_connection_is_refused() -> None:
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
    two = world.connect("http", "ada", meta=Meta(idempotency_key="k"))
    world.call(two)
    (invoke,) = world.invoked()
    assert invoke.meta == Meta(idempotency_key="k")


def test_the_metadata_of_a_request_takes_precedence_over_its_connections() -> None:
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


def test_built_in_methods_are_answered_at_once_and_checked_like_others() -> None:
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


def test_cancels_and_responses_are_accepted_above_limits_and_in_a_shut_down() -> None:
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


def test_a_response_without_a_request_is_counted_and_ignored() -> None:
    world = World()
    one = world.connect()
    world.receive(one, result(id=5))
    assert world.take() == []
    assert world.gateway.stats()["responses.unmatched"] == 1


# Bad texts


def bad(world: World, connection: Any, count: int) -> None:
    for _ in range(count):
        world.receive(connection, b"{")


def test_row_18_an_invalid_message_is_answered_and_the_connection_stays() -> None:
    world = World()
    one = world.connect()
    for text in (b"", b"{", b"1", b'{"jsonrpc":"2.0"}', b"[]", b"[1]", b"\xff"):
        world.receive(one, text)
    replies = [reply[0] if isinstance(reply, list) else reply for reply in world.said()]
    assert [code_of(reply) for reply in replies] == [-32700, -32700, -32600, -32600, -32600, -32600, -32700]
    assert world.gateway.stats()["messages.bad"] == 7
    world.begin(one)


def test_row_18_bad_messages_above_the_limit_per_minute_close_the_connection() -> None:
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


def test_the_limit_on_bad_messages_can_be_turned_off() -> None:
    world = World(max_bad_messages=None)
    one = world.connect()
    bad(world, one, 100)
    assert world.closes() == []


def test_a_malformed_response_is_not_answered_but_counts_as_invalid() -> None:
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


def test_requests_and_answerable_invalid_messages_get_a_reply_and_others_do_not() -> None:
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


def test_a_response_in_a_batch_gets_no_reply_and_does_not_delay_the_others() -> None:
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


def test_a_method_refuses_callers_without_its_scopes() -> None:
    world = World()
    world.call(world.connect(), "private")
    assert world.codes() == [-32020]


def test_a_request_behind_one_that_changes_the_identity_waits_and_a_second_change_is_refused() -> None:
    world = AuthWorld()
    one = world.connect()
    world.call(one, "auth.login", {"method": "bearer", "token": "canary-token"}, 1)
    world.call(one, "private", {}, 2)
    world.call(one, "connection.info", {}, 3)
    world.call(one, "auth.logout", {}, 4)
    world.call(one, "rpc.cancel", {"id": 2}, 5)
    assert [(reply["id"], code_of(reply)) for reply in world.said()] == [(4, -32009), (2, -32800), (5, None)]
    world.gateway.conclude(OperationId(1), ADA, 0.0)
    assert [reply["result"]["user"] for reply in world.said()] == ["ada", "ada"]


def test_an_expired_caller_is_refused_whatever_it_calls_except_to_cancel_or_to_log_in() -> None:
    world = AuthWorld()
    one = world.connect(identity=Identity("ada", expires_at=WALL + 5.0))
    world.call(one, "echo", {}, 1)
    world.now = 5.0
    world.take()
    for method in ("echo", "private", "guarded", "connection.ping"):
        world.call(one, method, {}, 2)
    assert world.codes() == [-32022] * 4
    world.call(one, "rpc.cancel", {"id": 1}, 3)
    world.call(one, "auth.logout", {}, 4)
    assert world.codes() == [-32800, None, None]


@pytest.mark.parametrize(
    ("text", "logs_in"),
    [
        (b'{"jsonrpc":"2.0","method":"auth.login","id":1}', True),
        (b'{"jsonrpc":"2.0","method":"auth.refresh","id":1}', False),
        (b'[{"jsonrpc":"2.0","method":"auth.login","id":1}]', False),
        (b'{"method":"auth.login"}', False),
        (b"nonsense", False),
    ],
)
def test_a_log_in_is_told_from_all_other_texts(text: bytes, logs_in: bool) -> None:
    assert World().gateway._dispatch.logs_in(text) is logs_in


def test_what_follows_a_batch_leaves_behind_its_reply() -> None:
    world = Rooms()
    one = world.connect()
    topic = {"topic": "open.a"}
    publish = request("topic.publish", {**topic, "data": 1}, 2)
    world.receive(one, [request("topic.subscribe", topic, 1), publish, request("connection.ping", {}, 3)])
    reply, event = world.said(one)
    assert [each["id"] for each in reply] == [1, 2, 3]
    assert event["method"] == "topic.publication"
