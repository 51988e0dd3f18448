"""Hooks of a simulated service: they are called, and their exceptions have no effect."""

from __future__ import annotations

import asyncio

import anyio
from posthouse.adapters.simulation import World
from posthouse.core import Service

from .shop import shop


def test_exceptions_of_hooks_change_no_outcome() -> None:
    world = World(service=shop())
    seen = world.client("alice").call("seen")
    world.run(1)
    assert seen.result == ["plain", "awaiting"]


def test_exceptions_of_hooks_are_kept_for_the_test() -> None:
    service = Service("hooked", public=True)

    @service.on("connection.opened")
    def plain(event: object) -> None:
        raise ValueError("plain")

    @service.on("connection.opened")
    async def awaiting(event: object) -> None:
        await anyio.sleep(1)
        raise ValueError("awaiting")

    world = World(service=service)
    call = world.client("alice").call("connection.ping")
    world.run(5)
    assert call.status == "result"
    assert [str(error) for error in world.hook_errors] == ["plain", "awaiting"]


def test_a_cancelled_hook_does_not_stop_the_hooks_after_it() -> None:
    service = Service("hooked", public=True)
    told: list[str] = []

    @service.on("connection.opened")
    async def cancelled(event: object) -> None:
        told.append("cancelled")
        task = asyncio.ensure_future(anyio.sleep(9))
        task.cancel()
        await task

    @service.on("connection.opened")
    def leaving(event: object) -> None:
        raise SystemExit(3)

    world = World(service=service)
    calls = [world.client(name).call("connection.ping") for name in ("alice", "bob")]
    world.run(5)
    assert [call.status for call in calls] == ["result", "result"]
    assert told == ["cancelled", "cancelled"]
    kinds = sorted(type(error).__name__ for error in world.hook_errors)
    assert kinds == ["CancelledError", "CancelledError", "SystemExit", "SystemExit"]
    world.finish()
    world.close()
