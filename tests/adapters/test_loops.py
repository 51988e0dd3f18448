"""A server in each kind of event loop: of each library, one that runs already, with sniffio and without."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import uvloop
from posthouse.adapters import Server, serve
from posthouse.core.service.context import Context
from posthouse.core.service.method import Method, Outcome, Returned
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.lifecycle import ConnectionOpened

from tests.adapters.loopback import ENVIRONMENT, PATIENCE, ROOT, connected, text, websocket

Main = Callable[[], Coroutine[Any, Any, None]]


def everything() -> tuple[Service, list[str]]:
    """A service that has each kind of user code, and the names of what has run."""
    service = Service("loops", public=True)
    ran: list[str] = []

    @service.method
    def plain(value: int) -> int:
        anyio.Event()  # user code may ask which loop runs
        anyio.current_time()
        return value

    @service.method
    async def waits(value: int) -> int:
        await anyio.sleep(0)
        return value

    @service.method(blocking=True)
    def blocks(value: int) -> int:
        return value

    @service.method
    async def asks(context: Context) -> int:
        context.notify("news")
        return int(await context.call("client.answer"))

    @service.method(timeout=0.05)
    async def too_slow() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ran.append("cancelled")

    @service.on("connection.opened")
    def opened(event: ConnectionOpened) -> None:
        anyio.current_time()
        ran.append("hook")

    @service.on("connection.opened")
    async def opened_later(event: ConnectionOpened) -> None:
        await anyio.sleep(0)
        ran.append("awaited hook")

    @service.on_outcome
    async def twice(context: Context, method: Method, outcome: Outcome) -> Outcome | None:
        await anyio.sleep(0)
        if method.name == "waits" and isinstance(outcome, Returned):
            return Returned(outcome.value * 2)
        return None

    return service, ran


async def uses_everything() -> None:
    """Call each kind of user code over HTTP and a WebSocket, and shut down."""
    service, ran = everything()
    done = anyio.Event()
    async with anyio.create_task_group() as group:

        async def main(*, task_status: anyio.abc.TaskStatus[Server]) -> None:
            await serve(service, port=0, config=Config(drain_spread=0.0), task_status=task_status)
            done.set()

        with anyio.fail_after(PATIENCE):
            server = await group.start(main)
            async with connected(server) as client:
                assert (await client.post("plain", [1]))[1]["result"] == 1
                assert (await client.post("waits", [2]))[1]["result"] == 4
            async with websocket(server) as client:
                assert (await client.call("plain", [1]))["result"] == 1
                assert (await client.call("blocks", [3]))["result"] == 3
                assert (await client.call("too_slow"))["error"]["code"] == -32030
                await client.say(text("asks", id="a"))
                assert (await client.next())["method"] == "news"
                request = await client.next()
                await client.say(b'{"jsonrpc":"2.0","result":5,"id":%d}' % request["id"])
                assert (await client.next())["result"] == 5
            server.shut_down()
            await done.wait()
    assert {"cancelled", "hook", "awaited hook"} <= set(ran)


def in_a_running_loop(main: Main) -> None:
    """As in a notebook: the loop runs for ever, and gets the coroutine from elsewhere."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(main(), loop).result(PATIENCE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def in_trio(main: Main) -> None:
    import trio  # it brings sniffio, without which this file is imported, too

    trio.run(main)


RUNNERS: dict[str, Callable[[Main], None]] = {
    "asyncio.run": lambda main: asyncio.run(main()),
    "uvloop.run": lambda main: uvloop.run(main()),
    "anyio.run": anyio.run,
    "anyio.run, trio": lambda main: anyio.run(main, backend="trio"),
    "trio.run": in_trio,
    "a loop that runs": in_a_running_loop,
}


@pytest.mark.parametrize("how", RUNNERS)
def test_every_kind_of_user_code_runs_in_every_kind_of_loop(how: str) -> None:
    RUNNERS[how](uses_everything)


WITHOUT_SNIFFIO = """
import sys
sys.modules["sniffio"] = sys.modules["trio"] = None
from tests.adapters.test_loops import RUNNERS, uses_everything
for how in ("asyncio.run", "uvloop.run", "anyio.run", "a loop that runs"):
    RUNNERS[how](uses_everything)
from anyio._core import _eventloop
assert _eventloop.sniffio is None
"""


def test_they_also_run_where_sniffio_is_not_installed() -> None:
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join((ENVIRONMENT["PYTHONPATH"], str(ROOT)))}
    ended = subprocess.run([sys.executable, "-c", WITHOUT_SNIFFIO], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_a_server_lives_in_the_lifespan_of_an_application_and_ends_with_it() -> None:
    service, _ = everything()

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[Server]:
        servers: asyncio.Queue[Server] = asyncio.Queue()
        task = asyncio.create_task(serve(service, port=0, started=servers.put_nowait))
        yield await servers.get()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def application() -> None:
        async with lifespan() as server, connected(server) as client:
            assert (await client.post("plain", [1]))[1]["result"] == 1

    asyncio.run(application())
