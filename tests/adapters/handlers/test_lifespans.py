"""The lifespan of a service while it is served: it opens before the first client, and closes after the last call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest
from posthouse.adapters import LifespanError, Server, serve
from posthouse.adapters.handlers.lifespans import Lifespans
from posthouse.adapters.handlers.state.states import States
from posthouse.core import (
    Arguments,
    CallFailed,
    Config,
    ConnectionClosed,
    ConnectionOpened,
    Context,
    DrainStarted,
    HookContext,
    Identity,
    Meta,
    Method,
    Outcome,
    RpcError,
    Service,
    UsageError,
)
from posthouse.core.service.lifespan import Lifespan

from tests.adapters.loopback import PATIENCE, connected, serving, text, websocket
from tests.adapters.simulated import SimulatedMachine, logged

pytestmark = pytest.mark.anyio

QUICK = Config(drain_grace=0.5, drain_spread=0.0)
HASTY = Config(drain_grace=0.0, drain_spread=0.0, drain_timeout=0.2, cleanup_grace=0.2)


@dataclass
class Pool:
    """What a lifespan opens."""

    name: str
    open: bool = True
    seen: list[str] = field(default_factory=list)


def pooled(name: str, log: list[str], **options: Any) -> Service:
    """A service with a pool, which notes in `log` when it begins and ends."""
    service = Service(name, public=True, **options)

    @service.lifespan
    async def lifespan() -> AsyncIterator[Pool]:
        log.append(f"{name} opens")
        pool = Pool(name)
        yield pool
        pool.open = False
        log.append(f"{name} closes")

    @service.method(f"{name}.plain")
    def plain(context: Context[Pool]) -> str:
        return context.state.name

    return service


async def until_it_ends(service: Service, **options: Any) -> None:
    with anyio.fail_after(PATIENCE):
        await serve(service, port=0, **options)


async def test_handlers_interceptors_hooks_and_threads_see_the_state() -> None:
    log: list[str] = []
    service = pooled("pooled", log)

    @service.method
    async def awaits(context: Context[Pool]) -> bool:
        await anyio.sleep(0)
        return context.state.open

    @service.method(blocking=True)
    def blocks(context: Context[Pool]) -> bool:
        return context.state.open

    @service.on_call
    def before(context: Context[Pool], method: Method, arguments: Arguments) -> None:
        context.state.seen.append(f"before {method.name}")

    @service.on_outcome
    async def after(context: Context[Pool], method: Method, outcome: Outcome) -> None:
        context.state.seen.append(f"after {method.name}")

    @service.method
    def seen(context: Context[Pool]) -> list[str]:
        return list(context.state.seen)

    @service.on("connection.opened")
    def opened(event: ConnectionOpened, context: HookContext[Pool]) -> None:
        context.state.seen.append(f"hook {event.kind}")

    @service.on("connection.opened")
    async def greets(event: ConnectionOpened, context: HookContext[Pool]) -> None:
        assert context.notify("welcome", [context.state.name])

    @service.on("gateway.draining")
    def draining(event: DrainStarted, context: HookContext[Pool]) -> None:
        log.append(f"draining {context.state.open} {context.notify('nobody')}")

    async with serving(service, config=QUICK) as server:
        async with websocket(server) as client:
            assert (await client.next()) == {"jsonrpc": "2.0", "method": "welcome", "params": ["pooled"]}
            assert (await client.call("pooled.plain"))["result"] == "pooled"
            assert (await client.call("awaits"))["result"] is True
            assert (await client.call("blocks"))["result"] is True
            names = ["pooled.plain", "awaits", "blocks"]
            passed = [f"{when} {name}" for name in names for when in ("before", "after")]
            assert (await client.call("seen"))["result"] == ["hook websocket", *passed, "before seen"]
        assert log == ["pooled opens"]
        server.shut_down()
        await server.ended()
    assert log == ["pooled opens", "draining True False", "pooled closes"]


async def test_hooks_share_the_state_of_their_connection_with_its_calls_until_it_has_closed() -> None:
    service = Service("visits", public=True)
    log: list[object] = []
    closed = anyio.Event()

    @service.on("connection.opened")
    def opened(event: ConnectionOpened, context: HookContext) -> None:
        context.connection_state["visits"] = 10

    @service.method
    def visit(context: Context) -> int:
        context.connection_state["visits"] += 1
        return int(context.connection_state["visits"])

    @service.method
    def breaks(context: Context) -> None:
        raise ValueError

    @service.on("call.failed")
    def failed(event: CallFailed, context: HookContext) -> None:
        log.append(context.connection_state["visits"])

    @service.on("connection.closed")
    async def after(event: ConnectionClosed, context: HookContext) -> None:
        log.append((context.connection_state, context.notify("nobody")))
        closed.set()

    @service.on("gateway.draining")
    def draining(event: DrainStarted, context: HookContext) -> None:
        log.append(context.connection_state)

    async with serving(service, config=QUICK) as server:
        async with websocket(server) as client:
            assert [(await client.call("visit"))["result"] for _ in range(2)] == [11, 12]
            assert (await client.call("breaks"))["error"]["code"] == -32603
        await closed.wait()
        server.shut_down()
        await server.ended()
    assert log == [12, ({"visits": 12}, False), {}]


async def test_without_a_lifespan_the_state_is_an_error_that_names_the_fix(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("bare", public=True)

    @service.method
    def state(context: Context) -> Any:
        return context.state

    async with serving(service) as server, connected(server) as client:
        assert (await client.post("state"))[1]["error"]["code"] == -32603
    (raised,) = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert isinstance(raised, UsageError)
    assert "declare one with @service.lifespan" in str(raised)


async def test_each_included_service_sees_its_own_state_and_lives_longer_than_the_service_around_it() -> None:
    log: list[str] = []
    files, users = pooled("files", log), pooled("users", log)
    seen: list[str] = []

    @files.on_outcome
    def inside(context: Context[Pool], method: Method, outcome: Outcome) -> None:
        seen.append(f"inside {context.state.name}")

    whole = pooled("whole", log)
    whole.include(files)
    whole.include(files, "again.")

    @whole.on_outcome
    def outside(context: Context[Pool], method: Method, outcome: Outcome) -> None:
        seen.append(f"outside {context.state.name} {context.method} {context.cancelled} {context.kind}")
        assert (context.path, context.headers["host"]) == ("/rpc", "localhost")
        assert (context.address.host, context.connection_state, context.user) == ("127.0.0.1", {}, None)
        assert (context.connection > 0, len(context.public_id), context.call_id > 0) == (True, 24, True)
        assert (context.meta, context.notify("news", after_reply=True), context.progress(0.5)) == (Meta(), False, False)

    bare = Service("bare", public=True)
    bare.include(users)

    @bare.method("bare.plain")
    def plain(context: Context[Pool]) -> str:
        return context.state.name

    whole.include(bare)
    async with serving(whole, config=QUICK) as server:
        async with connected(server) as client:
            for name, state in (("files", "files"), ("again.files", "files"), ("users", "users"), ("bare", "whole")):
                assert (await client.post(f"{name}.plain"))[1]["result"] == state
        server.shut_down()
        await server.ended()
    services = ["files", "users", "whole"]
    assert log == [f"{name} opens" for name in services] + [f"{name} closes" for name in reversed(services)]
    assert seen[:2] == ["inside files", "outside whole files.plain False http"]
    assert seen[-1] == "outside whole bare.plain False http"


async def test_a_client_that_comes_during_the_start_is_served_when_it_is_over() -> None:
    service = Service("slow", public=True)
    bound, go = anyio.Event(), anyio.Event()
    servers: list[Server] = []

    @service.lifespan
    async def lifespan(server: Server) -> AsyncIterator[str]:
        servers.append(server)
        assert server.broadcast("news") == 0
        bound.set()
        await go.wait()
        yield "state"

    @service.method
    def state(context: Context[str]) -> str:
        return context.state

    async with anyio.create_task_group() as group:
        group.start_soon(until_it_ends, service)
        await bound.wait()
        (server,) = servers
        async with connected(server) as client, connected(server) as prober:
            await prober.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answers: list[Any] = []

            async def ask() -> None:
                answers.append((await client.post("state"))[1]["result"])

            group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            assert (server.health().sockets, answers) == (0, [])
            go.set()
            assert (await prober.response())[0] == 200
        server.shut_down()
    assert answers == ["state"]


async def test_tasks_of_a_lifespan_run_while_it_serves_and_may_push_and_call() -> None:
    service = Service("pushing", public=True)
    ended: list[str] = []
    connected = anyio.Event()

    @service.method
    def double(value: int, context: Context[str]) -> list[Any]:
        return [value * 2, context.state, context.user, context.kind]

    @service.on("connection.opened")
    def opened(event: ConnectionOpened) -> None:
        if event.kind == "websocket":
            connected.set()

    async def pushes(server: Server) -> None:
        try:
            result = await server.call("double", [21], identity=Identity("clock"), result_type=list[Any])
            await connected.wait()
            server.broadcast("ticked", result)
            await anyio.sleep_forever()
        finally:
            ended.append("pushes")

    @service.lifespan
    async def lifespan(server: Server) -> AsyncIterator[str]:
        async with anyio.create_task_group() as group:
            group.start_soon(pushes, server)
            await anyio.wait_all_tasks_blocked()  # it waits until the server has started
            yield "state"
            group.cancel_scope.cancel()
        ended.append("lifespan")

    async with serving(service, config=QUICK) as server:
        async with websocket(server) as client:
            assert (await client.next())["params"] == [42, "state", "clock", "local"]
        server.shut_down()
        await server.ended()
    assert ended == ["pushes", "lifespan"]


async def test_a_lifespan_that_calls_its_service_before_it_yields_is_told_why_it_would_wait_for_ever() -> None:
    service = Service("hasty", public=True)

    @service.lifespan
    async def lifespan(server: Server) -> AsyncIterator[None]:
        await server.call("connection.ping")
        yield

    with pytest.raises(LifespanError, match=r"before `yield`") as caught:
        await until_it_ends(service)
    assert isinstance(caught.value.__cause__, UsageError)


async def test_a_thread_that_calls_before_the_start_is_over_is_refused() -> None:
    service = Service("threaded", public=True)
    said: list[str] = []

    @service.lifespan
    async def lifespan(server: Server) -> AsyncIterator[None]:
        call = partial(anyio.run, partial(server.call, "connection.ping"))
        try:
            await anyio.to_thread.run_sync(call)
        except UsageError as error:
            said.append(str(error))
        yield
        said.append("yielded")

    await until_it_ends(service, started=Server.shut_down)
    assert said == ["the service has not started yet: a thread may call it when the lifespan has yielded", "yielded"]


async def test_a_start_that_is_cancelled_from_outside_releases_those_that_wait_for_it() -> None:
    whole, slow = Service("whole"), Service("slow")
    codes: list[int] = []

    async def calls(server: Server) -> None:
        try:
            await server.call("connection.ping")
        except RpcError as error:
            codes.append(error.code)

    @whole.lifespan
    async def never() -> AsyncIterator[None]:
        raise AssertionError
        yield

    @slow.lifespan
    async def waits(server: Server) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(calls, server)
            yield

    stuck = Service("stuck")

    @stuck.lifespan
    async def stays() -> AsyncIterator[None]:
        scope.cancel()
        await anyio.sleep_forever()
        yield

    whole.include(slow)
    whole.include(stuck)
    with anyio.CancelScope() as scope:
        await until_it_ends(whole)
    assert codes == [-32050]


async def test_a_failing_start_ends_serve_with_the_service_and_the_exception_and_ends_those_that_had_started() -> None:
    log: list[str] = []
    service = pooled("outer", log)
    service.include(pooled("first", log))
    broken = Service("broken")
    servers: list[Server] = []
    outcomes: list[object] = []

    async def calls(server: Server) -> None:
        try:
            await server.call("first.plain")
        except RpcError as error:
            outcomes.append(error.code)

    @broken.lifespan
    async def lifespan(server: Server) -> AsyncIterator[None]:
        servers.append(server)
        async with anyio.create_task_group() as group:
            group.start_soon(calls, server)
            await anyio.wait_all_tasks_blocked()
            with anyio.CancelScope(shield=True):
                raise ConnectionRefusedError("the database is down")
            yield

    service.include(broken)
    with pytest.raises(LifespanError) as caught:
        await until_it_ends(service)
    text = "the lifespan of service 'broken' failed to start: ConnectionRefusedError: the database is down"
    assert str(caught.value) == text
    assert (caught.value.service, caught.value.phase) == ("broken", "start")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert log == ["first opens", "first closes"]
    (server,) = servers
    with pytest.raises(OSError):
        await anyio.connect_tcp("127.0.0.1", server.bound[0].port)
    with pytest.raises(RpcError, match="-32050"):
        await server.call("first.plain")


async def test_a_start_that_is_not_a_context_manager_fails() -> None:
    service = Service("wrong")

    def lifespan() -> Any:
        return "pool"

    lifespan.__annotations__["return"] = AsyncContext
    service.lifespan(lifespan)
    with pytest.raises(LifespanError, match="'wrong' failed to start: TypeError: 'str' object"):
        await until_it_ends(service)


class AsyncContext:
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *raised: object) -> None: ...


async def test_a_shut_down_during_the_start_cancels_it_and_serve_returns() -> None:
    log: list[str] = []
    service = pooled("started", log)
    slow = Service("slow")
    never: list[Server] = []

    @slow.lifespan
    async def lifespan(server: Server) -> AsyncIterator[None]:
        server.shut_down()
        try:
            await anyio.sleep_forever()
        finally:
            await anyio.sleep(0)  # its clean-up may await
            log.append("cleaned up")
        yield

    whole = Service("whole")
    whole.include(service)
    whole.include(slow)
    await until_it_ends(whole, started=never.append)
    assert log == ["started opens", "cleaned up", "started closes"]
    assert never == []


class Interrupted:
    """A coroutine that is interrupted once, when it waits for the first time."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], interruption: Callable[[], object]) -> None:
        self._coroutine = coroutine
        self._interruption = interruption

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            wanted = self._coroutine.send(None)
            self._interruption()
            while True:
                try:
                    value = yield wanted
                except BaseException as error:
                    wanted = self._coroutine.throw(error)
                else:
                    wanted = self._coroutine.send(value)
        except StopIteration:
            return


