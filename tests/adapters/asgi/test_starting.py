"""A server that starts with a request: nothing of that request reaches later ones, nor of its loop the next one."""

from __future__ import annotations

import signal
from contextvars import ContextVar
from types import FrameType
from typing import Any

import anyio
import pytest
from posthouse.adapters.asgi import Application, asgi
from posthouse.adapters.asgi.stopping import SIGNALS
from posthouse.core import Config, Service

from tests.adapters.asgi.hand import hand, living
from tests.adapters.test_loops import RUNNERS

pytestmark = pytest.mark.anyio

QUICK = Config(drain_grace=0.5, drain_spread=0.0)

user: ContextVar[str] = ContextVar("user", default="nobody")


class Middleware:
    """Sets a context variable, as many hosts do for each of their requests."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        user.set(scope.get("user", "middleware"))
        await self.app(scope, receive, send)


@pytest.fixture
def app() -> Application:
    service = Service("asks", public=True)

    @service.method
    def plain() -> str:
        return user.get()

    @service.method
    async def task() -> str:
        await anyio.sleep(0)
        return user.get()

    @service.method(blocking=True)
    def thread() -> str:
        return user.get()

    return asgi(service, config=QUICK)


@pytest.mark.parametrize("method", ["plain", "task", "thread"])
async def test_context_variables_of_the_first_request_reach_no_call(app: Application, method: str) -> None:
    async with hand(Middleware(app)) as server:
        for name in ("alice", "bob"):
            assert (await server.post(method, user=name))[1]["result"] == "nobody"
        websocket = await server.opened(user="carol")
        assert (await websocket.call(method))["result"] == "nobody"


async def test_context_variables_of_the_first_websocket_reach_no_call(app: Application) -> None:
    async with hand(Middleware(app)) as server:
        websocket = await server.opened(user="alice")
        assert (await websocket.call("task"))["result"] == "nobody"
        assert (await server.post("task", user="bob"))[1]["result"] == "nobody"


async def test_context_variables_of_the_first_call_in_process_reach_no_call(app: Application) -> None:
    token = user.set("alice")
    try:
        assert await app.call("task") == "nobody"
    finally:
        user.reset(token)
    async with hand(app) as server:
        assert (await server.post("task"))[1]["result"] == "nobody"


async def test_context_variables_of_the_lifespan_reach_every_call(app: Application) -> None:
    async with living(Middleware(app)) as server:
        assert (await server.post("task", user="alice"))[1]["result"] == "middleware"


@pytest.mark.parametrize("how", ["asyncio.run", "trio.run"])
def test_a_loop_without_a_lifespan_leaves_no_handler_of_signals_to_the_next_one(app: Application, how: str) -> None:
    def handle(number: int, frame: FrameType | None) -> None: ...

    async def call() -> None:
        assert await app.call("task") == "nobody"

    async def live() -> None:
        async with app.lifespan():
            await call()

    before = [signal.signal(number, handle) for number in SIGNALS]
    try:
        for main in (call, call, live):
            RUNNERS[how](main)
        assert [signal.getsignal(number) for number in SIGNALS] == [handle, handle]
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)
