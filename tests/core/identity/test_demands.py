"""Demands: where authentication is required, an anonymous WebSocket must log in in time."""

from __future__ import annotations

from posthouse.core.values.effects import Accept, Disconnect, LimitMessages, Verify
from posthouse.core.values.lifecycle import LimitBreached
from posthouse.core.values.peers import ALL_SCOPES, ANONYMOUS, Address, ConnectionId, Identity, Kind, Peer

from tests.core.world import World, code_of

from .credentials import ADA, AuthWorld


def demanding(**limits: object) -> AuthWorld:
    return AuthWorld(require_authentication=True, authentication_timeout=10.0, **limits)


def log_in(world: AuthWorld, connection: ConnectionId) -> None:
    world.call(connection, "auth.login", {"method": "bearer", "token": "ada"}, 90)
    world.conclude(world.asked().operation, ADA)
    world.take()


def test_an_anonymous_websocket_is_closed_at_its_deadline_and_not_before() -> None:
    world = demanding()
    one = world.connect()
    world.at(9.999)
    assert world.closes() == []
    world.at(10.0)
    events = [event for event in world.take_events() if isinstance(event, LimitBreached)]
    assert [(event.limit, event.connection) for event in events] == [("authentication_timeout", one)]
    assert world.gateway.stats()["limit.authentication_timeout"] == 1
    assert world.gateway._demands.records == {}


def test_the_close_code_is_4408_and_what_waits_is_still_sent() -> None:
    world = demanding()
    one = world.connect()
    world.at(10.0)
    assert world.closes() == [(one, 4408, True)]


def test_calls_before_the_log_in_are_refused_and_do_not_extend_the_deadline() -> None:
    world = demanding()
    one = world.connect()
    world.at(9.0)
    world.call(one, "private", {}, 1)
    assert [code_of(reply) for reply in world.said(one)] == [-32020]
    world.at(10.0)
    assert world.closes() == [(one, 4408, True)]


def test_a_log_in_disarms_the_deadline() -> None:
    world = demanding()
    one = world.connect()
    world.at(9.999)
    log_in(world, one)
    assert world.gateway._demands.records == {}
    assert world.gateway.next_timeout() is None
    world.at(1_000.0)
    assert world.closes() == []


def test_a_log_in_that_fails_or_is_not_decided_in_time_does_not() -> None:
    world = demanding()
    one, two = world.connect(), world.connect()
    world.at(5.0)
    for connection in (one, two):
        world.call(connection, "auth.login", {"method": "bearer", "token": "no"}, 90)
    world.take()
    world.at(10.0)
    assert {(connection, code) for connection, code, _ in world.closes()} == {(one, 4408), (two, 4408)}


def test_a_log_out_begins_the_time_anew() -> None:
    world = demanding()
    one = world.connect()
    log_in(world, one)
    world.at(50.0)
    world.call(one, "auth.logout", {}, 91)
    world.at(59.999)
    assert world.closes() == []
    world.at(60.0)
    assert world.closes() == [(one, 4408, True)]


def test_a_connection_that_leaves_and_one_that_a_limit_closes_have_no_deadline() -> None:
    world = demanding(idle_timeout=3.0)
    gone, closed = world.connect(), world.connect()
    world.gateway.disconnected(gone, None, 1.0)
    world.at(3.0)
    assert [connection for connection, _, _ in world.closes()] == [closed]
    assert world.gateway._demands.records == {}


def test_credentials_of_the_handshake_and_an_identity_of_the_host_are_enough() -> None:
    world = demanding()
    world.arrive()
    world.conclude(world.asked().operation, ADA)
    for identity in (Identity("bob"), Identity(scopes=(ALL_SCOPES,))):
        world.gateway.connect(Peer("websocket", Address(), identity=identity), 0.0)
    assert world.gateway._demands.records == {}
    assert not [effect for effect in world.take() if isinstance(effect, Disconnect)]


def test_other_kinds_of_connections_and_gateways_that_demand_nothing_have_no_deadline() -> None:
    world, lenient = demanding(), World(authentication_timeout=10.0)
    kinds: tuple[Kind, ...] = ("http", "cli", "local")
    for kind in kinds:
        world.connect(kind, identity=ANONYMOUS)
    lenient.connect()
    for each in (world, lenient):
        assert each.gateway._demands.records == {}
        assert each.gateway.next_timeout() is None


def limits(world: World) -> list[tuple[ConnectionId, bool]]:
    """The connections whose messages are limited, and whether as those of an authenticated caller."""
    return [(each.connection, each.authenticated) for each in world.take() if isinstance(each, LimitMessages)]


def test_messages_are_small_until_the_log_in_and_after_the_log_out() -> None:
    kinds: tuple[Kind, ...] = ("websocket", "cli")
    for kind in kinds:
        world = demanding()
        one = world.gateway.connect(Peer(kind, Address()), 0.0)
        assert limits(world) == [(one, False)]
        world.call(one, "auth.login", {"method": "bearer", "token": "ada"}, 90)
        asked = world.asked()
        world.conclude(asked.operation, ADA)
        assert limits(world) == [(one, True)]
        world.call(one, "auth.logout", {}, 91)
        assert limits(world) == [(one, False)]


def test_the_limit_is_known_before_a_connection_is_accepted() -> None:
    world = demanding()
    one = world.arrive()
    world.conclude(world.asked().operation, ADA)
    assert world.take() == [LimitMessages(one, True), Accept(one)]


def test_messages_of_a_caller_whom_the_host_has_authenticated_are_large() -> None:
    world = demanding()
    one = world.gateway.connect(Peer("cli", Address(), identity=Identity("bob")), 0.0)
    assert limits(world) == [(one, True)]


def test_messages_are_not_limited_where_nothing_is_demanded_and_over_http() -> None:
    world, lenient = demanding(), AuthWorld()
    world.gateway.connect(Peer("http"), 0.0)
    lenient.gateway.connect(Peer("cli"), 0.0)
    one = lenient.gateway.connect(Peer("websocket"), 0.0)
    lenient.call(one, "auth.login", {"method": "bearer", "token": "ada"}, 90)
    (verify,) = (each for each in lenient.gateway.outbox if isinstance(each, Verify))
    lenient.conclude(verify.operation, ADA)
    assert limits(world) == limits(lenient) == []
