"""User code behind the firewall: how it runs, how it is stopped, and the outcome that its caller gets.

The first part is over real sockets, with both event loops; the second is on a simulated machine.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
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
from tests.adapters.simulated import SimulatedClient, SimulatedServer, logged

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


# On a simulated machine


def cancel(id: object) -> bytes:
    return text("$/cancelRequest", {"id": id}, id=None)


def ids(client: SimulatedClient) -> list[tuple[Any, Any]]:
    """The answers that have come: their ids, and their results or the codes of their errors."""
    return [
        (message["id"], message["result"] if "result" in message else message["error"]["code"])
        for message in client.messages()
        if "id" in message
    ]


class World(SimulatedServer):
    """A server with one WebSocket. Handlers that block wait at `gate`, others at `released`. `seen` is for the test."""

    def __init__(self, declare: Callable[[World, Service], None], **config: Any) -> None:
        self.seen: list[Any] = []
        self.kept: list[Context] = []
        service = Service("world", public=True)
        declare(self, service)
        super().__init__(service, port=8000, config=Config(**config))
        self.gate = self.system.threads.condition()
        self.released = self.system.threads.condition()
        self.ws = self.websocket()

    def say(self, method: str, params: object = (), id: object = 1) -> None:
        self.ws.say(text(method, params, id))

    def step(self) -> list[tuple[Any, Any]]:
        """Let threads run, and return the answers."""
        self.pass_time(0.02)
        return ids(self.ws)

    def open(self) -> list[tuple[Any, Any]]:
        """Let the threads that wait at the gate go on."""
        self.gate.notify_all()
        return self.step()


def blocks(world: World, service: Service) -> None:
    @service.method(blocking=True)
    def block(name: str) -> str:
        world.seen.append(name)
        world.gate.wait()
        return name


def test_a_blocking_call_has_a_thread_and_its_result_is_told() -> None:
    world = World(blocks)
    world.say("block", ["a"], id=1)
    assert (world.step(), world.seen) == ([], ["a"])
    assert world.open() == [(1, "a")]
    assert world.server.health().calls == 0
    world.end()


def test_more_blocking_calls_than_threads_wait_and_more_than_may_wait_are_refused() -> None:
    world = World(blocks, blocking_workers=1, max_blocking_queue=1)
    for id in (1, 2, 3):
        world.say("block", [str(id)], id=id)
    assert world.step() == [(3, -32009)]
    assert world.server.health().calls == 2
    assert (world.open(), world.open()) == ([(1, "1")], [(2, "2")])
    assert world.seen == ["1", "2"]


def test_a_refusal_for_want_of_threads_names_the_limit() -> None:
    world = World(blocks, blocking_workers=1, max_blocking_queue=0)
    world.say("block", ["a"], id=1)
    world.say("block", ["b"], id=2)
    (refused,) = world.ws.messages()
    assert refused["error"]["data"]["limit"] == "max_blocking_queue"


def test_a_blocking_call_that_is_cancelled_while_it_waits_for_a_thread_never_runs() -> None:
    world = World(blocks, blocking_workers=1, max_blocking_queue=5)
    for id in (1, 2, 3):
        world.say("block", [str(id)], id=id)
    world.step()
    world.ws.say(cancel(2))
    assert world.step() == [(2, -32800)]
    assert world.server.health().calls == 2
    assert world.open() + world.open() == [(1, "1"), (3, "3")]
    assert world.seen == ["1", "3"]


def test_a_blocking_call_that_is_cancelled_while_it_runs_keeps_its_slot_until_its_thread_has_ended() -> None:
    world = World(blocks)
    world.say("block", ["a"], id=1)
    world.step()
    world.ws.say(cancel(1))
    assert world.step() == [(1, -32800)]
    assert (world.server.health().calls, [*world.runs._runs]) != (0, [])
    assert world.open() == []
    assert (world.server.health().calls, [*world.runs._runs]) == (0, [])


def blocks_in_line(world: World, service: Service) -> None:
    @service.method(blocking=True, sequential=True)
    def block(name: str) -> str:
        world.seen.append(name)
        world.gate.wait()
        return name

    @service.method(sequential=True)
    async def wait(name: str) -> str:
        world.seen.append(name)
        await anyio.sleep(1.0)
        return name


def test_calls_of_sequential_methods_run_one_after_another_on_their_connection() -> None:
    world = World(blocks_in_line)
    other = world.websocket()
    for id, method in ((1, "block"), (2, "wait"), (3, "block")):
        world.say(method, [str(id)], id=id)
    other.say(text("block", ["other"], id=9))
    assert (world.step(), world.seen) == ([], ["1", "other"])
    assert (world.open(), ids(other)) == ([(1, "1")], [(9, "other")])
    assert world.seen == ["1", "other", "2"]
    world.pass_time(1.0)
    assert (ids(world.ws), world.step(), world.seen[3:]) == ([(2, "2")], [], ["3"])
    assert world.open() == [(3, "3")]
    assert world.runs._queues == {}
    world.say("block", ["again"], id=4)
    world.step()
    assert world.open() == [(4, "again")]


def test_a_sequential_call_that_is_cancelled_leaves_its_place_in_the_line() -> None:
    world = World(blocks_in_line)
    for id in (1, 2, 3, 4):
        world.say("wait", [str(id)], id=id)
    world.ws.say(cancel(3))
    assert ids(world.ws) == [(3, -32800)]
    world.ws.say(cancel(1))
    world.settle()
    assert ids(world.ws) == [(1, -32800)]
    assert world.seen == ["1", "2"]
    world.pass_time(2.0)
    assert ids(world.ws) == [(2, "2"), (4, "4")]
    assert world.runs._queues == {}


def test_a_sequential_call_that_finds_no_thread_lets_the_next_begin() -> None:
    world = World(blocks_in_line, blocking_workers=1, max_blocking_queue=0)
    other = world.websocket()
    other.say(text("block", ["other"], id=9))
    world.step()
    for id, method in ((1, "block"), (2, "block"), (3, "wait")):
        world.say(method, [str(id)], id=id)
    assert ids(world.ws) == [(1, -32009), (2, -32009)]
    world.pass_time(1.0)
    assert ids(world.ws) == [(3, "3")]
    world.open()
    assert (ids(other), world.runs._queues) == ([(9, "other")], {})


def returns_something_to_await(world: World, service: Service) -> None:
    async def later(name: str) -> str:
        world.seen.append(name)
        await anyio.sleep(1.0)
        if name == "bad":
            raise RpcError(7)
        return name

    @service.method
    def plain(name: str) -> Any:
        return later(name)

    @service.method
    def plain_with_context(context: Context, name: str) -> Any:
        world.kept.append(context)
        return later(name)

    @service.method(blocking=True)
    def thread(name: str) -> Any:
        return later(name)

    @service.method(blocking=True, sequential=True)
    def in_line(name: str) -> Any:
        return later(name)


@pytest.mark.parametrize("method", ["plain", "plain_with_context", "thread", "in_line"])
def test_what_a_function_returns_is_awaited_in_a_task(method: str) -> None:
    world = World(returns_something_to_await)
    for id, word, answer in ((1, "good", "good"), (2, "bad", 7), (3, "cancelled", -32800)):
        world.say(method, [word], id=id)
        assert world.step() == []
        if word == "cancelled":
            world.ws.say(cancel(3))
        else:
            world.pass_time(1.0)
        assert world.step() == [(id, answer)]
    assert (world.seen, world.runs._runs, world.runs._queues) == (["good", "bad", "cancelled"], {}, {})
    assert [context.cancelled for context in world.kept] == [True] * len(world.kept)


def between(world: World, service: Service) -> None:
    """Blocking methods between interceptors. Those of the first do not await."""
    plain, awaiting = Service("plain", public=True), Service("awaiting", public=True)

    @plain.on_call
    def before(context: Context, method: Method, arguments: Any) -> None:
        world.seen.append("before")

    @plain.on_outcome
    def after(context: Context, method: Method, outcome: Outcome) -> Outcome | None:
        world.seen.append("after")
        return Returned("mended") if isinstance(outcome, Raised) and isinstance(outcome.error, KeyError) else None

    @awaiting.on_call
    async def before_later(context: Context, method: Method, arguments: Any) -> None:
        WORD.set("of the interceptor")

    @awaiting.on_outcome
    async def after_later(context: Context, method: Method, outcome: Outcome) -> None:
        world.seen.append((type(outcome).__name__, WORD.get()))

    def block(name: str) -> str:
        world.seen.append((name, WORD.get()))
        WORD.set(f"of {name}")
        world.gate.wait()
        if name == "missing":
            raise KeyError(name)
        if name == "refused":
            raise RpcError(7)
        return name

    plain.method("plain", blocking=True)(block)
    plain.method("line", blocking=True, sequential=True)(block)
    awaiting.method("awaiting", blocking=True)(block)
    service.include(plain)
    service.include(awaiting)


WORD: ContextVar[str] = ContextVar("word", default="of nobody")


def test_a_blocking_call_runs_between_plain_interceptors() -> None:
    world = World(between)
    for id, name, answer in ((1, "good", "good"), (2, "missing", "mended"), (3, "refused", 7)):
        world.say("plain", [name], id=id)
        world.step()
        assert world.seen == ["before", (name, "of nobody")]
        assert world.open() == [(id, answer)]
        assert world.seen.pop() == "after"
        world.seen.clear()
    assert world.runs._runs == {}


def test_an_interceptor_sees_that_there_was_no_thread() -> None:
    world = World(between, blocking_workers=1, max_blocking_queue=0)
    world.say("plain", ["good"], id=1)
    world.step()
    world.say("plain", ["busy"], id=2)
    world.say("line", ["busy"], id=3)
    assert ids(world.ws) == [(2, -32009), (3, -32009)]
    assert world.seen == ["before", ("good", "of nobody"), "before", "after", "before", "after"]
    world.say("awaiting", ["busy"], id=4)
    assert ids(world.ws) == [(4, -32009)]
    assert world.seen[6:] == [("Raised", "of the interceptor")]
    assert world.open() == [(1, "good")]
    assert (world.runs._runs, world.runs._queues) == ({}, {})


def test_an_interceptor_does_not_see_the_outcome_of_a_blocking_call_that_was_cancelled() -> None:
    world = World(between)
    world.say("plain", ["good"], id=1)
    world.say("line", ["good"], id=2)
    world.say("line", ["next"], id=3)
    world.step()
    world.ws.say(cancel(1))
    world.ws.say(cancel(2))
    assert sorted(world.step()) == [(1, -32800), (2, -32800)]
    assert world.open() == []
    assert "after" not in world.seen
    assert world.open() == [(3, "next")]
    assert (world.runs._runs, world.runs._queues) == ({}, {})


def test_a_blocking_call_between_interceptors_that_await_shares_their_variables() -> None:
    world = World(between)
    for id, name, answer, outcome in ((1, "good", "good", "Returned"), (2, "refused", 7, "Raised")):
        world.say("awaiting", [name], id=id)
        world.step()
        assert world.seen == [(name, "of the interceptor")]
        assert world.open() == [(id, answer)]
        assert world.seen.pop() == (outcome, f"of {name}")
        world.seen.clear()
    assert world.runs._runs == {}


def test_a_blocking_call_between_interceptors_that_await_can_be_cancelled_at_any_time() -> None:
    world = World(between, blocking_workers=1, max_blocking_queue=1)
    world.say("awaiting", ["runs"], id=1)
    world.step()
    world.say("awaiting", ["waits"], id=2)
    world.ws.say(cancel(2))
    assert world.step() == [(2, -32800)]
    assert len(world.runs._runs) == 1
    world.ws.say(cancel(1))
    assert world.step() == [(1, -32800)]
    assert len(world.runs._runs) == 1, "its thread runs"
    assert world.open() == []
    assert world.runs._runs == {}
    assert world.seen == [("runs", "of the interceptor")]


def fails(world: World, service: Service) -> None:
    def fail(name: str) -> None:
        if name == "data":
            raise RpcError(7, "no", data={"why": object()})
        if name == "refused":
            raise RpcError(7, "no", data={"why": 1})
        if name == "bare":
            raise RpcError(8)
        raise ArithmeticError(name)

    async def fail_later(name: str) -> None:
        fail(name)

    service.method("plain")(fail)
    service.method("task")(fail_later)
    service.method("thread", blocking=True)(fail)


@pytest.mark.parametrize("method", ["plain", "task", "thread"])
def test_an_exception_is_an_error_of_the_caller_or_has_an_incident(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(fails)

    def call(name: str) -> dict[str, Any]:
        world.say(method, [name])
        world.pass_time(0.02)
        (message,) = world.ws.messages()
        error: dict[str, Any] = message["error"]
        return error

    assert call("refused") == {"code": 7, "message": "no", "data": {"why": 1}}
    assert call("bare")["code"] == 8
    assert logged(caplog) == []
    assert call("data") == {"code": 7, "message": "no"}
    text = f"sent an error without its data: the data cannot be encoded as JSON, method={method}, code=7"
    assert logged(caplog) == [(logging.WARNING, "error.data_lost", text)]
    caplog.clear()
    error = call("bug")
    incident = error["data"]["incident"]
    assert (error["code"], len(incident), int(incident, 16) >= 0) == (-32603, 12, True)
    (record,) = caplog.records
    assert (vars(record)["event"], vars(record)["incident"], vars(record)["method"]) == (
        "call.failed",
        incident,
        method,
    )
    assert record.exc_info is not None and str(record.exc_info[1]) == "bug"
    assert world.events.log.raised == {}


def plain_functions(world: World, service: Service) -> None:
    @service.method
    def add(a: int, b: int = 1) -> int:
        return a + b

    @service.method
    def progress(context: Context, value: int) -> int:
        world.kept.append(context)
        context.progress(value)
        context.notify("behind", [value], after_reply=True)
        return value


def test_a_plain_function_is_answered_in_the_turn_of_its_request() -> None:
    world = World(plain_functions)
    assert world.ws.call("add", {"a": 1, "b": 2})["result"] == 3
    assert world.ws.call("add", [4])["result"] == 5
    assert world.ws.call("add", ["x"])["error"]["code"] == -32602
    world.ws.say(b'{"jsonrpc":"2.0","method":"progress","params":[7],"id":1,"meta":{"progress_token":"t"}}')
    told, answer, behind = world.ws.messages()
    assert (told["params"]["value"], answer["result"], behind["params"]) == ({"fraction": 7}, 7, [7])
    (context,) = world.kept
    assert (context.cancelled, context.notify("later"), context.progress(1.0)) == (True, True, False)
    assert world.runs._runs == {}


def test_a_context_of_a_call_without_a_result_may_not_follow_it() -> None:
    def declare(world: World, service: Service) -> None:
        @service.method
        def fail(context: Context) -> None:
            world.kept.append(context)
            raise RpcError(7)

        @service.method
        async def fail_later(context: Context) -> None:
            world.kept.append(context)
            raise RpcError(7)

        @service.method
        async def good(context: Context) -> None:
            world.kept.append(context)

        @service.method
        def lost(context: Context) -> object:
            world.kept.append(context)
            return object()

    world = World(declare)
    for method, may_follow in (("fail", False), ("fail_later", False), ("good", True), ("lost", False)):
        world.ws.call(method)
        assert world.kept[-1].cancelled
        assert world.kept[-1].notify("behind", after_reply=True) is may_follow
        assert len(world.ws.messages()) == may_follow


def test_each_call_has_context_variables_of_its_own() -> None:
    def declare(world: World, service: Service) -> None:
        def change(word: str) -> str:
            before = WORD.get()
            WORD.set(word)
            return before

        async def change_later(word: str) -> str:
            return change(word)

        service.method("plain")(change)
        service.method("task")(change_later)
        service.method("thread", blocking=True)(change)

    world = World(declare)
    for method in ("plain", "task", "thread") * 2:
        world.say(method, [method])
        assert world.step() == [(1, "of nobody")]


def cleans_up(world: World, service: Service) -> None:
    @service.method
    async def work(seconds: float) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(seconds)
            world.seen.append(seconds)

    @service.method
    async def finish() -> str:
        return "finished"


def test_a_handler_that_goes_on_after_its_clean_up_time_is_named_once_and_keeps_its_slot(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(cleans_up, cleanup_grace=2.0)
    world.ws.say(
        b'{"jsonrpc":"2.0","method":"work","params":[5],"id":1,"meta":{"request_id":"r1"}}',
    )
    world.say("work", [1.9], id=2)
    world.ws.say(cancel(1))
    world.ws.say(cancel(2))
    assert ids(world.ws) == [(1, -32800), (2, -32800)]
    world.pass_time(1.95)
    assert (world.seen, len(world.runs._runs), logged(caplog)) == ([1.9], 1, [])
    world.pass_time(0.1)
    text = "work was cancelled, but goes on after its clean-up time: it keeps its slot until it ends"
    line = f"{text}, connection={world.started[0].health().connections}, request_id=r1"
    assert logged(caplog) == [(logging.WARNING, "handler.resists", line)]
    world.pass_time(3.0)
    assert (world.seen, world.runs._runs, len(logged(caplog))) == ([1.9, 5], {}, 1)


@pytest.mark.parametrize(("seconds", "waits"), [(0.5, True), (1.05, True), (1.2, False)])
@pytest.mark.parametrize("way", ["drained", "cancelled"])
def test_the_end_of_the_server_waits_for_clean_up_but_not_for_longer_than_its_time(
    way: str, seconds: float, waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    limits = {"drain_timeout": 1.0} if way == "drained" else {"cleanup_grace": 1.1}
    world = World(cleans_up, drain_notice=0.0, drain_spread=0.0, drain_grace=0.0, **limits)
    world.say("work", [seconds], id=1)
    ended: list[list[Any]] = []
    world.task.add_done_callback(lambda _: ended.append(list(world.seen)))
    if way == "drained":
        world.server.shut_down()
    else:
        world.task.cancel()
    world.pass_time(2.0)
    assert ended == [[seconds] if waits else []]
    text = "work was cancelled, but goes on after its clean-up time: the server ends without it"
    assert [line[2].partition(", connection")[0] for line in logged(caplog, "handler.resists")] == (
        [] if waits else [text]
    )


def test_no_call_begins_a_task_when_the_server_ends_and_no_line_goes_on() -> None:
    world = World(blocks_in_line, drain_notice=0.0, drain_spread=0.0, drain_grace=0.0)
    for id in (1, 2):
        world.say("block", [str(id)], id=id)
    world.step()
    world.server.shut_down(0.0)
    world.pass_time(0.0)
    world.open()
    world.pass_time(5.0)
    assert world.seen == ["1"]
    assert world.task.done()


def test_a_thread_that_never_ends_does_not_delay_the_end_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    world = World(blocks, drain_notice=0.0, drain_spread=0.0)
    world.say("block", ["a"])
    world.step()
    world.end()
    assert [line for line in logged(caplog) if "the server ends without it" in line[2]] == []
    assert world.system.threads.alive == ["posthouse-worker-1"]
    world.gate.notify_all()
    world.pass_time(0.1)
    assert world.system.threads.alive == []
