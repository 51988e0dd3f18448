"""A service with methods of each kind, for the tests of worlds, and the transports over which it is called."""

from __future__ import annotations

import asyncio
from typing import get_args

import anyio
import pytest
from posthouse.adapters.simulation.clients.protocols.protocol import Transport
from posthouse.core import Context, Service

TRANSPORTS = get_args(Transport)
every_transport = pytest.mark.parametrize("transport", TRANSPORTS)
pushable_transports = pytest.mark.parametrize("transport", [kind for kind in TRANSPORTS if kind != "http"])


def shop() -> Service:
    """Methods of each kind."""
    service = Service("shop", public=True)
    opened: list[str] = []

    @service.on("connection.opened")
    def plain(event: object) -> None:
        opened.append("plain")
        raise ValueError

    @service.on("connection.opened")
    async def awaiting(event: object) -> None:
        await anyio.sleep(0)
        opened.append("awaiting")

    @service.method
    def seen() -> list[str]:
        return opened

    @service.method
    def add(a: int, b: int) -> int:
        return a + b

    @service.method
    async def wait(context: Context, seconds: float) -> float:
        context.progress(0.0)
        await anyio.sleep(seconds)
        return seconds

    @service.method
    async def ask(context: Context) -> int:
        number: int = await context.call("number", [1], timeout=2.0, result_type=int)
        return number

    @service.method(sequential=True)
    async def one_by_one(name: str) -> str:
        await anyio.sleep(1)
        return name

    @service.method
    def tell(context: Context) -> bool:
        return context.notify("told", {"user": context.user})

    @service.method
    async def many(context: Context) -> None:
        async def one(number: int) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                context.notify("stopped", [number])

        async with asyncio.TaskGroup() as group:
            for number in range(6):
                group.create_task(one(number))

    @service.method
    async def spins(context: Context) -> None:
        while not context.cancelled:
            await anyio.sleep(0)

    @service.method
    def breaks() -> None:
        raise KeyError("secret")

    @service.method(on_disconnect="finish")
    async def finish() -> None:
        await anyio.sleep(5)
        opened.append("finished")

    return service
