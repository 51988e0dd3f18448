"""`auth.*`: what a log-in may say, and what it answers to anything else."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Verify
from posthouse.core.values.peers import Identity, OperationId

from tests.core.world import World, service


class Ticket(Struct, rename={"number": "no"}):
    number: int
    note: str = ""


class Fragile(Struct):
    number: int

    def __post_init__(self) -> None:
        raise KeyError(self.number)


def offered() -> Service:
    found = service()

    @found.authenticator("bearer", namespace="a")
    def bearer(credentials: Bearer) -> Identity | None:
        raise NotImplementedError

    @found.authenticator("basic", namespace="b")
    def basic(credentials: Basic) -> Identity | None:
        raise NotImplementedError

    @found.authenticator("fragile", namespace="d")
    def fragile(credentials: Fragile) -> Identity | None:
        raise NotImplementedError

    @found.authenticator("ticket", namespace="c")
    def ticket(credentials: Ticket) -> Identity | None:
        raise NotImplementedError

    return found


@pytest.mark.parametrize(
    ("params", "name", "credentials"),
    [
        ({"method": "bearer", "token": "x"}, "bearer", Bearer("x")),
        ({"method": "password", "user": "ada", "password": "x"}, "basic", Basic("ada", "x")),
        ({"method": "ticket", "no": 7}, "ticket", Ticket(7)),
    ],
)
def test_credentials_are_read_by_their_method(params: Any, name: str, credentials: object) -> None:
    world = World(offered())
    one = world.connect()
    world.call(one, "auth.login", params)
    (verify,) = world.take()
    assert isinstance(verify, Verify)
    assert (verify.authenticator.name, verify.credentials) == (name, credentials)


def test_credentials_of_a_method_of_ones_own_are_never_cached() -> None:
    world = World(offered())
    one = world.connect()
    for operation in (1, 2):
        world.call(one, "auth.login", {"method": "ticket", "no": 7}, operation)
        (verify,) = (effect for effect in world.take() if isinstance(effect, Verify))
        world.gateway.conclude(verify.operation, Identity("ada"), 0.0)
        world.take()
    assert not world.gateway._verifications.cache.records


@pytest.mark.parametrize(
    ("params", "data"),
    [
        ({"method": "basic"}, {"parameter": "method", "reason": "expected one of bearer, password, fragile, ticket"}),
        ({"method": "bearer", "token": "x", "user": "y"}, {"parameter": "user", "reason": "unknown parameter"}),
        ({"method": "bearer", "token": "x", "cookies": True}, {"parameter": "cookies", "reason": "unknown parameter"}),
        ({"method": "bearer"}, {"reason": "Object missing required field token"}),
        ({"method": "bearer", "token": 7}, {"reason": "Expected str, got int - at $.token"}),
        ({"method": "ticket", "number": 7}, {"parameter": "number", "reason": "unknown parameter"}),
        ({"method": "fragile", "number": 7}, {"reason": "the credentials are not valid"}),
    ],
)
def test_anything_else_is_refused_without_asking_anybody(params: Any, data: Any) -> None:
    world = World(offered())
    one = world.connect()
    world.call(one, "auth.login", params)
    (reply,) = world.said()
    assert (reply["error"]["code"], reply["error"]["data"]) == (-32602, data)


def test_only_methods_that_an_authenticator_reads_are_known() -> None:
    found = service()

    @found.authenticator("basic")
    def basic(credentials: Basic) -> Identity | None:
        raise NotImplementedError

    world = World(found)
    one = world.connect()
    world.call(one, "auth.login", {"method": "bearer", "token": "x"})
    (reply,) = world.said()
    assert reply["error"]["data"] == {"parameter": "method", "reason": "expected one of password"}


def test_known_credentials_are_answered_at_once_and_a_log_out_always_is() -> None:
    world = World(offered())
    one = world.connect()
    params = {"method": "bearer", "token": "x"}
    world.call(one, "auth.login", params, 1)
    world.take()
    world.gateway.conclude(OperationId(1), Identity("ada"), 0.0)
    world.take()
    for id, method, given in ((2, "auth.login", params), (3, "auth.refresh", params), (4, "auth.logout", {})):
        world.call(one, method, given, id)
    known: dict[str, Any] = {"user": "ada", "scopes": [], "expires_at": None}
    assert [(reply["id"], reply["result"]) for reply in world.said()] == [(2, known), (3, known), (4, {})]
