"""Where a server is: in memory, or in a thread with an event loop of its own, reached over loopback and real pipes.

Every place serves the same service under the limits that a case asks for, and gives wires to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from queue import SimpleQueue
from threading import Thread
from typing import Final, Literal, Protocol

from posthouse.adapters import Options, Server, run
from posthouse.core.values.config import Config
from posthouse.transports.policy import Policy

from tests.transports.board import HERE, PIPE, Board

from .service import service
from .wires import PATIENCE, MemoryWire, PipeWire, SocketWire, Wire

Backend = Literal["asyncio", "trio"]
BACKENDS: Final[tuple[Backend, ...]] = ("asyncio", "trio")

ORIGIN: Final = "https://app.example"
"""The one origin whose pages may come in."""


class Place(Protocol):
    """A server that speaks over streams and over pipes."""

    @property
    def name(self) -> str:
        """What the place is called."""
        ...

    def stream(self, limits: Config) -> AbstractContextManager[Wire]:
        """A connection as over TCP, to a server with these limits."""
        ...

    def pipe(self, limits: Config) -> AbstractContextManager[Wire]:
        """A pair of pipes to a server with these limits that serves nobody else."""
        ...


class Memory:
    """No sockets, no threads, and a clock that is held: the machines alone."""

    name = "in memory"

    @contextmanager
    def stream(self, limits: Config) -> Iterator[Wire]:
        """A stream of a board."""
        with closing(MemoryWire(self._board(limits), HERE)) as wire:
            yield wire

    @contextmanager
    def pipe(self, limits: Config) -> Iterator[Wire]:
        """A pipe of a board."""
        with closing(MemoryWire(self._board(limits), PIPE)) as wire:
            yield wire

    def _board(self, limits: Config) -> Board:
        return Board(limits, service=service, policy=Policy(origins=(ORIGIN,)))


class Running:
    """A server in a thread, from the time that it accepts until it was told to leave."""

    def __init__(self, backend: Backend, options: Options) -> None:
        accepting: SimpleQueue[Server] = SimpleQueue()
        keywords = {**options, "backend": backend, "signals": False, "started": accepting.put}
        self._thread: Final = Thread(target=run, args=(service,), kwargs=keywords, daemon=True)
        self._thread.start()
        self.server: Final = accepting.get(timeout=PATIENCE)

    def close(self) -> None:
        """Tell it to leave, which it may have done by itself, and wait until it has."""
        self.server.shut_down(grace=0.0)
        self._thread.join(PATIENCE)


class Loopback:
    """Real servers on one event loop. Those that listen are started when first asked for, one for each set of limits,
    and leave when the place is closed."""

    def __init__(self, backend: Backend) -> None:
        self.name: Final[str] = backend
        self._backend: Final = backend
        self._listening: dict[Config, Running] = {}
        self._stack: Final = ExitStack()

    def close(self) -> None:
        """Tell the servers that listen to leave, and wait until they have."""
        self._stack.close()

    @contextmanager
    def stream(self, limits: Config) -> Iterator[Wire]:
        """A TCP connection."""
        running = self._listening.get(limits)
        if running is None:
            running = Running(self._backend, Options(port=0, config=limits, allow_origins=[ORIGIN]))
            self._listening[limits] = self._stack.enter_context(closing(running))
        bound = running.server.bound[0]
        with closing(SocketWire((bound.host, bound.port))) as wire:
            yield wire

    @contextmanager
    def pipe(self, limits: Config) -> Iterator[Wire]:
        """Two pipes to a server of their own, which closes its ends of them."""
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        running = Running(self._backend, Options(pipes=[(theirs_in, theirs_out)], config=limits))
        with closing(running), closing(PipeWire(ours_in, ours_out)) as wire:
            yield wire
