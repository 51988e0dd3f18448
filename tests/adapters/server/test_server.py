"""The methods of a running server: in its event loop, and in other threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import anyio
import pytest
from posthouse.adapters import Server
from posthouse.core.service.context import Context
from posthouse.core.service.results import ResultError
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import RpcError, UsageError
from posthouse.core.values.peers import ConnectionId, Identity

from tests.adapters.loopback import text
from tests.adapters.simulated import SimulatedServer

QUICK = Config(drain_notice=0.0, drain_spread=0.0, drain_grace=10.0)


class World(SimulatedServer):
    """A server with a method that waits for `seconds`. `seen` is for the test."""

    def __init__(self, **config: Any) -> None:
        self.seen: list[Any] = []
        service = Service("world", public=True)

        @service.method
        async def wait(context: Context, seconds: float) -> str | None:
            await anyio.sleep(seconds)
            return context.user

        @service.method
        def who(context: Context) -> list[Any]:
            return [context.kind, context.user, context.connection]

        super().__init__(service, port=8000, config=QUICK)

    def call(self, *arguments: Any, **named: Any) -> list[Any]:
        """Call in the loop, for at most two seconds. Returns what was seen."""

        async def call() -> None:
            try:
                self.seen.append(await self.server.call(*arguments, **named))
            except RpcError as error:
                self.seen.append(error.code)

        self.run(call)
        self.pass_time(2.0)
        return self.seen

    def in_thread(self, work: Callable[[], Any]) -> list[Any]:
        """Do this in a thread. Returns what was seen."""
        self.system.threads.start(lambda: self.seen.append(work()), "thread")
        self.pass_time(0.1)
        return self.seen


def test_a_call_in_process_passes_through_the_gateway() -> None:
    world = World()
    ada = Identity("ada", ())
    assert world.call("who", identity=ada)[-1][:2] == ["local", "ada"]
    assert world.call("who")[-1][:2] == ["local", None]
    assert world.call("wait", [1.0], identity=ada, result_type=str)[-1] == "ada"
    assert world.call("wait", {"seconds": 1.0})[-1] is None
    assert world.call("missing")[-1] == -32601
    assert world.call("wait", [1.5], timeout=1.0)[-1] == -32030


def test_the_result_of_a_call_is_checked() -> None:
    world = World()
    task = world.run(lambda: world.server.call("who", result_type=int))
    error = task.exception()
    assert isinstance(error, ResultError)
    assert str(error).startswith("the result of 'who' is not of the declared type")
    task = world.run(lambda: world.server.call("who", object()))
    assert isinstance(task.exception(), UsageError)


def test_a_thread_calls_and_pushes_too() -> None:
    world = World()
    client = world.websocket()
    connection = client.call("who")["result"][2]
    assert world.in_thread(lambda: asyncio.run(world.server.call("who")))[-1][0] == "local"
    assert world.in_thread(lambda: world.server.notify(connection, "news", [1]))[-1] is True
    assert world.in_thread(lambda: world.server.broadcast("news", [2]))[-1] == 1
    assert world.in_thread(lambda: world.server.health().connections)[-1] == 1
    assert world.in_thread(lambda: world.server.stats()["connections.opened"])[-1] >= 1
    assert [message["params"] for message in client.messages()] == [[1], [2]]


def test_pushes_reach_those_that_are_named() -> None:
    world = World()
    client, server = world.websocket(), world.server
    connection = client.call("who")["result"][2]
    assert server.notify(connection, "news")
    assert server.broadcast("news", {"n": 1}, kinds=["websocket"]) == 1
    assert server.broadcast("news", kinds=["cli"]) == 0
    assert server.broadcast("news", users=["ada"]) == 0
    assert [message.get("params") for message in client.messages()] == [None, {"n": 1}]
    client.reset()
    assert not server.notify(connection, "news")


def test_a_user_is_revoked_from_the_loop_and_from_a_thread() -> None:
    world = World()
    ada = Identity("ada", namespace="tokens", issued_at=5.0)
    for revoke, expected in (
        (lambda: world.server.revoke("ada"), 0),
        (lambda: world.server.revoke("ada", namespace="tokens", not_before=5.0), 0),
        (lambda: world.server.revoke("ada", namespace="tokens"), 1),
    ):
        world.run(partial(_outcome, world, ada))
        world.pass_time(0.1)
        assert world.in_thread(revoke)[-1] == expected
        world.pass_time(2.0)
    assert [seen for seen in world.seen if seen not in (0, 1)] == ["ada", "ada", -32021]


async def _outcome(world: World, identity: Identity) -> None:
    try:
        world.seen.append(await world.server.call("wait", [1.0], identity=identity))
    except RpcError as error:
        world.seen.append(error.code)


def test_the_methods_of_a_server_that_has_ended_do_nothing() -> None:
    world = World()
    world.websocket()
    world.end()
    server = world.server
    assert world.in_thread(lambda: (server.broadcast("x"), server.notify(ConnectionId(1), "x")))[-1] == (0, False)
    assert world.in_thread(lambda: server.health().connections)[-1] == 0
    assert world.in_thread(lambda: server.stats()["connections.closed"])[-1] == 1
    server.shut_down()
    assert world.call("who")[-1] == -32050
    ended = world.run(server.ended)
    assert ended.done()


@pytest.mark.parametrize(("grace", "seconds"), [(None, 10.0), (3.0, 3.0)])
def test_a_shut_down_gives_calls_their_time(grace: float | None, seconds: float) -> None:
    world = World()
    client = world.websocket()
    client.say(text("wait", [60.0]))
    ended = world.run(world.server.ended)
    world.server.shut_down(grace)
    world.pass_time(seconds - 0.1)
    assert [message["method"] for message in client.messages()] == ["connection.draining"]
    world.pass_time(0.2)
    assert [message["error"]["code"] for message in client.messages()] == [-32050]
    assert not ended.done()
    world.pass_time(20.0)
    assert (ended.done(), world.task.done()) == (True, True)


def lifespan(world: list[Any], *, seconds: float, fails: bool = False) -> Service:
    """A service whose lifespan takes so long to start. It keeps the server in `world`."""
    service = Service("slow", public=True)

    @service.lifespan
    async def slow(server: Server) -> AsyncIterator[None]:
        world.append(server)
        await anyio.sleep(seconds)
        if fails:
            raise ArithmeticError
        yield

    @service.method
    def add(a: int, b: int) -> int:
        return a + b

    return service


def test_a_call_during_the_start_waits_for_its_end_and_a_thread_is_refused() -> None:
    kept: list[Any] = []
    served = SimulatedServer(lifespan(kept, seconds=2.0), port=8000)
    (server,) = kept
    call = served.run(lambda: server.call("add", [1, 2]))
    seen: list[Any] = []

    def ask() -> None:
        with pytest.raises(UsageError) as caught:
            asyncio.run(server.call("add", [1, 2]))
        seen.append(str(caught.value))

    served.system.threads.start(ask, "thread")
    served.pass_time(1.9)
    assert not call.done()
    assert seen == ["the service has not started yet: a thread may call it when the lifespan has yielded"]
    served.pass_time(0.2)
    assert call.result() == 3
    served.system.threads.start(lambda: seen.append(asyncio.run(server.call("add", [3, 4]))), "thread")
    served.pass_time(0.1)
    assert seen[1:] == [7]


def test_a_call_that_waits_for_a_start_that_fails_is_refused() -> None:
    kept: list[Any] = []
    served = SimulatedServer(lifespan(kept, seconds=2.0, fails=True), port=8000)
    call = served.run(lambda: kept[0].call("add", [1, 2]))
    served.pass_time(3.0)
    error = call.exception()
    assert isinstance(error, RpcError) and error.code == -32050


def test_a_shut_down_during_the_start_cancels_it() -> None:
    kept: list[Any] = []
    served = SimulatedServer(lifespan(kept, seconds=20.0), port=8000)
    kept[0].shut_down()
    served.pass_time(1.0)
    assert (served.task.done(), served.task.exception(), served.started) == (True, None, [])
