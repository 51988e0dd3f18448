"""One loop: others have their turn, deadlines are kept, and a step of the wall clock is noticed."""

from __future__ import annotations

import json
import os
import select
import threading
import time
from contextlib import AsyncExitStack

import anyio
import pytest
from anyio.abc import SocketAttribute
from posthouse.adapters import Clock
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config

from tests.abuse.attacker import frame
from tests.adapters.loopback import connected, post, serving, text, websocket

pytestmark = pytest.mark.anyio

CALLS = 1_000
"""So many that a batch of them takes several turns: trio runs what is ready in no promised order."""


async def test_other_tasks_run_within_a_long_batch() -> None:
    service = Service("busy", public=True)
    calls = 0

    @service.method
    def work() -> None:
        nonlocal calls
        calls += 1

    seen: list[int] = []
    config = Config(max_calls_per_connection=CALLS, max_batch=CALLS)
    async with (
        serving(service, config=config) as server,
        websocket(server) as client,
        anyio.create_task_group() as group,
    ):

        async def watch() -> None:
            while True:
                seen.append(calls)
                await anyio.lowlevel.checkpoint()

        group.start_soon(watch)
        await client.say(b"[" + b",".join(text("work", id=id) for id in range(CALLS)) + b"]")
        assert len(await client.next()) == CALLS
        group.cancel_scope.cancel()
    assert calls == CALLS
    assert [count for count in seen if 0 < count < CALLS]


async def test_other_tasks_run_after_a_slow_handler() -> None:
    service = Service("slow", public=True)
    now = Now()
    calls = 0

    @service.method
    def work() -> None:
        nonlocal calls
        calls += 1
        now.ahead += 0.006

    seen: list[int] = []
    async with (
        serving(service, clock=Clock(now=now)) as server,
        websocket(server) as client,
        anyio.create_task_group() as group,
    ):

        async def watch() -> None:
            while True:
                seen.append(calls)
                await anyio.lowlevel.checkpoint()

        group.start_soon(watch)
        await client.say(b"[" + b",".join(text("work", id=id) for id in range(5)) + b"]")
        assert len(await client.next()) == 5
        group.cancel_scope.cancel()
    assert calls == 5
    assert len({1, 2, 3, 4} & {*seen}) >= 2  # of two that take turns, one may be a turn ahead


async def test_all_answers_of_a_turn_leave_at_its_end() -> None:
    service = Service("together", public=True)
    descriptors: list[int] = []
    readable: list[list[int]] = []

    @service.method
    def look() -> None:
        readable.append(select.select(descriptors, [], [], 0)[0])

    async with serving(service) as server, connected(server) as one, connected(server) as two:
        for client in (one, two):
            await client.post("connection.ping")
            descriptors.append(client.stream.extra(SocketAttribute.raw_socket).fileno())
        for descriptor in descriptors:  # without an await: one turn reads both
            os.write(descriptor, post(text("look")))
        assert [(await client.response())[0] for client in (one, two)] == [200, 200]
    assert readable == [[], []]


async def test_an_answer_does_not_wait_for_a_handler_that_was_slow_before() -> None:
    service = Service("together", public=True)
    now = Now()
    descriptors: list[int] = []
    readable: list[int] = []

    @service.method
    def look() -> None:
        readable.append(len(select.select(descriptors, [], [], 0)[0]))
        now.ahead += 0.002

    async with (
        serving(service, clock=Clock(now=now)) as server,
        connected(server) as one,
        connected(server) as two,
    ):
        for client in (one, two):
            await client.post("look")
            descriptors.append(client.stream.extra(SocketAttribute.raw_socket).fileno())
        for descriptor in descriptors:  # without an await: one turn reads both
            os.write(descriptor, post(text("look")))
        assert [(await client.response())[0] for client in (one, two)] == [200, 200]
    assert readable == [0, 0, 0, 1]


