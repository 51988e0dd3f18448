"""Simulated handlers: errors of the core end the run, injected faults are exceptions of the handler."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from functools import partial
from typing import Any

import anyio
import pytest
from posthouse.adapters.invariants import Violation
from posthouse.adapters.model.outgoing import Pushes
from posthouse.adapters.simulation import Conditions, HandlerFaults, Model, World
from posthouse.adapters.simulation.served.faults import InjectedError
from posthouse.core import Config, Context, RpcError, Service, UsageError
from posthouse.core.gateway import Gateway
from posthouse.core.service.method import Method, Outcome, Raised


def talkative() -> Service:
    """Methods whose handlers say something."""
    service = Service("talkative", public=True)

    @service.method
    def plain(number: int) -> int:
        return number

    @service.method
    async def slow(number: int) -> int:
        await anyio.sleep(1)
        return number

    @service.method
    def tell(context: Context, number: int) -> int:
        context.notify("told", [number])
        return number

    @service.method
    async def tell_slowly(context: Context, number: int) -> int:
        await anyio.sleep(1)
        context.notify("told", [number])
        return number

    @service.method
    def progress(context: Context, number: int) -> int:
        context.progress(0.5)
        return number

    @service.method
    async def ask(context: Context, number: int) -> int:
        answer: int = await context.call("double", [number], result_type=int, timeout=3.0)
        return answer

    return service


UNDER = [
    ("plain", "complete"),
    ("slow", "complete"),
    ("tell", "notify"),
    ("tell_slowly", "notify"),
    ("progress", "progress"),
    ("ask", "request"),
    ("ask", "complete"),
]


@pytest.mark.parametrize(("method", "input"), UNDER)
def test_a_violation_inside_a_handler_passes_its_firewall(
    method: str, input: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planted(self: Model, *arguments: Any) -> None:
        raise Violation(f"planted: in {input}")

    monkeypatch.setattr(Model if input == "complete" else Pushes, input, planted)
    world = World(service=talkative())
    alice = world.client("alice")
    alice.answers["double"] = lambda params: 2 * params[0]
    alice.call(method, 3)
    with pytest.raises(Violation, match=f"^planted: in {input}\n"):
        world.run(seconds=10)


@pytest.mark.parametrize(("method", "input"), [*UNDER, ("ask", "abandon")])
def test_an_exception_of_the_core_inside_a_handler_passes_its_firewall(
    method: str, input: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planted(*arguments: Any, **named: Any) -> None:
        raise LookupError(input)

    monkeypatch.setattr(Gateway, input, planted)
    world = World(service=talkative())
    alice = world.client("alice")
    alice.answers["double"] = lambda params: 2 * params[0]
    if input == "abandon":
        alice.answer_delay = 100.0
        call = alice.call(method, 3)
        world.after(1.0, lambda: alice.cancel(call))
    else:
        alice.call(method, 3)
    with pytest.raises(LookupError, match=f"^'?{input}'?\n"):
        world.run(seconds=10)


def test_an_injected_error_passes_the_interceptors_once() -> None:
    service = Service("watched", public=True)
    seen: list[Any] = []

    @service.method
    async def one() -> int:
        return 1

    @service.method
    def two() -> int:
        return 2

    @service.on_outcome
    async def look(context: Context, method: Method, outcome: Outcome) -> None:
        seen.append((method.name, outcome))

    world = World(service=service, conditions=Conditions(handlers=HandlerFaults(raises=1000)))
    alice = world.client("alice")
    calls = [alice.call("one"), alice.call("two")]
    world.run(1)
    assert [type(call.error.__cause__) for call in calls if call.error is not None] == [InjectedError, InjectedError]
    assert sorted(name for name, _ in seen) == ["one", "two"]
    assert all(isinstance(outcome, Raised) and type(outcome.error) is InjectedError for _, outcome in seen)


def test_many_sequential_handlers_that_end_at_once_do_not_recurse() -> None:
    service = Service("line", public=True)

    @service.method(sequential=True)
    async def slow() -> int:
        await anyio.sleep(1)
        return 1

    @service.method(sequential=True, blocking=True)
    def quick(number: int) -> int:
        return number

    world = World(service=service, config=Config(max_calls_per_connection=3000))
    alice = world.client("alice")
    alice.call("slow")
    calls = [alice.call("quick", number) for number in range(2000)]
    world.run(1)
    assert {call.status for call in calls} == {"pending"}
    world.run(5)
    assert [call.result for call in calls] == list(range(2000))


def outside() -> Service:
    """Handlers that leave the world."""
    service = Service("outside", public=True)

    @service.method
    async def thread() -> int:
        return await anyio.to_thread.run_sync(lambda: 7)

    @service.method
    async def executor() -> int:
        return await asyncio.to_thread(lambda: 7)

    @service.method
    async def broken_executor() -> int:
        return await asyncio.to_thread(lambda: 7 // 0)

    @service.method
    async def socket() -> None:
        await asyncio.open_connection("127.0.0.1", 1)

    @service.method
    async def process() -> None:
        await anyio.run_process(["true"])

    return service


@pytest.mark.parametrize("method", ["thread", "socket", "process"])
def test_a_handler_that_uses_sockets_or_threads_gets_an_error_with_a_remedy(method: str) -> None:
    world = World(service=outside())
    threads = threading.active_count()
    call = world.client("alice").call(method)
    world.run(1)
    assert call.error is not None
    assert isinstance(call.error.__cause__, UsageError)
    assert "replace them with a fake in tests" in str(call.error.__cause__)
    world.finish()
    assert threading.active_count() <= threads + 1  # one that was stopped may still be on its way out


def test_functions_for_a_thread_are_run_in_a_thread_of_the_world() -> None:
    world = World(service=outside())
    alice = world.client("alice")
    calls = [alice.call("executor"), alice.call("broken_executor")]
    world.run(0.1)
    assert calls[0].result == 7
    assert calls[1].error is not None
    assert isinstance(calls[1].error.__cause__, ZeroDivisionError)


def test_a_function_in_a_thread_of_the_world_may_notify_its_caller() -> None:
    service = Service("telling", public=True)

    @service.method
    async def tell(context: Context) -> bool:
        return await asyncio.to_thread(context.notify, "told", [1])

    world = World(service=service)
    alice = world.client("alice")
    call = alice.call("tell")
    world.run(1)
    assert (call.result, list(alice.notifications)) == (True, [("told", [1])])
    world.finish()


def test_tasks_of_a_group_are_cancelled_in_the_same_order_in_every_run() -> None:
    service = Service("group", public=True)
    stopped: list[int] = []

    async def wait(number: int) -> None:
        try:
            with anyio.fail_after(100):
                await anyio.sleep(50)
        finally:
            stopped.append(number)

    @service.method
    async def race() -> list[int]:
        with anyio.move_on_after(1):
            async with anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(wait, number)
        return stopped

    orders: list[list[int]] = []
    kept: list[object] = []
    for turn in range(8):
        kept.extend(object() for _ in range(37 * turn))  # so that nothing is where it was
        stopped.clear()
        world = World(5, service=service)
        call = world.client("alice").call("race")
        world.run(5)
        orders.append(call.result)
    assert len(orders[0]) == 20
    assert all(order == orders[0] for order in orders)


def test_a_simulated_call_awaits_what_it_gets_keeps_its_variables_and_cleans_up() -> None:
    service = Service("as served", public=True)
    user: ContextVar[str | None] = ContextVar("user", default=None)
    done: list[str] = []

    async def add(a: int, b: int) -> int:
        await anyio.sleep(1)
        return a + b

    service.method("add")(lambda a, b=0: add(a, b))

    @service.on("connection.opened")
    @partial
    def opened(event: object) -> Any:
        user.set("hook")
        return add(1, 2)

    @service.method
    def login(name: str) -> str | None:
        before = user.get()
        user.set(name)
        return before

    @service.method
    async def work() -> None:
        try:
            await anyio.sleep(20)
        finally:
            await anyio.sleep(0.1)
            done.append("cleaned")

    world = World(service=service)
    client = world.client("alice")
    added, first, second, working = (
        client.call("add", 1, 2),
        client.call("login", "ada"),
        client.call("login", "bob"),
        client.call("work"),
    )
    world.run(2)
    assert (added.result, first.result, second.result) == (3, None, None)
    client.cancel(working)
    world.run(2)
    assert done == ["cleaned"]
    assert not world.hook_errors


def test_a_simulated_context_knows_its_connection_and_notifies_behind_its_reply() -> None:
    service = Service("as served", public=True)
    kept: list[Context] = []

    @service.method
    def subscribe(context: Context, refused: bool) -> list[Any]:
        kept.append(context)
        visits = context.connection_state["visits"] = context.connection_state.get("visits", 0) + 1
        assert context.notify("event", [visits], after_reply=True)
        if refused:
            raise RpcError(7)
        return [visits, context.path, context.headers["upgrade"], context.address.host != ""]

    world = World(service=service)
    client = world.client("alice")
    good, bad = client.call("subscribe", False), client.call("subscribe", True)
    world.run(1)
    assert good.result == [1, "/ws", "websocket", True]
    assert bad.status == "error"
    assert list(client.notifications) == [("event", [1])]
    assert [context.notify("more", after_reply=True) for context in kept] == [True, False]
    world.run(1)
    assert list(client.notifications) == [("event", [1]), ("more", None)]
    world.finish()
