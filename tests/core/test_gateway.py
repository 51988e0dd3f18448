"""The gateway's inputs: what each does, what is misuse, and that nobody comes in while another is inside."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Struct
from posthouse.core.gateway import Gateway
from posthouse.core.operations.operations import Refused
from posthouse.core.service.service import Service
from posthouse.core.values.close_reasons import AUTHENTICATION_FAILED
from posthouse.core.values.config import Config
from posthouse.core.values.effects import (
    Accept,
    Answer,
    Disconnect,
    Drained,
    Emit,
    PauseReading,
    ResumeReading,
    Transmit,
)
from posthouse.core.values.errors import RpcError, UsageError
from posthouse.core.values.lifecycle import CallFailed, ConnectionOpened, LimitBreached
from posthouse.core.values.peers import (
    ANONYMOUS,
    Address,
    Caller,
    CallId,
    ConnectionId,
    OperationId,
    OutgoingId,
    Peer,
    SocketId,
)
from posthouse.core.values.timers import SUSPENDED
from pydantic import BaseModel, field_serializer

from tests.core.identity.credentials import AuthWorld
from tests.core.world import WALL, World, internal, request, result, service

NEVER = 99

INPUTS: dict[str, Callable[[Gateway], object]] = {
    "accepted": lambda gateway: gateway.accepted(Address(), 0.0),
    "head_read": lambda gateway: gateway.head_read(SocketId(1), 0.0),
    "arrived": lambda gateway: gateway.arrived(SocketId(1), Address(), 0.0),
    "released": lambda gateway: gateway.released(SocketId(1), 0.0),
    "connect": lambda gateway: gateway.connect(Peer("websocket"), 0.0),
    "receive": lambda gateway: gateway.receive(ConnectionId(1), b"{}", 0.0),
    "heard": lambda gateway: gateway.heard(ConnectionId(1), 0.0),
    "report_held": lambda gateway: gateway.report_held(ConnectionId(1), 1, 0.0),
    "report_sent": lambda gateway: gateway.report_sent(ConnectionId(1), 1, 0.0),
    "report_buffered": lambda gateway: gateway.report_buffered(1, 0.0),
    "disconnected": lambda gateway: gateway.disconnected(ConnectionId(1), None, 0.0),
    "complete": lambda gateway: gateway.complete(CallId(1), None, 0.0),
    "fail": lambda gateway: gateway.fail(CallId(1), RpcError(), 0.0),
    "conclude": lambda gateway: gateway.conclude(OperationId(1), Refused(), 0.0),
    "revoke": lambda gateway: gateway.revoke("ada", 0.0),
    "notify": lambda gateway: gateway.notify(ConnectionId(1), "m", None, 0.0),
    "progress": lambda gateway: gateway.progress(CallId(1), 0.5, 0.0),
    "request": lambda gateway: gateway.request(ConnectionId(1), "m", None, 0.0, timeout=1.0),
    "abandon": lambda gateway: gateway.abandon(OutgoingId(1), 0.0),
    "broadcast": lambda gateway: gateway.broadcast("m", None, 0.0),
    "shut_down": lambda gateway: gateway.shut_down(0.0),
    "set_wall": lambda gateway: gateway.set_wall(0.0, 0.0),
    "handle_timeout": lambda gateway: gateway.handle_timeout(0.0),
}
LOOK_UPS = ("accepting", "busy", "draining", "health", "measurements", "memory", "next_timeout", "stats")


def test_every_input_takes_the_time() -> None:
    public = {name for name in vars(Gateway) if not name.startswith("_")}
    assert public == {*INPUTS, *LOOK_UPS}
    for name in INPUTS:
        assert "now" in inspect.signature(getattr(Gateway, name)).parameters


SIGNATURES = {
    "accepted": "(self, address: 'Address', now: 'float', *, trusted: 'bool' = False) -> 'SocketId | None'",
    "arrived": "(self, socket: 'SocketId', address: 'Address', now: 'float') -> 'bool'",
    "released": "(self, socket: 'SocketId', now: 'float') -> 'None'",
    "connect": "(self, peer: 'Peer', now: 'float', *, credentials: 'object' = None, ahead: 'bool' = False)"
    " -> 'ConnectionId'",
    "receive": "(self, connection: 'ConnectionId', data: 'bytes', now: 'float') -> 'None'",
    "heard": "(self, connection: 'ConnectionId', now: 'float') -> 'None'",
    "report_held": "(self, connection: 'ConnectionId', size: 'int', now: 'float') -> 'None'",
    "report_sent": "(self, connection: 'ConnectionId', size: 'int', now: 'float') -> 'None'",
    "disconnected": "(self, connection: 'ConnectionId', code: 'int | None', now: 'float', *, "
    "reason: 'str | None' = None) -> 'None'",
    "complete": "(self, call: 'CallId', result: 'object', now: 'float') -> 'bool'",
    "fail": "(self, call: 'CallId', error: 'RpcError', now: 'float') -> 'bool'",
    "conclude": "(self, operation: 'OperationId', outcome: 'object', now: 'float') -> 'bool'",
    "revoke": "(self, user: 'str', now: 'float', *, namespace: 'str' = '', not_before: 'float | None' = None) -> 'int'",
    "notify": "(self, to: 'ConnectionId', method: 'str', params: 'object', now: 'float', *, "
    "after: 'CallId | None' = None) -> 'bool'",
    "progress": "(self, call: 'CallId', value: 'object', now: 'float') -> 'bool'",
    "abandon": "(self, request: 'OutgoingId', now: 'float') -> 'None'",
    "shut_down": "(self, now: 'float', *, grace: 'float | None' = None) -> 'None'",
    "set_wall": "(self, unix: 'float', now: 'float') -> 'None'",
    "handle_timeout": "(self, now: 'float') -> 'None'",
    "health": "(self, now: 'float') -> 'Health'",
    "measurements": "(self) -> 'Measurements'",
    "next_timeout": "(self) -> 'float | None'",
}


def test_the_signatures_of_the_inputs_are_stable() -> None:
    assert {name: str(inspect.signature(getattr(Gateway, name))) for name in SIGNATURES} == SIGNATURES


# One at a time


class Spied(BaseModel):
    """A value whose conversion runs a user's code."""

    value: int = 0

    @field_serializer("value")
    def _serialize(self, value: int) -> int:
        spy()
        return value


