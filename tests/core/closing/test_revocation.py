"""The revocation of a user: what is closed, cancelled and refused, and what is not."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.values.close_reasons import AUTHENTICATION_FAILED, REVOKED
from posthouse.core.values.effects import Accept, Answer, Cancel, Disconnect, Verify, Withdraw
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import (
    AuthFailed,
    AuthRevoked,
    CallCancelled,
    CallEnded,
    ConnectionClosed,
    LimitBreached,
)
from posthouse.core.values.peers import ConnectionId, Identity

from tests.core.identity.credentials import OTHER, REFUSED, TOKEN, AuthWorld
from tests.core.world import WALL, World, code_of
from tests.core.world import service as offered

ADA = Identity("ada", issued_at=WALL)


def revoke(world: World, user: str = "ada", namespace: str = "", not_before: float | None = None) -> int:
    world.take()
    return world.gateway.revoke(user, world.now, namespace=namespace, not_before=not_before)


def arrived(world: AuthWorld, identity: Identity, credentials: object = TOKEN) -> ConnectionId:
    """A WebSocket that came with credentials."""
    one = world.arrive(credentials)
    world.conclude(world.asked().operation, identity)
    return one


def test_the_connections_of_a_user_are_closed_at_once_and_no_others() -> None:
    world = World()
    one, two = world.connect("websocket", "ada"), world.connect("cli", "ada")
    world.connect("websocket", "bob")
    world.connect(identity=Identity("ada", namespace="other"))
    assert revoke(world) == 2
    assert world.take() == [Disconnect(one, REVOKED, False), Disconnect(two, REVOKED, False)]
    assert (REVOKED.code, REVOKED.error) == (4403, -32021)
    assert revoke(world) == 0


def test_what_would_follow_the_reply_of_a_revoked_call_is_dropped_at_once() -> None:
    world = World()
    one = world.connect("websocket", "ada")
    call = world.begin(one)
    assert world.gateway.notify(one, "event", [1], 0.0, after=call)
    assert world.gateway.memory > 0
    revoke(world)
    assert world.gateway._calls.records[call].followers is None
    world.gateway.disconnected(one, 4403, 1.0)
    assert world.gateway.memory == 0


def test_a_revocation_is_told_and_counted() -> None:
    world = World()
    one = world.connect("websocket", "ada")
    assert "auth.revoked" not in world.gateway.stats()
    world.now = 3.0
    world.gateway.outbox.clear()
    world.gateway.revoke("ada", 3.0, not_before=WALL + 9.0)
    world.gateway.disconnected(one, 4403, 4.0)
    revoked, closed = world.take_events()
    assert revoked == AuthRevoked("ada", "", WALL + 9.0, 1, 3.0)
    assert isinstance(closed, ConnectionClosed)
    assert (closed.code, closed.reason) == (4403, "the user was revoked")
    assert world.gateway.stats()["auth.revoked"] == 1
    assert not [event for event in world.take_events() if isinstance(event, LimitBreached)]


def test_its_calls_are_cancelled_those_that_finish_too_and_those_that_wait() -> None:
    world = World(offered(), ("call.ended",), max_calls_per_connection=2)
    one = world.connect("websocket", "ada")
    calls = [world.begin(one, "echo", id=1), world.begin(one, "finish", id=2)]
    world.call(one, "finish", {}, 3)
    world.gateway.outbox.clear()
    world.gateway.revoke("ada", 1.0)
    events = world.gateway.outbox.copy()
    assert world.take() == [Cancel(calls[0]), Cancel(calls[1]), Disconnect(one, REVOKED, False)]
    told = [getattr(effect, "event", None) for effect in events]
    assert [event.reason for event in told if isinstance(event, CallCancelled)] == ["revoked"] * 3
    assert [event.outcome for event in told if isinstance(event, CallEnded)] == ["disconnected"] * 3
    assert world.complete(calls[1]) is False
    assert world.gateway._calls.strays == {}


def test_a_call_that_finishes_without_its_caller_is_cancelled_although_its_connection_is_gone() -> None:
    world = World(offered(), ("call.ended",))
    one = world.connect("websocket", "ada")
    call, other = world.begin(one, "finish", id=1), world.begin(world.connect("cli", "bob"), "finish")
    world.gateway.disconnected(one, None, 0.0)
    world.gateway.outbox.clear()
    assert world.gateway.revoke("ada", 1.0) == 0
    events = world.gateway.outbox.copy()
    assert world.take() == [Cancel(call)]
    (ended,) = [event for effect in events if isinstance(event := getattr(effect, "event", None), CallEnded)]
    assert (ended.user, ended.outcome, ended.code) == ("ada", "cancelled", -32800)
    assert world.complete(call) is False
    assert world.complete(other) is True
    assert world.gateway._calls.strays == {}


def test_a_call_of_a_former_user_is_cancelled_and_its_connection_stays() -> None:
    world = AuthWorld()
    one = arrived(world, ADA)
    call = world.begin(one, "finish", id="old")
    world.call(one, "auth.login", {"method": "bearer", "token": "bob"}, 2)
    world.conclude(world.asked().operation, Identity("bob"))
    assert revoke(world) == 0
    assert Cancel(call) in world.gateway.outbox
    assert world.said(one) == [
        {
            "jsonrpc": "2.0",
            "error": {"code": -32800, "message": "Request cancelled", "data": {"reason": "the user was revoked"}},
            "id": "old",
        }
    ]
    assert world.gateway._calls.strays == {}
    assert world.begin(one, "private", id=3)


def test_a_call_of_a_former_user_finishes_when_the_new_one_is_revoked() -> None:
    world = AuthWorld()
    one = arrived(world, Identity("bob"))
    call = world.begin(one, "finish", id="old")
    world.call(one, "auth.login", {"method": "bearer", "token": "ada"}, 2)
    world.conclude(world.asked().operation, ADA)
    mine = world.begin(one, "finish", id="new")
    assert revoke(world) == 1
    assert world.take() == [Cancel(mine), Disconnect(one, REVOKED, False)]
    assert list(world.gateway._calls.strays) == [("", "bob")]
    assert world.complete(call) is True


def test_an_exchange_is_answered_as_forbidden_and_one_that_was_answered_is_cut() -> None:
    world = World()
    one, two = world.connect("http", "ada"), world.connect("http", "ada")
    call = world.begin(one)
    other = world.begin(two)
    world.complete(other)
    assert isinstance(world.take()[0], Answer)
    assert revoke(world) == 2
    assert world.take() == [Cancel(call), Disconnect(one, REVOKED, False), Disconnect(two, REVOKED, False)]


def test_a_log_in_of_a_revoked_connection_is_withdrawn() -> None:
    world = AuthWorld()
    one = arrived(world, ADA)
    world.call(one, "auth.refresh", {"method": "bearer", "token": "x"}, 2)
    operation = world.asked().operation
    assert revoke(world) == 1
    assert world.take() == [Withdraw(operation), Disconnect(one, REVOKED, False)]


def test_credentials_in_the_cache_are_verified_again() -> None:
    world = AuthWorld()
    arrived(world, ADA)
    arrived(world, Identity("bob"), OTHER)
    revoke(world)
    world.take()
    world.arrive(OTHER)
    assert [type(effect) for effect in world.take()] == [Accept]
    world.arrive(TOKEN)
    assert [type(effect) for effect in world.take()] == [Verify]


def test_a_verification_in_flight_does_not_land_after_a_revocation() -> None:
    world = AuthWorld()
    one, operation = world.arrive(), world.asked().operation
    two, other = world.arrive(OTHER), world.asked().operation
    revoke(world)
    world.gateway.outbox.clear()
    world.conclude(operation, ADA)
    (failed,) = (event for effect in world.gateway.outbox if (event := getattr(effect, "event", None)) is not None)
    assert isinstance(failed, AuthFailed)
    assert failed.reason == "revoked"
    assert world.take() == [Disconnect(one, AUTHENTICATION_FAILED)]
    world.conclude(other, Identity("bob"))
    assert world.take() == [Accept(two)]
    assert list(world.gateway._verifications.cache.by_user) == [("", "bob")]
    world.arrive()
    world.conclude(world.asked().operation, ADA)
    assert [type(effect) for effect in world.take()] == [Accept]


def test_an_authenticator_that_is_asked_after_a_revocation_counts() -> None:
    world = AuthWorld(("bearer", "one", "a"), ("bearer", "two", "a"))
    one, operation = world.arrive(), world.asked().operation
    revoke(world, namespace="a")
    world.conclude(operation, REFUSED)
    world.conclude(world.asked().operation, ADA)
    assert world.take() == [Accept(one)]


def test_a_log_in_in_flight_does_not_land_after_a_revocation() -> None:
    world = AuthWorld()
    one = world.connect()
    world.call(one, "auth.login", {"method": "bearer", "token": "x"}, 2)
    operation = world.asked().operation
    assert revoke(world) == 0
    world.conclude(operation, ADA)
    assert [code_of(reply) for reply in world.said(one)] == [-32020]


def test_with_a_time_only_older_credentials_are_closed_and_refused_from_then_on() -> None:
    world = AuthWorld()
    old, new = arrived(world, ADA), arrived(world, Identity("ada", issued_at=WALL + 5.0), OTHER)
    fresh, stale = world.begin(new, "finish", id=1), world.begin(old, "finish", id=2)
    assert revoke(world, not_before=WALL + 5.0) == 1
    assert world.take() == [Cancel(stale), Disconnect(old, REVOKED, False)]
    world.gateway.disconnected(new, None, 0.0)
    assert revoke(world, not_before=WALL + 5.0) == 0
    assert world.take() == []
    for identity, kind in (
        (ADA, Disconnect),
        (Identity("ada"), Disconnect),
        (Identity("ada", issued_at=WALL + 5.0), Accept),
    ):
        world.arrive(TOKEN)
        world.conclude(world.asked().operation, identity)
        assert [type(effect) for effect in world.take()] == [kind]
    assert world.complete(fresh) is True


def test_a_call_that_was_made_before_a_refresh_is_cancelled_if_its_identity_is_older() -> None:
    world = AuthWorld()
    one = arrived(world, ADA)
    call = world.begin(one, id=1)
    world.call(one, "auth.refresh", {"method": "bearer", "token": "x"}, 2)
    world.conclude(world.asked().operation, Identity("ada", issued_at=WALL + 5.0))
    assert revoke(world, not_before=WALL + 5.0) == 0
    assert world.take()[0] == Cancel(call)
    assert world.begin(one, id=3)


def test_a_peer_whom_the_host_trusts_is_closed_but_may_come_again() -> None:
    world = World()
    world.connect("websocket", "ada")
    assert revoke(world, not_before=WALL + 1e9) == 1
    assert world.begin(world.connect("websocket", "ada"), "private")


def test_a_revocation_of_nobody_is_misuse() -> None:
    world = World()
    before = world.gateway.stats()
    misuses: list[tuple[Any, Any, Any, str]] = [
        (None, "", None, r"^the user is None: name the user to revoke$"),
        ("", "", None, r"^the user of an identity is '': it must be a non-empty string, or None$"),
        ("ada", None, None, r"^the namespace of an identity is None: it must be a string$"),
        ("ada", "", "now", r"^not_before is 'now': it must be Unix seconds, or None$"),
    ]
    for user, namespace, not_before, text in misuses:
        with pytest.raises(UsageError, match=text):
            world.gateway.revoke(user, 0.0, namespace=namespace, not_before=not_before)
    assert world.gateway.stats() == before


def test_the_connection_that_stays_is_not_closed() -> None:
    world = AuthWorld()
    one, two = arrived(world, ADA), world.connect(identity=ADA)
    world.take()
    record = world.gateway._connections.records[one]
    assert world.gateway._revocation.end(("", "ada"), None, world.now, but=record) == 1
    world.gateway.handle_timeout(world.now)
    assert [effect.connection for effect in world.take() if isinstance(effect, Disconnect)] == [two]


def test_a_user_that_loses_scopes_keeps_its_connections_and_its_running_calls() -> None:
    world = World(offered())
    one, two = (world.connect(identity=Identity("ada", scopes)) for scopes in (("read", "write"), ("read",)))
    call = world.begin(one, "guarded")
    world.take()
    world.gateway._revocation.narrow(("", "ada"), ("read", "more"), None, world.now)
    records = world.gateway._connections.records
    assert [records[id].identity.scopes for id in (one, two)] == [("read",), ("read",)]
    assert world.gateway._calls.records[call].caller is not None
    world.gateway._revocation.narrow(("", "nobody"), (), None, world.now)
    world.call(one, "guarded", {}, 2)
    assert world.codes(one) == [-32021]
