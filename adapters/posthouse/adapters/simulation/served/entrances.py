"""The ways in which clients reach a process: connections to its listening socket, and pairs of pipes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec import Struct
from posthouse.adapters.invariants.violation import must
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.server.entrances.stdio import Pipes
from posthouse.adapters.simulation.machine.links import LinkSink, LinkSource
from posthouse.adapters.simulation.machine.system import SimulatedSystem
from posthouse.adapters.simulation.network import Link
from posthouse.core.values.peers import Address, Identity, SocketId

from .watch import Watch

PLACE: Final = ("127.0.0.1", 8000)
"""The address on which the server listens."""

UNIX: Final = "/simulated/service.sock"
"""The path of its unix socket. There is no such folder on a real machine."""

PIPE_DESCRIPTORS: Final = 4
"""The number of descriptors that two pipes take in the server."""


NOWHERE: Final = (Address().host, Address().port)
"""The address of clients over pipes and unix sockets."""


class LinkedPipes(Pipes):
    """Two pipes to a simulated client. When the server aborts them, the sink tells the client."""

    def __init__(
        self,
        id: SocketId,
        descriptors: tuple[int, int],
        sink: LinkSink,
        runner: Runner,
        forget: Callable[[SocketId], None],
    ) -> None:
        super().__init__(id, *descriptors, runner, forget)
        self._link_sink: Final = sink

    def close(self, *, abort: bool = False) -> None:
        self._link_sink.torn = self._link_sink.torn or abort
        super().close(abort=abort)


class Ends(Struct, frozen=True, eq=False):
    """The ends of a link. `fail` tells the server that the link is cut, `reset` tells the client."""

    fail: Callable[[], None]
    reset: Callable[[], None]


class ServedEntrances:
    """The entrances of one process, and the links of its clients."""

    def __init__(self, system: SimulatedSystem) -> None:
        self._system: Final = system
        self._identities: Final[dict[tuple[str, int], Identity | None]] = {}
        self._ends: Final[dict[Link, Ends]] = {}

    def identify(self, address: Address) -> Identity | None:
        """The identity of the client at this address, None if the world gave it none."""
        known = address.host, address.port
        if address.transport != "pipe" and known == NOWHERE:  # a unix socket: the client was accepted just now
            known = self._system.kernel.accepted or known
        return self._identities.get(known)

    def open(
        self, watch: Watch, link: Link, address: Address, on_reset: Callable[[], None], identity: Identity | None
    ) -> bool:
        """Connect a client. Returns False if the server refuses it. `on_reset` is called when the server cuts the
        link."""
        self._identities[address.host, address.port] = identity

        def reset() -> None:
            link.cut()
            on_reset()

        if address.transport == "pipe":
            fail = self._open_pipes(watch, link, address, reset)
        else:
            fail = self._connect(link, address, reset)
        if fail is None:
            return False
        self._ends[link] = Ends(fail, reset)
        return True

    def _connect(self, link: Link, address: Address, reset: Callable[[], None]) -> Callable[[], None] | None:
        """Connect to a listening socket. Returns the function that fails the connection, None if it is refused."""
        kernel = self._system.kernel
        place = UNIX if kernel.stream.happens(kernel.faults.unix) else PLACE
        socket = kernel.connect(place, link, (address.host, address.port), reset)
        if socket is not None:
            return socket.fail
        listening = kernel.listening.get(place)
        full = listening is None or len(listening.waiting) >= kernel.faults.backlog
        must(full, "limits: a client is refused although the machine lets more clients wait")
        return None

    def _open_pipes(
        self, watch: Watch, link: Link, address: Address, reset: Callable[[], None]
    ) -> Callable[[], None] | None:
        """Open two pipes, as `serve` does at its start. Returns the function that fails them, None if they are
        refused."""
        descriptors, kernel = self._system.descriptors, self._system.kernel
        if not descriptors.has_room(PIPE_DESCRIPTORS):
            return None
        id = watch.board.opened(address, watch.runner.now())
        if id is None:
            return None
        source = LinkSource(link.up, descriptors.changed)
        sink = LinkSink(link.down, descriptors.changed, reset)

        def hang_up() -> None:
            source.hang_up()
            sink.end()
            reset()

        source.fate = kernel.draw_fate(kernel.faults.hung_up, partial(self._meet, "hung_up", hang_up))
        sink.fate = kernel.draw_fate(kernel.faults.broken_output, partial(self._meet, "broken_output", sink.end))
        numbers = descriptors.add(source), descriptors.add(sink)
        pipes = LinkedPipes(id, numbers, sink, watch.runner, watch.endpoints.forget)
        watch.endpoints.by_id[id] = pipes
        watch.broken[id] = lambda: sink.told
        pipes.start()

        def fail() -> None:
            source.end()
            sink.end()

        return fail

    def _meet(self, fault: str, happen: Callable[[], None]) -> None:
        """A fault of a pipe happens, unless the world has healed."""
        if getattr(self._system.kernel.faults, fault):
            happen()

    def reset(self, link: Link) -> None:
        """Tell the server that the client or the network has cut this link."""
        ends = self._ends.pop(link, None)
        if ends is not None:
            ends.fail()

    def reset_all(self) -> None:
        """Cut all links: the process has ended."""
        for ends in self._ends.values():
            ends.fail()
            ends.reset()
        self._ends.clear()