class Checked(Struct):
    """A parameter whose check runs a user's code."""

    def __post_init__(self) -> None:
        spy()


def spy() -> None:
    """User code whose behaviour each test sets."""


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_called_from_inside_another_is_misuse_and_changes_nothing(name: str, monkeypatch: Any) -> None:
    offered = service()
    offered.method("check")(_check)
    world = World(offered)
    gateway = world.gateway
    assert gateway.accepted(Address(), 0.0) == 1
    one = world.connect()
    call = world.begin(one, progress_token=1)
    failing = world.begin(one, id=3)
    gateway.request(one, "ask", None, 0.0, timeout=1.0)
    refused: list[str] = []

    def back() -> None:
        before = gateway.outbox.copy(), gateway.health(0.0)
        try:
            INPUTS[name](gateway)
        except UsageError as error:
            refused.append(str(error))
        assert before == (gateway.outbox, gateway.health(0.0))

    monkeypatch.setitem(globals(), "spy", back)
    gateway.notify(one, "m", [Spied()], 0.0)
    gateway.broadcast("m", [Spied()], 0.0)
    gateway.progress(call, Spied(), 0.0)
    gateway.request(one, "m", [Spied()], 0.0, timeout=1.0)
    world.call(one, "check", [{}], id=2)
    world.complete(call, Spied())
    world.fail(failing, RpcError(data=Spied()))
    assert refused == ["an input was called from inside another input: call it after the other one returns"] * 7
    monkeypatch.undo()
    world.take()
    world.begin(one)


def _check(value: Checked) -> None:
    raise NotImplementedError


def test_params_that_cannot_be_encoded_are_misuse_and_leave_the_gateway_as_it_was() -> None:
    world = World()
    one = world.connect()
    with pytest.raises(UsageError):
        world.gateway.notify(one, "m", [object()], 0.0)
    with pytest.raises(UsageError):
        world.gateway.broadcast("m", [object()], 0.0)
    assert world.take() == []
    world.begin(one)


# Sockets


def test_a_socket_is_open_from_its_acceptance_to_its_release() -> None:
    world = World(max_in_head=1)
    socket = world.gateway.accepted(Address(), 0.0)
    assert socket == 1
    assert world.gateway.accepted(Address(), 0.0) is None
    world.gateway.head_read(socket, 0.0)
    second = world.gateway.accepted(Address(), 0.0)
    assert second == 2
    assert world.gateway.health(0.0).sockets == 2
    for _ in range(2):
        world.gateway.released(socket, 0.0)
        world.gateway.head_read(socket, 0.0)
    assert world.gateway.health(0.0).sockets == 1


