"""Log-ins: one call changes the identity of its connection, and what comes behind it waits."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.operations.operations import Busy
from posthouse.core.service.authenticators import Bearer
from posthouse.core.values.close_reasons import TOO_MANY_FAILED_AUTHENTICATIONS
from posthouse.core.values.effects import Disconnect, Invoke, Transmit, Verify, Withdraw
from posthouse.core.values.lifecycle import CallEnded, CallTimedOut
from posthouse.core.values.peers import ConnectionId, Identity, OperationId

from tests.core.identity.credentials import ADA, BOB, FAILED, HERE, OTHER, REFUSED, TOKEN, AuthWorld, authenticated
from tests.core.world import WALL, World, code_of

ONE, TWO = OperationId(1), OperationId(2)


def login(
    world: World, one: ConnectionId, token: Bearer = TOKEN, id: Any = 1, method: str = "login", **meta: Any
) -> None:
    world.call(one, f"auth.{method}", {"method": "bearer", "token": token.token}, id, **meta)


def opened(*schemes: tuple[str, str, str], **limits: Any) -> tuple[AuthWorld, ConnectionId]:
    """A gateway, and an anonymous WebSocket that is open."""
    world = AuthWorld(*schemes, **limits)
    return world, world.connect()


def outcomes(world: World) -> dict[Any, Any]:
    """The replies by their ids: results, or codes of errors."""
    return {reply["id"]: reply.get("result", code_of(reply)) for reply in world.said()}


def known(world: AuthWorld, one: ConnectionId, identity: Identity = ADA, token: Bearer = TOKEN) -> None:
    """Log in, with an answer of the authenticator."""
    login(world, one, token, 100)
    world.conclude(world.asked().operation, identity)
    world.take()


def test_a_log_in_is_answered_when_the_credentials_were_verified() -> None:
    world, one = opened()
    login(world, one)
    (verify,) = world.take()
    assert isinstance(verify, Verify)
    assert (verify.credentials, verify.caller.identity) == (TOKEN, Identity())
    world.conclude(ONE, Identity("ada", ("read",), WALL + 60.0))
    assert outcomes(world) == {1: {"user": "ada", "scopes": ["read"], "expires_at": WALL + 60.0}}
    world.call(one, "private")
    assert [invoke.caller.identity.user for invoke in world.invoked()] == ["ada"]
    assert list(world.gateway._connections.by_user) == [("", "ada")]


def test_known_credentials_log_in_at_once() -> None:
    world, one = opened()
    known(world, one)
    two = world.connect()
    login(world, two)
    assert outcomes(world) == {1: {"user": "ada", "scopes": ["read"], "expires_at": None}}


@pytest.mark.parametrize(
    ("outcome", "code"), [(REFUSED, -32020), (FAILED, -32020), (Identity("ada", expires_at=WALL), -32022)]
)
def test_refused_credentials_change_nothing(outcome: object, code: int) -> None:
    world, one = opened()
    login(world, one)
    world.conclude(world.asked().operation, outcome)
    assert outcomes(world) == {1: code}
    assert world.gateway._connections.records[one].identity == Identity()


def test_no_answer_of_the_authenticator_in_time_is_a_refusal() -> None:
    world, one = opened(authentication_timeout=10.0)
    login(world, one)
    world.take()
    world.at(10.0)
    assert [effect for effect in world.take() if isinstance(effect, Withdraw)] == [Withdraw(ONE)]
    assert world.conclude(ONE, ADA) is False
    assert world.gateway._connections.records[one].identity == Identity()


def test_later_requests_wait_in_order_and_are_authorised_as_the_new_caller() -> None:
    world, one = opened()
    login(world, one)
    for id, method in ((2, "connection.info"), (3, "private"), (4, "guarded"), (5, "connection.stats")):
        world.call(one, method, (), id)
    world.call(one, "private", {"a": 1}, 6)
    assert [type(effect) for effect in world.take()] == [Verify]
    world.conclude(ONE, ADA)
    invoked = [effect for effect in world.gateway.outbox if isinstance(effect, Invoke)]
    assert [(invoke.method.name, invoke.caller.identity) for invoke in invoked] == [("private", ADA)]
    found = outcomes(world)
    assert found.pop(2)["user"] == "ada"
    assert found.pop(1)["user"] == "ada"
    assert found == {4: -32021, 5: -32021, 6: -32602}


def test_waiting_requests_run_as_the_old_caller_if_the_log_in_fails() -> None:
    world, one = opened()
    login(world, one)
    world.call(one, "echo", (), 2)
    world.call(one, "private", (), 3)
    world.take()
    world.conclude(ONE, REFUSED)
    assert [effect.caller.identity for effect in world.gateway.outbox if isinstance(effect, Invoke)] == [Identity()]
    assert outcomes(world) == {1: -32020, 3: -32020}


def test_responses_and_cancellations_do_not_wait() -> None:
    world, one = opened()
    login(world, one)
    world.call(one, "echo", (), 2)
    world.take()
    world.call(one, "rpc.cancel", {"id": 2}, 3)
    assert outcomes(world) == {2: -32800, 3: {"cancelled": True}}


def test_a_second_change_of_identity_is_refused_meanwhile() -> None:
    world, one = opened()
    login(world, one)
    world.take()
    login(world, one, OTHER, 2)
    world.call(one, "auth.logout", {}, 3)
    assert outcomes(world) == {2: -32009, 3: -32009}


def test_a_log_in_that_is_cancelled_lets_the_others_go_on() -> None:
    world, one = opened()
    login(world, one)
    world.call(one, "echo", (), 2)
    world.take()
    world.call(one, "rpc.cancel", {"id": 1}, 3)
    assert Withdraw(ONE) in world.gateway.outbox
    assert len([effect for effect in world.gateway.outbox if isinstance(effect, Invoke)]) == 1
    assert outcomes(world) == {1: -32800, 3: {"cancelled": True}}
    assert world.conclude(ONE, ADA) is False
    login(world, one, OTHER, 4)
    assert world.asked().operation == TWO


def test_a_log_in_times_out_as_a_call() -> None:
    world, one = opened()
    login(world, one, timeout_ms=300)
    world.take()
    world.at(0.3)
    assert Withdraw(ONE) in world.gateway.outbox
    assert outcomes(world) == {1: -32030}
    assert world.gateway.health(0.3).calls == 0


def test_an_identity_that_comes_at_the_deadline_of_its_call_does_not_count() -> None:
    world = AuthWorld()
    world.gateway._dispatch._endings.wanted = True
    one = world.connect()
    login(world, one, timeout_ms=300)
    world.take()
    world.now = 0.3
    assert world.conclude(ONE, ADA) is True
    events = [effect.event for effect in world.gateway.outbox if hasattr(effect, "event")]
    assert [type(event) for event in events if isinstance(event, CallTimedOut | CallEnded)][:1] == [CallTimedOut]
    assert outcomes(world) == {1: -32030}
    assert world.gateway._connections.records[one].identity == Identity()


def test_a_client_that_leaves_during_a_log_in_is_forgotten() -> None:
    world, one = opened()
    login(world, one)
    world.take()
    world.gateway.disconnected(one, None, 1.0)
    assert world.take() == [Withdraw(ONE)]
    assert (world.gateway.health(1.0).calls, world.gateway._logins.records) == (0, {})
    assert world.conclude(ONE, ADA) is False


def test_the_end_of_a_shut_down_answers_a_log_in_and_what_waits_behind_it() -> None:
    world, one = opened(drain_grace=5.0, authentication_timeout=30.0)
    login(world, one)
    world.call(one, "echo", (), 2)
    world.gateway.shut_down(0.0)
    world.take()
    world.at(5.0)
    assert not [effect for effect in world.gateway.outbox if isinstance(effect, Invoke)]
    assert outcomes(world) == {1: -32050, 2: -32050}


def test_a_log_in_waits_behind_calls_that_wait_for_a_slot() -> None:
    world, one = opened(max_calls_per_connection=1)
    first = world.begin(one, "echo", (), 1)
    world.call(one, "echo", (), 2)
    login(world, one, TOKEN, 3)
    world.call(one, "connection.info", (), 4)
    assert world.take() == []
    world.complete(first)
    (second,) = world.invoked()
    world.complete(second.call)
    assert [type(effect) for effect in world.take()][-1:] == [Verify]
    world.conclude(ONE, ADA)
    found = outcomes(world)
    assert (found[3]["user"], found[4]["user"]) == ("ada", "ada")


def test_a_refresh_keeps_the_user_and_the_state_and_may_change_scopes() -> None:
    world, one = opened()
    known(world, one)
    record = world.gateway._connections.records[one]
    record.caller.connection_state["visits"] = 1
    login(world, one, OTHER, 2, "refresh")
    world.conclude(world.asked().operation, Identity("ada", ("write",)))
    assert outcomes(world) == {2: {"user": "ada", "scopes": ["write"], "expires_at": None}}
    assert (record.caller.identity.scopes, record.caller.connection_state) == (("write",), {"visits": 1})
    login(world, one, Bearer("third"), 3, "refresh")
    world.conclude(world.asked().operation, BOB)
    assert outcomes(world) == {3: -32021}
    assert record.identity.user == "ada"


def test_another_user_gets_a_new_state() -> None:
    world, one = opened()
    known(world, one)
    record = world.gateway._connections.records[one]
    record.caller.connection_state["visits"] = 1
    known(world, one, BOB, OTHER)
    assert (record.caller.identity, record.caller.connection_state) == (BOB, {})
    assert list(world.gateway._connections.by_user) == [("", "bob")]


def test_a_log_out_gives_the_identity_back_with_which_the_connection_opened() -> None:
    world, one = opened()
    world.call(one, "auth.logout", {}, 1)
    assert outcomes(world) == {1: -32020}
    known(world, one)
    world.call(one, "auth.logout", {}, 2)
    assert outcomes(world) == {2: {}}
    assert not world.gateway._connections.by_user
    world.call(one, "private", (), 3)
    assert outcomes(world) == {3: -32020}


def test_the_limit_per_user_counts_log_ins_but_not_those_of_the_same_user() -> None:
    world = AuthWorld(max_connections_per_user=1)
    one, two = world.connect(), world.connect()
    known(world, one)
    login(world, one, TOKEN, 2, "refresh")
    assert outcomes(world)[2]["user"] == "ada"
    login(world, two)
    assert outcomes(world) == {1: -32029}
    assert world.gateway._connections.records[two].identity == Identity()


def test_an_observed_limit_per_user_is_counted_only() -> None:
    world = AuthWorld(max_connections_per_user=1, observe=["max_connections_per_user"])
    one, two = world.connect(), world.connect()
    known(world, one)
    login(world, two)
    assert outcomes(world)[1]["user"] == "ada"


def test_a_log_in_is_refused_while_too_many_operations_run() -> None:
    world = AuthWorld(max_external_operations=1)
    one, two = world.connect(), world.connect()
    login(world, one)
    world.take()
    login(world, two, OTHER)
    assert outcomes(world) == {1: -32009}


def test_a_log_in_is_refused_while_too_many_passwords_wait_to_be_hashed() -> None:
    world = AuthWorld()
    login(world, world.connect())
    world.conclude(OperationId(1), Busy())
    assert outcomes(world) == {1: -32009}


def test_a_log_in_over_http_is_for_the_rest_of_its_batch() -> None:
    world = AuthWorld()
    one = world.connect("http")
    params = {"method": "bearer", "token": TOKEN.token}
    batch = [
        {"jsonrpc": "2.0", "method": "auth.login", "params": params, "id": 1},
        {"jsonrpc": "2.0", "method": "private", "id": 2},
    ]
    world.receive(one, batch)
    world.conclude(world.asked().operation, ADA)
    (invoke,) = world.invoked()
    assert invoke.caller.identity == ADA
    world.complete(invoke.call, 7)
    (answer,) = world.said()
    assert [entry["result"] for entry in answer] == [{"user": "ada", "scopes": ["read"], "expires_at": None}, 7]


def test_a_service_without_authenticators_has_no_log_in() -> None:
    world = World()
    one = world.connect()
    login(world, one)
    assert outcomes(world) == {1: -32601}
    assert authenticated().authenticators


def test_row_38_a_log_in_whose_budget_is_spent_is_told_how_long_to_wait() -> None:
    world = AuthWorld(max_auth_failures_per_address=1)
    one = world.connect(address=HERE)
    login(world, one)
    world.conclude(ONE, REFUSED)
    world.take()
    login(world, one, OTHER)
    (reply,) = world.said()
    assert reply["error"] == {
        "code": -32023,
        "message": "Too many failed authentications",
        "data": {"retryable": True, "retry_after_ms": 1000},
    }


def test_row_38_a_connection_that_waits_is_not_closed_and_one_that_goes_on_guessing_is() -> None:
    world = AuthWorld(max_auth_failures_per_address=1)
    one, two = world.connect(address=HERE), world.connect(address=HERE)
    login(world, one)
    world.conclude(ONE, REFUSED)
    world.take()
    for connection in (one, two):
        login(world, connection, OTHER)
        assert outcomes(world) == {1: -32023}
    world.now = 1.0
    login(world, one, OTHER)
    world.conclude(TWO, REFUSED)
    assert outcomes(world) == {1: -32020}
    login(world, two, OTHER)
    assert outcomes(world) == {1: -32023}, "somebody else has used the chance"
    world.now = 2.999
    login(world, two, OTHER)
    effects = world.take()
    assert [type(effect) for effect in effects] == [Transmit, Disconnect]
    assert effects[1:] == [Disconnect(two, TOO_MANY_FAILED_AUTHENTICATIONS)]
    world.now = 3.0
    login(world, one, TOKEN)
    assert world.asked().credentials == TOKEN


def test_a_log_in_that_waits_for_a_hash_is_refused_as_busy_after_its_time() -> None:
    world = AuthWorld(("basic", "passwords", "local"))
    one, two = world.connect(), world.connect()
    for number, connection in enumerate((one, two)):
        world.now = float(number)
        world.call(connection, "auth.login", {"method": "password", "user": "ada", "password": "x"})
    world.take()
    world.at(10.0)
    assert outcomes(world) == {1: -32020}
    world.at(11.0)
    (reply,) = world.said()
    assert (code_of(reply), reply["error"]["data"]["limit"]) == (-32009, "max_hashes_per_user")
