"""Publications of handlers, of interceptors, of threads and of code beside the server, in process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from anyio import to_thread
from posthouse.adapters.asgi import asgi
from posthouse.adapters.testing import client_of, context_of
from posthouse.core import Arguments, Context, Method, Position, RpcError, Service, UsageError

pytestmark = pytest.mark.anyio
pytest_plugins = ["posthouse.adapters.testing.fixture"]


def service() -> Service:
    inner, made = Service("inner", public=True), Service("made", public=True)
    made.topic("news", history=5, payload=int)

    @inner.lifespan
    async def live() -> AsyncIterator[str]:
        yield "inner"

    @inner.method
    async def tell(context: Context, value: int) -> Position:
        return await context.publish("news", value)

    @inner.method(blocking=True)
    def shout(context: Context, value: int) -> int:
        return asyncio.run(publish(context, value))

    @inner.method
    async def whisper(context: Context) -> None:
        await context.publish("elsewhere", 1)

    async def publish(context: Context, value: int) -> int:
        return (await context.publish("news", value)).offset

    made.include(inner)

    @made.on_call
    async def noted(context: Context, method: Method, arguments: Arguments) -> None:
        if method.name == "tell":
            await context.publish("news", 0)

    return made


async def test_a_handler_that_publishes_is_answered_after_that() -> None:
    async with client_of(service()) as client:
        here = await client.call("topic.subscribe", {"topic": "news"})
        position = await client.call("tell", [7], result_type=Position)
        assert position == Position(here["epoch"], 2)
        told = [await client.notification() for _ in range(2)]
        assert [(params["offset"], params["data"]) for _, params in told] == [(1, 0), (2, 7)]
        assert await client.call("shout", [8]) == 3
        with pytest.raises(RpcError, match="-32036"):
            await client.call("whisper")


async def test_code_beside_the_server_publishes() -> None:
    app = asgi(service())
    async with app.lifespan(), client_of(app) as client:
        await client.call("topic.subscribe", {"topic": "news"})
        first = await app.publish("news", 1)
        assert (await client.notification())[1]["data"] == 1
        server = app._hosting.server
        assert server is not None
        second = await to_thread.run_sync(lambda: asyncio.run(server.publish("news", 2)))
        assert (second.epoch, first.offset, second.offset) == (first.epoch, 1, 2)
        with pytest.raises(RpcError, match="-32036"):
            await app.publish("elsewhere", 2)
        with pytest.raises(UsageError, match="expected int, got str"):
            await app.publish("news", "text")
    with pytest.raises(RpcError, match="-32800"):
        await server.publish("news", 3)


async def test_the_context_of_a_test_keeps_what_is_published() -> None:
    context = context_of("tell")
    assert await context.publish("news", 7) == Position("test", 1)
    assert await context.publish("news", 8) == Position("test", 2)
    assert context.published == [("news", 7), ("news", 8)]