def test_connecting_through_a_released_socket_is_misuse() -> None:
    world = World()
    socket = world.gateway.accepted(Address(), 0.0)
    assert socket is not None
    world.gateway.released(socket, 0.0)
    with pytest.raises(UsageError, match="socket 1 was released"):
        world.gateway.connect(Peer("websocket", socket=socket), 0.0)
    assert world.take() == []


TCP: Any = "tcp"


@pytest.mark.parametrize(
    ("misuse", "sentence"),
    [
        (lambda gateway: gateway.accepted(("192.0.2.1", 5), 0.0), r"the address is .*: give an Address"),
        (lambda gateway: gateway.connect(("192.0.2.1", 5), 0.0), r"the peer is .*: give a Peer"),
        (lambda gateway: gateway.connect(Peer(TCP), 0.0), "unknown kind 'tcp': the kinds are websocket, http, cli"),
        (lambda gateway: gateway.handle_timeout(float("nan")), "now is nan: it must be a finite number of seconds"),
        (lambda gateway: gateway.handle_timeout(float("inf")), "now is inf: it must be a finite number of seconds"),
    ],
)
def test_invalid_arguments_are_misuse_and_change_nothing(misuse: Callable[[Any], object], sentence: str) -> None:
    world = World()
    with pytest.raises(UsageError, match=sentence):
        misuse(world.gateway)
    assert (world.take(), world.gateway.health(0.0).sockets, world.gateway.health(0.0).connections) == ([], 0, 0)


NEVER_WAS: list[tuple[str, Callable[[Gateway], object]]] = [
    ("socket", lambda gateway: gateway.head_read(SocketId(NEVER), 0.0)),
    ("socket", lambda gateway: gateway.released(SocketId(NEVER), 0.0)),
    ("socket", lambda gateway: gateway.connect(Peer("http", socket=SocketId(NEVER)), 0.0)),
    ("connection", lambda gateway: gateway.receive(ConnectionId(NEVER), b"{}", 0.0)),
    ("connection", lambda gateway: gateway.heard(ConnectionId(NEVER), 0.0)),
    ("connection", lambda gateway: gateway.report_held(ConnectionId(NEVER), 1, 0.0)),
    ("connection", lambda gateway: gateway.report_sent(ConnectionId(NEVER), 1, 0.0)),
    ("connection", lambda gateway: gateway.disconnected(ConnectionId(NEVER), None, 0.0)),
    ("connection", lambda gateway: gateway.notify(ConnectionId(NEVER), "m", None, 0.0)),
    ("call", lambda gateway: gateway.complete(CallId(NEVER), None, 0.0)),
    ("call", lambda gateway: gateway.fail(CallId(NEVER), RpcError(), 0.0)),
    ("call", lambda gateway: gateway.progress(CallId(NEVER), 0.5, 0.0)),
    ("request", lambda gateway: gateway.abandon(OutgoingId(NEVER), 0.0)),
]


@pytest.mark.parametrize(("what", "name_it"), NEVER_WAS)
def test_naming_an_id_that_never_existed_is_misuse(what: str, name_it: Callable[[Gateway], object]) -> None:
    world = World()
    world.connect()
    with pytest.raises(UsageError, match=f"{what} {NEVER} never existed"):
        name_it(world.gateway)
    assert world.take() == []


def test_row_47_inputs_for_ended_calls_and_connections_are_harmless() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one, progress_token=1)
    asked = world.gateway.request(one, "ask", None, 0.0, timeout=1.0)
    world.gateway.disconnected(one, None, 0.0)
    world.complete(call)
    world.gateway.outbox.clear()
    gateway = world.gateway
    gateway.receive(one, b"{", 0.0)
    gateway.heard(one, 0.0)
    gateway.report_held(one, 1, 0.0)
    gateway.report_sent(one, 1, 0.0)
    gateway.disconnected(one, 1000, 0.0)
    gateway.abandon(asked, 0.0)
    assert not gateway.complete(call, None, 0.0)
    assert not gateway.fail(call, RpcError(), 0.0)
    assert not gateway.progress(call, 1.0, 0.0)
    assert not gateway.notify(one, "m", None, 0.0)
    assert gateway.outbox == []


# Connections


@pytest.mark.parametrize("kind", ["websocket", "cli"])
def test_an_admitted_connection_is_accepted_and_then_reported(kind: Any) -> None:
    world = World()
    one = world.gateway.connect(Peer(kind), 3.0)
    opened = ConnectionOpened(one, "000000000000000000000001", kind, Address(), None, 3.0)
    caller = Caller(one, "000000000000000000000001", Peer(kind), ANONYMOUS)
    assert world.gateway.outbox == [Accept(one), Emit(opened, caller)]


