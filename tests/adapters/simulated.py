"""`serve` on a simulated machine: no socket, no thread and no time of this machine. Nothing waits, and a run repeats.

A test acts as clients of the server. `settle` runs everything that can happen now; time passes when the test says so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Final

import pytest
from msgspec.structs import replace
from posthouse.adapters import Server
from posthouse.adapters.handlers.events import Events
from posthouse.adapters.handlers.runs import Runs
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.server.build import BUILD, Build
from posthouse.adapters.server.entrances.endpoints import Endpoints
from posthouse.adapters.server.entrances.listeners import Bound
from posthouse.adapters.server.serve import serve
from posthouse.adapters.simulation.chance import Seeded
from posthouse.adapters.simulation.machine.loops.asyncio_loop import SimulatedLoop
from posthouse.adapters.simulation.machine.sockets import StreamSocket
from posthouse.adapters.simulation.machine.system import SimulatedSystem
from posthouse.adapters.simulation.network import Direction, Link, LinkConditions
from posthouse.adapters.simulation.schedule import ProcessClock, Schedule
from posthouse.core.service.service import Service

from tests.adapters.loopback import UPGRADE, post, text

WALL: Final = 1_700_000_000.0
"""The Unix time at which the machine starts."""

PEER: Final = ("10.0.0.9", 4321)
"""The address of every client."""


class SimulatedMachine:
    """A machine with virtual time, and its event loop."""

    def __init__(self) -> None:
        chance = Seeded(1)
        self.schedule: Final = Schedule()
        self.clock: Final = ProcessClock(self.schedule)
        self.system: Final = SimulatedSystem(self.schedule, self.clock, chance.stream, WALL)
        self._stream: Final = chance.stream("network")

    @property
    def loop(self) -> SimulatedLoop:
        """The event loop, which is that of asyncio."""
        loop = self.system.loop
        assert isinstance(loop, SimulatedLoop)
        return loop

    def link(self, capacity: int = 1 << 20) -> Link:
        """A connection that takes no time, and holds so many bytes in each direction."""
        conditions = LinkConditions(latency=0.0, capacity=capacity)
        return Link(*(Direction(self.schedule, self._stream, conditions) for _ in range(2)))

    def settle(self) -> None:
        """Run everything that can happen without the passing of time."""
        self.pass_time(0.0)

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass, and run everything that happens meanwhile."""
        until = self.schedule.now + seconds
        self.loop.turn()
        while (due := self.schedule.next()) is not None and due <= until + 1e-9:
            self.schedule.pop()()
            self.loop.turn()
        self.schedule.at(until, lambda: None)
        self.schedule.pop()()

    def run(self, main: Callable[[], Any], **context: Any) -> asyncio.Task[Any]:
        """Start a task, and run it as far as it gets without the passing of time."""
        task = self.loop.create_task(main(), **context)
        self.settle()
        return task


class SimulatedServer(SimulatedMachine):
    """A service that is served by a task, with the `options` of `serve`. `runner`, `endpoints`, `runs` and `events` are
    the parts of its server."""

    runner: Runner
    endpoints: Endpoints
    runs: Runs
    events: Events

    def __init__(self, service: Service, *, build: Build = Build(), **options: Any) -> None:
        super().__init__()
        self.started: Final[list[Server]] = []
        self._service: Final = service
        self._options: Final = options
        options.setdefault("started", self.started.append)
        self._context: Final = copy_context()
        self._context.run(BUILD.set, replace(build, machine=lambda clock: self.system, watch=self._built))
        self.prepare()
        self.task: Final = self.run(self._serve, context=self._context)

    def prepare(self) -> None:
        """Change the machine before the server starts."""

    async def _serve(self) -> None:
        await serve(self._service, **self._options)

    def _built(self, runner: Runner, endpoints: Endpoints, runs: Runs, events: Events) -> None:
        self.runner, self.endpoints, self.runs, self.events = runner, endpoints, runs, events

    def do(self, call: Callable[[], object]) -> None:
        """Call this in the event loop of the server, and run what follows from it."""
        self.loop.call_soon(call, context=self._context)
        self.settle()

    @property
    def server(self) -> Server:
        """The running server."""
        (server,) = self.started
        return server

    def client(self, *, place: int = 0, capacity: int = 1 << 20) -> SimulatedClient:
        """A new connection. Its input and its output hold `capacity` bytes that are not read."""
        client = SimulatedClient(self, self.server.bound[place], capacity)
        self.settle()
        return client

    def websocket(self, *, capacity: int = 1 << 20) -> SimulatedClient:
        """A new connection, upgraded to a WebSocket."""
        client = self.client(capacity=capacity)
        client.send(UPGRADE)
        assert client.take().startswith(b"HTTP/1.1 101 ")
        return client

    def end(self) -> None:
        """Shut down, and let time pass until the server has ended. Raises what `serve` raises."""
        self.server.shut_down(0.0)
        for _ in range(1000):
            if self.task.done():
                break
            self.pass_time(1.0)
        self.task.result()


