"""Expiry: the notice, the end, the grace and the close; what a new identity or a jump of the clock changes."""

from __future__ import annotations

from typing import Any

from posthouse.core.identity.expiry import Expiring
from posthouse.core.values.effects import Answer, Cancel, Disconnect, Invoke, LimitMessages
from posthouse.core.values.lifecycle import AuthExpired
from posthouse.core.values.peers import Address, ConnectionId, Identity
from posthouse.core.values.timers import Timer

from tests.core.world import WALL, World, code_of
from tests.values import told_apart

from .credentials import AuthWorld

ADA = Identity("ada", expires_at=WALL + 100.0)
NOTICE = {"jsonrpc": "2.0", "method": "auth.expiring", "params": {"expires_at": WALL + 100.0}}


def refused(world: World, connection: ConnectionId, method: str = "echo", id: Any = 1) -> int | None:
    """The code with which a call is refused, None if it is not."""
    world.call(connection, method, {}, id)
    codes = [code_of(reply) for reply in world.said(connection)]
    return codes[0] if codes else None


def logged_in(world: AuthWorld, identity: Identity = ADA) -> ConnectionId:
    """A WebSocket that has logged in, with nothing in the outbox."""
    one = world.connect()
    log_in(world, one, identity)
    world.take()
    return one


def log_in(world: AuthWorld, connection: ConnectionId, identity: Identity, method: str = "auth.login") -> None:
    world.call(connection, method, {"method": "bearer", "token": repr(identity)[::-1]}, 90)
    world.conclude(world.asked().operation, identity)


def test_a_peer_is_told_before_its_identity_expires_refused_after_and_closed_behind_the_grace() -> None:
    world = World(auth_notice=60.0, auth_grace=10.0)
    one = world.connect(identity=ADA)
    world.at(39.999)
    assert world.said() == []
    world.at(40.0)
    assert world.said(one) == [NOTICE]
    world.at(99.999)
    assert refused(world, one) is None
    world.at(100.0)
    assert world.take_events() == [AuthExpired(one, f"{1:024x}", "websocket", Address(), "ada", "", 100.0)]
    assert refused(world, one) == -32022
    world.at(109.999)
    assert world.closes() == []
    world.at(110.0)
    assert world.closes() == [(one, 4401, True)]


def test_an_identity_that_does_not_expire_and_an_exchange_have_no_deadline() -> None:
    world = World()
    world.connect(identity=Identity("ada"))
    world.connect("http", identity=ADA)
    assert world.gateway.next_timeout() is None
    assert world.gateway._expiry.records == {}


def test_a_call_is_refused_although_the_deadline_has_not_been_handled() -> None:
    world = World()
    one = world.connect(identity=ADA)
    world.now = 100.0
    assert refused(world, one) == -32022
    assert refused(world, one, "private") == -32022
    assert refused(world, one, "connection.ping") == -32022
    assert refused(world, one, "missing") == -32601


def test_an_expired_peer_may_cancel_its_calls() -> None:
    world = World()
    one = world.connect(identity=ADA)
    call = world.begin(one, "echo", id="slow")
    world.now = 100.0
    world.call(one, "rpc.cancel", {"id": "slow"}, 2)
    assert Cancel(call) in world.gateway.outbox
    assert [code_of(reply) for reply in world.said()] == [-32800, None]


def test_a_call_that_runs_when_its_identity_expires_goes_on() -> None:
    world = World()
    one = world.connect(identity=ADA)
    call = world.begin(one, meta={"timeout_ms": 1})
    world.now = 29.0
    world.complete(call, 7)
    assert [reply["result"] for reply in world.said()] == [7]
    world.at(99.0)
    call = world.begin(one)
    world.at(105.0)
    world.take()
    world.complete(call, 8)
    assert [reply["result"] for reply in world.said()] == [8]


def test_a_call_that_waited_until_its_identity_expired_does_not_run() -> None:
    world = World(max_calls_per_connection=1, auth_notice=0.0)
    one = world.connect(identity=ADA)
    world.at(95.0)
    running = world.begin(one, id=1)
    world.call(one, "echo", {}, 2)
    world.call(one, "rpc.cancel", {"id": 9}, 3)
    world.take()
    world.at(101.0)
    world.complete(running, None)
    assert [(reply["id"], code_of(reply)) for reply in world.said()] == [(1, None), (2, -32022)]


