"""Two machines for one test: the real one, and the simulated one. A test waits for readiness, and never for time."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from posthouse.adapters.simulation.chance import Seeded
from posthouse.adapters.simulation.machine.loops.asyncio_loop import SimulatedLoop
from posthouse.adapters.simulation.machine.sockets import StreamSocket
from posthouse.adapters.simulation.machine.system import SimulatedSystem
from posthouse.adapters.simulation.network import Direction, Link, LinkConditions
from posthouse.adapters.simulation.schedule import ProcessClock, Schedule
from posthouse.adapters.system.machine import Machine
from posthouse.adapters.system.system import READ, WRITE, Socket, System

PATIENCE = 60.0


class Bench(ABC):
    """A machine, and connections on it. `server` and `client` are the ends of the last connection."""

    system: System

    def __init__(self) -> None:
        self.listening = self.system.sockets.open(socket.AF_INET)
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listening.bind(("127.0.0.1", 0))
        self.listening.listen(16)
        self.listening.setblocking(False)
        self.opened: list[Socket] = [self.listening]

    @abstractmethod
    def connect(self) -> Socket:
        """A client, whose connection is not accepted yet."""

    @abstractmethod
    def pass_time(self) -> None:
        """Let something happen."""

    def pair(self) -> tuple[Socket, Socket]:
        """Both ends of a new connection: the server's, and the client's."""
        client = self.connect()
        self.until(self.listening, READ)
        server, _ = self.listening.accept()
        server.setblocking(False)
        self.opened += [server, client]
        return server, client

    def until(self, waited: Socket, events: int) -> None:
        """Wait until one of these events is ready."""
        selector = self.system.sockets.selector()
        selector.register(waited.fileno(), events)
        while not selector.poll(0.0, 16):
            self.pass_time()
        selector.close()

    def take(self, source: Socket, size: int) -> bytes:
        """So many bytes, when they have come."""
        taken = b""
        while len(taken) < size:
            self.until(source, READ)
            taken += source.recv(size - len(taken))
        return taken

    def fill(self, sink: Socket) -> int:
        """Write until the socket takes no more. Returns how many bytes it took."""
        size = 0
        while True:
            try:
                size += sink.send(b"x" * 100_000)
            except BlockingIOError:
                return size

    @abstractmethod
    def in_thread(self, work: Callable[[], None]) -> None:
        """Run this in a thread, and wait for its end."""

    def close(self) -> None:
        for each in self.opened:
            each.close()


class RealBench(Bench):
    """Sockets of this machine, over loopback."""

    def __init__(self) -> None:
        self.system = Machine()
        super().__init__()

    def connect(self) -> Socket:
        made = socket.create_connection(self.listening.getsockname())
        made.setblocking(False)
        return made

    def pass_time(self) -> None:
        """Another process of the kernel's does it."""

    def in_thread(self, work: Callable[[], None]) -> None:
        condition = self.system.threads.condition()
        ended: list[BaseException | None] = []

        def run() -> None:
            error = None
            try:
                work()
            except BaseException as raised:
                error = raised
            with condition:
                ended.append(error)
                condition.notify()

        self.system.threads.start(run, "test")
        with condition:
            while not ended:
                assert condition.wait(PATIENCE)
        if ended[0] is not None:
            raise ended[0]


class SimulatedBench(Bench):
    """Sockets of a simulated machine."""

    def __init__(self, seed: int = 1) -> None:
        self.schedule = Schedule()
        chance = Seeded(seed)
        self.stream = chance.stream("network")
        clock = ProcessClock(self.schedule)
        self.system = self.machine = SimulatedSystem(self.schedule, clock, chance.stream, 0.0)
        super().__init__()

    @property
    def loop(self) -> SimulatedLoop:
        """The event loop of the machine."""
        loop = self.machine.loop
        assert isinstance(loop, SimulatedLoop)
        return loop

    def link(self) -> Link:
        conditions = LinkConditions(capacity=100_000)
        return Link(*(Direction(self.schedule, self.stream, conditions) for _ in range(2)))

    def connect(self) -> Socket:
        link, kernel = self.link(), self.machine.kernel
        address: Any = self.listening.getsockname()

        def on_reset() -> None:
            client.fail()

        accepted = kernel.connect(address, link, ("127.0.0.1", 40_000), on_reset)
        if accepted is None:
            raise ConnectionRefusedError
        client = StreamSocket(kernel, socket.AF_INET, link.down, link.up, accepted.fail)
        client.number()
        return client

    def pass_time(self) -> None:
        assert self.schedule.next() is not None, "nothing happens any more"
        self.schedule.pop()()

    def in_thread(self, work: Callable[[], None]) -> None:
        ended: list[bool] = []

        def run() -> None:
            work()
            ended.append(True)

        self.system.threads.start(run, "test")
        while not ended:
            self.pass_time()


__all__ = ["READ", "WRITE", "Bench", "RealBench", "SimulatedBench"]
