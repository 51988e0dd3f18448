"""A server as an async context manager, and calls of its service in the same process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest
from posthouse.adapters import LifespanError, Server, running
from posthouse.core import (
    Arguments,
    Config,
    Context,
    DrainStarted,
    Identity,
    Method,
    ResultError,
    RpcError,
    Service,
    UsageError,
)

from tests.adapters.loopback import PATIENCE, connected, websocket
from tests.adapters.test_loops import RUNNERS

pytestmark = pytest.mark.anyio

QUICK = Config(drain_grace=0.5, drain_spread=0.0)

ADA = Identity("ada", ("reports",))

service = Service("house", public=True)


@service.method
def add(a: int, b: int) -> int:
    return a + b


@service.method
async def wait(context: Context) -> None:
    await anyio.sleep_forever()


@service.method(scopes={"reports"})
async def report(context: Context) -> list[Any]:
    await anyio.sleep(0)
    return [context.user, context.kind, context.notify("news"), context.progress(0.5)]


@service.method(blocking=True)
def blocks(context: Context) -> str:
    return threading.current_thread().name


@service.method
async def asks(context: Context) -> None:
    await context.call("anything")


async def test_it_enters_when_clients_are_served_and_shuts_down_at_the_end() -> None:
    with anyio.fail_after(PATIENCE):
        async with running(service, port=0, config=QUICK) as server:
            async with websocket(server) as client:
                assert (await client.call("add", [1, 2]))["result"] == 3
            assert server.health().status == "healthy"
        await server.ended()
        with pytest.raises(OSError):
            await anyio.connect_tcp("127.0.0.1", server.bound[0].port)


async def test_a_call_that_runs_may_end_before_the_context_does() -> None:
    slow = Service("slow", public=True)
    go, begun = anyio.Event(), anyio.Event()

    @slow.method
    async def finish() -> str:
        begun.set()
        await go.wait()
        return "done"

    answers: list[Any] = []

    async def use(server: Server) -> None:
        async with connected(server) as client:
            answers.append((await client.post("finish"))[1]["result"])

    @slow.on("gateway.draining")
    def draining(event: DrainStarted) -> None:
        go.set()

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group, running(slow, port=0) as server:
            group.start_soon(use, server)
            await begun.wait()
    assert answers == ["done"]


async def test_an_exception_in_the_body_ends_the_server_at_once_and_is_kept() -> None:
    error = KeyError("mine")
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            with pytest.raises(KeyError) as caught:
                async with running(service, host=()) as server:
                    group.start_soon(_ended_early, server)
                    await anyio.wait_all_tasks_blocked()
                    raise error
        await server.ended()
    assert caught.value is error


async def _ended_early(server: Server) -> None:
    with pytest.raises(RpcError) as caught:
        await server.call("wait")
    assert caught.value.code in (-32050, -32800)  # the server, or the handler, whichever ends first


async def test_a_start_that_fails_is_raised_from_the_beginning() -> None:
    broken = Service("broken")

    @broken.lifespan
    async def lifespan() -> AsyncIterator[None]:
        raise OSError("no database")
        yield

    with pytest.raises(LifespanError, match="'broken' failed to start: OSError: no database"):
        async with running(broken, port=0):
            raise AssertionError
    with pytest.raises(UsageError, match="tls_key needs tls_cert"):
        async with running(service, tls_key="key.pem"):
            raise AssertionError


async def test_a_start_that_is_shut_down_is_an_error() -> None:
    slow = Service("slow")

    @slow.lifespan
    async def lifespan(server: Server) -> AsyncIterator[None]:
        server.shut_down()
        await anyio.sleep_forever()
        yield

    with pytest.raises(RuntimeError, match="shut down before it had started"):
        async with running(slow, host=()):
            raise AssertionError


async def test_a_start_that_is_cancelled_ends_the_server() -> None:
    slow = Service("slow")
    log: list[str] = []

    @slow.lifespan
    async def lifespan() -> AsyncIterator[None]:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        finally:
            log.append("ended")
        yield

    with anyio.CancelScope() as scope:
        async with running(slow, host=()):
            raise AssertionError
    assert log == ["ended"]


async def test_an_end_that_is_cancelled_ends_the_server_at_once() -> None:
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                async with running(service, host=()) as server:
                    group.start_soon(_ended_early, server)
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()
        await server.ended()


async def _refused(server: Server) -> None:
    with pytest.raises(RpcError, match="-32050"):
        await server.call("wait")


@pytest.mark.parametrize("body_fails", [False, True])
async def test_a_server_that_ends_by_itself_is_told_and_its_error_is_raised_at_the_end(body_fails: bool) -> None:
    ticking = Service("ticking")
    fail = anyio.Event()

    async def fails() -> None:
        await fail.wait()
        raise ValueError("no clock")

    @ticking.lifespan
    async def lifespan() -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(fails)
            yield

    started: list[Server] = []
    with anyio.fail_after(PATIENCE), pytest.raises(KeyError if body_fails else LifespanError) as caught:
        async with running(ticking, port=0, config=QUICK, started=started.append) as server:
            fail.set()
            await server.ended()
            if body_fails:
                raise KeyError("mine")
    assert started == [server]
    if body_fails:
        (note,) = caught.value.__notes__
        assert note.startswith("the server has failed, too: LifespanError(")
    else:
        assert "'ticking' failed while it was serving: ValueError: no clock" in str(caught.value)


async def test_two_servers_nest_and_the_same_service_has_two_states() -> None:
    counted = Service("counted", public=True)
    states = iter(["outer", "inner"])

    @counted.lifespan
    async def lifespan() -> AsyncIterator[str]:
        yield next(states)

    @counted.method
    def state(context: Context[str]) -> str:
        return context.state

    async with running(counted, host=()) as outer, running(counted, port=0, config=QUICK) as inner:
        assert [await outer.call("state"), await inner.call("state")] == ["outer", "inner"]
        async with connected(inner) as client:
            assert (await client.post("state"))[1]["result"] == "inner"


async def test_it_may_be_entered_in_one_task_and_left_in_another() -> None:
    context = running(service, host=())
    servers: list[Server] = []

    async def enter() -> None:
        servers.append(await context.__aenter__())

    async def leave() -> None:
        await context.__aexit__(None, None, None)

    for step in (enter, leave):
        async with anyio.create_task_group() as group:
            group.start_soon(step)
    await servers[0].ended()


# Calls in process


async def test_a_call_in_process_passes_through_the_gateway() -> None:
    async with running(service, host=()) as server:
        assert server.bound == ()
        assert await server.call("add", [1, 2]) == 3
        assert await server.call("add", {"a": 1, "b": 2}, result_type=float) == 3.0
        assert await server.call("report", identity=ADA) == ["ada", "local", False, False]
        assert (await server.call("blocks")).startswith("posthouse-worker")
        for method, params, code in (
            ("add", ["x"], -32602),
            ("missing", None, -32601),
            ("report", None, -32020),
            ("asks", None, -32800),
        ):
            with pytest.raises(RpcError) as caught:
                await server.call(method, params)
            assert caught.value.code == code
        with pytest.raises(ResultError, match="the result of 'add' is not of the declared type"):
            await server.call("add", [1, 2], result_type=str)
        with pytest.raises(UsageError, match="must be an array or an object"):
            await server.call("add", 1)
        with pytest.raises(RpcError, match="-32030"):
            await server.call("wait", timeout=0.01)
    with pytest.raises(RpcError, match="-32050"):
        await server.call("add", [1, 2])


async def test_dev_lets_calls_in_process_in_as_it_does_clients() -> None:
    async with running(service, port=0, dev=True, config=QUICK) as server:
        assert (await server.call("report"))[0] is None
        with pytest.raises(RpcError, match="-32020"):
            await server.call("report", identity=Identity())


async def test_interceptors_see_a_call_in_process() -> None:
    watched = Service("watched", public=True)
    seen: list[tuple[str, str]] = []

    @watched.on_call
    def before(context: Context, method: Method, arguments: Arguments) -> None:
        seen.append((context.kind, method.name))

    @watched.method
    def plain() -> None: ...

    async with running(watched, host=()) as server:
        assert await server.call("plain") is None
    assert seen == [("local", "plain")]


async def test_cancelling_the_task_cancels_the_call() -> None:
    resting = Service("resting", public=True)
    ended = anyio.Event()

    @resting.method
    async def rest() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with running(resting, host=()) as server:
        with anyio.move_on_after(0.01) as scope:
            await server.call("rest")
        assert scope.cancelled_caught
        await ended.wait()
        assert server.stats()["calls.disconnected"] == 1


async def test_a_call_that_runs_during_a_shut_down_is_ended_by_it_and_a_new_one_refused() -> None:
    with anyio.fail_after(PATIENCE):
        config = Config(drain_grace=0.05)
        async with anyio.create_task_group() as group, running(service, host=(), config=config) as server:
            group.start_soon(_refused, server)
            await anyio.wait_all_tasks_blocked()
            server.shut_down()
            await server.ended()


async def test_a_handler_may_call_another_and_a_thread_blocks_until_the_result() -> None:
    nested = Service("nested", public=True)
    servers: list[Server] = []

    @nested.method
    def inner(value: int) -> int:
        return value + 1

    @nested.method
    async def outer(value: int) -> int:
        return 2 * int(await servers[0].call("inner", [value]))

    @nested.method(blocking=True)
    def outer_in_thread(value: int) -> int:
        return 2 * int(anyio.run(partial(servers[0].call, "inner", [value])))

    async with running(nested, port=0, config=QUICK) as server:
        servers.append(server)
        async with connected(server) as client:
            assert (await client.post("outer", [20]))[1]["result"] == 42
            assert (await client.post("outer_in_thread", [20]))[1]["result"] == 42
        call = partial(anyio.run, partial(server.call, "inner", [1]))
        assert await anyio.to_thread.run_sync(call) == 2


@pytest.mark.parametrize("how", RUNNERS)
def test_it_runs_in_every_kind_of_loop(how: str) -> None:
    async def main() -> None:
        async with running(service, port=0, config=QUICK) as server:
            assert await server.call("add", [1, 2]) == 3
            async with connected(server) as client:
                assert (await client.post("add", [1, 2]))[1]["result"] == 3

    RUNNERS[how](main)


def test_it_lives_in_the_lifespan_of_an_application() -> None:
    async def application() -> int:
        entered: asyncio.Queue[Server] = asyncio.Queue()
        leave = asyncio.Event()

        async def lifespan() -> None:
            async with running(service, host=()) as server:
                entered.put_nowait(server)
                await leave.wait()

        task = asyncio.create_task(lifespan())
        server = await entered.get()
        result = await server.call("add", [1, 2])
        leave.set()
        await task
        return int(result)

    assert asyncio.run(application()) == 3