def test_an_exchange_is_compared_when_its_call_is_admitted() -> None:
    world = World(max_calls_per_connection=1)
    one, two = (world.connect("http", identity=ADA) for _ in range(2))
    world.now = 99.0
    world.receive(one, [{"jsonrpc": "2.0", "method": "echo", "id": id} for id in (1, 2)])
    (invoke,) = world.invoked()
    world.now = 100.0
    world.call(two, "echo")
    (answer,) = world.take()
    assert isinstance(answer, Answer)
    assert answer.code == -32022
    world.complete(invoke.call, None)
    assert [[code_of(each) for each in reply] for reply in world.said(one)] == [[None, -32022]]


def test_no_notice_is_sent_if_there_is_no_time_for_it() -> None:
    world = World(auth_notice=0.0)
    one = world.connect(identity=ADA)
    assert world.gateway.next_timeout() == 100.0
    world.at(100.0)
    assert world.said(one) == []
    assert world.gateway.next_timeout() == 110.0


def test_an_identity_that_expires_soon_is_told_at_once_and_without_a_grace_it_is_closed_at_once() -> None:
    world = World(auth_notice=1000.0, auth_grace=0.0)
    world.now = 5.0
    one = world.connect(identity=ADA)
    assert world.gateway.next_timeout() == 5.0
    world.at(5.0)
    assert world.said(one) == [NOTICE]
    world.at(100.0)
    assert world.closes() == [(one, 4401, True)]


def test_an_identity_that_had_expired_before_still_has_a_grace() -> None:
    world = World()
    one = world.connect(identity=Identity("ada", expires_at=WALL - 1000.0))
    assert refused(world, one) == -32022
    world.at(0.0)
    assert [message["method"] for message in world.said(one)] == ["auth.expiring"]
    world.at(9.999)
    assert world.closes() == []
    world.at(10.0)
    assert world.closes() == [(one, 4401, True)]


def test_a_refresh_in_place_begins_anew() -> None:
    world = AuthWorld(auth_notice=60.0)
    one = logged_in(world)
    world.at(50.0)
    assert world.said(one) == [NOTICE]
    log_in(world, one, Identity("ada", expires_at=WALL + 300.0), "auth.refresh")
    world.take()
    world.at(239.0)
    assert (refused(world, one, "private"), world.closes()) == (None, [])
    world.at(240.0)
    assert [message["params"] for message in world.said(one)] == [{"expires_at": WALL + 300.0}]


def test_during_the_grace_a_client_may_refresh_log_in_and_log_out() -> None:
    for method, identity in (("auth.refresh", Identity("ada")), ("auth.login", Identity("bob"))):
        world = AuthWorld()
        one = logged_in(world)
        world.at(105.0)
        world.take()
        assert refused(world, one, "connection.info") == -32022
        log_in(world, one, identity, method)
        world.take()
        assert world.gateway.next_timeout() is None
        assert refused(world, one, "private") is None
    world = AuthWorld()
    one = logged_in(world)
    world.at(105.0)
    world.take()
    world.call(one, "auth.logout", {}, 2)
    assert [code_of(reply) for reply in world.said()] == [None]
    assert world.gateway.next_timeout() is None
    assert (refused(world, one), refused(world, one, "private", 2)) == (None, -32020)


def test_a_call_behind_a_refresh_runs_with_the_new_identity() -> None:
    world = AuthWorld()
    one = logged_in(world)
    world.at(105.0)
    world.take()
    world.call(one, "auth.refresh", {"method": "bearer", "token": "one"}, 2)
    operation = world.asked().operation
    world.call(one, "private", {}, 3)
    assert world.take() == []
    world.conclude(operation, Identity("ada", expires_at=WALL + 106.0))
    assert [effect.method.name for effect in world.take() if isinstance(effect, Invoke)] == ["private"]


def test_a_call_behind_a_refresh_that_is_refused_is_refused_as_expired() -> None:
    world = AuthWorld()
    one = logged_in(world)
    world.at(105.0)
    world.take()
    world.call(one, "auth.refresh", {"method": "bearer", "token": "one"}, 2)
    operation = world.asked().operation
    world.call(one, "echo", {}, 3)
    world.conclude(operation, Identity("bob"))
    assert [(reply["id"], code_of(reply)) for reply in world.said()] == [(2, -32021), (3, -32022)]


