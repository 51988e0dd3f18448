"""Closing: for which reason and with which code, and every fact about a connection is dropped."""

from __future__ import annotations

from posthouse.core.connections.state import State
from posthouse.core.values.close_reasons import MAX_BAD_MESSAGES
from posthouse.core.values.effects import Answer, Cancel, Disconnect, Emit, Resolve, Transmit
from posthouse.core.values.lifecycle import CallCancelled, ConnectionClosed, ConnectionOpened, LimitBreached
from posthouse.core.values.peers import Address, Identity, Peer

from tests.core.identity.credentials import REFUSED, AuthWorld
from tests.core.world import World, breached

HERE = Address("192.0.2.1", 5000)


def test_a_breached_limit_closes_with_its_code_and_is_reported_and_counted() -> None:
    world = World(max_bad_messages=1)
    one = world.connect(address=HERE)
    world.receive(one, b"{")
    world.gateway.outbox.clear()
    world.now = 3.0
    world.receive(one, b"{")
    reply, told, disconnect = world.gateway.outbox
    assert isinstance(reply, Transmit)
    assert told == Emit(LimitBreached("max_bad_messages", one, HERE, True, 3.0))
    assert disconnect == Disconnect(one, MAX_BAD_MESSAGES, flush=True)
    assert world.gateway.stats()["limit.max_bad_messages"] == 1


def test_an_observed_limit_is_only_reported_and_counted() -> None:
    world = World(max_bad_messages=1, observe=["max_bad_messages"])
    one = world.connect()
    for _ in range(3):
        world.receive(one, b"{")
    assert breached(world) == [("max_bad_messages", one, False)] * 2
    assert world.gateway.stats()["limit.max_bad_messages.would_refuse"] == 2
    world.begin(one)


def test_a_connection_that_breaches_several_limits_is_closed_once() -> None:
    world = World(max_bad_messages=1, max_queued_replies_bytes=1)
    one = world.connect()
    world.receive(one, b"{")
    world.gateway.report_held(one, 1, 0.0)
    world.take()
    world.receive(one, b"{")
    assert world.closes() == [(one, 4100, False)]


def test_a_shut_down_is_not_reported_as_a_limit() -> None:
    world = World(drain_spread=0.0)
    one = world.connect()
    world.gateway.shut_down(0.0)
    world.at(0.0)
    refused = world.gateway.connect(Peer("websocket"), 0.0)
    effects = world.gateway.outbox.copy()
    assert breached(world) == []
    world.gateway.outbox[:] = effects
    assert world.closes() == [(one, 1012, True), (refused, 1012, True)]


def test_a_closing_connection_is_not_closed_again() -> None:
    world = World(max_bad_messages=1)
    one = world.connect()
    for _ in range(2):
        world.receive(one, b"{")
    world.gateway.shut_down(0.0)
    world.take()
    world.at(30.0)
    assert world.closes() == []
    world.gateway.disconnected(one, None, 30.0)
    assert world.gateway._connections.records == {}


def test_a_push_that_is_too_old_closes_when_bytes_are_sent() -> None:
    world = World(max_push_age=10.0)
    one = world.connect()
    world.gateway.report_held(one, 10, 0.0)
    world.gateway.notify(one, "news", None, 0.0)
    world.at(5.0)
    world.gateway.report_sent(one, 1, 5.0)
    world.at(10.001)
    world.take()
    world.gateway.report_sent(one, 1, 10.001)
    assert world.closes() == [(one, 4100, False)]


def test_a_peer_that_takes_no_bytes_is_closed_exactly_at_the_write_deadline() -> None:
    world = World(write_timeout=10.0)
    one = world.connect()
    world.gateway.report_held(one, 10, 0.0)
    world.take()
    world.at(4.0)
    world.gateway.report_sent(one, 1, 4.0)
    world.at(13.999)
    assert world.closes() == []
    world.at(14.0)
    assert world.closes() == [(one, 4100, False)]


