"""Idempotency: of the calls with one key, one handler runs, and all of them get its outcome."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.values.effects import Cancel, Invoke
from posthouse.core.values.errors import RpcError
from posthouse.core.values.peers import CallId, ConnectionId, Identity, Meta, Peer

from tests.core.sessions.sessioned import SessionWorld
from tests.core.world import World, code_of

ADA, BOB = Identity("ada"), Identity("bob")
KEY = {"idempotency_key": "k"}
NOT_STARTED = {"retryable": True, "reason": "the call with this key has not started"}


def two_of(identity: Identity = ADA, **limits: Any) -> tuple[World, ConnectionId, ConnectionId]:
    """A gateway with two connections of one user."""
    world = World(**limits)
    return world, world.connect(identity=identity), world.connect(identity=identity)


def invoked(world: World) -> list[Invoke]:
    """The handlers that were started. Everything stays in the outbox."""
    return [effect for effect in world.gateway.outbox if isinstance(effect, Invoke)]


def replies(world: World) -> dict[Any, Any]:
    """The results, or codes of errors, by the ids of the requests."""
    return {reply["id"]: reply.get("result", code_of(reply)) for reply in world.said()}


def ask(world: World, one: ConnectionId, id: Any = 1, params: Any = (), method: str = "echo", key: str = "k") -> None:
    world.call(one, method, params, id, idempotency_key=key)


def test_a_repeated_call_gets_the_first_outcome_and_runs_no_handler() -> None:
    world, one, two = two_of()
    ask(world, one, 1, [7])
    (first,) = world.invoked()
    world.complete(first.call, {"n": 1})
    world.take()
    ask(world, two, 2, [7])
    assert invoked(world) == []
    assert replies(world) == {2: {"n": 1}}


def test_a_repeated_call_joins_the_one_that_runs() -> None:
    world, one, two = two_of()
    ask(world, one, 1)
    ask(world, two, 2)
    ask(world, two, None)
    (first,) = world.invoked()
    world.complete(first.call, 5)
    assert replies(world) == {1: 5, 2: 5}
    assert world.gateway.health(0.0).calls == 0


def test_an_error_is_an_outcome_too() -> None:
    world, one, two = two_of()
    ask(world, one, 1)
    ask(world, two, 2)
    (first,) = world.invoked()
    world.fail(first.call, RpcError(7, "no", {"a": object()}))
    ask(world, two, 3)
    assert {reply["id"]: code_of(reply) for reply in world.said()}.keys() == {1, 2, 3}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"value": 1}, {"value": 1}, True),
        (b'{"a": 1, "b": 2}', b'{"b":2,"a":1}', True),
        ([1], [2], False),
        ([1], {"value": 1}, False),
        (None, [], False),
    ],
)
def test_the_same_key_with_other_params_is_refused(first: Any, second: Any, same: bool) -> None:
    world, one, two = two_of()

    def say(connection: ConnectionId, params: Any, id: int) -> None:
        text = b'{"jsonrpc":"2.0","method":"add","id":%d,"meta":{"idempotency_key":"k"}' % id
        written = params if isinstance(params, bytes) else None if params is None else repr(params).replace("'", '"')
        if written is not None:
            text += b',"params":%b' % (written if isinstance(written, bytes) else written.encode())
        world.receive(connection, text + b"}")

    method = "add" if isinstance(first, bytes) else "echo"
    ask_text = say if method == "add" else None
    if ask_text is not None:
        ask_text(one, first, 1)
        ask_text(two, second, 2)
    else:
        for connection, params, id in ((one, first, 1), (two, second, 2)):
            message = {"jsonrpc": "2.0", "method": "echo", "id": id, "meta": KEY}
            world.receive(connection, message if params is None else {**message, "params": params})
    assert len(invoked(world)) == 1
    codes = world.codes()
    assert codes == ([] if same else [-32602])


def test_a_key_belongs_to_its_user_and_its_method() -> None:
    world, one, _ = two_of()
    other, elsewhere = world.connect(identity=BOB), world.connect(identity=Identity("ada", namespace="idp"))
    ask(world, one, 1)
    ask(world, other, 2)
    ask(world, elsewhere, 3)
    ask(world, one, 4, method="private")
    ask(world, one, 5, key="other")
    assert len(invoked(world)) == 5


def test_a_caller_without_a_user_needs_a_session() -> None:
    world = SessionWorld()
    one, two, three = world.connect(), world.connect(), world.connect()
    ask(world, one)
    (reply,) = world.said()
    reason = "a caller without a user and without a session has no keys"
    assert reply["error"]["data"] == {"parameter": "meta.idempotency_key", "reason": reason}
    made = world.create(one)
    world.create(three)
    world.ask(two, "resume", session=made["id"], secret=made["secret"])
    for connection in (one, two, three):
        ask(world, connection, 7)
    assert [invoke.caller.connection for invoke in invoked(world)] == [one, three]


def test_the_key_of_an_http_request_is_in_its_header() -> None:
    world = World()
    for user in ("ada", "ada", "bob"):
        one = world.gateway.connect(Peer("http", identity=Identity(user), meta=Meta(idempotency_key="k")), 0.0)
        world.call(one)
    assert len(invoked(world)) == 2


def test_authorisation_is_checked_before() -> None:
    world = World()
    one, two = world.connect(identity=Identity("ada", ("read", "write"))), world.connect(identity=ADA)
    ask(world, one, 1, method="guarded")
    (first,) = world.invoked()
    world.complete(first.call, "secret")
    world.take()
    ask(world, two, 2, method="guarded")
    assert world.codes() == [-32021]


def test_a_keyed_call_outlives_its_connection() -> None:
    world, one, two = two_of()
    ask(world, one, 1)
    (first,) = world.invoked()
    world.gateway.disconnected(one, None, 0.0)
    assert [effect for effect in world.take() if isinstance(effect, Cancel)] == []
    ask(world, two, 2)
    world.complete(first.call, 5)
    ask(world, two, 3)
    assert replies(world) == {2: 5, 3: 5}


def test_a_call_that_was_cancelled_has_that_outcome() -> None:
    world, one, two = two_of()
    ask(world, one, 1)
    (first,) = world.invoked()
    ask(world, two, 2)
    world.call(one, "rpc.cancel", {"id": 1}, 9)
    assert {reply["id"]: code_of(reply) for reply in world.said()} == {1: -32800, 2: -32800, 9: None}
    world.complete(first.call, 5)
    ask(world, two, 3)
    assert world.codes() == [-32800]


def test_a_call_that_has_not_started_has_no_outcome() -> None:
    world, one, two = two_of(max_calls_per_connection=1)
    world.call(one, "echo", [], 5)
    ask(world, one, 1)
    ask(world, two, 2)
    world.call(one, "rpc.cancel", {"id": 1}, 9)
    said = {reply["id"]: reply for reply in world.said()}
    assert (code_of(said[1]), code_of(said[2])) == (-32800, -32009)
    assert said[2]["error"]["data"] == NOT_STARTED
    ask(world, two, 3)
    assert len(invoked(world)) == 1


def test_a_call_that_waits_and_whose_connection_ends_has_no_outcome() -> None:
    world, one, two = two_of(max_calls_per_connection=1)
    world.call(one, "echo", [], 5)
    ask(world, one, 1)
    ask(world, two, 2)
    world.gateway.disconnected(one, None, 0.0)
    assert world.codes(two) == [-32009]
    assert world.gateway._idempotency.records == {}


def test_a_repeated_call_that_starts_late_finds_no_call_any_more() -> None:
    world, one, two = two_of(max_calls_per_connection=1)
    world.call(two, "echo", [], 5)
    (other,) = world.invoked()
    ask(world, one, 1)
    ask(world, two, 2)
    (first,) = world.invoked()
    world.gateway.revoke("ada", 0.0)
    assert first.call != other.call
    assert world.gateway._idempotency.records == {}


def test_a_repeated_call_waits_for_a_slot_and_gets_the_outcome_then() -> None:
    world, one, two = two_of(max_calls_per_connection=1)
    world.call(two, "echo", [], 5)
    (other,) = world.invoked()
    ask(world, one, 1)
    (first,) = world.invoked()
    ask(world, two, 2)
    world.complete(first.call, 7)
    assert replies(world) == {1: 7}
    world.complete(other.call, 8)
    assert replies(world) == {5: 8, 2: 7}


def test_a_repeated_call_may_be_cancelled_or_time_out_alone() -> None:
    world, one, two = two_of(call_timeout=10.0)
    ask(world, one, 1)
    (first,) = world.invoked()
    ask(world, two, 2)
    world.call(two, "rpc.cancel", {"id": 2}, 9)
    assert {reply["id"]: code_of(reply) for reply in world.said()} == {2: -32800, 9: None}
    ask(world, two, 3)
    world.gateway.disconnected(two, None, 0.0)
    world.complete(first.call, 5)
    assert replies(world) == {1: 5}
    assert world.gateway._calls.later == {}


def test_params_that_do_not_fit_register_no_key() -> None:
    world, one, _ = two_of()
    ask(world, one, 1, ["x"], method="add")
    assert world.codes() == [-32602]
    assert world.gateway._idempotency.records == {}


def test_a_key_is_refused_while_the_identity_changes() -> None:
    world = SessionWorld(external=True)
    one = world.opened()
    world.call(one, "session.create", {}, 1)
    ask(world, one, 2)
    assert world.codes() == [-32009]


# Limits


def kept(world: World, one: ConnectionId, keys: list[str], size: int = 1) -> list[int]:
    """Calls with these keys, then again: the places of those whose handlers run again."""
    for key in keys:
        ask(world, one, key, key=key)
        (invoke,) = world.invoked()
        world.complete(invoke.call, "x" * (size - 2))
        world.take()
    again = []
    for place, key in enumerate(keys):
        ask(world, one, key, key=key)
        if invoked(world):
            again.append(place)
            world.complete(world.invoked()[0].call, "x" * (size - 2))
        world.take()
    return again


@pytest.mark.parametrize(("calls", "again"), [(1, []), (2, []), (3, [0, 1, 2])])
def test_so_many_outcomes_are_kept(calls: int, again: list[int]) -> None:
    world, one, _ = two_of(max_idempotency_results=2)
    assert kept(world, one, [f"k{place}" for place in range(calls)], 5) == again


@pytest.mark.parametrize(("calls", "again"), [(1, []), (2, []), (3, [0, 1, 2])])
def test_so_many_outcomes_are_kept_for_an_identity(calls: int, again: list[int]) -> None:
    world, one, _ = two_of(max_idempotency_per_identity=2)
    other = world.connect(identity=BOB)
    assert kept(world, other, ["mine"], 5) == []
    assert kept(world, one, [f"k{place}" for place in range(calls)], 5) == again
    ask(world, other, 1, key="mine")
    assert invoked(world) == []


@pytest.mark.parametrize(("size", "again"), [(9, []), (10, []), (11, [0, 1])])
def test_so_many_bytes_of_outcomes_are_kept(size: int, again: list[int]) -> None:
    world, one, _ = two_of(max_idempotency_bytes=20)
    assert kept(world, one, ["a", "b"], size) == again
    assert world.gateway.memory == world.gateway._idempotency.bytes <= 20


@pytest.mark.parametrize(("now", "runs"), [(599.9, False), (600.0, True), (600.1, True)])
def test_an_outcome_is_kept_for_so_long(now: float, runs: bool) -> None:
    world, one, _ = two_of(idle_timeout=None, call_timeout=1000.0)
    ask(world, one, 1)
    (first,) = world.invoked()
    world.complete(first.call, 5)
    world.take()
    world.at(now)
    ask(world, one, 2)
    assert bool(invoked(world)) is runs


def test_at_rest_nothing_is_left() -> None:
    world, one, _ = two_of()
    for at, key in ((0.0, "a"), (100.0, "b")):
        world.at(at)
        ask(world, one, 1, key=key)
        (invoke,) = world.invoked()
        world.complete(invoke.call, 5)
    world.at(700.0)
    keys = world.gateway._idempotency
    assert (keys.records, keys.kept, keys.by_owner, keys.bytes) == ({}, {}, {}, 0)
    assert world.gateway.next_timeout() is None
    assert CallId(1) not in world.gateway._calls.records


def test_a_repeated_call_that_gets_its_slot_when_the_first_is_forgotten_has_not_started() -> None:
    world, one, two = two_of(max_calls_per_connection=1)
    world.call(two, "echo", [], 5)
    (other,) = world.invoked()
    world.call(one, "echo", [], 6)
    world.take()
    ask(world, one, 1)  # it waits for a slot
    ask(world, two, 2)  # so does the one that repeats it
    world.call(one, "rpc.cancel", {"id": 1}, 9)
    world.take()
    world.complete(other.call, 8)
    assert replies(world) == {5: 8, 2: -32009}
