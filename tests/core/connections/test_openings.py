"""Openings: sockets and connections are admitted or refused, within the limits on both."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.connections.state import State
from posthouse.core.values.close_reasons import (
    AUTHENTICATION_FAILED,
    CLOSE_REASONS,
    DRAINING,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_USER,
    MAX_EXTERNAL_OPERATIONS,
    MEMORY_BUDGET,
)
from posthouse.core.values.config import OBSERVABLE
from posthouse.core.values.effects import Accept, Disconnect, Emit
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import ConnectionClosed, ConnectionOpened, LimitBreached
from posthouse.core.values.peers import Address, Identity, Peer, SocketId

from tests.core.world import WALL, World, breached

HERE = Address("192.0.2.1", 5000)


def test_a_user_may_have_as_many_connections_as_the_limit_but_not_more() -> None:
    world = World(max_connections_per_user=2)
    for _ in range(2):
        world.connect(user="ada")
    peer = Peer("websocket", HERE, identity=Identity("ada"))
    third = world.gateway.connect(peer, 0.0)
    told, disconnect = world.gateway.outbox
    assert told == Emit(LimitBreached("max_connections_per_user", None, HERE, True, 0.0))
    assert disconnect == Disconnect(third, MAX_CONNECTIONS_PER_USER)
    world.gateway.outbox.clear()
    world.gateway.disconnected(third, None, 0.0)
    assert world.gateway.outbox == []


def unverified(world: World, **peer: Any) -> Any:
    """The record of a connection that is not admitted yet."""
    id = world.gateway._openings.connect(Peer("websocket", HERE, **peer), 0.0, draining=False, unverified=True)
    record = world.gateway._connections.records[id]
    assert record.state is State.AUTHENTICATING
    assert world.gateway.outbox == []
    return record


def test_a_connection_whose_credentials_were_verified_is_admitted_as_its_user() -> None:
    world = World()
    record = unverified(world)
    world.gateway._openings.admit(record, Identity("ada"), 2.0, draining=False)
    assert world.gateway.outbox[0] == Accept(record.id)
    assert (record.identity, record.caller.identity, record.heard_at) == (Identity("ada"), Identity("ada"), 2.0)
    assert list(world.gateway._connections.by_user) == [("", "ada")]


def test_a_verified_connection_is_refused_during_a_shut_down_and_above_the_limit_of_its_user() -> None:
    world = World(max_connections_per_user=1)
    world.connect(user="ada")
    one, two = unverified(world), unverified(world)
    world.gateway._openings.admit(one, Identity("ada"), 0.0, draining=True)
    assert world.take() == [Disconnect(one.id, DRAINING)]
    world.gateway._openings.admit(two, Identity("ada"), 0.0, draining=False)
    assert breached(world) == [("max_connections_per_user", None, True)]
    assert (two.state, two.code) == (State.CLOSING, 4429)


def test_a_limit_of_policy_may_be_observed_when_the_user_is_known() -> None:
    world = World(max_connections_per_user=1, observe=["max_connections_per_user"])
    world.connect(user="ada")
    one = unverified(world)
    world.gateway._openings.admit(one, Identity("ada"), 0.0, draining=False)
    assert one.admitted


def test_a_connection_is_refused_whose_credentials_are() -> None:
    world = World()
    one, two = unverified(world), unverified(world)
    world.gateway._openings.refuse(one, AUTHENTICATION_FAILED, 0.0)
    assert world.gateway.outbox == [Disconnect(one.id, AUTHENTICATION_FAILED)]
    world.gateway.outbox.clear()
    world.gateway._openings.refuse(two, MAX_EXTERNAL_OPERATIONS, 0.0)
    assert breached(world) == [("max_external_operations", None, True)]


def test_row_40_sockets_are_refused_unread_and_others_are_unaffected() -> None:
    world = World(max_connections_per_address=1)
    assert world.gateway.accepted(HERE, 0.0) == 1
    assert world.gateway.accepted(HERE, 0.0) is None
    assert breached(world) == [("max_connections_per_address", None, True)]
    assert world.gateway.accepted(Address("192.0.2.2"), 0.0) == 2


@pytest.mark.parametrize("limit", ["max_connections_per_address", "accept_rate_per_address"])
def test_observed_limits_on_sockets_admit_them(limit: str) -> None:
    assert limit in OBSERVABLE
    world = World(**{limit: 1}, observe=[limit])
    for _ in range(2):
        assert world.gateway.accepted(HERE, 0.0) is not None
    assert breached(world) == [(limit, None, False)]


def test_observed_limits_on_connections_admit_them() -> None:
    world = World(max_connections_per_user=1, observe=["max_connections_per_user"])
    world.connect(user="ada")
    two = world.gateway.connect(Peer("websocket", identity=Identity("ada")), 0.0)
    assert world.gateway.outbox[1:2] == [Accept(two)]
    assert breached(world) == [("max_connections_per_user", None, False)]


def test_a_connection_emits_an_event_when_it_opens_and_when_it_is_gone() -> None:
    world = World()
    world.now = 5.0
    one = world.gateway.connect(Peer("websocket", HERE, identity=Identity("ada")), 5.0)
    public_id = "000000000000000000000001"
    assert world.take_events() == [ConnectionOpened(one, public_id, "websocket", HERE, "ada", 5.0)]
    world.complete(world.begin(one))
    world.gateway.disconnected(one, 1001, 7.5)
    assert world.take_events() == [ConnectionClosed(one, public_id, "websocket", HERE, "ada", 1001, 2.5, 1, 7.5)]
    stats = world.gateway.stats()
    assert (stats["connections.opened"], stats["connections.closed"]) == (1, 1)


def test_a_connection_to_a_full_or_draining_server_is_refused_with_the_reason() -> None:
    world = World(max_connections=1, memory_budget=1000)
    world.connect()
    full = world.gateway.connect(Peer("websocket"), 0.0)
    assert world.take() == [Disconnect(full, MAX_CONNECTIONS)]
    world.gateway.report_buffered(1001, 0.0)
    world.take()
    http = world.gateway.connect(Peer("http", socket=world.gateway.accepted(HERE, 0.0)), 0.0)
    assert world.take() == [Disconnect(http, MEMORY_BUDGET)]
    world.gateway.shut_down(0.0)
    world.take()
    late = world.gateway.connect(Peer("websocket"), 0.0)
    assert world.take() == [Disconnect(late, DRAINING)]


def test_the_headers_of_a_connection_count_for_the_memory_budget_while_it_lasts() -> None:
    world = World(memory_budget=20)
    peer = Peer("websocket", headers=((b"host", b"1234567"), (b"x", b"12345678")))
    one = world.gateway.connect(peer, 0.0)
    assert world.gateway.memory == 20
    exchange = world.gateway.connect(Peer("http", headers=peer.headers), 0.0)
    assert world.gateway.memory == 20
    two = world.gateway.connect(peer, 1.0)
    assert world.gateway.memory == 40
    refused = world.gateway.connect(peer, 1.0)
    assert world.take()[-1] == Disconnect(refused, MEMORY_BUDGET)
    world.gateway.handle_timeout(1.0)
    assert world.take()[-1] == Disconnect(one, MEMORY_BUDGET, flush=False)
    assert world.gateway.memory == 20
    for connection in (one, exchange, two, refused):
        world.gateway.disconnected(connection, None, 1.0)
    assert world.gateway.memory == 0


PIGEON: Any = "pigeon"
MAPPING: Any = {b"host": b"example.org"}


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        ("websocket", "give a Peer"),
        (Peer(PIGEON), "unknown kind 'pigeon'"),
        (Peer("cli", headers=MAPPING), "the headers are not a tuple: give pairs of bytes"),
        (Peer("http", socket=SocketId(1)), "socket 1 never existed"),
    ],
)
def test_an_invalid_peer_is_misuse(peer: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        World().gateway.connect(peer, 0.0)


def test_an_invalid_address_and_a_released_socket_are_misuse() -> None:
    world = World()
    nowhere: Any = "192.0.2.1"
    with pytest.raises(UsageError, match="give an Address"):
        world.gateway.accepted(nowhere, 0.0)
    socket = world.gateway.accepted(HERE, 0.0)
    assert socket is not None
    world.gateway.released(socket, 0.0)
    with pytest.raises(UsageError, match="socket 1 was released"):
        world.gateway.connect(Peer("http", socket=socket), 0.0)


def test_only_pushable_connections_get_an_accept() -> None:
    world = World()
    pipe = world.gateway.connect(Peer("cli"), 0.0)
    assert world.take() == [Accept(pipe)]
    world.gateway.connect(Peer("http"), 0.0)
    assert world.take() == []


def test_an_invalid_address_is_refused_during_a_shut_down_too() -> None:
    world = World(drain_notice=0.0)
    world.gateway.shut_down(0.0)
    world.gateway.handle_timeout(0.0)
    assert world.gateway.accepted(HERE, 0.0) is None
    with pytest.raises(UsageError, match="give an Address"):
        world.gateway.accepted(("192.0.2.1", 5), 0.0)  # type: ignore[arg-type]


def test_an_event_of_a_connection_has_the_caller_that_its_calls_have() -> None:
    world = World()
    one = world.gateway.connect(Peer("websocket"), 0.0)
    (opened,) = [effect for effect in world.gateway.outbox if isinstance(effect, Emit)]
    world.gateway.outbox.clear()
    world.call(one)
    (invoke,) = world.invoked()
    world.gateway.disconnected(one, None, 1.0)
    *_, closed = [effect for effect in world.gateway.outbox if isinstance(effect, Emit)]
    assert opened.caller is invoke.caller is closed.caller


def test_an_exchange_that_opens_is_not_told_to_nobody() -> None:
    world = World()
    world.gateway._shared.exchanges_told = False
    one = world.gateway.connect(Peer("http"), 0.0)
    assert world.gateway.outbox == []
    assert world.gateway._connections.records[one].admitted


def test_a_peer_on_a_socket_of_ours_is_not_counted_again() -> None:
    world = World(max_connections=1)
    socket = world.gateway.accepted(HERE, 0.0)
    one = world.gateway.connect(Peer("websocket", HERE, socket), 0.0)
    assert world.gateway.outbox[0] == Accept(one)


def client(host: str) -> Address:
    return Address(host, proxy="192.0.2.1")


@pytest.mark.parametrize(("limit", "value"), [("max_connections_per_address", 2), ("accept_rate_per_address", 2.0)])
def test_clients_behind_a_proxy_may_fill_their_limit_and_one_more_is_refused(limit: str, value: float) -> None:
    world = World(**{limit: value})
    for number in range(1, 4):
        socket = world.gateway.accepted(HERE, 0.0, trusted=True)
        connection = world.gateway.connect(Peer("websocket", client("192.0.2.9"), socket), 0.0)
        effects = [effect for effect in world.gateway.outbox if not isinstance(effect, Emit)]
        wanted = Accept(connection) if number < 3 else Disconnect(connection, CLOSE_REASONS[limit])
        assert effects[-1:] == [wanted]
    assert breached(world) == [(limit, None, True)]
    last = world.gateway.accepted(HERE, 0.0, trusted=True)
    other = world.gateway.connect(Peer("websocket", client("192.0.2.8"), last), 0.0)
    assert Accept(other) in world.gateway.outbox


def test_a_client_that_has_arrived_is_counted_once_and_judged_once() -> None:
    world = World(max_connections_per_address=1, accept_rate_per_address=1.0)
    sockets = [world.gateway.accepted(HERE, 0.0, trusted=True) for _ in range(2)]
    assert [world.gateway.arrived(socket, client("192.0.2.9"), 0.0) for socket in sockets if socket] == [True, False]
    assert breached(world) == [
        ("max_connections_per_address", None, True),
    ]
    connection = world.gateway.connect(Peer("websocket", client("192.0.2.9"), sockets[0]), 0.0)
    assert Accept(connection) in world.gateway.outbox
    assert world.gateway._connections.by_address == {"192.0.2.9": 1}
    world.gateway.disconnected(connection, None, 0.0)
    assert world.gateway._connections.by_address == {}


def test_a_client_that_is_only_observed_is_counted() -> None:
    world = World(max_connections_per_address=1, observe=["max_connections_per_address"])
    for _ in range(2):
        socket = world.gateway.accepted(HERE, 0.0, trusted=True)
        assert socket is not None
        assert world.gateway.arrived(socket, client("192.0.2.9"), 0.0)
    assert breached(world) == [("max_connections_per_address", None, False)]
    assert world.gateway._connections.by_address == {"192.0.2.9": 2}


def test_without_limits_per_address_no_client_of_a_proxy_is_counted() -> None:
    world = World()
    socket = world.gateway.accepted(HERE, 0.0, trusted=True)
    assert socket is not None
    assert world.gateway.arrived(socket, client("192.0.2.9"), 0.0)
    world.gateway.connect(Peer("websocket", client("192.0.2.9"), socket), 0.0)
    assert world.gateway._connections.by_address == {}


def test_a_client_of_a_host_that_owns_the_sockets_is_not_counted() -> None:
    world = World(max_connections_per_address=1)
    for _ in range(2):
        connection = world.gateway.connect(Peer("websocket", client("192.0.2.9")), 0.0)
        assert Accept(connection) in world.gateway.outbox


def test_a_client_that_a_limit_per_user_refuses_is_counted_until_it_is_gone() -> None:
    world = World(max_connections_per_address=5, max_connections_per_user=1)
    world.connect(user="ada")
    socket = world.gateway.accepted(HERE, 0.0, trusted=True)
    peer = Peer("websocket", client("192.0.2.9"), socket, identity=Identity("ada"))
    refused = world.gateway.connect(peer, 0.0)
    assert world.gateway._connections.by_address == {"192.0.2.9": 1}
    world.gateway.disconnected(refused, None, 0.0)
    assert world.gateway._connections.by_address == {}


def test_an_arrival_on_a_socket_that_is_closed_changes_nothing_and_on_an_unknown_one_is_misuse() -> None:
    world = World(max_connections_per_address=1)
    socket = world.gateway.accepted(HERE, 0.0, trusted=True)
    assert socket is not None
    world.gateway.released(socket, 0.0)
    assert world.gateway.arrived(socket, client("192.0.2.9"), 0.0)
    assert world.gateway._connections.by_address == {}
    with pytest.raises(UsageError, match="socket 7 never existed"):
        world.gateway.arrived(SocketId(7), client("192.0.2.9"), 0.0)


def test_a_peer_whose_identity_expires_has_a_deadline_for_it_if_its_connection_lasts() -> None:
    world = World()
    identity = Identity("ada", expires_at=WALL + 100.0)
    one = world.gateway.connect(Peer("websocket", identity=identity), 0.0)
    world.gateway.connect(Peer("http", identity=identity), 0.0)
    world.gateway.connect(Peer("websocket", identity=Identity("ada")), 0.0)
    assert list(world.gateway._expiry.records) == [one]


def test_an_exchange_that_comes_ahead_of_its_text_is_accepted_and_another_one_is_answered_alone() -> None:
    world = World()
    openings = world.gateway._openings
    one = openings.connect(Peer("http", HERE), 0.0, draining=False, ahead=True)
    two = openings.connect(Peer("http", HERE), 0.0, draining=False)
    record = world.gateway._connections.records[
        openings.connect(Peer("http", HERE), 0.0, draining=False, unverified=True)
    ]
    openings.admit(record, Identity("ada"), 0.0, draining=False, ahead=True)
    assert [effect for effect in world.take() if isinstance(effect, Accept)] == [Accept(one), Accept(record.id)]
    assert world.gateway._connections.records[two].admitted


def test_an_exchange_that_comes_ahead_is_accepted_although_nobody_is_told_of_exchanges() -> None:
    world = World()
    world.gateway._shared.exchanges_told = False
    one = world.gateway._openings.connect(Peer("http", HERE), 0.0, draining=False, ahead=True)
    assert world.gateway.outbox == [Accept(one)]