def test_an_http_exchange_gets_no_accept() -> None:
    world = World()
    one = world.gateway.connect(Peer("http"), 0.0)
    assert world.take() == []
    world.call(one, "connection.ping")
    (answer,) = world.take()
    assert isinstance(answer, Answer)
    world.call(one, "connection.ping", id=2)
    assert world.take() == []


def test_a_second_text_of_an_http_exchange_before_its_answer_is_misuse() -> None:
    world = World()
    one = world.connect("http")
    call = world.begin(one)
    with pytest.raises(UsageError, match="it has already received its one text"):
        world.call(one, id=2)
    assert world.take() == []
    world.complete(call)
    assert world.codes() == [None]
    world.gateway.disconnected(one, None, 0.0)
    gone = world.connect("http")
    world.call(gone)
    world.gateway.disconnected(gone, None, 0.0)
    world.call(gone)
    assert world.closes() == []


def test_without_sockets_connections_may_fill_the_limit() -> None:
    world = World(max_connections=2)
    for _ in range(2):
        world.connect()
    assert world.gateway.health(0.0).status == "degraded"
    third = world.gateway.connect(Peer("websocket"), 0.0)
    assert world.closes() == [(third, 1013, True)]
    world.gateway.receive(third, b"{", 0.0)
    assert world.take() == []


def test_after_a_disconnect_only_disconnected_has_an_effect() -> None:
    world = World(max_bad_messages=1)
    one = world.connect()
    for _ in range(2):
        world.receive(one, b"{")
    world.gateway.outbox.clear()
    world.receive(one, b"{")
    world.gateway.heard(one, 0.0)
    world.gateway.report_held(one, 5, 0.0)
    world.gateway.report_sent(one, 500, 0.0)
    assert world.take() == []
    world.gateway.disconnected(one, None, 0.0)
    assert len(world.take_events()) == 1


def test_an_observed_limit_admits_and_reports() -> None:
    world = World(max_connections_per_address=1, observe=["max_connections_per_address"])
    here = Address("192.0.2.1")
    assert [world.gateway.accepted(here, 0.0) for _ in range(2)] == [1, 2]
    assert world.take_events() == [LimitBreached("max_connections_per_address", None, here, False, 0.0)]


@pytest.mark.parametrize("grace", [-0.1, float("nan")])
def test_a_negative_or_nan_grace_is_misuse(grace: float) -> None:
    world = World()
    with pytest.raises(UsageError, match="grace"):
        world.gateway.shut_down(0.0, grace=grace)
    assert not world.gateway.draining


def test_in_a_shut_down_new_connections_are_refused_and_http_is_answered() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one)
    world.gateway.shut_down(0.0)
    world.gateway.shut_down(0.0)
    world.at(0.0)
    world.take()
    assert (world.gateway.draining, world.gateway.accepting) == (True, False)
    assert world.gateway.accepted(Address(), 0.0) is None
    refused = world.gateway.connect(Peer("cli"), 0.0)
    assert world.closes() == [(refused, 1012, True)]
    http = world.connect("http")
    world.call(http)
    assert world.codes() == [-32050]
    for connection in (one, refused, http):
        world.gateway.disconnected(connection, None, 0.0)
    assert Drained() not in world.take()
    assert not world.complete(call)
    assert world.take() == [Drained()]


def test_row_59_held_bytes_above_the_budget_refuse_and_close_connections() -> None:
    world = World(memory_budget=10)
    one = world.connect()
    world.gateway.report_buffered(11, 0.0)
    assert world.closes() == [(one, 1013, False)]
    refused = world.gateway.connect(Peer("websocket"), 0.0)
    assert world.closes() == [(refused, 1013, True)]


# Outcomes


def test_an_error_of_a_handler_is_answered_and_an_internal_one_is_reported() -> None:
    world = World()
    one = world.connect()
    meant, unexpected = world.begin(one, id=1), world.begin(one, id=2)
    assert world.fail(meant, RpcError(5))
    assert world.codes() == [5]
    assert world.fail(unexpected, internal("abc"))
    (event,) = world.take_events()
    assert isinstance(event, CallFailed)
    assert (event.call, event.incident) == (unexpected, "abc")