def test_a_refresh_without_an_answer_does_not_hold_up_the_end_of_the_grace() -> None:
    world = AuthWorld()
    one = logged_in(world)
    world.at(105.0)
    world.call(one, "auth.refresh", {"method": "bearer", "token": "one"}, 2)
    world.take()
    world.at(110.0)
    assert world.closes() == [(one, 4401, True)]
    assert world.gateway._verifications.records == {}


def test_a_connection_that_leaves_has_no_deadline() -> None:
    world = World()
    one = world.connect(identity=ADA)
    world.gateway.disconnected(one, None, 0.0)
    assert (world.gateway._expiry.records, world.gateway.next_timeout()) == ({}, None)


def test_a_jump_of_the_clock_moves_the_deadlines() -> None:
    world = World(auth_notice=0.0)
    one = world.connect(identity=ADA)
    world.gateway.set_wall(WALL + 50.0, 0.0)
    assert world.gateway.next_timeout() == 50.0
    world.gateway.set_wall(WALL + 500.0, 1.0)
    world.now = 1.0
    assert refused(world, one) == -32022
    assert world.gateway.next_timeout() == 1.0
    world.at(1.0)
    assert len(world.take_events()) == 1
    world.gateway.set_wall(WALL + 600.0, 2.0)
    assert world.gateway.next_timeout() == 11.0
    world.gateway.set_wall(WALL, 3.0)
    world.now = 3.0
    assert refused(world, one) is None
    assert world.gateway.next_timeout() == 33.0  # that of the call
    world.at(50.0)
    assert world.closes() == []
    world.at(103.0)
    assert refused(world, one) == -32022
    world.at(113.0)
    assert world.closes() == [(one, 4401, True)]


def test_a_peer_is_told_once_although_the_clock_jumps() -> None:
    world = World(auth_notice=60.0)
    one = world.connect(identity=ADA)
    world.at(40.0)
    assert world.said(one) == [NOTICE]
    world.gateway.set_wall(WALL, 41.0)
    world.at(140.999)
    assert world.said(one) == []
    assert world.gateway._expiry.records[one].expired is False
    world.at(141.0)
    assert world.gateway._expiry.records[one].expired is True


def test_a_deadline_in_the_past_does_not_look_like_a_suspended_process() -> None:
    world = World(heartbeat_interval=10.0, heartbeat_timeout=5.0, auth_notice=0.0, auth_grace=100.0)
    world.connect(identity=ADA)
    world.gateway.next_timeout()
    world.gateway.set_wall(WALL + 1000.0, 1.0)
    world.gateway.handle_timeout(1.0)
    assert world.gateway._shared.timers.suspended is False


def test_a_suspended_process_tells_everything_when_it_wakes() -> None:
    world = World()
    one = world.connect(identity=ADA)
    world.sleep_until(5000.0)
    assert [effect for effect in world.gateway.outbox if isinstance(effect, Disconnect)] == []
    assert [message["method"] for message in world.said(one)] == ["auth.expiring"]
    world.at(5009.999)
    assert world.closes() == []
    world.at(5010.0)
    assert world.closes() == [(one, 4401, True)]


def test_expired_identities_are_counted() -> None:
    world = World()
    world.connect(identity=ADA)
    assert "auth.expired" not in world.gateway.stats()
    world.at(100.0)
    assert world.gateway.stats()["auth.expired"] == 1


def test_a_record_is_equal_to_itself_alone() -> None:
    assert told_apart("posthouse.core.identity.expiry") == ["Expiring"]
    assert Expiring(Timer(1.0, 1, "identity", 1)).told is False


def test_where_authentication_is_required_messages_are_small_once_the_identity_has_expired() -> None:
    world = World(require_authentication=True)
    one = world.connect(identity=ADA)
    world.at(99.999)
    world.take()
    world.at(100.0)
    assert LimitMessages(one, False) in world.take()
    world.gateway.set_wall(WALL + 50.0, 100.0)
    assert world.take() == [LimitMessages(one, True)]
    world.gateway.set_wall(WALL + 60.0, 100.0)
    assert world.take() == []


def test_a_refresh_makes_messages_large_again() -> None:
    world = AuthWorld(require_authentication=True)
    one = logged_in(world)
    world.at(100.0)
    assert LimitMessages(one, False) in world.take()
    log_in(world, one, Identity("ada"), "auth.refresh")
    assert LimitMessages(one, True) in world.take()