class SimulatedClient:
    """The far end of one connection. `received` holds what has come and was not taken; `ended` and `was_reset` tell its
    end."""

    def __init__(self, world: SimulatedMachine, bound: Bound, capacity: int) -> None:
        self._world: Final = world
        self._secure = bound.secure
        self.link: Final = world.link(capacity)
        self.received: Final = bytearray()
        self.ended = False
        self.was_reset = False
        self.link.down.deliver = self.received.extend
        self.link.down.deliver_eof = self._end
        made = world.system.kernel.connect((bound.host, bound.port), self.link, PEER, self._reset)
        assert made is not None, "nothing listens there"
        self.far: Final[StreamSocket] = made

    def _end(self) -> None:
        self.ended = True

    def _reset(self) -> None:
        self.was_reset = True

    def send(self, data: bytes) -> None:
        """Send bytes, and run what follows from them. Under TLS, the first byte stands for the handshake."""
        if self._secure:
            self._secure, first, data = False, data[:1], data[1:]
            self.send(first)
        assert self.link.up.write(data) == len(data)
        self._world.settle()

    def end(self) -> None:
        """Half-close."""
        self.link.up.end()
        self._world.settle()

    def reset(self) -> None:
        """Reset the connection."""
        self.far.fail()
        self._world.settle()

    def pause(self) -> None:
        """Read nothing until `resume`."""
        self.link.down.reading = False

    def resume(self) -> None:
        self.link.down.reading = True
        self.link.down.plan_delivery()
        self._world.settle()

    def take(self) -> bytes:
        """All bytes that have come."""
        self._world.settle()
        data = bytes(self.received)
        self.received.clear()
        return data

    # HTTP

    def post(self, method: str, params: object = (), id: object = 1) -> tuple[int, Any]:
        """One call over HTTP: the status and the body of the answer."""
        self.send(post(text(method, params, id)))
        return self.response()

    def response(self) -> tuple[int, Any]:
        """The next HTTP response, which has come."""
        head, _, rest = self.take().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 "), head
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        body, after = rest[:length], rest[length:]
        self.received.extend(after)
        return int(head.split()[1]), json.loads(body) if body[:1] in (b"{", b"[") else body

    # WebSocket: frames of a client are masked; a mask of zeros leaves them as they are

    def say(self, payload: bytes, opcode: int = 1) -> None:
        """Send one frame, and run what follows from it."""
        self.send(frame(payload, opcode))

    def hear(self) -> list[tuple[int, bytes]]:
        """All frames that have come: their opcodes and payloads."""
        data, frames = self.take(), []
        while data:
            size, at = data[1], 2
            if size > 125:
                at = 4 if size == 126 else 10
                size = int.from_bytes(data[2:at])
            frames.append((data[0] & 0x0F, data[at : at + size]))
            data = data[at + size :]
        return frames

    def messages(self) -> list[Any]:
        """All messages that have come."""
        return [json.loads(payload) for opcode, payload in self.hear() if opcode == 1]

    def call(self, method: str, params: object = (), id: object = 1) -> Any:
        """One call over a WebSocket, whose answer comes at once and alone."""
        self.say(text(method, params, id))
        (message,) = self.messages()
        return message


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """One frame of a client."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    else:
        length = b"\xfe" + size.to_bytes(2) if size <= 0xFFFF else b"\xff" + size.to_bytes(8)
    return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload


def logged(caplog: pytest.LogCaptureFixture, *events: str) -> list[tuple[int, str, str]]:
    """The lines of the log, or of these events: level, event and text."""
    lines = [record for record in caplog.records if record.name.startswith("posthouse")]
    return [
        (line.levelno, vars(line)["event"], line.getMessage())
        for line in lines
        if not events or vars(line)["event"] in events
    ]
