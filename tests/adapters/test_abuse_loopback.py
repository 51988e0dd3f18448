"""Abuse over real sockets: the rows of the abuse table that concern more than the machines."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager

import anyio
import pytest
from posthouse.adapters import Clock, Server, serve
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.lifecycle import ConnectionClosed

from tests.abuse.sockets import STATES, add_raising, half_close, reset

from .loopback import PATIENCE, UPGRADE, Client, connected, raw, serving, text, websocket

pytestmark = pytest.mark.anyio

service = Service("abused", public=True)


@service.method
def echo(value: str) -> str:
    return value


@service.method
async def hold() -> None:
    await anyio.sleep_forever()


async def reads(connection: socket.socket) -> bytes:
    """The next bytes of a blocking socket, read without blocking the loop."""
    return await anyio.to_thread.run_sync(connection.recv, 65536)


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def our_threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("posthouse"))


# Slow and silent


class HeldTime:
    """Monotonic seconds that pass when a test says so."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def test_row_1_heads_that_drip_are_answered_408_and_a_good_client_beside_500_is_unaffected() -> None:
    now = HeldTime()
    async with serving(service, config=Config(head_timeout=5.0), clock=Clock(now=now)) as server:
        with ExitStack() as stack:
            dripping = [stack.enter_context(closing(raw(server))) for _ in range(500)]
            async with connected(server) as good:
                for byte in b"POST":
                    for connection in dripping:
                        connection.send(bytes([byte]))
                    assert (await good.post("echo", ["unaffected"]))[0] == 200
                    now.seconds += 1.25
                assert (await good.post("echo", ["unaffected"]))[0] == 200
                for connection in dripping:
                    answer = await reads(connection)
                    assert answer.startswith(b"HTTP/1.1 408 ")
                assert (await good.post("echo", ["still"]))[0] == 200


async def test_row_8_who_reads_nothing_is_closed_with_4100_and_the_others_hear_everything() -> None:
    service = Service("news", public=True)
    closed: list[int | None] = []
    gone = anyio.Event()

    @service.on("connection.closed")
    def note(event: ConnectionClosed) -> None:
        closed.append(event.code)
        gone.set()

    config = Config(max_queued_pushes_bytes=256 * 1024, close_timeout=0.1)
    news = "x" * 8_000
    async with serving(service, config=config) as server, AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(websocket(server)) for _ in range(20)]
        with closing(socket.socket()) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect((server.bound[0].host, server.bound[0].port))
            deaf.sendall(UPGRADE)
            while server.health().connections < 21:
                await anyio.lowlevel.checkpoint()
            sent = 0
            while "limit.max_queued_pushes_bytes" not in server.stats():
                server.broadcast("news", [sent, news])
                for reader in readers:
                    assert (await reader.next())["params"] == [sent, news]
                assert server.health().memory < 256 * 1024 + 2 * 64 * 1024
                sent += 1
            assert server.broadcast("news", [sent, news]) == 20
            for reader in readers:
                assert (await reader.next())["params"] == [sent, news]
            await gone.wait()
            assert closed == [4100]


# Too many


async def test_row_40_an_address_that_opens_too_many_is_closed_unread() -> None:
    async with serving(service, config=Config(max_connections_per_address=2)) as server:
        async with websocket(server) as first, connected(server) as second:
            async with connected(server) as third:
                assert await third.rest() == b""
            assert (await first.call("echo", ["one"]))["result"] == "one"
            assert (await second.post("echo", ["two"]))[0] == 200
        async with connected(server) as again:
            while (answer := await attempt(again)) is None:
                await again.stream.aclose()
                again.stream = await anyio.connect_tcp(server.bound[0].host, server.bound[0].port)
            assert answer == 200


async def attempt(client: Client) -> int | None:
    """The status of one call, or None where the server closed without a word."""
    try:
        return (await client.post("echo", ["x"]))[0]
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return None