def test_a_request_is_sent_and_has_one_outcome() -> None:
    world = World()
    one = world.connect()
    asked = world.gateway.request(one, "ask", None, 0.0, timeout=1.0)
    assert world.said() == [{"jsonrpc": "2.0", "method": "ask", "id": 1}]
    world.at(1.0)
    assert [resolve.request for resolve in world.resolved()] == [asked]
    world.gateway.disconnected(one, None, 1.0)
    late = world.gateway.request(one, "ask", None, 1.0, timeout=1.0)
    assert [resolve.request for resolve in world.resolved()] == [late]
    with pytest.raises(UsageError, match="must be above 0 seconds"):
        world.gateway.request(one, "ask", None, 1.0, timeout=0.0)


# Flow


def test_a_push_that_is_too_old_when_bytes_are_sent_closes() -> None:
    world = World(max_push_age=1.0)
    one = world.connect()
    world.gateway.report_held(one, 10, 0.0)
    world.gateway.notify(one, "m", None, 0.0)
    world.take()
    world.gateway.report_sent(one, 5, 1.001)
    assert world.closes() == [(one, 4100, False)]


def test_a_peer_is_not_read_from_while_anything_is_held() -> None:
    world = World()
    one = world.connect()
    gateway = world.gateway
    gateway.report_held(one, 10, 0.0)
    world.call(one, "connection.ping", id=1)
    assert world.take() == [PauseReading(one)]
    gateway.report_sent(one, 4, 0.0)
    assert world.take() == []
    gateway.report_sent(one, 6, 0.0)
    (reply,) = world.take()
    assert isinstance(reply, Transmit)
    assert reply.report
    assert gateway.memory == len(reply.data)
    gateway.report_sent(one, len(reply.data), 0.0)
    assert world.take() == [ResumeReading(one)]
    assert gateway.memory == 0


def test_reporting_more_sent_than_held_is_misuse_and_reporting_0_is_harmless() -> None:
    world = World()
    one = world.connect()
    for size in (0, -5):
        world.gateway.report_held(one, size, 0.0)
        world.gateway.report_sent(one, size, 0.0)
    assert world.take() == []
    world.gateway.report_held(one, 10, 0.0)
    with pytest.raises(UsageError, match="11 bytes are reported as sent: only 10 are held for connection 1"):
        world.gateway.report_sent(one, 11, 0.0)
    assert world.gateway.memory == 10


def test_bytes_held_by_codecs_count_as_memory() -> None:
    world = World()
    world.gateway.report_buffered(100, 0.0)
    world.gateway.report_buffered(60, 0.0)
    assert world.gateway.memory == world.gateway.health(0.0).memory == 60


# Progress


def test_progress_is_sent_to_callers_with_a_token_until_the_outcome() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one, progress_token="t")
    assert world.gateway.progress(call, {"fraction": 0.5}, 0.0)
    token = {"token": "t", "value": {"fraction": 0.5}}
    assert world.said() == [{"jsonrpc": "2.0", "method": "$/progress", "params": token}]
    world.receive(one, request("$/cancelRequest", {"id": 1}, None))
    world.take()
    assert not world.gateway.progress(call, {"fraction": 0.9}, 0.0)
    assert world.take() == []


def test_queued_progress_is_sent_before_the_answer() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one, progress_token=7)
    world.gateway.report_held(one, 1, 0.0)
    world.gateway.progress(call, 1, 0.0)
    world.complete(call)
    world.take()
    world.gateway.report_sent(one, 1, 0.0)
    assert [message.get("method") for message in world.said()] == ["$/progress", None]


def test_progress_is_not_sent_without_a_token_or_over_http() -> None:
    world = World(max_calls_per_connection=2)
    one, http = world.connect(), world.connect("http")
    silent = world.begin(one, id=1)
    assert not world.gateway.progress(silent, 1, 0.0)
    world.begin(one, "finish", id=2, progress_token=0)
    world.call(one, id=3, progress_token=1)
    over_http = world.begin(http, progress_token=1)
    assert not world.gateway.progress(CallId(3), 1, 0.0)
    assert not world.gateway.progress(over_http, 1, 0.0)
    world.gateway.disconnected(one, None, 0.0)
    assert not world.gateway.progress(CallId(2), 1, 0.0)


# Look-ups


def test_health_has_the_counts_and_the_time() -> None:
    world = World(max_calls_per_connection=1)
    one = world.connect()
    world.call(one, id=1)
    world.call(one, params=["x"], id=2)
    health = world.gateway.health(1.5)
    assert (health.status, health.timestamp) == ("healthy", WALL + 1.5)
    assert (health.connections, health.sockets, health.calls, health.waiting, health.memory) == (1, 0, 1, 1, 5)


