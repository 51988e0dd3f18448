"""The simulated machine as a server sees it: an implementation of `posthouse.adapters.system.system`."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from typing import Final

from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.schedule import ProcessClock, Schedule

from .descriptors import Descriptors
from .loop import SimulatedLoop
from .paired import PairedSocket
from .selector import SimulatedSelector
from .signals import SimulatedSignals
from .sockets import Kernel, ListeningSocket
from .threads import SimulatedThreads
from .tls import SimulatedTls


class SimulatedSockets:
    """The sockets of one process."""

    def __init__(self, kernel: Kernel, tls: SimulatedTls) -> None:
        self._kernel: Final = kernel
        self._tls: Final = tls

    def selector(self) -> SimulatedSelector:
        return SimulatedSelector(self._kernel.descriptors)

    def pair(self) -> tuple[PairedSocket, PairedSocket]:
        one, other = PairedSocket(self._kernel.descriptors), PairedSocket(self._kernel.descriptors)
        one.peer, other.peer = other, one
        one.number()
        other.number()
        return one, other

    def open(self, family: int) -> ListeningSocket:
        """A socket that can listen. Clients connect from elsewhere."""
        made = ListeningSocket(self._kernel, family)
        made.number()
        return made

    def addresses(self, host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
        """Every host is one IPv4 address: its own, or the loopback one for a name."""
        named = not host.replace(".", "").isdigit()
        return [(socket.AF_INET, ("127.0.0.1" if named else host, port))]

    def tls(self, cert: str | PathLike[str], key: str | PathLike[str] | None) -> SimulatedTls:
        return self._tls


class SimulatedSystem:
    """The machine of one process, which starts at this Unix time. `wall_offset` is what its wall clock was set by."""

    def __init__(self, schedule: Schedule, clock: ProcessClock, stream: Stream, threads: Stream, wall: float) -> None:
        self.now: Final[Callable[[], float]] = lambda: clock.now
        self.entropy: Final[Callable[[int], bytes]] = stream.entropy
        self.wall_offset = wall
        self.threads: Final = SimulatedThreads(clock, threads)
        self.descriptors: Final = Descriptors(self.threads)
        self.kernel: Final = Kernel(schedule, self.descriptors, stream)
        self.tls: Final = SimulatedTls(stream)
        self.sockets: Final = SimulatedSockets(self.kernel, self.tls)
        self.signals: Final = SimulatedSignals()
        self.loop: Final = SimulatedLoop(clock, self.descriptors)

    def collector(self) -> AbstractContextManager[None]:
        """Nothing to set: the process is that of a test."""
        return nullcontext()

    @property
    def wall(self) -> Callable[[], float]:
        return lambda: self.now() + self.wall_offset
