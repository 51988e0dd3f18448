"""The simulated machine: an implementation of the protocols in `posthouse.adapters.system.system`."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Final

from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.schedule import ProcessClock, Schedule
from posthouse.adapters.system.system import Address

from .descriptors import Descriptors
from .faults import MachineFaults
from .loops.asyncio_loop import SimulatedLoop
from .loops.loop import Loop
from .paired import PairedSocket
from .selector import SimulatedSelector
from .signals import SimulatedSignals
from .sockets import Kernel, ListeningSocket
from .threads import SimulatedThreads
from .tls import SimulatedTls


class SimulatedSockets:
    """The sockets of one process. `names`: the addresses of names; one without an address cannot be resolved."""

    def __init__(self, kernel: Kernel, tls: SimulatedTls) -> None:
        self.names: Final[dict[str, Sequence[str]]] = {}
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

    def adopt(self, descriptor: int) -> ListeningSocket:
        """No process of a simulation gets sockets from another."""
        raise OSError(errno.EBADF, "Bad file descriptor")

    def addresses(self, host: str, port: int) -> list[tuple[int, Address]]:
        """The host itself if it is an address, those in `names` for a name, and 127.0.0.1 for every other one."""
        named = ":" not in host and not host.replace(".", "").isdigit()
        found = self.names.get(host, ("127.0.0.1",)) if named else (host,)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6, (each, port, 0, 0)) if ":" in each else (socket.AF_INET, (each, port)) for each in found
        ]

    def tls(
        self, cert: str | PathLike[str], key: str | PathLike[str] | None, passphrase: str | None = None
    ) -> SimulatedTls:
        return self._tls


class SimulatedSystem:
    """The machine of one process. Its wall clock shows `wall_offset` seconds more than its monotonic clock: `wall` at
    first.

    `stream` gives the stream of an actor. Those of the machine are "server" for faults, "threads" for the order of
    threads, and "loop" for the order of tasks. Entropy has a stream for each size: a journal needs ids and a key that a
    run without one does not draw, and changes no jitter by them.
    """

    def __init__(
        self,
        schedule: Schedule,
        clock: ProcessClock,
        stream: Callable[[str], Stream],
        wall: float,
        faults: MachineFaults = MachineFaults(),
    ) -> None:
        self.now: Final[Callable[[], float]] = lambda: clock.now
        self._stream: Final = stream
        self.wall_offset = wall
        self.threads: Final = SimulatedThreads(clock, stream("threads"))
        self.descriptors: Final = Descriptors(self.threads, faults.descriptors)
        self.kernel: Final = Kernel(schedule, self.descriptors, stream("server"))
        self.kernel.faults = faults
        self.sockets: Final = SimulatedSockets(self.kernel, SimulatedTls(self.kernel))
        self.signals: Final = SimulatedSignals(self.descriptors)
        self.descriptors.interrupt = self._interrupt
        self.loop: Final = self._new_loop(clock, stream("loop"), on_trio=faults.trio)
        self.loop.reordered = faults.reordered
        self.collecting = False

    def entropy(self, size: int) -> bytes:
        """Bytes that follow from the seed."""
        return self._stream(f"entropy {size}").entropy(size)

    def _new_loop(self, clock: ProcessClock, stream: Stream, *, on_trio: bool) -> Loop:
        if not on_trio:
            return SimulatedLoop(clock, self.descriptors, self.signals, self.threads, stream)
        from .loops.trio_loop import TrioLoop  # trio may not be installed

        return TrioLoop(clock, self.descriptors, self.signals, stream)

    def _interrupt(self) -> None:
        """The kernel is called: signals may come, to the thread of the event loop."""
        if self.threads.running is None and self.loop.is_running():
            self.signals.interrupt()

    def heal(self) -> None:
        """End all faults. Clients find room, and the network is whole."""
        self.kernel.faults = MachineFaults()
        self.descriptors.most = max(self.descriptors.most, self.kernel.faults.descriptors)
        self.descriptors.crowded = False
        self.signals.forget()

    @contextmanager
    def collector(self) -> Iterator[None]:
        """Change nothing: the process belongs to a test. `collecting` says whether a server has asked for it."""
        self.collecting = True
        yield
        self.collecting = False

    @property
    def wall(self) -> Callable[[], float]:
        return lambda: self.now() + self.wall_offset
