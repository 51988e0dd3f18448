"""What a channel or a pair of pipes needs of a server: a runner, its poller and its board, which note what they are
told. A test reads `told`, and runs `calls`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from posthouse.adapters.system.system import System
from posthouse.core.values.config import Config
from posthouse.core.values.peers import SocketId
from posthouse.core.values.timers import Timers

ID: Final = SocketId(3)


class Board:
    """Notes every input. `attached`: the writers of sockets."""

    def __init__(self, told: list[Any], config: Config) -> None:
        self.config: Final = config
        self.attached: Final[dict[SocketId, object]] = {}
        self._told: Final = told

    def attach(self, socket: SocketId, writer: object) -> None:
        self.attached[socket] = writer

    def received(self, socket: SocketId, data: bytes, now: float) -> None:
        self._told.append(("received", socket, data, now))

    def received_eof(self, socket: SocketId, now: float) -> None:
        self._told.append(("end of input", socket, now))

    def held(self, socket: SocketId, size: int, now: float) -> None:
        self._told.append(("held", socket, size, now))

    def sent(self, socket: SocketId, size: int, now: float) -> None:
        self._told.append(("sent", socket, size, now))

    def closed(self, socket: SocketId, now: float) -> None:
        self._told.append(("closed", socket, now))


class Poller:
    """Notes which events are watched. `calls` wait until the test runs them; `ended`: it takes no more of them."""

    def __init__(self, told: list[Any]) -> None:
        self.calls: Final[list[Callable[[], None]]] = []
        self.ended = False
        self._told: Final = told

    def watch(self, watched: Any, before: int, events: int, watcher: Any) -> None:
        if before != events:
            self._told.append(("watch", before, events))

    def call_soon(self, call: Callable[[], None]) -> bool:
        if not self.ended:
            self.calls.append(call)
        return not self.ended

    def run(self) -> None:
        """Run the calls that have come."""
        calls = self.calls[:]
        self.calls.clear()
        for call in calls:
            call()


class Runner:
    """A runner whose time is `time`. It writes nothing by itself: the test flushes."""

    def __init__(self, config: Config = Config(), system: System | None = None) -> None:
        self.told: Final[list[Any]] = []
        self.time = 1.0
        self.board: Final = Board(self.told, config)
        self.poller: Final = Poller(self.told)
        self.written: Final[dict[Any, None]] = {}
        self.timers: Final = Timers()
        self.system: Final = system

    def now(self) -> float:
        return self.time

    def read(self, piece: tuple[SocketId, bytes]) -> None:
        """Hand on what was read, at once."""
        socket, data = piece
        if data:
            self.board.received(socket, data, self.time)
        else:
            self.board.received_eof(socket, self.time)

    def arm(self, seconds: float, reason: str, key: int) -> Any:
        self.told.append(("armed", seconds, reason, key))
        return self.timers.arm(self.time + seconds, reason, key)

    def forget(self, socket: SocketId) -> None:
        self.told.append(("forget", socket))

    def flush(self) -> None:
        """Flush what was written, once."""
        written = list(self.written)
        self.written.clear()
        for each in written:
            each.flush()

    def take(self) -> list[Any]:
        """What was told since the last time."""
        told = self.told[:]
        self.told.clear()
        return told