def test_row_47_everything_that_a_closed_connection_has_is_settled_at_once() -> None:
    for close in ("we", "peer"):
        world = World(max_bad_messages=1, heartbeat_interval=25.0, idle_timeout=60.0, max_calls_per_connection=1)
        one = world.connect(user="ada")
        record = world.gateway._connections.records[one]
        call = world.begin(one, id=1)
        world.call(one, id=2)
        request = world.gateway.request(one, "ask", None, 0.0, timeout=10.0)
        world.gateway.report_held(one, 10, 0.0)
        world.receive(one, b"{")
        world.gateway.notify(one, "news", None, 0.0)
        world.gateway.outbox.clear()
        if close == "we":
            world.receive(one, b"{")
        else:
            world.gateway.disconnected(one, 1001, 0.0)
        effects = world.gateway.outbox.copy()
        told = [effect.event for effect in effects if isinstance(effect, Emit)]
        ended = [event for event in told if isinstance(event, CallCancelled)]
        assert [(event.call, event.reason) for event in ended] == [(1, "disconnected"), (2, "disconnected")]
        assert Cancel(call) in effects
        assert [effect.request for effect in effects if isinstance(effect, Resolve)] == [request]
        assert (world.gateway.memory, world.gateway.next_timeout()) == (0, None)
        health = world.gateway.health(0.0)
        assert (health.connections, health.waiting, health.calls) == (0, 0, 1)
        if close == "we":
            sent = [effect for effect in effects if isinstance(effect, Transmit)]
            assert len(sent) == 3  # the close is one that flushes: two errors and the news
            assert effects[-1] == Disconnect(one, MAX_BAD_MESSAGES)
            world.gateway.disconnected(one, 1001, 0.0)
        else:
            assert [effect for effect in effects if isinstance(effect, Transmit | Disconnect)] == []
        assert record.state is State.GONE
        assert world.gateway._connections.records == {}
        assert not world.complete(call)


def test_a_connection_that_closes_in_a_shut_down_leaves_no_farewell() -> None:
    world = World(drain_spread=5.0)
    connections = [world.connect() for _ in range(3)]
    world.gateway.shut_down(0.0)
    world.at(0.0)
    for connection in connections:
        world.gateway.disconnected(connection, None, 0.0)
    assert world.gateway.next_timeout() is None


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


def test_the_close_code_is_that_of_the_side_that_closed_first() -> None:
    world = World(max_bad_messages=1)
    one = world.connect()
    for _ in range(2):
        world.receive(one, b"{")
    world.take()
    world.gateway.disconnected(one, 1002, 0.0, reason="a rule of the protocol")
    (event,) = world.take_events()
    assert isinstance(event, ConnectionClosed)
    assert (event.code, event.reason) == (4400, "too many invalid messages")


def test_ends_are_counted_by_their_code_and_codes_of_the_peers_own_together() -> None:
    world = World(max_bad_messages=1)
    for code in (1000, 1015, 999, 1016, 3000, 4999, None):
        world.gateway.disconnected(world.connect(), code, 0.0)
    one, exchange = world.connect(), world.connect("http")
    for _ in range(2):
        world.receive(one, b"{")
    world.gateway.disconnected(one, 1002, 0.0)
    world.gateway.disconnected(exchange, None, 0.0)
    closes = {name: number for name, number in world.gateway.stats().items() if name.startswith("closes.")}
    assert closes == {"closes.1000": 1, "closes.1015": 1, "closes.4400": 1, "closes.none": 1, "closes.other": 4}


def test_a_connection_whose_peer_broke_a_rule_is_closed_with_a_reason() -> None:
    world = World()
    one = world.connect()
    world.take_events()
    world.gateway.disconnected(one, 1008, 0.0, reason="a rule of the protocol")
    (event,) = world.take_events()
    assert isinstance(event, ConnectionClosed)
    assert (event.code, event.reason) == (1008, "a rule of the protocol")


def test_an_exchange_that_was_answered_can_still_be_closed() -> None:
    world = World(write_timeout=10.0)
    one = world.connect("http")
    world.call(one, "connection.ping")
    (answer,) = world.take()
    assert isinstance(answer, Answer)
    world.gateway.report_held(one, 10, 0.0)
    world.at(10.0)
    assert world.closes() == [(one, 4100, False)]
    world.gateway.disconnected(one, None, 10.0)
    assert world.gateway._connections.records == {}


def test_a_connection_that_was_refused_is_forgotten_without_an_event() -> None:
    world = World(max_connections=1)
    world.connect()
    refused = world.gateway.connect(Peer("websocket"), 0.0)
    world.take()
    world.gateway.disconnected(refused, None, 0.0)
    assert world.gateway.outbox == []
    assert refused not in world.gateway._connections.records


def test_bytes_that_were_held_while_a_connection_was_verified_are_forgotten_when_it_is_refused() -> None:
    world = AuthWorld(write_timeout=10.0)
    one = world.arrive(kind="http")
    verify = world.asked()
    world.gateway.report_held(one, 10, 0.0)
    world.conclude(verify.operation, REFUSED)
    world.gateway.disconnected(one, None, 0.0)
    assert world.gateway.memory == 0
    world.take()
    world.at(10.0)
    assert world.closes() == []


def test_the_end_of_an_exchange_is_not_told_if_nobody_listens() -> None:
    world = World()
    world.gateway._shared.exchanges_told = False
    one = world.connect("http")
    world.call(one, "connection.ping")
    world.take()
    world.gateway.disconnected(one, None, 0.0)
    assert world.gateway.outbox == []
