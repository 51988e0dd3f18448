"""The methods that every gateway answers itself, through a gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Cancel, Effect, Invoke, Multicast, Transmit
from posthouse.core.values.errors import FORBIDDEN, INVALID_PARAMS, UNAUTHENTICATED, UsageError
from posthouse.core.values.peers import ANONYMOUS, ConnectionId, Identity, Kind, Peer

from tests.values import changeable

ADMIN = Identity("root", ("admin", "broadcast"))
ADA = Identity("ada")
WALL = 1_700_000_000.0


class House:
    """A gateway with its connections, and what it hands out for each."""

    def __init__(self, service: Service | None = None) -> None:
        self.drawn = 0
        service = service or Service("s", public=True)
        service.method("work")(lambda: None)
        self.gateway = Gateway(service, Config(heartbeat_interval=None), wall=WALL, entropy=self.entropy)
        self.effects: list[Effect] = []

    def entropy(self, size: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(size, "big")

    def connect(self, identity: Identity = ANONYMOUS, kind: Kind = "websocket", now: float = 0.0) -> ConnectionId:
        connection = self.gateway.connect(Peer(kind, identity=identity), now)
        self.gateway.outbox.clear()
        return connection

    def receive(self, connection: ConnectionId, text: dict[str, Any], now: float = 0.0) -> None:
        self.gateway.receive(connection, json.dumps({"jsonrpc": "2.0", **text}).encode(), now)
        self.effects = list(self.gateway.outbox)
        self.gateway.outbox.clear()

    def call(self, connection: ConnectionId, method: str, params: Any = None, now: float = 0.0) -> Any:
        """The reply to a call: its result or its error."""
        text = {"method": method, "id": 1} if params is None else {"method": method, "id": 1, "params": params}
        self.receive(connection, text, now)
        reply = next(message for to, message in self.payloads() if to == connection and message.get("id") == 1)
        return reply["result"] if "result" in reply else reply["error"]

    def payloads(self) -> list[tuple[ConnectionId, Any]]:
        """What was handed out, in order."""
        found: list[tuple[ConnectionId, Any]] = []
        for effect in self.effects:
            if isinstance(effect, Transmit):
                found.append((effect.connection, json.loads(effect.data)))
            elif isinstance(effect, Multicast):
                found.extend((connection, json.loads(effect.data)) for connection in effect.connections)
        return found

    def received(self) -> list[tuple[ConnectionId, Any]]:
        """The messages of others that were handed out."""
        return [
            (to, payload["params"]) for to, payload in self.payloads() if payload.get("method") == "message.received"
        ]


def public_id(number: int) -> str:
    return number.to_bytes(12, "big").hex()


def test_ping_answers_with_the_time_and_the_caller_s_id() -> None:
    house = House()
    caller = house.connect()
    assert house.call(caller, "connection.ping", now=12.5) == {
        "pong": True,
        "timestamp": WALL + 12.5,
        "connection_id": public_id(1),
    }


def test_info_tells_callers_what_is_known_of_them() -> None:
    house = House()
    caller = house.connect(ADMIN, "cli", now=3.0)
    assert house.call(caller, "connection.info", now=9.0) == {
        "connection_id": public_id(1),
        "kind": "cli",
        "user": "root",
        "scopes": ["admin", "broadcast"],
        "opened_at": WALL + 3.0,
    }


def test_stats_count_connections_by_kind_users_and_calls() -> None:
    house = House()
    caller = house.connect(ADMIN)
    other = house.connect(ADA, "cli")
    house.connect(ADA, "http")
    house.receive(other, {"method": "work", "id": 7})
    assert house.call(caller, "connection.stats") == {
        "total": 3,
        "websocket": 1,
        "http": 1,
        "cli": 1,
        "users": 2,
        "calls": 1,
        "waiting": 0,
    }


@pytest.mark.parametrize(
    ("method", "identity", "code", "data"),
    [
        ("connection.stats", ANONYMOUS, UNAUTHENTICATED, {"requires": "authentication", "scopes": ["admin"]}),
        ("connection.stats", ADA, FORBIDDEN, {"scopes": ["admin"]}),
        ("message.send", ANONYMOUS, UNAUTHENTICATED, {"requires": "authentication"}),
        ("message.broadcast", ADA, FORBIDDEN, {"scopes": ["broadcast"]}),
    ],
)
def test_who_may_not_is_told_what_would_have_let_the_call_through(
    method: str, identity: Identity, code: int, data: dict[str, Any]
) -> None:
    house = House()
    error = house.call(house.connect(identity), method, {"data": 1})
    assert (error["code"], error["data"]) == (code, data)


def test_a_service_says_who_may_call_a_built_in_method() -> None:
    house = House(Service("s", builtin_scopes={"connection.ping": {"ping"}, "connection.stats": ()}))
    anonymous, ada = house.connect(), house.connect(ADA)
    assert house.call(anonymous, "connection.ping")["code"] == UNAUTHENTICATED
    assert house.call(ada, "connection.ping")["data"] == {"scopes": ["ping"]}
    assert house.call(anonymous, "connection.stats")["code"] == UNAUTHENTICATED
    assert house.call(ada, "connection.stats")["total"] == 2


def test_a_message_is_sent_to_one_connection_by_its_id() -> None:
    house = House()
    ada, other = house.connect(ADA), house.connect()
    assert house.call(ada, "message.send", {"to": {"connection": public_id(2)}, "data": [1]}) == {"delivered": 1}
    sender = {"connection": public_id(1), "user": "ada"}
    assert house.received() == [(other, {"from": sender, "data": [1]})]


def test_a_message_is_sent_to_every_connection_of_a_user() -> None:
    house = House()
    ada, root, root_too = house.connect(ADA), house.connect(ADMIN), house.connect(ADMIN, "cli")
    house.connect(ADMIN, "http")
    assert house.call(ada, "message.send", {"to": {"user": "root"}, "data": None}) == {"delivered": 2}
    assert [to for to, _ in house.received()] == [root, root_too]


@pytest.mark.parametrize("to", [{"connection": "nobody"}, {"user": "nobody"}])
def test_a_message_to_nobody_is_delivered_to_none(to: dict[str, str]) -> None:
    house = House()
    assert house.call(house.connect(ADA), "message.send", {"to": to, "data": 1}) == {"delivered": 0}


@pytest.mark.parametrize(
    "to", [{}, {"connection": "a", "user": "b"}, {"topic": "t"}, {"user": "b", "topic": "t"}, "root", None]
)
def test_a_message_has_exactly_one_target(to: Any) -> None:
    house = House()
    error = house.call(house.connect(ADA), "message.send", {"to": to, "data": 1})
    assert (error["code"], error["data"]["parameter"]) == (INVALID_PARAMS, "to")


def test_row_37_a_sender_is_who_its_connection_is_whatever_its_parameters_say() -> None:
    house = House()
    ada = house.connect(ADA)
    params = {"to": {"user": "ada"}, "data": 1, "from": {"user": "root"}}
    error = house.call(ada, "message.send", params)
    assert (error["code"], error["data"]) == (INVALID_PARAMS, {"parameter": "from", "reason": "unknown parameter"})
    assert house.received() == []


def test_a_broadcast_reaches_everybody_that_can_be_pushed_to_its_sender_too() -> None:
    house = House()
    root, ada = house.connect(ADMIN), house.connect(ADA, "cli")
    house.connect(ADA, "http")
    assert house.call(root, "message.broadcast", {"data": {"a": 1}}) == {"delivered": 2}
    sender = {"connection": public_id(1), "user": "root"}
    assert house.received() == [(root, {"from": sender, "data": {"a": 1}}), (ada, {"from": sender, "data": {"a": 1}})]


def test_a_broadcast_is_narrowed_to_kinds_and_users() -> None:
    house = House()
    root = house.connect(ADMIN)
    ada, ada_too = house.connect(ADA), house.connect(ADA, "cli")
    assert house.call(root, "message.broadcast", {"data": 1, "kinds": ["cli"]}) == {"delivered": 1}
    assert [to for to, _ in house.received()] == [ada_too]
    assert house.call(root, "message.broadcast", {"data": 1, "users": ["ada"]}) == {"delivered": 2}
    assert [to for to, _ in house.received()] == [ada, ada_too]
    error = house.call(root, "message.broadcast", {"data": 1, "kinds": ["pigeon"]})
    assert (error["code"], error["data"]["parameter"]) == (INVALID_PARAMS, "kinds")


@pytest.mark.parametrize("name", ["rpc.cancel", "$/cancelRequest"])
def test_a_call_is_cancelled_by_its_id_by_its_own_connection_alone(name: str) -> None:
    house = House()
    caller, stranger = house.connect(), house.connect()
    house.receive(caller, {"method": "work", "id": "x"})
    (invoke,) = (effect for effect in house.effects if isinstance(effect, Invoke))
    assert house.call(stranger, name, {"id": "x"}) == {"cancelled": False}
    assert house.call(caller, name, {"id": "x"}) == {"cancelled": True}
    assert Cancel(invoke.call) in house.effects
    assert house.call(caller, name, {"id": "x"}) == {"cancelled": False}


def test_discover_answers_with_the_service_as_a_document() -> None:
    service = Service("shop", public=True)
    house = House(service)
    found = house.call(house.connect(), "rpc.discover")
    assert (found["openrpc"], found["info"]["title"]) == ("1.4.1", "shop")
    assert [method["name"] for method in found["methods"]] == [
        "connection.info",
        "connection.ping",
        "connection.stats",
        "message.broadcast",
        "message.send",
        "rpc.cancel",
        "rpc.discover",
        "work",
    ]


def test_what_a_gateway_serves_can_no_longer_change() -> None:
    service = Service("s")
    House(service)
    with pytest.raises(UsageError, match="service 's' is served by a gateway: declare everything before that"):
        service.method("late")(lambda: None)


# What depends on the declarations alone


def test_a_service_is_described_once_however_many_gateways_serve_it() -> None:
    service = Service("described")
    assert service.document is None
    first = Gateway(service, wall=0.0, entropy=bytes)
    described = service.document
    assert described is not None
    second = Gateway(service, wall=0.0, entropy=bytes)
    assert service.document is described
    assert discovered(first) == discovered(second) == described


def test_gateways_answer_built_in_methods_from_their_own_tables() -> None:
    service = Service("counted", builtin_scopes={"connection.stats": ()})
    gateways = [Gateway(service, wall=0.0, entropy=bytes) for _ in range(2)]
    gateways[0].connect(Peer("cli"), 0.0)
    totals = [ask(gateway, "connection.stats")["total"] for gateway in gateways]
    assert totals == [2, 1]


def discovered(gateway: Gateway) -> Any:
    """What `rpc.discover` answers."""
    return ask(gateway, "rpc.discover")


def ask(gateway: Gateway, method: str) -> Any:
    """The result of a built-in method, for somebody."""
    caller = gateway.connect(Peer("cli", identity=Identity("ada")), 0.0)
    gateway.receive(caller, json.dumps({"jsonrpc": "2.0", "method": method, "id": 1}).encode(), 0.0)
    answers = [effect.data for effect in gateway.outbox if isinstance(effect, Transmit)]
    gateway.outbox.clear()
    return json.loads(answers[0])["result"]


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.dispatch.builtin") == []