async def test_answers_of_tasks_that_end_together_leave_together() -> None:
    service = Service("together", public=True)
    descriptors: list[int] = []
    begun: list[int] = []
    release = anyio.Event()
    readable: list[list[int]] = []

    @service.method
    async def wait() -> None:
        begun.append(1)
        if len(begun) == 3:
            release.set()
        await release.wait()
        readable.append(select.select(descriptors, [], [], 0)[0])

    async with (
        serving(service) as server,
        connected(server) as one,
        connected(server) as two,
        connected(server) as three,
    ):
        clients = (one, two, three)
        for client in clients:
            descriptors.append(client.stream.extra(SocketAttribute.raw_socket).fileno())
            await client.send(post(text("wait")))
        assert [(await client.response())[0] for client in clients] == [200, 200, 200]
    assert readable == [[], [], []]


class Now:
    """Monotonic seconds, and as many more as the test says."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class Wall(Now):
    """Unix seconds, and as many more."""

    def __call__(self) -> float:
        return time.time() + self.ahead


async def test_deadlines_are_kept_in_their_order() -> None:
    service = Service("deadlines", public=True)

    @service.method(timeout=0.2)
    async def late() -> None:
        await anyio.sleep_forever()

    @service.method(timeout=0.1)
    async def early() -> None:
        await anyio.sleep_forever()

    async with serving(service) as server, websocket(server) as client:
        # They come in one read, so that both deadlines count from the same moment.
        await client.send(frame(text("late", id="late")) + frame(text("early", id="early")))
        answers = [await client.next(), await client.next()]
        assert [(answer["id"], answer["error"]["code"]) for answer in answers] == [("early", -32030), ("late", -32030)]


async def test_a_step_of_the_wall_clock_changes_timestamps_only() -> None:
    now, wall = Now(), Wall()
    async with serving(Service("timed"), clock=Clock(now, wall, os.urandom)) as server, websocket(server) as client:
        before = (await client.call("connection.ping"))["result"]["timestamp"]
        wall.ahead += 100_000.0
        now.ahead += 2.0  # it is looked at now and then
        await client.call("connection.ping")
        after = (await client.call("connection.ping"))["result"]["timestamp"]
        assert 100_000.0 <= after - before < 100_000.0 + 1_000.0
        assert server.health().connections == 1


async def test_input_that_has_come_is_read_before_any_deadline_fires() -> None:
    now = Now()
    config = Config(heartbeat_interval=None, idle_timeout=30.0)
    service = Service("asleep", public=True)

    @service.method
    def sleep() -> str:
        now.ahead += 60.0  # the process was stopped, and the client went on speaking
        return "slept"

    async with serving(service, config=config, clock=Clock(now=now)) as server, websocket(server) as client:
        await client.say(text("sleep", id=1))
        await client.say(text("connection.ping", id=2))
        assert {(await client.next())["id"] for _ in range(2)} == {1, 2}
        assert (await client.call("connection.ping", id=3))["id"] == 3


async def test_pipelined_requests_over_http_are_answered_one_by_one_in_order() -> None:
    service = Service("pipelined", public=True)

    @service.method
    async def echo(value: int) -> int:
        await anyio.lowlevel.checkpoint()
        return value

    async with serving(service) as server, connected(server) as client:
        await client.send(b"".join(post(text("echo", [number])) for number in range(100)))
        answers = [await client.response() for _ in range(100)]
        assert [body["result"] for _, body in answers] == list(range(100))
        assert json.dumps(answers[0][1]) == '{"jsonrpc": "2.0", "result": 0, "id": 1}'


async def test_a_connection_costs_neither_a_task_nor_a_thread() -> None:
    service = Service("cheap", public=True)

    @service.method
    def echo(value: int) -> int:
        return value

    async with serving(service) as server, websocket(server):  # by now all of it runs
        before = costs()
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(websocket(server)) for _ in range(50)]
            for number, client in enumerate(clients):
                assert (await client.call("echo", [number]))["result"] == number
            assert costs() == before


def costs() -> tuple[int, list[str]]:
    """Tasks, and threads of ours: others come and go as they please."""
    threads = sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("posthouse"))
    return len(anyio.get_running_tasks()), threads