async def test_a_shut_down_at_the_moment_at_which_the_last_lifespan_has_started_is_not_lost() -> None:
    log: list[str] = []
    service = pooled("last", log)

    async with anyio.create_task_group() as tasks:

        def start(begin: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
            async def run() -> None:
                await Interrupted(begin(), lifespans.abort)

            tasks.start_soon(run)

        lifespans = Lifespans(service.lifespans, None, States(), start, lambda: None)
        assert not await lifespans.start()
        assert await lifespans.stop(PATIENCE) == []
    assert log == ["last opens", "last closes"]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


async def test_an_exception_whose_text_raises_is_reported_by_its_type() -> None:
    service = Service("mute")

    @service.lifespan
    async def lifespan() -> AsyncIterator[None]:
        raise Unspeakable
        yield

    with pytest.raises(LifespanError) as caught:
        await until_it_ends(service)
    assert str(caught.value) == (
        "the lifespan of service 'mute' failed to start: Unspeakable: its text cannot be shown"
    )


async def test_a_failing_end_is_raised_when_everything_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []
    service = pooled("inner", log)
    whole = Service("whole")
    whole.include(service)

    @whole.lifespan
    async def lifespan() -> AsyncIterator[None]:
        yield
        raise ExceptionGroup("tasks", [OSError()])

    with pytest.raises(LifespanError) as caught:
        await until_it_ends(whole, started=Server.shut_down)
    assert str(caught.value) == "the lifespan of service 'whole' failed at its end: OSError"
    assert caught.value.phase == "end"
    assert log == ["inner opens", "inner closes"]
    assert caplog.records == [record for record in caplog.records if record.levelno < logging.ERROR]


async def failing_task(fail: anyio.Event) -> None:
    await fail.wait()
    raise ValueError("no clock")


async def test_a_task_of_a_lifespan_that_fails_shuts_the_server_down_while_calls_still_have_their_state(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service("ticking", public=True)
    fail = anyio.Event()
    log: list[str] = []

    @service.lifespan
    async def lifespan() -> AsyncIterator[list[str]]:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(failing_task, fail)
                yield log
        finally:
            log.append("closed")

    @service.method
    async def lasts(context: Context[list[str]]) -> str:
        fail.set()
        try:
            await anyio.sleep_forever()
        finally:
            context.state.append("call ended")
        raise AssertionError

    async def use(server: Server) -> None:
        async with websocket(server) as client:
            await client.say(text("lasts"))
            assert (await client.next())["method"] == "connection.draining"
            assert (await client.next())["error"]["code"] == -32050
            assert await client.close_code() == 1012

    async with anyio.create_task_group() as group:
        with pytest.raises(LifespanError) as caught:
            await until_it_ends(service, config=QUICK, started=lambda server: group.start_soon(use, server))
    assert str(caught.value) == "the lifespan of service 'ticking' failed while it was serving: ValueError: no clock"
    assert caught.value.phase == "serving"
    assert log == ["call ended", "closed"]
    assert "the lifespan of service ticking has ended by itself: the server shuts down" in caplog.text


async def test_the_task_of_an_early_lifespan_may_fail_during_the_start_of_a_later_one() -> None:
    early, late = Service("early"), Service("late")
    fail = anyio.Event()

    @early.lifespan
    async def lifespan() -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(failing_task, fail)
            yield

    @late.lifespan
    async def slow() -> AsyncIterator[None]:
        fail.set()
        await anyio.sleep_forever()
        yield

    late.include(early)
    with pytest.raises(LifespanError, match="'early' failed while it was serving: ValueError: no clock"):
        await until_it_ends(late)


async def test_a_lifespan_that_ends_itself_shuts_the_server_down() -> None:
    service = Service("brief")
    log: list[str] = []

    @service.lifespan
    async def lifespan() -> AsyncIterator[None]:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 0)
                group.start_soon(lambda: _cancel(scope))
                yield
        log.append("closed")

    await until_it_ends(service)
    assert log == ["closed"]


async def _cancel(scope: anyio.CancelScope) -> None:
    scope.cancel()


@pytest.mark.parametrize(
    ("resists", "named"),
    [(False, "slow does not end in time: it is cancelled"), (True, "slow was cancelled, but goes on")],
)
async def test_a_lifespan_that_does_not_end_is_named_and_left_behind(
    resists: bool, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[str] = []
    whole = Service("whole")
    whole.include(pooled("inner", log))
    slow = Service("slow")
    free = anyio.Event()

    @slow.lifespan
    async def lifespan() -> AsyncIterator[None]:
        yield
        while not free.is_set():
            try:
                await free.wait()
            except anyio.get_cancelled_exc_class():
                if not resists:
                    raise

    slow.include(whole)
    await until_it_ends(slow, config=HASTY, started=Server.shut_down)
    assert f"the lifespan of service {named}" in caplog.text
    assert log == ["inner opens", "inner closes"]
    free.set()  # else the loop of the test could not end
    await anyio.wait_all_tasks_blocked()


@pytest.mark.parametrize("fails", [False, True])
async def test_a_server_that_is_cancelled_ends_its_lifespans_and_logs_their_errors(
    fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service("cancelled", public=True)
    log: list[object] = []

    @service.method
    def plain() -> None: ...

    @service.lifespan
    async def lifespan(server: Server) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await anyio.sleep(0)
            try:
                await server.call("plain")
            except RpcError as error:
                log.append(error.code)
            if fails:
                raise ValueError("at its end")

    async with serving(service):
        pass
    assert log == [-32050]
    failed = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    text = "the lifespan of service 'cancelled' failed at its end: ValueError: at its end"
    assert failed == ([text] if fails else [])


async def test_the_end_of_a_lifespan_of_a_server_that_is_cancelled_may_wait_for_a_thread_that_calls_the_server() -> (
    None
):
    service = Service("cancelled", public=True)
    log: list[object] = []

    @service.lifespan
    async def lifespan(server: Server) -> AsyncIterator[None]:
        yield
        log.append(await anyio.to_thread.run_sync(server.broadcast, "bye"))
        log.append((await anyio.to_thread.run_sync(server.health)).status)

    async with anyio.create_task_group() as tasks:
        accepts = anyio.Event()
        tasks.start_soon(partial(until_it_ends, service, started=lambda server: accepts.set()))
        await accepts.wait()
        tasks.cancel_scope.cancel()
    assert log == [0, "healthy"]


async def test_context_variables_of_a_lifespan_are_not_those_of_calls() -> None:
    service = Service("variables", public=True)
    variable: ContextVar[str] = ContextVar("variable", default="clean")

    @service.lifespan
    async def lifespan() -> AsyncIterator[None]:
        variable.set("lifespan")
        yield
        assert variable.get() == "lifespan"

    @service.method
    def read() -> str:
        return variable.get()

    async with serving(service, config=QUICK) as server:
        async with connected(server) as client:
            assert (await client.post("read"))[1]["result"] == "clean"
        server.shut_down()
        await server.ended()


def test_a_task_group_of_asyncio_works_in_a_lifespan() -> None:
    service = Service("native")
    log: list[str] = []

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("native")

    @service.lifespan
    async def lifespan() -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
            yield
        log.append("never")

    with pytest.raises(LifespanError, match="'native' failed while it was serving: ValueError: native"):
        asyncio.run(until_it_ends(service, config=QUICK))
    assert log == []


# On a simulated machine, without a server


class Bench(SimulatedMachine):
    """Lifespans of some services, by name. `seen` says what happens, and when; `gates` lets a phase of a service wait
    for so many seconds, or raise."""

    def __init__(self, *names: str, **gates: float | BaseException) -> None:
        super().__init__()
        self.seen: list[tuple[str, float]] = []
        self.gates = gates
        self.states = States()
        self.broken: list[str] = []
        declared = tuple(Lifespan(name, self.opens(name), False) for name in names)
        made: list[Lifespans] = []

        async def make() -> None:
            made.append(Lifespans(declared, "the server", self.states, self.begin, lambda: self.broken.append("broke")))

        self.run(make)
        (self.lifespans,) = made
        self.declared = declared

    def begin(self, begin: Callable[[], Any], name: str) -> None:
        self.seen.append((name, self.schedule.now))
        self.loop.create_task(begin())

    def opens(self, name: str) -> Callable[[], AbstractAsyncContextManager[str]]:
        @asynccontextmanager
        async def life() -> AsyncIterator[str]:
            await self.gate(f"{name}_start")
            yield f"state of {name}"
            await self.gate(f"{name}_end")

        return life

    async def gate(self, phase: str) -> None:
        gate = self.gates.get(phase, 0.0)
        if isinstance(gate, BaseException):
            raise gate
        if gate < 0:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(-gate)
        elif gate:
            await anyio.sleep(gate)
        self.seen.append((phase, self.schedule.now))

    def start(self) -> asyncio.Task[bool]:
        return self.run(self.lifespans.start)

    def abort(self) -> bool:
        async def abort() -> bool:
            return self.lifespans.abort()

        aborted: bool = self.run(abort).result()
        return aborted

    def stop(self, seconds: float = 5.0) -> asyncio.Task[list[str]]:
        return self.run(lambda: self.lifespans.stop(seconds))


def test_they_start_one_after_another_and_end_in_the_reverse_order() -> None:
    bench = Bench("a", "b", a_start=1.0, b_start=2.0, b_end=0.5)
    started = bench.start()
    bench.pass_time(1.5)
    assert (bench.seen, started.done()) == (
        [("lifespan of a", 0.0), ("a_start", 1.0), ("lifespan of b", 1.0)],
        False,
    )
    assert bench.states == {bench.declared[0]: "state of a"}
    assert not bench.lifespans.over.is_set()
    bench.pass_time(2.0)
    assert (started.result(), bench.lifespans.over.is_set()) == (True, True)
    bench.seen.clear()
    stopped = bench.stop()
    bench.pass_time(1.0)
    assert (stopped.result(), bench.seen) == ([], [("b_end", 4.0), ("a_end", 4.0)])
    assert [*bench.lifespans.errors()] == []


def test_no_lifespan_at_all_has_started_at_once() -> None:
    bench = Bench()
    assert (bench.start().result(), bench.stop().result()) == (True, [])
    assert bench.run(bench.lifespans.started).result() is True


@pytest.mark.parametrize(
    ("cause", "text"),
    [(ArithmeticError("no luck"), "ArithmeticError: no luck"), (KeyboardInterrupt(), "KeyboardInterrupt")],
)
def test_one_that_fails_to_start_is_named_and_the_later_ones_do_not_start(cause: BaseException, text: str) -> None:
    bench = Bench("a", "b", "c", b_start=cause)
    assert bench.start().result() is False
    assert [what for what, _ in bench.seen] == ["lifespan of a", "a_start", "lifespan of b"]
    assert bench.run(bench.lifespans.started).result() is False
    bench.stop()
    (error,) = bench.lifespans.errors()
    assert str(error) == f"the lifespan of service 'b' failed to start: {text}"
    assert (error.service, error.phase, error.__cause__) == ("b", "start", cause)
    assert bench.broken == []


def test_the_error_that_ended_the_server_comes_first() -> None:
    bench = Bench("a", "b", "c", a_end=ArithmeticError("a"), b_end=ArithmeticError("b"))
    bench.start()
    broken = bench.lifespans._open[2]
    bench.stop()
    broken.error, broken.phase = ExceptionGroup("tasks", [ArithmeticError("c")]), "serving"
    assert [str(error) for error in bench.lifespans.errors()] == [
        "the lifespan of service 'c' failed while it was serving: ArithmeticError: c",
        "the lifespan of service 'a' failed at its end: ArithmeticError: a",
        "the lifespan of service 'b' failed at its end: ArithmeticError: b",
    ]


def test_a_start_that_is_aborted_starts_no_more_of_them() -> None:
    bench = Bench("a", "b", a_start=1.0, b_start=2.0)
    started = bench.start()
    bench.pass_time(1.5)
    assert bench.abort()
    bench.settle()
    assert started.result() is False
    assert not bench.abort(), "the start is over"
    bench.seen.clear()
    assert bench.stop().result() == []
    assert bench.seen == [("a_end", 1.5)], "the one that was starting is cancelled"
    assert [*bench.lifespans.errors()] == []


def test_an_abort_of_a_start_that_is_over_is_told() -> None:
    bench = Bench("a")
    bench.start()
    assert not bench.abort()
    assert bench.run(bench.lifespans.started).result() is True


def test_those_that_wait_for_the_start_are_told_whether_it_succeeded() -> None:
    bench = Bench("a", a_start=1.0)
    waits = bench.run(bench.lifespans.started)
    bench.start()
    assert not waits.done()
    bench.pass_time(1.0)
    assert waits.result() is True


def test_those_that_wait_for_a_start_that_never_was_are_told_at_the_end() -> None:
    bench = Bench("a")
    waits = bench.run(bench.lifespans.started)
    assert bench.stop().result() == []
    assert waits.result() is False


def test_a_lifespan_that_would_wait_for_its_own_start_is_told_so() -> None:
    bench = Bench("a", a_start=1.0)
    raised: list[str] = []

    async def gate(phase: str) -> None:
        if phase == "a_start":
            with pytest.raises(UsageError) as caught:
                await bench.lifespans.started()
            raised.append(str(caught.value))

    bench.gate = gate  # type: ignore[method-assign]
    assert bench.start().result() is True
    assert raised == [
        "a lifespan cannot call its service before `yield`, because no service has started yet: start a task that "
        "calls it"
    ]


def test_one_that_does_not_end_in_time_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench("a", "b", b_end=60.0)
    bench.start()
    stopped = bench.stop(3.0)
    bench.pass_time(2.9)
    assert (stopped.done(), logged(caplog)) == (False, [])
    bench.pass_time(0.2)
    assert stopped.result() == []
    text = "the lifespan of service b does not end in time: it is cancelled"
    assert logged(caplog) == [(logging.WARNING, "lifespan.overrun", text)]
    assert bench.seen[-1] == ("a_end", 3.0)


def test_one_that_resists_its_cancellation_is_left_behind_and_the_others_still_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench("a", "b", a_end=0.05, b_end=-60.0)
    bench.start()
    stopped = bench.stop(3.0)
    bench.pass_time(3.05)
    assert not stopped.done()
    bench.pass_time(0.15)
    assert stopped.result() == ["b"]
    assert bench.seen[-1] == ("a_end", 3.15), "each has a tenth of a second, whatever the time is"
    assert [line[1:] for line in logged(caplog)] == [
        ("lifespan.overrun", "the lifespan of service b does not end in time: it is cancelled"),
        ("lifespan.resists", "the lifespan of service b was cancelled, but goes on: the server ends without it"),
    ]
    assert [line[0] for line in logged(caplog)] == [logging.WARNING] * 2


def test_one_that_is_starting_is_cancelled_at_the_end() -> None:
    bench = Bench("a", a_start=60.0)
    bench.run(bench.lifespans.start).cancel()
    bench.settle()
    stopped = bench.stop(3.0)
    bench.settle()
    assert stopped.result() == []
    assert bench.seen == [("lifespan of a", 0.0)]


def test_one_that_ends_by_itself_is_told_at_once_and_cleans_up_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench("a")
    scopes: list[anyio.CancelScope] = []

    @asynccontextmanager
    async def life() -> AsyncIterator[str]:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            try:
                yield "state"
            finally:
                bench.seen.append(("cleaned up", bench.schedule.now))

    bench.lifespans._declared = (Lifespan("a", life, False),)  # type: ignore[misc]
    bench.start()
    bench.pass_time(1.0)
    assert bench.broken == []
    bench.loop.call_soon(scopes[0].cancel)
    bench.settle()
    assert bench.broken == ["broke"]
    text = "the lifespan of service a has ended by itself: the server shuts down"
    assert logged(caplog) == [(logging.ERROR, "lifespan.ended", text)]
    bench.pass_time(1.0)
    assert bench.seen == [("lifespan of a", 0.0)]
    bench.stop()
    bench.settle()
    assert bench.seen[1:] == [("cleaned up", 2.0)]


def test_lifespans_of_a_process_that_has_ended_need_not_wait() -> None:
    bench = Bench("a", "b")
    bench.start()
    bench.lifespans.drop()
    bench.settle()
    assert [what for what, _ in bench.seen if what.endswith("_end")] == ["a_end", "b_end"]


def test_an_error_whose_text_raises_is_named_by_its_type() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise LookupError

    assert str(LifespanError("a", "serving", Mute())) == (
        "the lifespan of service 'a' failed while it was serving: Mute: its text cannot be shown"
    )