@contextmanager
def few_descriptors(spare: int) -> Iterator[None]:
    """Inside, this process can open only so many more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/dev/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + spare, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("reserve", [0, 64])
async def test_row_41_when_descriptors_run_out_live_connections_do_not_notice_and_it_goes_on_by_itself(
    reserve: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(service, config=Config(descriptor_reserve=reserve)) as server, websocket(server) as live:
        with ExitStack() as stack:
            # They wait in the backlog, so that the process has none to accept them with.
            waiting = [stack.enter_context(closing(socket.socket())) for _ in range(8)]
            with few_descriptors(0):
                stack.enter_context(exhausted())
                for connection in waiting:
                    connection.setblocking(False)
                    assert connection.connect_ex((server.bound[0].host, server.bound[0].port)) in (0, errno.EINPROGRESS)
                while not any(getattr(record, "event", "") == "accept.exhausted" for record in caplog.records):
                    await anyio.lowlevel.checkpoint()
                for number in range(3):
                    assert (await live.call("echo", [str(number)]))["result"] == str(number)
        async with connected(server) as client:
            assert await attempt(client) == 200
        assert (await live.call("echo", ["alive"]))["result"] == "alive"
    lines = [record for record in caplog.records if getattr(record, "event", "") == "accept.exhausted"]
    assert len(lines) == 1


@contextmanager
def exhausted() -> Iterator[None]:
    """Inside, not one descriptor is free."""
    with ExitStack() as stack:
        while True:
            try:
                stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        yield


# User code that raises


async def cancelled_elsewhere() -> None:
    task = asyncio.ensure_future(asyncio.sleep(3600))
    task.cancel()
    await task


async def test_row_44_whatever_a_handler_raises_ends_its_own_call_and_nothing_else(anyio_backend: str) -> None:
    service = Service("raising", public=True)
    entered = anyio.Event()
    leave = anyio.Event()

    @service.method
    async def sibling() -> str:
        entered.set()
        await leave.wait()
        return "untouched"

    names = add_raising(service)
    if anyio_backend == "asyncio":
        service.method("task.stray")(cancelled_elsewhere)
        names.append("task.stray")

    async with serving(service) as server, websocket(server) as client, websocket(server) as other:
        await client.say(text("sibling", id="s"))
        await entered.wait()
        for name in names:
            answer = await client.call(name, id=name)
            assert (answer["id"], answer["error"]["code"]) == (name, -32603)
            assert set(answer["error"]["data"]) == {"incident"}
            assert "private" not in str(answer)
        leave.set()
        assert (await client.next())["result"] == "untouched"
        assert (await other.call("connection.ping"))["result"]["pong"]


# Ends


async def settled(server: Server) -> None:
    """When the server has nothing left of anybody."""
    while True:
        health = server.health()
        if (health.connections, health.sockets, health.calls, health.waiting) == (0, 0, 0, 0):
            return
        await anyio.lowlevel.checkpoint()


async def test_row_47_the_end_of_input_in_every_state_many_times_leaves_nothing_behind() -> None:
    await leaves_nothing_behind(half_close)


async def test_row_48_a_reset_in_every_state_many_times_leaves_nothing_behind() -> None:
    await leaves_nothing_behind(reset)


async def leaves_nothing_behind(end: Callable[[socket.socket], None]) -> None:
    # A call that waits for ever on a half-closed HTTP exchange ends at its deadline.
    config = Config(call_timeout=0.01, head_timeout=1.0)
    async with serving(service, config=config) as server:
        await anyio.to_thread.run_sync(visit, server, end, 2)
        await settled(server)
        gc.collect()
        before, threads = descriptors(), our_threads()
        await anyio.to_thread.run_sync(visit, server, end, 40)
        await settled(server)
        assert (descriptors(), our_threads()) == (before, threads)
        assert server.health().memory == 0


def visit(server: Server, end: Callable[[socket.socket], None], times: int) -> None:
    for _ in range(times):
        for state in STATES:
            connection = raw(server)
            state(connection)
            end(connection)


# Leaving


async def test_row_57_a_drain_with_200_clients_tells_each_and_loses_nothing_that_was_promised() -> None:
    released = anyio.Event()
    service = Service("leaving", public=True)
    begun = 0

    @service.method
    async def work(context: Context, number: int) -> int:
        nonlocal begun
        begun += 1
        await released.wait()
        return number

    codes: list[int] = []
    over = anyio.Event()
    config = Config(drain_spread=0.2, drain_grace=15.0)
    async with anyio.create_task_group() as group:
        with anyio.fail_after(PATIENCE):

            async def main(*, task_status: anyio.abc.TaskStatus[Server]) -> None:
                await serve(service, port=0, config=config, task_status=task_status)
                over.set()

            server = await group.start(main)

            async def client(number: int) -> None:
                async with websocket(server) as one:
                    await one.say(text("work", [number], id=number))
                    assert (await one.next())["method"] == "connection.draining"
                    assert await one.next() == {"jsonrpc": "2.0", "result": number, "id": number}
                    codes.append(await one.close_code())

            for number in range(200):
                group.start_soon(client, number)
            while begun < 200:
                await anyio.lowlevel.checkpoint()
            server.shut_down()
            while server.health().status != "draining":
                await anyio.lowlevel.checkpoint()
            released.set()
            await over.wait()
    assert codes == [1012] * 200
