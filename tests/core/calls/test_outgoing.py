"""Requests that we send: exactly one outcome each, within their time, unless they are abandoned."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.values.effects import Resolve, Transmit
from posthouse.core.values.errors import ErrorObject, UsageError
from posthouse.core.values.peers import ConnectionId, OutgoingId

from tests.core.world import World, result
from tests.values import told_apart


def ask(world: World, to: ConnectionId, params: Any = (), timeout: float = 10.0) -> OutgoingId:
    return world.gateway.request(to, "ask", params, world.now, timeout=timeout)


def outcome(world: World) -> tuple[OutgoingId, Any]:
    """The one outcome that there is: the result's JSON text, or the error's code and data."""
    (resolve,) = world.resolved()
    error = resolve.outcome
    return resolve.request, (error.code, error.data) if isinstance(error, ErrorObject) else error


def test_a_request_is_sent_with_its_id() -> None:
    world = World()
    one = world.connect()
    assert ask(world, one, {"a": 1}) == 1
    assert world.take() == [Transmit(one, b'{"jsonrpc":"2.0","method":"ask","params":{"a":1},"id":1}')]
    assert ask(world, one) == 2


def test_the_result_of_a_response_is_passed_on_as_json_text() -> None:
    world = World()
    one = world.connect()
    request = ask(world, one)
    world.take()
    world.receive(one, b'{"jsonrpc":"2.0","result": {"a" : 1},"id":1}')
    assert world.take() == [Resolve(request, b'{"a" : 1}')]
    assert world.gateway.next_timeout() is None
    assert len(world.gateway._requests) == 0
    assert world.gateway.stats()["responses.unmatched"] == 0


def test_the_error_of_a_response_is_passed_on_unchanged() -> None:
    world = World()
    one = world.connect()
    request = ask(world, one)
    world.take()
    world.receive(one, {"jsonrpc": "2.0", "error": {"code": 5, "message": "no", "data": [1]}, "id": 1})
    assert outcome(world) == (request, (5, [1]))


def test_only_the_first_response_counts_and_only_from_the_right_connection() -> None:
    world = World()
    one, two = world.connect(), world.connect()
    request = ask(world, one)
    world.take()
    world.receive(two, result(2))
    for id in ("1", 1.0, 2, None, -1):
        world.receive(one, result(0, id))
    world.receive(one, b'{"jsonrpc":"2.0","result":0,"id":%b}' % (b"1" * 19))
    assert [effect for effect in world.take() if isinstance(effect, Resolve)] == []
    world.receive(one, result(1))
    world.receive(one, result(9))
    assert outcome(world) == (request, b"1")
    assert world.gateway.stats()["responses.unmatched"] >= 6


def test_a_request_without_an_answer_times_out_exactly_and_the_peer_is_told() -> None:
    world = World()
    one = world.connect()
    world.now = 100.0
    request = ask(world, one, timeout=2.5)
    world.take()
    world.at(102.499)
    assert world.take() == []
    world.at(102.5)
    resolve, told = world.take()
    assert isinstance(resolve, Resolve)
    assert isinstance(resolve.outcome, ErrorObject)
    assert (resolve.request, resolve.outcome.code) == (request, -32030)
    assert told == Transmit(one, b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}')
    world.receive(one, result())
    assert world.take() == []


def test_an_abandoned_request_has_no_outcome_and_the_peer_is_told() -> None:
    world = World()
    one = world.connect()
    request = ask(world, one)
    world.take()
    world.gateway.abandon(request, 0.0)
    assert world.take() == [Transmit(one, b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}')]
    world.receive(one, result())
    world.gateway.abandon(request, 0.0)
    assert world.take() == []
    assert world.gateway.next_timeout() is None


def test_abandoning_a_request_that_never_existed_is_misuse() -> None:
    world = World()
    for never in (0, 1):
        with pytest.raises(UsageError, match=f"request {never} never existed"):
            world.gateway.abandon(OutgoingId(never), 0.0)


def test_when_a_connection_closes_every_request_to_it_has_its_outcome() -> None:
    world = World()
    one, two = world.connect(), world.connect()
    requests = [ask(world, one), ask(world, one)]
    other = ask(world, two)
    world.take()
    world.gateway.disconnected(one, None, 0.0)
    gone = world.resolved()
    assert [resolve.request for resolve in gone] == requests
    for resolve in gone:
        assert isinstance(resolve.outcome, ErrorObject)
        assert (resolve.outcome.code, resolve.outcome.data) == (-32800, {"reason": "disconnected"})
    world.receive(two, result(id=other))
    assert outcome(world) == (other, b"null")


def test_no_request_is_sent_to_a_gone_closing_or_http_connection() -> None:
    world = World(max_queued_replies_bytes=1)
    gone, closing, http = world.connect(), world.connect(), world.connect("http")
    world.gateway.disconnected(gone, None, 0.0)
    world.gateway.report_held(closing, 1, 0.0)
    world.receive(closing, b"{")
    assert world.closes() == [(closing, 4100, False)]
    world.begin(http)
    expected = (
        (gone, "disconnected"),
        (closing, "disconnected"),
        (http, "over HTTP the server cannot call its client"),
    )
    for number, (to, reason) in enumerate(expected, 1):
        assert ask(world, to) == number
        assert outcome(world) == (number, (-32800, {"reason": reason}))
    with pytest.raises(UsageError, match="connection 9 never existed"):
        ask(world, ConnectionId(9))
    world.gateway.disconnected(http, None, 0.0)
    assert world.gateway.next_timeout() is None


def test_requests_to_a_peer_may_fill_their_limit_and_one_more_is_refused() -> None:
    world = World(max_calls_per_connection=2, max_waiting_calls=1)
    one, two = world.connect(), world.connect()
    for _ in range(3):
        ask(world, one)
    assert world.resolved() == []
    request = ask(world, one)
    assert outcome(world) == (request, (-32009, {"retryable": True, "limit": "max_calls_per_connection"}))
    ask(world, two)
    world.receive(one, result())
    world.take()
    ask(world, one)
    assert world.resolved() == []


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan")])
def test_a_timeout_that_is_not_above_0_is_misuse(timeout: float) -> None:
    world = World()
    one = world.connect()
    with pytest.raises(UsageError, match="must be above 0 seconds"):
        ask(world, one, timeout=timeout)
    assert world.take() == []


def test_params_that_cannot_be_encoded_are_misuse_and_change_nothing() -> None:
    world = World()
    one = world.connect()
    with pytest.raises(UsageError):
        ask(world, one, [object()])
    assert world.take() == []
    assert ask(world, one) == 1


def test_a_request_that_fills_the_queue_of_a_slow_peer_closes_it_and_has_its_outcome() -> None:
    world = World(max_queued_pushes=1)
    one = world.connect()
    world.gateway.report_held(one, 10, 0.0)
    ask(world, one)
    world.take()
    request = ask(world, one)
    resolved = world.take()
    assert [type(effect).__name__ for effect in resolved] == ["Resolve", "Resolve", "Disconnect"]
    assert request == 2
    assert world.gateway.next_timeout() is None


def test_a_record_is_equal_to_itself_alone() -> None:
    assert told_apart("posthouse.core.calls.outgoing") == ["Sent"]
