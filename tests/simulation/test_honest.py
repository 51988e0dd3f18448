"""Unusual but correct services and limits cause no violation."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from posthouse.adapters.simulation import World
from posthouse.adapters.simulation.clients.protocols.protocol import Transport
from posthouse.core import Config, RpcError, Service
from posthouse.transports import Policy

from .shop import every_transport, shop


@every_transport
def test_clients_use_a_host_name_that_the_policy_allows(transport: Transport) -> None:
    world = World(service=shop(), policy=Policy(hosts=("api.example.org", "other.example.org")))
    call = world.client("alice", transport).call("add", 1, 2)
    world.run(1)
    assert call.result == 3
    world.finish()


@every_transport
@pytest.mark.parametrize(
    ("service", "parts"),
    [
        (Service("guarded", builtin_scopes={"connection.ping": {"admin"}}), {}),
        (Service("short"), {"config": Config(max_method_bytes=10)}),
        (Service("little"), {"config": Config(max_response_bytes=40)}),
        (Service("hasty"), {"config": Config(head_timeout=0.0001)}),
        (Service("idle"), {"config": Config(idle_timeout=0.001)}),
        (Service("closed"), {"policy": Policy(hosts=())}),
    ],
    ids=lambda value: value.name if isinstance(value, Service) else "",
)
def test_a_server_whose_limits_refuse_clients_is_correct(
    transport: Transport, service: Service, parts: dict[str, Any]
) -> None:
    world = World(service=service, **parts)
    world.client("alice", transport).connect()
    world.run(1)
    world.finish()


@every_transport
def test_the_data_of_an_error_belongs_to_the_service(transport: Transport) -> None:
    service = Service("odd", public=True)

    @service.method
    def fail() -> None:
        raise RpcError(5, data={"incident": ["a"]})

    world = World(service=service)
    call = world.client("alice", transport).call("fail")
    world.run(1)
    assert call.error is not None
    assert call.error.data == {"incident": ["a"]}


@every_transport
@pytest.mark.parametrize("text", [b'{"jsonrpc":"2.0","id":3,"method":"add","params":[1,2]}', b'{"id":3}', b"[1]"])
def test_replies_to_text_that_a_test_sent_are_not_checked(transport: Transport, text: bytes) -> None:
    world = World(service=shop())
    world.client("alice", transport).send_text(text)
    world.run(1)
    world.finish()


@every_transport
@pytest.mark.parametrize("asked", [[], [("add", [1, 2])]])
def test_a_notification_in_a_batch_may_be_refused(transport: Transport, asked: list[tuple[str, list[int]]]) -> None:
    world = World(service=shop())
    calls = world.client("alice", transport).batch(asked, [("add", [1, 2]), ("m" * 129, [])])
    world.run(1)
    assert [call.status for call in calls] == ["result"] * len(asked)
    world.finish()


def test_a_handler_may_yield_often() -> None:
    service = Service("busy", public=True)

    @service.method
    async def count() -> int:
        for _ in range(20_000):
            await anyio.sleep(0)
        return 1

    world = World(service=service)
    call = world.client("alice").call("count")
    world.run(1)
    assert call.result == 1