def test_health_is_degraded_at_a_limit_and_draining_takes_precedence() -> None:
    for limits in ({"max_connections": 1}, {"max_calls": 1}, {"memory_budget": 1}):
        world = World(**limits)
        assert world.gateway.health(0.0).status == "healthy"
        one = world.connect()
        world.begin(one)
        world.gateway.report_buffered(2, 0.0)
        assert world.gateway.health(0.0).status == "degraded"
        world.gateway.shut_down(0.0)
        assert world.gateway.health(0.0).status == "draining"
    world = World(max_connections=1)
    world.gateway.accepted(Address(), 0.0)
    assert world.gateway.health(0.0).status == "degraded"


def test_row_49_only_timestamps_depend_on_the_wall_clock() -> None:
    world = World(call_timeout=30.0)
    one = world.connect()
    world.begin(one)
    world.gateway.set_wall(5_000_000.0, 10.0)
    world.now = 11.0
    world.call(one, "connection.ping", id=2)
    assert world.said()[0]["result"]["timestamp"] == 5_000_001.0
    assert world.gateway.next_timeout() == 30.0


def test_a_connection_is_busy_while_it_has_calls_or_unsent_bytes() -> None:
    world = World()
    one = world.connect()
    assert not world.gateway.busy(one)
    call = world.begin(one)
    assert world.gateway.busy(one)
    world.gateway.report_held(one, 1, 0.0)
    world.complete(call)
    assert world.gateway.busy(one)
    world.gateway.disconnected(one, None, 0.0)
    assert not world.gateway.busy(one)


def test_a_gateway_has_the_limits_that_it_was_given() -> None:
    config = Config(max_connections=5)
    gateway = Gateway(Service("s"), config, wall=0.0, entropy=bytes)
    assert gateway.config is config
    assert gateway.stats()["calls.made"] == 0


def test_a_gateway_without_a_config_has_the_defaults() -> None:
    assert Gateway(service(), wall=WALL, entropy=bytes).config == Config()


# After every input


def full(**limits: Any) -> tuple[World, ConnectionId, CallId, OutgoingId]:
    """Somebody with a call and a request in flight, whose socket takes nothing and whose pushes fill their number."""
    world = World(max_queued_pushes=1, **limits)
    one = world.connect()
    call = world.begin(one, progress_token="t")
    asked = world.gateway.request(one, "ask", None, 0.0, timeout=10.0)
    world.gateway.report_held(one, 1, 0.0)
    world.gateway.notify(one, "first", None, 0.0)
    world.take()
    return world, one, call, asked


@pytest.mark.parametrize(
    "push",
    [
        lambda gateway, one, call, asked: gateway.notify(one, "m", None, 0.0),
        lambda gateway, one, call, asked: gateway.progress(call, 0.5, 0.0),
        lambda gateway, one, call, asked: gateway.broadcast("m", None, 0.0),
        lambda gateway, one, call, asked: gateway.request(one, "ask", None, 0.0, timeout=1.0),
        lambda gateway, one, call, asked: gateway.abandon(asked, 0.0),
        lambda gateway, one, call, asked: gateway.shut_down(0.0),
    ],
)
def test_any_push_to_a_peer_with_a_full_queue_closes_it_at_once(push: Any) -> None:
    world, one, call, asked = full()
    push(world.gateway, one, call, asked)
    assert world.closes() == [(one, 4100, False)]


def test_a_peer_that_takes_no_bytes_is_closed_when_its_deadline_is_handled() -> None:
    world, one, _, _ = full(write_timeout=5.0)
    world.gateway.handle_timeout(5.0)
    assert world.closes() == [(one, 4100, False)]


def test_held_bytes_may_fill_the_budget_and_one_more_closes_the_idlest_connection() -> None:
    world = World(memory_budget=10)
    one = world.connect()
    world.gateway.report_held(one, 10, 0.0)
    assert (world.closes(), world.gateway.health(0.0).status) == ([], "healthy")
    two = world.gateway.connect(Peer("websocket"), 0.0)
    assert Accept(two) in world.take()
    world.gateway.report_held(two, 1, 0.0)
    assert world.closes() == [(one, 1013, False)]


def test_replies_that_wait_for_others_of_their_batch_count_as_memory() -> None:
    world = World()
    one = world.connect()
    world.receive(one, [request("connection.ping", id=1), request(id=2)])
    assert world.gateway.memory > 0


