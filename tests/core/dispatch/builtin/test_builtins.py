"""All built-in methods: who may call them, and that each gateway has its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import BUILTINS, Service
from posthouse.core.values.effects import Transmit
from posthouse.core.values.errors import FORBIDDEN, UNAUTHENTICATED, UsageError
from posthouse.core.values.peers import ANONYMOUS, Identity, Peer

from tests.core.accounts import AccountWorld, Profile, accounted
from tests.core.dispatch.builtin.house import ADA, House
from tests.core.identity.credentials import ADA as ADA_OF_WORLD
from tests.core.identity.credentials import AuthWorld


@pytest.mark.parametrize(
    ("method", "identity", "code", "data"),
    [
        ("connection.stats", ANONYMOUS, UNAUTHENTICATED, {"requires": "authentication", "scopes": ["admin"]}),
        ("connection.stats", ADA, FORBIDDEN, {"scopes": ["admin"]}),
        ("message.send", ANONYMOUS, UNAUTHENTICATED, {"requires": "authentication"}),
        ("message.broadcast", ADA, FORBIDDEN, {"scopes": ["broadcast"]}),
    ],
)
def test_a_refused_caller_is_told_the_missing_scopes(
    method: str, identity: Identity, code: int, data: dict[str, Any]
) -> None:
    house = House()
    error = house.call(house.connect(identity), method, {"data": 1})
    assert (error["code"], error["data"]) == (code, data)


def test_a_service_sets_the_scopes_of_a_built_in_method() -> None:
    house = House(Service("s", builtin_scopes={"connection.ping": {"ping"}, "connection.stats": ()}))
    anonymous, ada = house.connect(), house.connect(ADA)
    assert house.call(anonymous, "connection.ping")["code"] == UNAUTHENTICATED
    assert house.call(ada, "connection.ping")["data"] == {"scopes": ["ping"]}
    assert house.call(anonymous, "connection.stats")["code"] == UNAUTHENTICATED
    assert house.call(ada, "connection.stats")["total"] == 2


def test_a_service_that_a_gateway_serves_cannot_change() -> None:
    service = Service("s")
    House(service)
    with pytest.raises(UsageError, match="service 's' is already served by a gateway: declare everything before that"):
        service.method("late")(lambda: None)


# Declarations


def test_a_service_is_described_once_for_all_its_gateways() -> None:
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
    """The answer of `rpc.discover`."""
    return ask(gateway, "rpc.discover")


def ask(gateway: Gateway, method: str) -> Any:
    """The result of a built-in method, for somebody."""
    caller = gateway.connect(Peer("cli", identity=Identity("ada")), 0.0)
    gateway.receive(caller, json.dumps({"jsonrpc": "2.0", "method": method, "id": 1}).encode(), 0.0)
    answers = [effect.data for effect in gateway.outbox if isinstance(effect, Transmit)]
    gateway.outbox.clear()
    return json.loads(answers[0])["result"]


def test_each_file_declares_its_methods_under_its_prefix_and_no_service_can_take_their_names() -> None:
    assert list(BUILTINS) == [
        "connection.ping",
        "connection.info",
        "connection.stats",
        "message.send",
        "message.broadcast",
        "rpc.cancel",
        "rpc.discover",
        "auth.login",
        "auth.refresh",
        "auth.logout",
        "session.create",
        "session.resume",
        "session.get",
        "session.update",
        "session.end",
        "session.list",
        "user.register",
        "user.me",
        "user.update",
        "user.password",
        "user.remove",
        "user.list",
        "user.disable",
        "user.scopes",
        "token.create",
        "token.list",
        "token.revoke",
        "topic.subscribe",
        "topic.unsubscribe",
        "topic.publish",
        "topic.history",
    ]
    for name in BUILTINS:
        with pytest.raises(UsageError, match="is taken: the gateway answers it itself"):
            Service("s").method(name)(lambda: None)


def test_methods_that_change_the_identity_run_as_calls_and_may_answer_later() -> None:
    world = AuthWorld()
    one = world.connect()
    builtins = world.gateway._dispatch._builtins
    changing = [method.name for method in builtins.methods.values() if method.changes]
    assert changing == ["auth.login", "auth.refresh", "auth.logout"]
    assert all(method.builtin for method in builtins.methods.values())
    world.call(one, "auth.login", {"method": "bearer", "token": "canary-token"}, 1)
    world.call(one, "connection.ping", {}, 2)
    world.conclude(world.asked().operation, ADA_OF_WORLD)
    assert [reply["id"] for reply in world.said()] == [1, 2]


def test_a_service_without_authenticators_has_no_methods_that_change_the_identity() -> None:
    house = House()
    assert not [method for method in house.gateway._dispatch._builtins.methods.values() if method.changes]
    assert "auth.login" not in house.gateway._dispatch._builtins.methods


def test_parameters_have_the_types_that_a_service_declares() -> None:
    world = AccountWorld(accounted(profile=Profile, sessions="on"))
    methods = world.gateway._dispatch._builtins.methods
    assert methods["user.register"].bind(b'["ada","pw",{"email":"x"}]')[0][2] == Profile("x")
    assert methods["user.update"].description == "Change the caller's profile."
    assert methods["session.create"].public
