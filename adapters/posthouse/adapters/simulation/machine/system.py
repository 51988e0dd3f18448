"""The simulated machine: an implementation of the protocols in `posthouse.adapters.system.system`."""

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
        """A socket that can listen. It cannot connect: clients use `Kernel.connect`."""
        made = ListeningSocket(self._kernel, family)
        made.number()
        return made

    def addresses(self, host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
        """One IPv4 address: the host itself if it is an address, 127.0.0.1 for every name."""
        named = not host.replace(".", "").isdigit()
        return [(socket.AF_INET, ("127.0.0.1" if named else host, port))]

    def tls(self, cert: str | PathLike[str], key: str | PathLike[str] | None) -> SimulatedTls:
        return self._tls


class SimulatedSystem:
    """The machine of one process. Its wall clock shows `wall_offset` seconds more than its monotonic clock: `wall` at
    first. `stream` decides on faults and entropy, `threads` on the order of threads."""

    def __init__(self, schedule: Schedule, clock: ProcessClock, stream: Stream, threads: Stream, wall: float) -> None:
        self.now: Final[Callable[[], float]] = lambda: clock.now
        self.entropy: Final[Callable[[int], bytes]] = stream.entropy
        self.wall_offset = wall
        self.threads: Final = SimulatedThreads(clock, threads)
        self.descriptors: Final = Descriptors(self.threads)
        self.kernel: Final = Kernel(schedule, self.descriptors, stream)
        self.tls: Final = SimulatedTls(stream)
        self.sockets: Final = SimulatedSockets(self.kernel, self.tls)
        self.signals: Final = SimulatedSignals(self.descriptors)
        self.loop: Final = SimulatedLoop(clock, self.descriptors, self.signals, self.threads)

    def collector(self) -> AbstractContextManager[None]:
        """Change nothing: the process belongs to a test."""
        return nullcontext()

    @property
    def wall(self) -> Callable[[], float]:
        return lambda: self.now() + self.wall_offset