@pytest.mark.parametrize("last", ["socket", "connection", "returns", "raises"])
def test_a_shut_down_is_over_when_the_last_socket_is_closed(last: str) -> None:
    world = World(drain_spread=0.0)
    gateway = world.gateway
    socket = gateway.accepted(Address(), 0.0)
    assert socket is not None
    one = gateway.connect(Peer("websocket", socket=socket), 0.0)
    world.take()
    call = world.begin(one, "finish")
    gateway.shut_down(0.0)
    world.at(0.0)
    ends: dict[str, Callable[[], object]] = {
        "connection": lambda: gateway.disconnected(one, None, 0.0),
        "socket": lambda: gateway.released(socket, 0.0),
        "returns": lambda: gateway.complete(call, None, 0.0),
        "raises": lambda: gateway.fail(call, RpcError(), 0.0),
    }
    del ends["raises" if last == "returns" else "returns"]
    final = ends.pop(last)
    for end in ends.values():
        end()
    assert Drained() not in world.take()
    final()
    assert world.take()[-1:] == [Drained()]


def test_an_admitted_connection_is_counted_and_gets_heartbeats() -> None:
    world = World(heartbeat_interval=100.0, idle_timeout=1000.0)
    for number, sign in enumerate(("heard", "receive"), 1):
        one = world.connect()
        assert world.gateway.stats()["connections.opened"] == number
        first = world.gateway.next_timeout()
        assert first is not None
        world.now += 50.0
        if sign == "heard":
            world.gateway.heard(one, world.now)
        else:
            world.receive(one, result(1))
        world.at(first)
        assert world.take() == []
        assert world.gateway.next_timeout() == pytest.approx(first + 50.0)
        world.gateway.disconnected(one, None, world.now)


def test_after_a_pause_a_peer_has_the_full_time_to_answer_a_heartbeat() -> None:
    world = World(heartbeat_interval=25.0, heartbeat_timeout=10.0)
    one = world.connect()
    asked = world.gateway.next_timeout()
    assert asked is not None
    world.at(asked)
    world.gateway.report_held(one, 2, asked)
    world.gateway.report_sent(one, 1, asked + 4.0)
    assert world.gateway.next_timeout() == asked + 10.0
    world.gateway.report_sent(one, 1, asked + 5.0)
    assert world.gateway.next_timeout() == asked + 15.0


def test_complete_and_fail_return_whether_they_gave_the_outcome() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one, progress_token="t")
    gateway = world.gateway
    assert gateway.notify(one, "m", None, 0.0) is True
    assert gateway.progress(call, 0.5, 0.0) is True
    assert gateway.broadcast("m", None, 0.0) == 1
    assert gateway.complete(call, None, 0.0) is True
    assert gateway.complete(call, None, 0.0) is False


def test_an_outgoing_request_times_out_at_its_deadline_and_not_before() -> None:
    world = World()
    world.now = 100.0
    asked = world.gateway.request(world.connect(), "ask", None, 100.0, timeout=1.0)
    assert world.gateway.next_timeout() == 101.0
    world.at(100.999)
    assert world.resolved() == []
    world.at(101.0)
    assert [resolve.request for resolve in world.resolved()] == [asked]


@pytest.mark.parametrize("grace", [0.0, 0.5])
def test_a_grace_may_be_short_or_0_and_peers_are_told_to_reconnect_later(grace: float) -> None:
    world = World(drain_notice=0.0, drain_spread=2.0)
    one = world.connect()
    world.begin(one)
    world.gateway.shut_down(0.0, grace=grace)
    assert world.said(one) == [
        {"jsonrpc": "2.0", "method": "connection.draining", "params": {"reconnect_after_ms": 2000}}
    ]
    world.at(grace)
    assert world.codes(one) == [-32050]


# Deadlines


def test_with_nothing_to_wait_for_there_is_no_deadline() -> None:
    world = World()
    world.connect()
    assert world.gateway.next_timeout() is None
    world.gateway.handle_timeout(1e9)
    assert world.take() == []


def test_early_repeated_and_spurious_timeouts_are_harmless() -> None:
    world = World(call_timeout=30.0)
    one = world.connect()
    world.begin(one)
    for now in (0.0, 10.0, 29.999):
        world.gateway.handle_timeout(now)
        world.gateway.handle_timeout(now)
        assert world.gateway.next_timeout() == 30.0
    assert world.take() == []


def test_a_late_timeout_handles_all_due_deadlines_in_order() -> None:
    world = World(call_timeout=30.0)
    one = world.connect()
    for id, timeout in ((1, 3000), (2, 1000), (3, 2000), (4, 9000)):
        world.call(one, id=id, timeout_ms=timeout)
    world.take()
    world.gateway.handle_timeout(5.0)
    assert [reply["id"] for reply in world.said()] == [2, 3, 1]
    assert world.gateway.next_timeout() == 9.0


