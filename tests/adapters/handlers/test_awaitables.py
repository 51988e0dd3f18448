"""Whatever a handler, an interceptor or a hook returns to be awaited is awaited, however the function was written."""

from __future__ import annotations

import asyncio
import functools
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import anyio
import pytest
from posthouse.core.service.context import Context
from posthouse.core.service.method import Method, Outcome, Raised, Returned
from posthouse.core.service.parameters import Arguments
from posthouse.core.service.service import Service
from posthouse.core.values.errors import RpcError
from posthouse.core.values.lifecycle import ConnectionOpened

from tests.adapters.loopback import serving, text, websocket

pytestmark = pytest.mark.anyio

Function = Callable[..., Awaitable[Any]]


def timed(function: Function) -> Function:
    """An ordinary decorator, which knows nothing of coroutines."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def as_lambda(function: Function) -> Function:
    return lambda a, b=0: function(a, b)


class Wrapped:
    def __init__(self, function: Function) -> None:
        self._function = function

    def __call__(self, a: int, b: int) -> Any:
        return self._function(a, b)

    def method(self, a: int, b: int) -> Any:
        return self._function(a, b)


class Later:
    """Something of the user's own that can be awaited."""

    def __init__(self, waits: Awaitable[Any]) -> None:
        self._waits = waits

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._waits.__await__()


def own_awaitable(function: Function) -> Function:
    return lambda a, b: Later(function(a, b))


def old_coroutine(function: Function) -> Function:
    @types.coroutine
    def called(a: int, b: int) -> Generator[Any, Any, Any]:
        return (yield from function(a, b).__await__())

    return lambda a, b=0: called(a, b)


def of_the_context(function: Function) -> Function:
    def called(context: Context, a: int, b: int) -> Any:
        return function(a, b)

    return called


WAYS: dict[str, Callable[[Function], Function]] = {
    "async def": lambda function: function,
    "decorated": timed,
    "decorated twice": lambda function: timed(timed(function)),
    "lambda": as_lambda,
    "partial": functools.partial,
    "callable object": Wrapped,
    "bound method": lambda function: Wrapped(function).method,
    "own awaitable": own_awaitable,
    "generator coroutine": old_coroutine,
    "with a context": of_the_context,
}


async def add(a: int, b: int) -> int:
    await anyio.sleep(0)
    if b == 0:
        raise RpcError(7, "no")
    if b < 0:
        raise KeyError
    return a + b


REFUSED_IN_THREADS = ("async def", "partial")
"""What is evidently a coroutine function cannot be declared as blocking."""


@pytest.mark.parametrize(
    ("way", "blocking"),
    [*((way, False) for way in WAYS), *((way, True) for way in WAYS if way not in REFUSED_IN_THREADS)],
)
async def test_a_coroutine_is_awaited_however_it_was_written(way: str, blocking: bool) -> None:
    service = Service("ways", public=True)
    service.method("add", blocking=blocking)(WAYS[way](add))
    async with serving(service) as server, websocket(server) as client:
        assert (await client.call("add", [1, 2]))["result"] == 3
        assert (await client.call("add", [1, 0]))["error"]["code"] == 7
        assert (await client.call("add", [1, -1]))["error"]["code"] == -32603


@pytest.mark.parametrize("way", [way for way in WAYS if way != "async def"])
async def test_a_call_that_turned_out_to_wait_can_be_cancelled(way: str) -> None:
    begun, stopped = anyio.Event(), anyio.Event()

    async def hold(a: int, b: int) -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    service = Service("ways", public=True)
    service.method("hold")(WAYS[way](hold))
    async with serving(service) as server, websocket(server) as client:
        await client.say(text("hold", [1, 2], id="h"))
        await begun.wait()
        await client.say(text("$/cancelRequest", {"id": "h"}, id=None))
        assert (await client.next())["error"]["code"] == -32800
        await stopped.wait()
        if way == "own awaitable":
            return  # the coroutine inside cannot be closed
        cancelled_first = [text("hold", [1, 2], id=1), text("$/cancelRequest", {"id": 1}, id=None)]
        await client.say(b"[" + b",".join(cancelled_first) + b"]")
        ((answer),) = await client.next()
        assert answer["error"]["code"] == -32800


@pytest.mark.parametrize("blocking", [False, True])
async def test_interceptors_that_return_something_to_await_are_awaited(blocking: bool) -> None:
    service = Service("interceptors", public=True)

    @service.on_call
    @timed
    async def double(context: Context, method: Method, arguments: Arguments) -> Arguments:
        await anyio.sleep(0)
        if arguments[0] == (13,):
            raise RpcError(13, "unlucky")
        return (arguments[0][0] * 2,), {}

    @service.on_outcome
    @timed
    async def shown(context: Context, method: Method, outcome: Outcome) -> Outcome | None:
        await anyio.sleep(0)
        if isinstance(outcome, Raised):
            return None
        if outcome.value == 8:
            raise RpcError(8, "no eights")
        return Returned(outcome.value + 1)

    @service.method(blocking=blocking)
    def same(value: int) -> int:
        return value

    async with serving(service) as server, websocket(server) as client:
        assert (await client.call("same", [1]))["result"] == 3
        assert (await client.call("same", [13]))["error"]["code"] == 13
        assert (await client.call("same", [4]))["error"]["code"] == 8


async def test_a_hook_behind_a_decorator_is_awaited() -> None:
    service = Service("hooks", public=True)
    ran = anyio.Event()

    @service.on("connection.opened")
    @timed
    async def opened(event: ConnectionOpened) -> None:
        await anyio.sleep(0)
        ran.set()

    async with serving(service) as server, websocket(server):
        await ran.wait()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_future_of_asyncio_is_awaited() -> None:
    service = Service("futures", public=True)

    @service.method
    def later() -> Any:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, 7)
        return future

    async with serving(service) as server, websocket(server) as client:
        assert (await client.call("later"))["result"] == 7
