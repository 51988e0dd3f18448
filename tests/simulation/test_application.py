"""The application in a world: its lifespans, their state, and calls in process, on the virtual clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from posthouse.adapters.handlers.lifespans import LifespanError
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation import Conditions, Monitoring, World
from posthouse.core import (
    Config,
    ConnectionOpened,
    Context,
    ErrorObject,
    HookContext,
    Identity,
    ResultError,
    RpcError,
    Service,
    UsageError,
)
from posthouse.transports import Reply
from posthouse.transports.switchboard.local_calls import LocalCalls

ADA = Identity("ada")


def clock(log: list[str]) -> Service:
    """A service whose lifespan takes a virtual second to start, and counts while it serves."""
    service = Service("clock", public=True)

    async def count(server: Any, state: dict[str, int]) -> None:
        while True:
            state["ticks"] += 1
            server.broadcast("tick", [await server.call("ticks")])
            await anyio.sleep(1)

    @service.lifespan
    async def lifespan(server: Any) -> AsyncIterator[dict[str, int]]:
        await anyio.sleep(1)
        log.append("opened")
        state = {"ticks": 0}
        async with anyio.create_task_group() as group:
            group.start_soon(count, server, state)
            yield state
            group.cancel_scope.cancel()
        await anyio.sleep(1)
        log.append("closed")

    @service.method
    def ticks(context: Context[dict[str, int]]) -> int:
        return context.state["ticks"]

    @service.method
    async def rest(context: Context) -> Any:
        await anyio.sleep(5)
        return context.user

    @service.on("connection.opened")
    def opened(event: ConnectionOpened, context: HookContext[dict[str, int]]) -> None:
        if event.kind == "websocket":
            log.append(f"hook {context.state['ticks']} {context.notify('welcome')}")

    return service


def test_a_lifespan_runs_on_the_virtual_clock_and_its_tasks_push_and_call() -> None:
    log: list[str] = []
    world = World(service=clock(log))
    assert (world.now, log) == (1.0, ["opened"])
    world.run(seconds=1.5)
    alice = world.client("alice")
    call = alice.call("ticks")
    world.run(seconds=2)
    assert call.result == 2
    assert log == ["opened", "hook 2 True"]
    assert [note[0] for note in alice.notifications] == ["welcome", "tick", "tick"]
    world.finish()
    assert log[-1] == "closed"
    world.close()


def test_a_state_may_stand_for_that_of_the_lifespan() -> None:
    log: list[str] = []
    world = World(service=clock(log), conditions=Conditions(state={"ticks": 7}))
    call = world.client("alice").call("ticks")
    world.run(seconds=1)
    assert (call.result, log[1:]) == (7, [])
    world.finish()
    assert "opened" not in log


def test_a_state_stands_for_that_of_the_service_itself_alone() -> None:
    log: list[str] = []
    whole = Service("whole", public=True)
    whole.include(clock(log))

    @whole.lifespan
    async def lifespan() -> AsyncIterator[str]:
        raise AssertionError
        yield

    @whole.method
    def name(context: Context[str]) -> str:
        return context.state

    world = World(service=whole, conditions=Conditions(state="double"))
    call = world.client("alice").call("name")
    world.run(seconds=1)
    assert (call.result, log[0]) == ("double", "opened")
    world.finish()


def test_a_start_that_fails_is_raised() -> None:
    service = Service("broken")

    @service.lifespan
    async def lifespan() -> AsyncIterator[None]:
        await anyio.sleep(1)
        raise OSError("no database")
        yield

    with pytest.raises(LifespanError, match="'broken' failed to start: OSError: no database"):
        World(service=service)


def test_an_end_that_fails_is_raised_when_the_world_is_finished() -> None:
    service = Service("broken")

    @service.lifespan
    async def lifespan() -> AsyncIterator[None]:
        yield
        raise OSError("the disk is full")

    world = World(service=service)
    with pytest.raises(LifespanError, match="'broken' failed at its end: OSError: the disk is full"):
        world.finish()


def test_a_start_may_be_shut_down() -> None:
    service = Service("brief")

    @service.lifespan
    async def lifespan(server: Any) -> AsyncIterator[None]:
        server.shut_down()
        await anyio.sleep_forever()
        yield

    world = World(service=service)
    assert not world.server.started


def test_a_process_that_was_killed_starts_its_lifespans_again_and_lets_clients_in_when_they_have_started() -> None:
    log: list[str] = []
    world = World(service=clock(log))
    call = world.client("alice").call("ticks")
    world.run(seconds=0.5)
    assert call.result == 1
    world.restart()
    assert not world.server.started
    call = world.client("alice").call("ticks")
    world.run(seconds=0.5)
    assert call.status == "lost"
    world.run(seconds=30)
    assert log[:3] == ["opened", "hook 1 True", "opened"]
    assert world.client("alice").call("ticks").status != "lost"
    world.finish()


def test_a_task_of_a_lifespan_that_fails_shuts_the_process_down() -> None:
    service = Service("ticking")

    async def fails() -> None:
        await anyio.sleep(1)
        raise ValueError("no clock")

    @service.lifespan
    async def lifespan() -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(fails)
            yield

    world = World(service=service)
    world.run(seconds=5)
    assert world.process.drained
    with pytest.raises(LifespanError, match="'ticking' failed while it was serving: ValueError: no clock"):
        world.finish()


def test_calls_in_process_have_one_outcome_each() -> None:
    world = World(service=clock([]))
    results = [world.server.begin("ticks"), world.server.begin("rest", identity=ADA), world.server.begin("missing")]
    short = world.server.begin("rest", timeout=0.5)
    gone = world.server.begin("rest")
    world.server.hang_up(gone)
    world.run(seconds=6)
    assert [call.outcome for call in results] == [b"1", b'"ada"', ErrorObject(-32601, "Method not found")]
    assert isinstance(short.outcome, ErrorObject)
    assert (short.outcome.code, gone.outcome) == (-32030, None)
    assert world.server.stats()["calls.disconnected"] == 1
    assert (world.server.health().calls, world.server.bound) == (0, ())
    with pytest.raises(UsageError):
        world.server.begin("")
    world.finish()


def test_an_exception_at_the_end_of_a_call_in_process_is_raised() -> None:
    def fail(outcome: bytes | ErrorObject) -> None:
        raise Violation("the outcome is wrong", outcome)

    world = World(service=clock([]))
    world.server.begin("ticks").ended = fail
    with pytest.raises(Violation, match="the outcome is wrong"):
        world.run(1.0)


def test_a_call_in_process_that_gets_no_outcome_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(service=clock([]), monitoring=Monitoring(check_every=10_000))  # the tables would tell sooner
    call = world.server.begin("rest")
    monkeypatch.setattr(LocalCalls, "answered", lambda self, effect, now: None)
    monkeypatch.setattr(LocalCalls, "refused", lambda self, effect, now: None)
    with pytest.raises(Violation, match="liveness: every call gets an outcome"):
        world.settle()
    assert call.outcome is None


def test_an_outcome_of_no_call_in_process_is_a_violation() -> None:
    world = World(service=clock([]))
    world.process.board.outbox.append(Reply(world.server.begin("ticks").connection, b"1"))
    with pytest.raises(Violation, match=r"a reply to no local call|two outcomes"):
        world.run(seconds=1)


def test_a_handler_may_call_in_process_and_gets_the_errors_of_a_client() -> None:
    service = Service("nested", public=True)
    servers: list[Any] = []
    codes: list[int] = []

    @service.lifespan
    async def lifespan(server: Any) -> AsyncIterator[None]:
        servers.append(server)
        yield
        try:
            await server.call("inner", [1])
        except RpcError as error:
            codes.append(error.code)

    @service.method
    def inner(value: int) -> int:
        return value + 1

    @service.method
    async def outer(value: int) -> int:
        server = servers[-1]
        for method, params in (("inner", ["x"]), ("missing", None)):
            try:
                await server.call(method, params)
            except RpcError as error:
                codes.append(error.code)
        with pytest.raises(ResultError):
            await server.call("inner", [value], result_type=str)
        with anyio.move_on_after(1):
            await server.call("slow")
        assert server.notify(1, "news") is False
        return int(await server.call("inner", [value]))

    @service.method
    async def slow() -> None:
        await anyio.sleep_forever()

    world = World(service=service, config=Config(drain_grace=0.0))
    call = world.client("alice", "http").call("outer", 41)
    world.run(seconds=2)
    assert (call.result, codes) == (42, [-32602, -32601])
    world.finish()
