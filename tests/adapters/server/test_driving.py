"""One server from its beginning to its end, on a simulated machine: what begins and ends, in which order."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
from posthouse.adapters.handlers.lifespans import LifespanError
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity

from tests.adapters.loopback import text
from tests.adapters.simulated import SimulatedServer, frame, logged


class World(SimulatedServer):
    """A server of a service that says in `seen` what happens to it, at which second."""

    def __init__(self, declare: Callable[[World, Service], None] = lambda world, service: None, **options: Any) -> None:
        self.seen: list[tuple[str, float]] = []
        self.ends: list[tuple[Any, Any]] = []
        service = Service("world", public=True)
        declare(self, service)
        if not options.pop("closed", False):
            options.setdefault("port", 8000)
        super().__init__(service, **options)
        self.task.add_done_callback(lambda _: self.see("server ended"))

    def see(self, what: str) -> None:
        self.seen.append((what, round(self.clock.now, 2)))

    def pipe(self) -> tuple[int, int]:
        """Two pipes. Their far ends are kept in `ends`."""
        descriptors = self.system.descriptors
        source, far_out = descriptors.pipe()
        far_in, sink = descriptors.pipe()
        self.ends.append((far_out, descriptors.file(far_in)))
        return source, sink


def watched(world: World, service: Service) -> None:
    @service.lifespan
    async def life() -> AsyncIterator[str]:
        world.see("lifespan begins")
        await anyio.sleep(1.0)
        yield "state"
        await anyio.sleep(0.25)
        world.see("lifespan ended")

    @service.method
    async def work(context: Context) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.25)
            world.see(f"work ended with {context.state}")

    @service.on("connection.closed")
    async def closed(event: object) -> None:
        await anyio.sleep(0.25)
        world.see("hook ended")

    @service.on("gateway.draining")
    def draining(event: object) -> None:
        world.see("draining")


QUICK = Config(drain_notice=0.0, drain_spread=0.0, drain_grace=2.0)


def test_clients_come_when_the_lifespans_have_started_and_lifespans_end_last() -> None:
    world = World(watched, config=QUICK)
    assert world.started == []
    world.pass_time(0.99)
    assert world.started == []
    world.pass_time(0.02)
    client = world.websocket()
    client.say(text("work"))
    world.server.shut_down()
    world.pass_time(30.0)
    assert [what for what, _ in world.seen] == [
        "lifespan begins",
        "draining",
        "work ended with state",
        "hook ended",
        "lifespan ended",
        "server ended",
    ]
    assert world.task.exception() is None
    assert world.system.descriptors.open() == {}
    assert world.system.threads.alive == []


def test_a_server_that_is_cancelled_ends_handlers_then_lifespans(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "posthouse")
    world = World(watched, config=QUICK)
    world.pass_time(1.0)
    client = world.websocket()
    client.say(text("work"))
    world.task.cancel()
    world.pass_time(30.0)
    assert world.seen == [
        ("lifespan begins", 0.0),
        ("work ended with state", 1.25),
        ("lifespan ended", 1.5),
        ("server ended", 1.5),
    ]
    assert world.task.cancelled()
    assert client.was_reset
    assert world.system.descriptors.open() == {}
    assert [line[2] for line in logged(caplog, "server.stopped")] == [
        "stopped without a shut-down: 1 connections were cut"
    ]


def test_a_start_that_fails_ends_the_server_without_a_client(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "posthouse")

    def declare(world: World, service: Service) -> None:
        @service.lifespan
        async def life() -> AsyncIterator[None]:
            raise ArithmeticError("no luck")
            yield

    world = World(declare)
    error = world.task.exception()
    assert isinstance(error, LifespanError) and error.phase == "start"
    assert (world.started, world.system.descriptors.open(), logged(caplog)) == ([], {}, [])


def test_errors_of_lifespans_are_logged_when_the_server_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    def declare(world: World, service: Service) -> None:
        @service.lifespan
        async def life() -> AsyncIterator[None]:
            yield
            raise ArithmeticError("no luck")

    world = World(declare)
    world.task.cancel()
    world.settle()
    text = "the lifespan of service 'world' failed at its end: ArithmeticError: no luck"
    assert logged(caplog) == [(logging.ERROR, "lifespan.failed", text)]
    assert isinstance(caplog.records[0].exc_info, tuple)
    assert isinstance(caplog.records[0].exc_info[1], ArithmeticError)
    assert world.task.cancelled()


@pytest.mark.parametrize(
    ("config", "ends"),
    [
        pytest.param(Config(cleanup_grace=1.0, drain_timeout=20.0), 1.0, id="its own time"),
        pytest.param(Config(cleanup_grace=5.0, drain_timeout=20.0), 3.0, id="no longer than it needs"),
    ],
)
def test_a_cancelled_server_gives_its_handlers_and_lifespans_the_time_of_a_clean_up(
    config: Config, ends: float
) -> None:
    def declare(world: World, service: Service) -> None:
        @service.method
        async def work() -> None:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3.0)

    world = World(declare, config=config)
    world.websocket().say(text("work"))
    world.task.cancel()
    world.pass_time(10.0)
    assert world.seen == [("server ended", ends)]


def test_all_that_a_shut_down_does_ends_within_its_time() -> None:
    def declare(world: World, service: Service) -> None:
        @service.lifespan
        async def life() -> AsyncIterator[None]:
            yield
            world.see("lifespan ends")
            await anyio.sleep(60.0)

        @service.method
        async def work() -> None:
            await anyio.sleep(60.0)

    config = Config(drain_notice=0.0, drain_spread=0.0, drain_grace=1.0, drain_timeout=4.0)
    world = World(declare, config=config)
    client = world.websocket()
    client.say(text("work"))
    world.server.shut_down()
    world.pass_time(1.5)
    client.say((1012).to_bytes(2), opcode=8)
    world.pass_time(30.0)
    (begin, at), (ended, then) = world.seen
    assert (begin, ended) == ("lifespan ends", "server ended")
    assert 1.0 <= at < 2.0
    assert 3.95 <= then <= 4.3


def test_hooks_have_the_time_of_a_close_before_they_are_cancelled() -> None:
    def declare(world: World, service: Service) -> None:
        @service.on("connection.closed")
        async def closed(event: object) -> None:
            try:
                await anyio.sleep(60.0)
            finally:
                world.see("hook ended")

    config = Config(drain_notice=0.0, drain_spread=0.0, drain_grace=0.0, close_timeout=2.0)
    world = World(declare, config=config)
    world.websocket().reset()
    world.server.shut_down()
    world.pass_time(30.0)
    assert world.seen == [("hook ended", 2.0), ("server ended", 2.0)]


def test_clients_that_have_not_left_are_cut_when_a_shut_down_is_out_of_time() -> None:
    config = Config(drain_notice=0.0, drain_spread=0.0, drain_grace=0.5, drain_timeout=1.0, close_timeout=60.0)
    world = World(config=config)
    client = world.websocket()
    client.pause()
    world.server.shut_down()
    world.pass_time(0.9)
    assert not world.task.done()
    world.pass_time(0.3)
    assert (world.task.done(), client.was_reset) == (True, True)


def test_code_that_blocks_is_watched_for_and_the_log_has_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    def declare(world: World, service: Service) -> None:
        @service.method
        def block() -> None:
            for seconds in (0.5, 1.0):
                world.clock.skip(seconds)
                looks[0]()

    started: list[tuple[float, str]] = []
    looks: list[Callable[[], None]] = []

    def every(self: object, seconds: float, call: Callable[[], None], name: str) -> Callable[[], None]:
        started.append((seconds, name))
        looks.append(call)
        return lambda: started.append((0.0, "stopped"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("posthouse.adapters.simulation.machine.threads.SimulatedThreads.every", every)
        config = Config(watchdog_warn=0.5, watchdog_log=1.5, drain_notice=0.0, drain_spread=0.0)
        world = World(declare, config=config)
        assert started == [(0.25, "posthouse-watchdog")]
        world.websocket().call("block")
        assert [line[1] for line in logged(caplog)] == ["loop.blocked", "loop.stuck"]
        world.end()
    assert started[1:] == [(0.0, "stopped")]


def test_what_was_written_is_sent_before_code_that_was_slow_before() -> None:
    received: list[int] = []

    def declare(world: World, service: Service) -> None:
        @service.method
        def slow() -> None:
            received.append(len(clients[0].received) + clients[0].link.down._size)
            world.clock.skip(0.002)

        @service.method
        def quick() -> None: ...

    clients: list[Any] = []
    world = World(declare)
    clients += [world.websocket(), world.websocket()]
    clients[1].call("slow")
    clients[0].link.up.write(frame(text("quick")))
    clients[1].link.up.write(frame(text("slow")))
    world.settle()
    assert received == [0, len(b'\x81\x27{"jsonrpc":"2.0","result":null,"id":1}')]


# Pipes


class Piped(World):
    """A server with two pairs of pipes."""

    def __init__(self, *, count: int = 2, **options: Any) -> None:
        self._count = count
        super().__init__(self.declare, **options)

    def declare(self, world: World, service: Service) -> None:
        @service.method
        def who(context: Context) -> str | None:
            return context.user

    def prepare(self) -> None:
        self._options["pipes"] = [self.pipe() for _ in range(self._count)]

    def ask(self, place: int) -> Any:
        """Call over a pipe. Returns the answer."""
        out, source = self.ends[place]
        self.system.descriptors.write(out, text("who") + b"\n")
        self.pass_time(0.1)
        return json.loads(source.take(10_000))["result"]

    def leave(self, place: int) -> None:
        """End the input of a pipe."""
        self.system.descriptors.close(self.ends[place][0])
        self.pass_time(0.1)


def test_the_server_ends_with_its_last_pipe() -> None:
    world = Piped(closed=True, pipe_identity=Identity("parent"), config=QUICK)
    assert (world.server.bound, world.ask(0), world.ask(1)) == ((), "parent", "parent")
    world.leave(0)
    world.pass_time(60.0)
    assert (world.ask(1), world.seen) == ("parent", [])
    world.leave(1)
    world.pass_time(1.0)
    assert (world.task.done(), world.task.exception()) == (True, None)


def test_the_server_outlives_its_pipes_if_it_listens() -> None:
    world = Piped(count=1, host="127.0.0.1")
    assert world.ask(0) is None
    world.leave(0)
    world.pass_time(60.0)
    assert not world.task.done()
    assert world.client().post("who")[1]["result"] is None


def test_more_pipes_than_the_limits_allow_are_a_mistake() -> None:
    world = Piped(closed=True, config=Config(max_connections=1))
    world.pass_time(10.0)
    error = world.task.exception()
    assert isinstance(error, UsageError)
    assert str(error) == "2 pipes exceed the connection limits of the config"
    assert world.started == []
