"""User code behind the firewall: how it runs, how it is stopped, and the outcome that its caller gets."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from posthouse.core.service.context import Context
from posthouse.core.service.method import Method, Outcome, Raised, Returned
from posthouse.core.service.parameters import Arguments
from posthouse.core.service.results import ResultError
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import RpcError
from posthouse.core.values.lifecycle import CallFailed, ConnectionClosed, ConnectionOpened

from tests.adapters.loopback import PATIENCE, connected, serving, text, websocket

pytestmark = pytest.mark.anyio


async def test_plain_handlers_run_at_once_in_order_of_arrival() -> None:
    service = Service("plain", public=True)
    called: list[int] = []

    @service.method
    def note(number: int) -> list[int]:
        called.append(number)
        return called

    async with serving(service) as server, websocket(server) as client:
        for number in range(200):  # more than one turn of the loop performs
            await client.say(text("note", [number], id=number))
        for number in range(200):
            assert (await client.next())["result"] == list(range(number + 1))


async def test_an_async_handler_waits_while_others_are_answered() -> None:
    service = Service("tasks", public=True)
    released = anyio.Event()

    @service.method
    async def hold() -> str:
        await released.wait()
        return "released"

    @service.method
    async def release() -> None:
        released.set()

    async with serving(service) as server, websocket(server) as client:
        await client.say(text("hold", id=1))
        await client.say(text("release", id=2))
        answers = [await client.next(), await client.next()]
        assert {answer["id"]: answer["result"] for answer in answers} == {1: "released", 2: None}


async def test_an_error_that_is_alone_in_the_group_of_a_handlers_tasks_is_its_own() -> None:
    service = Service("groups", public=True)

    async def refuse(code: int) -> None:
        raise RpcError(code, "no")

    @service.method
    async def refused() -> None:
        async with anyio.create_task_group() as outer, anyio.create_task_group():
            outer.start_soon(refuse, 7)

    @service.method
    async def refused_twice() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(refuse, 7)
            group.start_soon(refuse, 8)

    async with serving(service) as server, websocket(server) as client:
        await client.say(text("refused", id=1))
        assert (await client.next())["error"] == {"code": 7, "message": "no"}
        await client.say(text("refused_twice", id=2))
        assert (await client.next())["error"]["code"] == -32603, "which of them it would be is not said"


async def test_error_data_that_cannot_be_encoded_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("data", public=True)

    @service.method
    def refuse(carried: bool) -> None:
        raise RpcError(7, "no", data={"why": 1 if carried else object()})

    async with serving(service) as server, websocket(server) as client:
        await client.say(text("refuse", [True], id=1))
        assert (await client.next())["error"] == {"code": 7, "message": "no", "data": {"why": 1}}
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
        await client.say(text("refuse", [False], id=2))
        assert (await client.next())["error"] == {"code": 7, "message": "no"}
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    expected = "sent an error without its data: the data cannot be encoded as JSON, method=refuse, code=7"
    assert record.getMessage() == expected


class Lazy:
    """A value that computes its class, as proxies of web frameworks do, and cannot. It cannot be shown, either."""

    def __getattribute__(self, name: str) -> object:
        if name == "__class__":
            raise LookupError("no request")
        return super().__getattribute__(name)

    def __repr__(self) -> str:
        raise LookupError("no request")


async def test_a_value_whose_class_and_text_raise_fails_its_own_call_and_no_other() -> None:
    service = Service("lazy", public=True)
    errors: list[str] = []

    @service.on_outcome
    def replace(context: Context, method: Method, outcome: Outcome) -> Any:
        return Lazy() if method.name == "replaced" else None

    plain = Service("plain", public=True)

    @plain.method
    def inline() -> Any:
        return Lazy()

    @plain.method
    async def task() -> Any:
        return Lazy()

    @plain.method(blocking=True)
    def thread() -> Any:
        return Lazy()

    @plain.method
    def refused() -> None:
        raise RpcError(7, "no", data=Lazy())

    service.include(plain)

    @service.method
    def replaced() -> int:
        return 1

    @service.on("call.failed")
    def failed(event: CallFailed) -> Any:
        errors.append(event.method)
        return Lazy()

    async with serving(service) as server, websocket(server) as client:
        for name in ("inline", "task", "thread", "replaced"):
            assert (await client.call(name))["error"]["code"] == -32603
        assert (await client.call("refused"))["error"] == {"code": 7, "message": "no"}
        assert errors == ["inline", "task", "thread", "replaced"]
        assert (await client.call("connection.ping"))["result"]["pong"]


def plain_wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    """An ordinary decorator, which knows nothing of coroutines."""

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


@pytest.mark.parametrize("decorator", [lambda function: function, plain_wrapper], ids=["bare", "decorated"])
async def test_sequential_calls_of_a_connection_follow_one_another_and_others_do_not_wait(
    decorator: Callable[[Any], Any],
) -> None:
    service = Service("sequential", public=True)
    events: list[str] = []
    gate = anyio.Event()

    @service.method(sequential=True)
    @decorator
    async def step(number: int) -> int:
        events.append(f"begin {number}")
        if number == 0:
            await gate.wait()
        await anyio.lowlevel.checkpoint()
        events.append(f"end {number}")
        return number

    @service.method("blocking.step", sequential=True, blocking=True)
    def blocking_step(number: int) -> int:
        events.append(f"thread {number}")
        return number

    async with serving(service) as server, websocket(server) as client, websocket(server) as other:
        for number in (0, 1, 2):
            await client.say(text("step", [number], id=number))
        await client.say(text("blocking.step", [3], id=3))
        await client.say(text("step", [4], id=4))
        assert (await other.call("step", [9]))["result"] == 9
        gate.set()
        assert [(await client.next())["result"] for _ in range(5)] == [0, 1, 2, 3, 4]
    ours = [event for event in events if not event.endswith("9")]
    assert ours == ["begin 0", "end 0", "begin 1", "end 1", "begin 2", "end 2", "thread 3", "begin 4", "end 4"]


async def test_a_call_that_waits_for_its_turn_is_cancelled_without_having_run() -> None:
    service = Service("sequential", public=True)
    ran: list[int] = []
    gate = anyio.Event()

    @service.method(sequential=True)
    async def step(number: int) -> int:
        ran.append(number)
        await gate.wait()
        return number

    async with serving(service) as server, websocket(server) as client:
        for number in (1, 2, 3):
            await client.say(text("step", [number], id=number))
        await client.say(text("$/cancelRequest", {"id": 2}, id=None))
        assert (await client.next())["error"]["code"] == -32800
        gate.set()
        assert [(await client.next())["result"] for _ in range(2)] == [1, 3]
    assert ran == [1, 3]


@pytest.mark.parametrize("intercepted", [None, "plain", "awaits"])
async def test_the_next_of_a_line_begins_when_the_first_is_cancelled_while_it_waits_for_a_thread(
    intercepted: str | None,
) -> None:
    service = Service("sequential", public=True)
    ran: list[int] = []
    occupied, gate = threading.Event(), threading.Event()

    @service.method(blocking=True)
    def occupy() -> None:
        occupied.set()
        gate.wait(PATIENCE)

    @service.method(blocking=True, sequential=True)
    def step(number: int) -> int:
        ran.append(number)
        return number

    if intercepted == "plain":
        service.on_call(lambda context, method, arguments: None)
    elif intercepted == "awaits":

        @service.on_call
        async def pause(context: Context, method: Method, arguments: Arguments) -> None:
            await anyio.lowlevel.checkpoint()

    async with (
        serving(service, config=Config(blocking_workers=1)) as server,
        websocket(server) as client,
        websocket(server) as other,
    ):
        await other.say(text("occupy"))
        await anyio.to_thread.run_sync(occupied.wait)
        for number in (1, 2, 3):
            await client.say(text("step", [number], id=number))
        await client.say(text("rpc.cancel", {"id": 1}, id=None))
        assert (await client.next())["error"]["code"] == -32800
        gate.set()
        assert [(await client.next())["result"] for _ in range(2)] == [2, 3]
    assert ran == [2, 3]


async def test_a_cancelled_handler_is_stopped_and_its_slot_returns_when_it_has_ended() -> None:
    service = Service("cancel", public=True)
    begun = anyio.Event()
    stopped = anyio.Event()
    cleaned = anyio.Event()

    @service.method
    async def hold() -> None:
        try:
            begun.set()
            await anyio.sleep_forever()
        finally:
            stopped.set()
            with anyio.CancelScope(shield=True):
                await cleaned.wait()

    @service.method
    async def after() -> str:
        return "ran"

    async with serving(service, config=Config(max_calls_per_connection=1)) as server, websocket(server) as client:
        await client.say(text("hold", id="h"))
        await client.say(text("after", id="a"))
        await begun.wait()
        await client.say(text("$/cancelRequest", {"id": "h"}, id=None))
        assert (await client.next())["error"]["code"] == -32800
        await stopped.wait()
        assert (await client.call("connection.ping", id="p"))["id"] == "p"  # and not "a", which waits for the slot
        cleaned.set()
        assert await client.next() == {"jsonrpc": "2.0", "result": "ran", "id": "a"}


async def test_a_handler_that_is_cancelled_before_it_began_never_runs() -> None:
    service = Service("cancel", public=True)
    ran: list[str] = []

    @service.method
    async def run(name: str) -> str:
        ran.append(name)
        return name

    async with serving(service) as server, websocket(server) as client:
        cancel = text("$/cancelRequest", {"id": 1}, id=None)
        await client.say(b"[" + text("run", ["first"], id=1) + b"," + cancel + b"]")
        ((answer),) = await client.next()
        assert answer["error"]["code"] == -32800
        assert (await client.call("run", ["second"], id=2))["result"] == "second"
    assert ran == ["second"]


async def test_a_disconnect_cancels_handlers_but_those_declared_to_finish() -> None:
    service = Service("disconnect", public=True)
    seen: dict[str, bool] = {}
    begun = [anyio.Event(), anyio.Event()]
    gone, finished = anyio.Event(), anyio.Event()

    @service.method
    async def stop(context: Context) -> None:
        begun[0].set()
        try:
            await anyio.sleep_forever()
        finally:
            seen["stop"] = context.cancelled
            gone.set()

    @service.method(on_disconnect="finish")
    async def finish(context: Context) -> None:
        begun[1].set()
        await gone.wait()
        await anyio.lowlevel.checkpoint()
        seen["finish"] = context.cancelled
        finished.set()

    async with serving(service) as server:
        async with websocket(server) as client:
            await client.say(text("finish", id=1))
            await client.say(text("stop", id=2))
            for event in begun:
                await event.wait()
        await finished.wait()
    assert seen == {"stop": True, "finish": False}


async def test_blocking_handlers_have_threads_and_a_bounded_queue() -> None:
    service = Service("blocking", public=True)
    release = threading.Event()
    begun = threading.Semaphore(0)

    @service.method(blocking=True)
    def block(number: int) -> int:
        begun.release()
        release.wait(PATIENCE)
        return number

    config = Config(blocking_workers=2, max_blocking_queue=1)
    async with serving(service, config=config) as server, websocket(server) as client:
        for number in range(4):
            await client.say(text("block", [number], id=number))
        refused = await client.next()
        assert (refused["id"], refused["error"]["code"]) == (3, -32009)
        for _ in range(2):
            assert await anyio.to_thread.run_sync(begun.acquire)
        assert (await client.call("connection.ping", id="p"))["id"] == "p"
        await client.say(text("$/cancelRequest", {"id": 2}, id=None))  # it has not begun: it never does
        assert (await client.next())["error"]["code"] == -32800
        release.set()
        assert sorted([(await client.next())["result"] for _ in range(2)]) == [0, 1]
    assert not begun.acquire(blocking=False)


async def test_a_blocking_handler_learns_that_its_call_has_ended_and_its_context_calls_in_the_loop() -> None:
    service = Service("blocking", public=True)
    ended = threading.Event()
    begun = threading.Event()
    threads: list[int] = []

    @service.method(blocking=True)
    def work(context: Context) -> bool:
        threads.append(threading.get_ident())
        told = context.notify("news", {"from": "thread"}) and not context.progress(0.5)
        answer = asyncio.run(context.call("question", [1], result_type=int))
        assert (told, answer) == (True, 42)
        begun.set()
        while not context.cancelled:
            ended.wait(0.001)
        ended.set()
        return True

    async with serving(service) as server, websocket(server) as client:
        await client.say(text("work", id=1))
        assert (await client.next())["params"] == {"from": "thread"}
        question = await client.next()
        assert (question["method"], question["params"]) == ("question", [1])
        await client.say(b'{"jsonrpc": "2.0", "result": 42, "id": %d}' % question["id"])
        assert await anyio.to_thread.run_sync(begun.wait, PATIENCE)
        await client.say(text("$/cancelRequest", {"id": 1}, id=None))
        assert (await client.next())["error"]["code"] == -32800
        assert await anyio.to_thread.run_sync(ended.wait, 20)
    assert threads != [threading.get_ident()]


async def test_a_handler_asks_its_caller() -> None:
    service = Service("asking", public=True)

    @service.method
    async def ask(context: Context, expected: str) -> str:
        try:
            answer = await context.call("question", {"n": 1}, result_type={"int": int, "any": Any}[expected])
        except RpcError as error:
            return f"refused {error.code}"
        except ResultError as error:
            return error.reason
        return f"answered {answer!r}"

    async with serving(service) as server:
        async with websocket(server) as client:
            for expected, reply, outcome in (
                ("int", '"result": 7', "answered 7"),
                ("any", '"result": [7]', "answered [7]"),
                (
                    "int",
                    '"result": "seven"',
                    "the caller's result of 'question' is not of the declared type: expected int, got str",
                ),
                ("int", '"error": {"code": 5, "message": "no"}', "refused 5"),
            ):
                question = await client.call("ask", [expected])
                assert (question["method"], question["params"]) == ("question", {"n": 1})
                await client.say(f'{{"jsonrpc": "2.0", {reply}, "id": {question["id"]}}}'.encode())
                assert (await client.next())["result"] == outcome
        async with connected(server) as client:
            refused = (await client.post("ask", ["any"]))[1]["result"]
            assert refused.startswith("refused ")


async def test_an_answer_of_another_type_that_a_handler_lets_through_has_an_incident(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service("asking", public=True)

    @service.method
    async def ask(context: Context) -> None:
        await context.call("question", result_type=list[int])

    @service.method(blocking=True)
    def ask_in_a_thread(context: Context) -> None:
        asyncio.run(context.call("question", result_type=list[int]))

    async with serving(service) as server, websocket(server) as client:
        for method in ("ask", "ask_in_a_thread"):
            question = await client.call(method)
            await client.say(b'{"jsonrpc": "2.0", "result": [1, "secret"], "id": %d}' % question["id"])
            error = (await client.next())["error"]
            assert (error["code"], list(error["data"])) == (-32603, ["incident"])
            (record,) = (entry for entry in caplog.records if entry.levelno >= logging.WARNING)
            caplog.clear()
            assert vars(record)["incident"] == error["data"]["incident"]
            assert isinstance(record.exc_info, tuple)
            assert str(record.exc_info[1]) == (
                "the caller's result of 'question' is not of the declared type: expected int, got str at $[1]"
            )


async def test_a_question_whose_handler_is_cancelled_is_withdrawn() -> None:
    service = Service("asking", public=True)

    @service.method
    async def ask(context: Context) -> None:
        await context.call("question")

    async with serving(service) as server, websocket(server) as client:
        question = await client.call("ask")
        await client.say(text("$/cancelRequest", {"id": 1}, id=None))
        assert (await client.next())["error"]["code"] == -32800
        withdrawn = await client.next()
        assert (withdrawn["method"], withdrawn["params"]) == ("$/cancelRequest", {"id": question["id"]})


async def test_threads_that_wait_for_an_answer_are_let_go_when_the_server_ends() -> None:
    service = Service("asking", public=True)
    let_go = threading.Event()
    told: list[int | bool] = []

    @service.method(blocking=True)
    def ask(context: Context) -> None:
        try:
            asyncio.run(context.call("question"))
        except RpcError as error:
            told.append(error.code)
        told.append(context.notify("anybody"))
        let_go.set()

    async with serving(service) as server, websocket(server) as client:
        assert (await client.call("ask"))["method"] == "question"
    assert await anyio.to_thread.run_sync(let_go.wait, 20)
    assert told == [-32800, False]


async def test_progress_goes_to_the_caller_that_asked_for_it_and_not_after_the_outcome() -> None:
    service = Service("progress", public=True)
    kept: list[Context] = []

    @service.method
    def build(context: Context) -> list[bool]:
        kept.append(context)
        return [context.progress(0.5, "half way"), context.cancelled, context.user is None]

    async with serving(service) as server, websocket(server) as client:
        await client.say(b'{"jsonrpc": "2.0", "method": "build", "id": 1, "meta": {"progress_token": "t"}}')
        told = await client.next()
        assert told["params"] == {"token": "t", "value": {"fraction": 0.5, "message": "half way"}}
        assert (await client.next())["result"] == [True, False, True]
        assert not kept[0].progress(1.0)
        assert kept[0].cancelled
        assert kept[0].notify("still", [kept[0].method, kept[0].kind])
        assert (await client.next())["params"] == ["build", "websocket"]
    assert not kept[0].notify("too late")


def intercepted(name: str, *, plain: bool, journal: list[str]) -> Service:
    """A service whose interceptors write down what they see, and change it."""
    service = Service(name, public=True)

    def before(context: Context, method: Method, arguments: Any) -> Any:
        journal.append(f"before {method.name} {arguments[0]}")
        if arguments[0] == ("forbidden",):
            raise RpcError(77)
        return ((arguments[0][0].upper(),), {}) if arguments[0] == ("loud",) else None

    def after(context: Context, method: Method, outcome: Outcome) -> Outcome | None:
        journal.append(f"after {type(outcome).__name__}")
        if isinstance(outcome, Raised) and isinstance(outcome.error, KeyError):
            return Returned("mended")
        if outcome == Returned("BROKEN"):
            raise RpcError(78)
        return None

    async def before_later(context: Context, method: Method, arguments: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return before(context, method, arguments)

    async def after_later(context: Context, method: Method, outcome: Outcome) -> Outcome | None:
        await anyio.lowlevel.checkpoint()
        return after(context, method, outcome)

    if plain:
        service.on_call(before)
        service.on_outcome(after)
    else:
        service.on_call(before_later)
        service.on_outcome(after_later)
    return service


def inline(service: Service, function: Callable[[str], str]) -> None:
    service.method("say")(function)


def task(service: Service, function: Callable[[str], str]) -> None:
    async def say(word: str) -> str:
        return function(word)

    service.method("say")(say)


def thread(service: Service, function: Callable[[str], str]) -> None:
    service.method("say", blocking=True)(function)


@pytest.mark.parametrize("declare", [inline, task, thread])
@pytest.mark.parametrize("plain", [True, False])
async def test_interceptors_run_before_and_after_every_kind_of_handler(
    declare: Callable[[Service, Callable[[str], str]], None], plain: bool
) -> None:
    journal: list[str] = []
    service = intercepted("intercepted", plain=plain, journal=journal)

    def say(word: str) -> str:
        journal.append(f"say {word}")
        if word == "missing":
            raise KeyError(word)
        return "BROKEN" if word == "broken" else word

    declare(service, say)
    async with serving(service) as server, websocket(server) as client:
        assert (await client.call("say", ["quiet"]))["result"] == "quiet"
        assert (await client.call("say", ["loud"]))["result"] == "LOUD"
        assert (await client.call("say", ["forbidden"]))["error"]["code"] == 77
        assert (await client.call("say", ["missing"]))["result"] == "mended"
        assert (await client.call("say", ["broken"]))["error"]["code"] == 78
    assert journal == [
        *("before say ('quiet',)", "say quiet", "after Returned"),
        *("before say ('loud',)", "say LOUD", "after Returned"),
        *("before say ('forbidden',)", "after Raised"),
        *("before say ('missing',)", "say missing", "after Raised"),
        *("before say ('broken',)", "say broken", "after Returned"),
    ]


async def test_hooks_run_in_order_and_their_exceptions_affect_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("hooks", public=True)
    told: list[str] = []
    all_told = anyio.Event()

    @service.method
    def fail() -> None:
        raise RuntimeError("private words")

    @service.on("connection.opened")
    def opened(event: ConnectionOpened) -> None:
        told.append(f"opened {event.kind}")

    @service.on("connection.opened")
    def harmful(event: ConnectionOpened) -> None:
        raise SystemExit(1)

    @service.on("connection.opened")
    async def later(event: ConnectionOpened) -> None:
        await anyio.lowlevel.checkpoint()
        told.append("later")
        raise KeyboardInterrupt

    @service.on("call.failed")
    async def failed(event: CallFailed) -> None:
        told.append(f"failed {event.method}")

    @service.on("connection.closed")
    async def closed(event: ConnectionClosed) -> None:
        told.append(f"closed after {event.calls}")
        all_told.set()

    async with serving(service) as server:
        async with websocket(server) as client:
            error = (await client.call("fail"))["error"]
            assert error["code"] == -32603 and "private" not in str(error)
        await all_told.wait()
    assert told == ["opened websocket", "later", "failed fail", "closed after 1"]
    logged = [record for record in caplog.records if record.name == "posthouse" and record.levelno == logging.ERROR]
    assert sorted(vars(record)["event"] for record in logged) == ["call.failed", "hook.failed", "hook.failed"]
    (failure,) = (record for record in logged if vars(record)["event"] == "call.failed")
    assert vars(failure)["incident"] == error["data"]["incident"]
    assert failure.exc_info is not None and isinstance(failure.exc_info[1], RuntimeError)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_blocking_call_that_outlives_the_event_loop_is_dropped_quietly(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)
    service = Service("outlived", public=True)
    begun, release = threading.Event(), threading.Event()

    @service.method(blocking=True)
    def block() -> None:
        begun.set()
        release.wait(PATIENCE)

    async def main() -> None:
        async with serving(service) as server, websocket(server) as client:
            await client.say(text("block"))
            await anyio.to_thread.run_sync(begun.wait)

    anyio.run(main, backend=backend)
    release.set()
    gc.collect()
    assert raised == []