def test_deadlines_of_calls_and_of_outgoing_requests_share_one_order() -> None:
    world = World()
    one = world.connect()
    world.begin(one, timeout_ms=2000)
    world.gateway.request(one, "ask", None, 0.0, timeout=1.0)
    world.gateway.request(one, "ask", None, 0.0, timeout=3.0)
    world.take()
    order: list[tuple[float, str]] = []
    while (due := world.gateway.next_timeout()) is not None:
        world.at(due)
        order.append((due, type(world.take()[0]).__name__))
    assert order == [(1.0, "Resolve"), (2.0, "Cancel"), (3.0, "Resolve")]


def test_a_write_deadline_that_moved_is_armed_again() -> None:
    world = World(write_timeout=10.0)
    one = world.connect()
    world.gateway.report_held(one, 2, 0.0)
    world.gateway.report_sent(one, 1, 6.0)
    world.at(10.0)
    assert world.closes() == []
    assert world.gateway.next_timeout() == 16.0
    world.at(16.0)
    assert world.closes() == [(one, 4100, False)]


def test_a_suspension_does_not_extend_the_deadlines_of_calls_and_writes() -> None:
    world = World(call_timeout=30.0, write_timeout=10.0)
    one, two = world.connect(), world.connect()
    world.begin(one)
    world.gateway.report_held(two, 2, 0.0)
    world.take()
    world.sleep_until(1000.0)
    effects = world.gateway.outbox.copy()
    assert world.codes() == [-32030]
    world.gateway.outbox[:] = effects
    assert world.closes() == [(two, 4100, False)]


def test_heartbeats_and_idle_deadlines_are_armed_again_after_a_suspension() -> None:
    world = World(heartbeat_interval=25.0, heartbeat_timeout=10.0, idle_timeout=100.0)
    one = world.connect()
    announced = world.gateway.next_timeout()
    assert announced is not None
    world.at(announced)
    world.take()
    world.sleep_until(announced + 10.0 + SUSPENDED + 100.0)
    assert world.closes() == []
    due = world.gateway.next_timeout()
    assert due == world.now + 10.0
    world.at(due)
    assert world.closes() == [(one, 4101, False)]


@pytest.mark.parametrize(("late", "asleep"), [(5.0, False), (5.001, True)])
def test_more_than_five_seconds_late_is_a_suspension(late: float, asleep: bool) -> None:
    world = World(idle_timeout=100.0)
    one = world.connect()
    world.sleep_until(100.0 + late)
    assert world.closes() == ([] if asleep else [(one, 1000, True)])


def test_a_connection_that_fails_both_liveness_checks_at_once_is_closed_once() -> None:
    world = World(heartbeat_interval=25.0, heartbeat_timeout=10.0, idle_timeout=20.0)
    one = world.connect()
    world.at(20.0)
    assert world.closes() == [(one, 1000, True)]
    assert world.gateway.next_timeout() is None


def test_a_notification_may_follow_the_reply_of_a_call() -> None:
    world = World()
    one = world.connect()
    call = world.begin(one)
    assert world.gateway.notify(one, "event", None, 0.0, after=call)
    assert world.complete(call)
    assert world.said() == [result(), {"jsonrpc": "2.0", "method": "event"}]
    world.gateway.disconnected(one, None, 0.0)
    assert not world.gateway.notify(one, "event", None, 0.0, after=call)
    with pytest.raises(UsageError, match="call 7 never existed"):
        world.gateway.notify(one, "event", None, 0.0, after=CallId(7))


def test_an_operation_that_never_was_is_misuse_and_one_that_ended_is_not() -> None:
    world = AuthWorld()
    one = world.arrive()
    operation = world.asked().operation
    with pytest.raises(UsageError, match=r"^operation 2 never existed$"):
        world.conclude(OperationId(2), Refused())
    assert world.conclude(operation, Refused()) is True
    assert world.conclude(operation, Refused()) is False
    assert world.take() == [Disconnect(one, AUTHENTICATION_FAILED)]


def test_a_text_that_comes_before_its_connection_is_admitted_is_held() -> None:
    world = AuthWorld(memory_budget=100)
    one = world.arrive(kind="http")
    world.take()
    world.receive(one, b"x" * 100)
    assert world.gateway.memory == 100
    assert world.take() == []
