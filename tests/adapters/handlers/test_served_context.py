"""The context of a call that a server runs, and the requests to clients that handlers await: in tasks and threads."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest
from posthouse.adapters.handlers.served_context import Awaited, AwaitedRequests
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import DRAINING, ErrorObject, RpcError, refusal
from posthouse.core.values.peers import OutgoingId

from tests.adapters.loopback import text
from tests.adapters.simulated import SimulatedMachine, SimulatedServer


class Runner:
    """A runner that notes when it flushes. `ended`: it takes no calls of other threads."""

    def __init__(self, machine: SimulatedMachine) -> None:
        self.system = machine.system
        self.flushed = 0
        self.ended = False

    @property
    def in_loop_thread(self) -> bool:
        return self.system.threads.running is None

    def now(self) -> float:
        return 5.0

    def flush_outbox(self) -> None:
        self.flushed += 1

    def run_in_loop(self, call: Callable[[], Any], otherwise: Any) -> Any:
        return otherwise if self.ended else call()


class Bench(SimulatedMachine):
    """Outcomes that are awaited. `abandoned` has those whose task was cancelled, `ended` how each wait has ended."""

    def __init__(self) -> None:
        super().__init__()
        runner: Any = Runner(self)
        self.runner: Runner = runner
        self.abandoned: list[tuple[int, float]] = []
        self.ended: list[Any] = []
        self.awaited = Awaited[OutgoingId](runner, self.abandon, refusal(DRAINING))

    def abandon(self, id: OutgoingId, now: float) -> None:
        self.abandoned.append((id, now))

    async def wait(self, id: int) -> None:
        try:
            self.ended.append(await self.awaited.outcome(lambda: OutgoingId(id)))
        except RpcError as error:
            self.ended.append(error.code)

    def wait_in_thread(self, id: int) -> None:
        self.system.threads.start(lambda: asyncio.run(self.wait(id)), "thread")
        self.pass_time(0.1)

    def resolve(self, id: int, outcome: bytes | ErrorObject) -> None:
        self.awaited.resolve(OutgoingId(id), outcome)
        self.pass_time(0.1)


def test_a_task_waits_for_its_outcome() -> None:
    bench = Bench()
    for id in (1, 2):
        bench.run(partial(bench.wait, id))
    assert (bench.ended, bench.runner.flushed) == ([], 2)
    bench.resolve(2, b"two")
    assert bench.ended == [b"two"]
    bench.resolve(1, ErrorObject(7, "no"))
    bench.resolve(1, b"nobody waits for it")
    assert (bench.ended, bench.abandoned, bench.runner.flushed) == ([b"two", 7], [], 2)


def test_a_task_that_is_cancelled_abandons_what_it_waits_for() -> None:
    bench = Bench()
    task = bench.run(lambda: bench.wait(1))
    task.cancel()
    bench.settle()
    assert (task.cancelled(), bench.abandoned, bench.runner.flushed) == (True, [(1, 5.0)], 2)
    bench.resolve(1, b"late")
    assert bench.ended == []


def test_a_thread_waits_for_its_outcome() -> None:
    bench = Bench()
    bench.wait_in_thread(1)
    assert (bench.ended, bench.system.threads.alive) == ([], ["thread"])
    bench.resolve(1, b"one")
    bench.wait_in_thread(2)
    bench.resolve(2, ErrorObject(7, "no"))
    assert (bench.ended, bench.system.threads.alive) == ([b"one", 7], [])


def test_the_end_of_the_server_releases_tasks_and_threads_with_an_error() -> None:
    bench = Bench()
    bench.run(lambda: bench.wait(1))
    bench.wait_in_thread(2)
    bench.awaited.close()
    bench.pass_time(0.1)
    assert (bench.ended, bench.abandoned) == ([-32050, -32050], [])
    bench.run(lambda: bench.wait(3))
    bench.wait_in_thread(4)
    assert bench.ended == [-32050] * 4
    assert bench.awaited._waiting == {}


def test_a_thread_whose_loop_has_ended_gets_the_error() -> None:
    bench = Bench()
    bench.runner.ended = True
    bench.wait_in_thread(1)
    assert bench.ended == [-32050]


class World(SimulatedServer):
    """A server whose method keeps its context, and does what the test says in a task or in a thread."""

    def __init__(self) -> None:
        self.kept: list[Context] = []
        self.seen: list[Any] = []
        self.acts: Callable[[Context], Any] = lambda context: None
        service = Service("world", public=True)

        @service.method
        async def task(context: Context) -> Any:
            self.kept.append(context)
            return await self.acts(context)

        @service.method(blocking=True)
        def thread(context: Context) -> Any:
            self.kept.append(context)
            return asyncio.run(self.acts(context))

        super().__init__(service, port=8000, config=Config(drain_notice=0.0, drain_spread=0.0))
        self.ws = self.websocket()

    def begin(self, method: str) -> list[Any]:
        """Begin a call, whose caller asks for its progress. Returns what has come."""
        self.ws.say(b'{"jsonrpc":"2.0","method":"%b","id":1,"meta":{"progress_token":"t"}}' % method.encode())
        self.pass_time(0.02)
        return self.ws.messages()


BOTH = pytest.mark.parametrize("method", ["task", "thread"])


@BOTH
def test_a_call_notifies_its_caller_and_tells_its_progress(method: str) -> None:
    world = World()

    async def do(context: Context) -> list[bool]:
        return [
            context.notify("news"),
            context.notify("news", [1]),
            context.notify("behind", [2], after_reply=True),
            context.progress(0.5, "half"),
        ]

    world.acts = do
    first, second, progress, answer, behind = world.begin(method)
    assert (first["method"], first.get("params"), second["params"]) == ("news", None, [1])
    assert progress["params"] == {"token": "t", "value": {"fraction": 0.5, "message": "half"}}
    assert (answer["result"], behind["method"], behind["params"]) == ([True] * 4, "behind", [2])
    (context,) = world.kept
    assert (context.notify("later"), context.progress(1.0)) == (True, False)
    assert context.notify("behind", after_reply=True)
    assert [message["method"] for message in world.ws.messages()] == ["later", "behind"]
    world.ws.reset()
    assert (context.notify("gone"), context.progress(1.0), context.notify("gone", after_reply=True)) == (False,) * 3


@BOTH
def test_nothing_follows_a_call_that_has_ended_without_a_result(method: str) -> None:
    world = World()

    async def do(context: Context) -> None:
        raise RpcError(7)

    world.acts = do
    (answer,) = world.begin(method)
    assert answer["error"]["code"] == 7
    assert not world.kept[0].notify("behind", after_reply=True)
    assert world.kept[0].notify("news", after_reply=False)


@BOTH
def test_a_call_asks_its_caller(method: str) -> None:
    world = World()

    async def do(context: Context) -> Any:
        return await context.call("question", {"a": 1}, timeout=3.0, result_type=int)

    world.acts = do
    (question,) = world.begin(method)
    assert (question["method"], question["params"]) == ("question", {"a": 1})
    world.ws.say(b'{"jsonrpc":"2.0","result":42,"id":%d}' % question["id"])
    world.pass_time(0.02)
    assert [message["result"] for message in world.ws.messages()] == [42]
    (question,) = world.begin(method)
    world.pass_time(2.9)
    assert world.ws.messages() == []
    world.pass_time(0.2)
    assert [message["error"]["code"] for message in world.ws.messages() if "error" in message] == [-32030]


@BOTH
def test_the_end_of_the_server_releases_those_that_wait_for_an_answer(method: str) -> None:
    world = World()

    async def do(context: Context) -> None:
        try:
            await context.call("question")
        except RpcError as error:
            world.seen.append((error.code, error.data))
            world.seen.append(context.notify("anybody"))
            raise

    world.acts = do
    world.begin(method)
    if method == "thread":
        world.task.cancel()
        world.pass_time(1.0)
        assert world.seen == [(-32800, {"reason": "disconnected"}), False]
    else:
        world.ws.reset()
        world.pass_time(1.0)
        assert world.runs._runs == {}


def test_a_thread_asks_for_nothing_once_its_server_has_ended() -> None:
    world = World()

    async def nothing(context: Context) -> None: ...

    world.acts = nothing
    world.begin("task")
    world.end()
    (context,) = world.kept

    async def ask() -> None:
        with pytest.raises(RpcError) as caught:
            await context.call("question")
        world.seen.append(caught.value.code)

    asyncio.run(ask())
    assert (world.seen, context.notify("news"), context.progress(0.5)) == ([-32800], False, False)
    requests = AwaitedRequests(world.runner)
    requests.close()
    assert requests._waiting == {}


def test_a_waiting_task_is_no_longer_known_when_it_has_its_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)
    world = World()

    async def do(context: Context) -> Any:
        with anyio.move_on_after(1.0):
            await context.call("question")
        return "moved on"

    world.acts = do
    (question,) = world.begin("task")
    world.pass_time(1.0)
    withdrawn, answer = world.ws.messages()
    assert (withdrawn["method"], withdrawn["params"]) == ("$/cancelRequest", {"id": question["id"]})
    assert answer["result"] == "moved on"
    world.ws.say(text("connection.ping", id=9))
    assert [message["id"] for message in world.ws.messages()] == [9]
    gc.collect()
    assert raised == []
