"""A stage for one server: a machine without faults, and what clients, the log and the service see, line by line.

Time passes when the scene says so. Equal scenes leave equal lines, in every process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from re import compile
from typing import Any, ClassVar, Final

import anyio
from posthouse.adapters.server.build import BUILD, Build
from posthouse.adapters.server.serve import serve
from posthouse.adapters.server.server import Server
from posthouse.adapters.simulation.chance import Seeded
from posthouse.adapters.simulation.machine.faults import MachineFaults
from posthouse.adapters.simulation.machine.links import LinkSink, LinkSource
from posthouse.adapters.simulation.machine.system import SimulatedSystem
from posthouse.adapters.simulation.machine.threads import Exited
from posthouse.adapters.simulation.network import Direction, Link, LinkConditions
from posthouse.adapters.simulation.schedule import ProcessClock, Schedule
from posthouse.core.service.service import Service
from posthouse.core.values.errors import UsageError

WALL: Final = 1_700_000_000.0
"""The Unix time at which a scene begins."""

LATENCY: Final = 0.001
"""Seconds for which bytes are on their way."""

PLACE: Final = ("127.0.0.1", 8000)
"""Where a server listens, if it is not told otherwise."""

DRAWN: Final = compile(r"((?:public_id=|session=|incident=|connection_id\"?: ?\"|incident\":\"))[^,\" ]+")
"""What the server draws: its text is hidden in the lines."""

PLACE_OF_OBJECT: Final = compile(r" at 0x[0-9a-f]+")
"""Where an object lies in memory."""

LONG: Final = compile(r"(.)\1{29,}")
"""A character that is repeated: only their number is kept."""

LOGGERS: Final = ("posthouse", "posthouse.access")

LAST_ROUNDS: Final = 1000
"""The most turns of the loop of a scene that is over, until its tasks have ended."""


class Stage:
    """What happens on it is noted in `lines`. `events`: so many events have happened.

    `current`: the stage on which the scene plays that runs now.
    """

    current: ClassVar[Stage]

    def __init__(self, faults: MachineFaults = MachineFaults()) -> None:
        Stage.current = self
        chance = Seeded("scene")
        self.lines: Final[list[str]] = []
        self.schedule: Final = Schedule()
        self._clock: Final = ProcessClock(self.schedule)
        self.system: Final = SimulatedSystem(self.schedule, self._clock, chance.stream, WALL, faults)
        self._network: Final = chance.stream("network")
        self._context: Final = copy_context()
        self._context.run(BUILD.set, Build(machine=lambda _: self.system))
        self._scope: anyio.CancelScope | None = None
        self._servers: Final[list[Server]] = []
        self._heard: tuple[float, str] | None = None
        self._exited = False
        self.events = 0

    # What is noted

    def note(self, *words: object) -> None:
        """Note something, with the time."""
        self.lines.append(_short(f"{self._clock.now:.3f} {' '.join(map(str, words))}"))
        self._heard = None

    def tell(self, name: str, act: Callable[..., object], *arguments: object) -> None:
        """Do this, and note what comes of it."""
        try:
            seen = repr(act(*arguments))
        except UsageError as error:
            seen = f"UsageError: {error}"
        self.note(PLACE_OF_OBJECT.sub("", f"{name} -> {seen}"))

    def hear(self, name: str, data: bytes) -> None:
        """Note bytes that a client has received. Those that come together are one line."""
        text = data.decode("latin-1")
        if self._heard == (self._clock.now, name):
            self.lines[-1] = _short(self.lines[-1] + text)
        else:
            self.note(f"{name}: {text}")
            self._heard = self._clock.now, name

    def _log(self, record: logging.LogRecord) -> bool:
        raised = "" if record.exc_info is None or record.exc_info[0] is None else f" ({record.exc_info[0].__name__})"
        logger = "" if record.name == "posthouse" else f"{record.name} "
        event = getattr(record, "event", None)
        self.note(f"log {logger}{record.levelname} {event}: {record.getMessage()}{raised}")
        return False

    @contextmanager
    def logged(self, level: int = logging.INFO) -> Iterator[None]:
        """Note the lines of the log meanwhile, and give them to nobody else."""
        loggers = [logging.getLogger(name) for name in LOGGERS]
        before = [(logger.level, logger.filters, logger.disabled) for logger in loggers]
        for logger in loggers:
            logger.setLevel(level)
            logger.filters = [self._log]
        try:
            yield
        finally:
            for logger, (was, filters, disabled) in zip(loggers, before, strict=True):
                logger.setLevel(was)
                logger.filters, logger.disabled = filters, disabled

    # The server

    @property
    def serving(self) -> bool:
        """Has a server started?"""
        return bool(self._servers)

    @property
    def server(self) -> Server:
        """The server that has started last."""
        return self._servers[-1]

    def serve(self, service: Service, **options: Any) -> None:
        """Start a server, as `serve` does, and run it as far as it gets without the passing of time."""
        options.setdefault("started", self._servers.append)

        async def main() -> None:
            with anyio.CancelScope() as self._scope:
                await serve(service, **options)
            if self._scope.cancelled_caught:
                self.note("serve was cancelled")

        self.system.loop.begin(main(), self._context, self._returned)
        self.wait(0.0)

    def _returned(self, error: BaseException | None) -> None:
        self.note("serve has returned" if error is None else f"serve raised {type(error).__name__}: {error}")

    def do(self, act: Callable[[], object]) -> None:
        """Do this in the event loop of the server."""
        self.system.loop.run_soon(act, self._context)
        self.wait(0.0)

    def run(self, work: Callable[[], Any], name: str = "task") -> None:
        """Run this in a task of the event loop of the server. Its result, or its exception, is noted."""

        def ended(error: BaseException | None) -> None:
            if error is not None:
                self.note(f"{name} raised {type(error).__name__}: {error}")

        async def main() -> None:
            self.note(f"{name} returned {await work()!r}")

        self.system.loop.begin(main(), self._context, ended)
        self.wait(0.0)

    def cancel(self) -> None:
        """Cancel `serve`."""
        assert self._scope is not None
        self.do(self._scope.cancel)

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        with self._exiting():
            self.system.signals.send(number)
        self.wait(0.0)

    def wait(self, seconds: float) -> None:
        """Let so many seconds pass, and run everything that happens meanwhile."""
        until = self.schedule.now + seconds
        self._turn()
        while (due := self.schedule.next()) is not None and due <= until + 1e-9:
            self.schedule.pop()()
            self.events += 1
            self._turn()
        self.schedule.at(until, lambda: None)
        while self.schedule.now < until - 1e-9:
            self.schedule.pop()()

    def stop(self, seconds: float) -> None:
        """Stop the process for so long, as SIGSTOP does. The kernel receives for it."""
        until = self.schedule.now + seconds
        self._clock.asleep = True
        while (due := self.schedule.next()) is not None and due <= until:
            self.schedule.pop()()
        self.schedule.now = until
        self.note("the process goes on")
        self._clock.wake()
        self.wait(0.0)

    def hold_up(self, seconds: float) -> None:
        """Let time pass in code that blocks the event loop. Threads go on."""
        until = self.schedule.now + seconds
        while (due := self.schedule.next()) is not None and due <= until:
            self.schedule.pop()()
            if self.system.signals.code is not None:
                raise Exited(self.system.signals.code)
        self.schedule.now = until

    def _turn(self) -> None:
        if not self._exited:
            with self._exiting():
                self.system.loop.turn()
                if self.system.signals.code is not None:  # a thread has ended the process
                    raise Exited(self.system.signals.code)

    @contextmanager
    def _exiting(self) -> Iterator[None]:
        try:
            yield
        except Exited as exited:
            if not self._exited:
                self.note(f"the process exits with {exited.code}")
            self._exited = True

    def close(self) -> None:
        """End everything that still runs."""
        loop = self.system.loop
        loop.cancel_all()
        for _ in range(LAST_ROUNDS):
            loop.failed = None
            with suppress(Exception, Exited):
                loop.turn()
                if loop.over or loop.wait is None:
                    break
                self._clock.skip(loop.wait)
                loop.wake_up()
        self.system.threads.kill()
        loop.close()

    # Clients

    def link(self, capacity: int = 1 << 20) -> Link:
        """A way for bytes between a client and the server."""
        conditions = LinkConditions(latency=LATENCY, capacity=capacity)
        return Link(*(Direction(self.schedule, self._network, conditions) for _ in range(2)))

    def client(
        self, name: str = "a", *, at: Any = PLACE, peer: tuple[str, int] = ("10.0.0.9", 4321), capacity: int = 1 << 20
    ) -> Client:
        """A client that connects to a listening socket."""
        client = Client(self, name, self.link(capacity))
        if self.system.kernel.connect(at, client.link, peer, client.reset) is None:
            self.note(f"{name} is refused")
        return client

    def pipes(self, name: str = "a", capacity: int = 1 << 20) -> tuple[Client, tuple[int, int]]:
        """A client over two pipes, and their descriptors for `serve`."""
        client = Client(self, name, self.link(capacity))
        descriptors = self.system.descriptors
        source = LinkSource(client.link.up, descriptors.changed)
        sink = LinkSink(client.link.down, descriptors.changed, client.reset)
        client.hang_up = source.hang_up
        client.stop = sink.end
        return client, (descriptors.add(source), descriptors.add(sink))


def _short(text: str) -> str:
    """A text without what was drawn, and with the numbers of characters that are repeated."""
    return LONG.sub(lambda run: f"{run[1]}×{len(run[0])}", DRAWN.sub(r"\1…", text))


class Client:
    """The far end of a connection. Everything that it receives is noted. `hang_up` and `stop`, of a client over pipes:
    its terminal is closed, or it reads no more."""

    def __init__(self, stage: Stage, name: str, link: Link) -> None:
        self._stage: Final = stage
        self.name: Final = name
        self.link: Final = link
        self.hang_up: Callable[[], object] = list
        self.stop: Callable[[], object] = list
        link.down.deliver = self._received
        link.down.deliver_eof = self._ended

    def _received(self, data: bytes) -> None:
        self._stage.hear(self.name, data)

    def _ended(self) -> None:
        self._stage.note(f"{self.name} is at the end")

    def reset(self) -> None:
        """The server has reset the connection."""
        self._stage.note(f"{self.name} is reset")

    def send(self, data: bytes, seconds: float = 0.01) -> None:
        """Send bytes, and wait so long for what follows."""
        self.link.up.write(data)
        self._stage.wait(seconds)

    def end(self, seconds: float = 0.01) -> None:
        """Send no more."""
        self.link.up.end()
        self._stage.wait(seconds)

    def pause(self) -> None:
        """Read nothing until `resume`."""
        self.link.down.reading = False

    def resume(self) -> None:
        """Read again."""
        self.link.down.reading = True
        self.link.down.plan_delivery()
        self._stage.wait(0.01)
