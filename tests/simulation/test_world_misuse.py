"""Misuse of a world is refused with an error that explains it."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from posthouse.adapters.simulation import HandlerFaults, LinkConditions, World
from posthouse.adapters.simulation.clients.protocols.protocol import Transport
from posthouse.core import Identity, Service, UsageError

from .shop import shop


def test_invalid_arguments_are_refused() -> None:
    wrong: list[dict[str, Any]] = [{"latency": -1.0}, {"jitter": float("nan")}, {"capacity": 0}, {"fragment": 1001}]
    for parts in wrong:
        with pytest.raises(UsageError):
            LinkConditions(**parts)
    with pytest.raises(UsageError, match="there is no transport 'pigeon'"):
        World(service=shop()).client("alice", "pigeon")  # type: ignore[arg-type]


def test_an_existing_client_is_found_by_its_name_alone() -> None:
    world = World(service=shop())
    ada = Identity("ada")
    alice = world.client("alice", "http", identity=ada)
    assert world.client("alice") is world.client("alice", "http", identity=ada) is alice
    others: list[tuple[Transport, Identity | None]] = [
        ("lines", None),
        ("http", None),
        ("http", Identity("bob")),
        ("websocket", ada),
    ]
    for transport, identity in others:
        with pytest.raises(UsageError, match="client 'alice' exists, over 'http'"):
            world.client("alice", transport, identity=identity)


def test_an_unknown_name_is_a_misuse() -> None:
    world = World(service=shop())
    for fault in (world.cut, world.block, world.unblock):
        with pytest.raises(UsageError, match=r"there is no client 'bob'.* \(clients: none\)"):
            fault("bob")
    world.client("alice")
    with pytest.raises(UsageError, match=r"\(clients: 'alice'\)"):
        world.cut("bob")


def test_a_handler_cannot_kill_its_own_process_but_can_plan_it() -> None:
    service = Service("deadly", public=True)

    @service.method
    async def kill() -> None:
        world.restart()

    @service.method
    async def plan() -> None:
        world.after(0.0, world.restart)
        await anyio.sleep(1)

    world = World(service=service)
    alice = world.client("alice")
    call = alice.call("kill")
    world.run(1)
    assert call.error is not None
    assert "plan it" in str(call.error.__cause__)
    call = alice.call("plan")
    world.run(1)
    assert call.status == "lost"
    world.finish()


async def world_in_a_loop() -> None:
    World(service=shop()).run(1)


def test_a_world_inside_an_event_loop_is_refused() -> None:
    with pytest.raises(UsageError, match="plain functions"):
        asyncio.run(world_in_a_loop())


@pytest.mark.parametrize("faults", [{"late": 2000}, {"never": -1}, {"max_delay": -1.0}, {"max_delay": float("nan")}])
def test_invalid_handler_faults_are_refused(faults: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(faults))):
        HandlerFaults(**faults)
