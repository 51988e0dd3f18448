"""Sockets as in a kernel: bounded buffers, partial reads and writes, ends and errors of either direction.

A `Link` connects the server's socket with a client: the network that delays, fragments and cuts. If the buffer of the
receiver is full, the `Direction` holds further bytes, up to its capacity. Then writes are partial, or would block.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.network import Direction, Link
from posthouse.adapters.simulation.schedule import Schedule
from posthouse.adapters.system.system import READ, WRITE

from .descriptors import GONE, Descriptors
from .faults import ACCEPT_ERRORS, CROWDED, LAST_CALLS, NETWORK_ERRORS, NOTICED, Fate, MachineFaults
from .unconnected import SimulatedSocket, failure

RECEIVE_BUFFER: Final = 64 * 1024
"""The number of bytes that a socket holds until they are read. Further bytes wait in the network."""


class Kernel:
    """The state that all sockets of a process share. `listening` holds the listening sockets, by address. `accepted`:
    the client of the connection that was accepted last. `missing`: hosts whose addresses this machine does not have."""

    def __init__(self, schedule: Schedule, descriptors: Descriptors, stream: Stream) -> None:
        self.schedule: Final = schedule
        self.descriptors: Final = descriptors
        self.stream: Final = stream
        self.faults = MachineFaults()
        self.listening: Final[dict[Any, ListeningSocket]] = {}
        self.missing: Final[dict[str, None]] = {}
        self.next_port = 40_000
        self.accepted: Any = None

    def connect(self, address: Any, link: Link, peer: Any, on_reset: Callable[[], None]) -> StreamSocket | None:
        """Connect a client over this link. Returns None if no socket listens at the address, or if its backlog is full.

        `peer` is the address of the client. `on_reset` is called when the server resets the connection.
        """
        listening = self.listening.get(address)
        if listening is None or len(listening.waiting) >= min(listening.backlog, self.faults.backlog):
            return None
        accepted = StreamSocket(self, listening.family, link.up, link.down, on_reset)
        accepted.fate = self._fate(accepted)
        listening.waiting.append((accepted, peer))
        self.descriptors.changed(listening)
        return accepted

    # Faults

    def draw_fate(self, weight: int, meet: Callable[[], object]) -> Fate | None:
        """What happens to a new connection at one of its first calls: `meet`, or nothing."""
        stream = self.stream
        return Fate(stream.choose(stream.pick(LAST_CALLS)), meet) if stream.happens(weight) else None

    def _fate(self, connection: StreamSocket) -> Fate | None:
        faults = self.faults
        if self.stream.happens(faults.crowded):
            self.crowd()
        return self.draw_fate(faults.failing, partial(self._cut, connection)) or self.draw_fate(
            faults.broken_output, partial(self._break_output, connection)
        )

    def crowd(self) -> None:
        """Let other processes take all files of the machine for a while."""
        self.descriptors.crowded = True
        self.schedule.after(self.stream.pick(CROWDED), partial(setattr, self.descriptors, "crowded", False))

    def _cut(self, connection: StreamSocket) -> None:
        if self.faults.failing:  # not if the world has healed
            connection.fail(self.stream.pick(NETWORK_ERRORS))
            connection.tell_client(self.stream.pick(NOTICED))

    def _break_output(self, connection: StreamSocket) -> None:
        if self.faults.broken_output:
            connection.break_output()


class ListeningSocket(SimulatedSocket):
    """A socket that listens for clients. `waiting` holds the connections that were not accepted yet."""

    def __init__(self, kernel: Kernel, family: int) -> None:
        super().__init__(kernel.descriptors, family)
        self._kernel: Final = kernel
        self.backlog = 0
        self.waiting: Final[deque[tuple[StreamSocket, Any]]] = deque()
        self._address: Any = None

    def bind(self, address: Any) -> None:
        if self.family == socket.AF_UNIX:
            self._address = address
            return
        host, port, *rest = address
        if host in self._kernel.missing:
            raise failure(errno.EADDRNOTAVAIL)
        if not port:
            self._kernel.next_port += 1
            port = self._kernel.next_port
        if (host, port) in self._kernel.listening:
            raise failure(errno.EADDRINUSE)
        self._address = (host, port, *rest)

    def listen(self, backlog: int) -> None:
        self.backlog = backlog
        self._kernel.listening[self._key()] = self

    def _key(self) -> Any:
        return self._address if self.family == socket.AF_UNIX else self._address[:2]

    def getsockname(self) -> Any:
        return self._address

    def accept(self) -> tuple[SimulatedSocket, Any]:
        self._must_be_open()
        if not self.waiting:
            raise failure(errno.EAGAIN)
        kernel = self._kernel
        if kernel.faults.accept and kernel.stream.happens(kernel.faults.accept):
            number = kernel.stream.pick(ACCEPT_ERRORS)
            if number == errno.ECONNABORTED:
                self.waiting.popleft()[0].abort()
            raise failure(number)
        accepted, peer = self.waiting[0]
        accepted.number()
        self.waiting.popleft()
        kernel.accepted = peer
        return accepted, "" if self.family == socket.AF_UNIX else peer

    def ready(self) -> int:
        return READ if self.waiting else 0

    def release(self) -> None:
        if self._address is not None and self._kernel.listening.get(self._key()) is self:
            del self._kernel.listening[self._key()]
        while self.waiting:
            self.waiting.popleft()[0].abort()


class StreamSocket(SimulatedSocket):
    """A connected socket of the server. `inbound` brings bytes of the client, `outbound` takes bytes for it; `on_reset`
    tells the client of a reset. `broken`: a call has reported an error of the connection. `fate`: what happens to
    it."""

    def __init__(
        self, kernel: Kernel, family: int, inbound: Direction, outbound: Direction, on_reset: Callable[[], None]
    ) -> None:
        super().__init__(kernel.descriptors, family)
        self._kernel: Final = kernel
        self._inbound: Final = inbound
        self._outbound: Final = outbound
        self._on_reset: Final = on_reset
        self._received: Final = bytearray()
        self._ended = False  # the peer has half-closed
        self._error = 0  # the next call reports it, once
        self._dead = False  # the connection was reset, or has timed out
        self._broken = False  # the output is broken, the input is not
        self._shut = False
        self._lingers = True
        self._released = False
        self.broken = False
        self.fate: Fate | None = None
        inbound.deliver = self._arrived
        inbound.deliver_eof = self._arrived_eof
        outbound.on_room = self._changed
        inbound.plan_delivery()

    def _changed(self) -> None:
        self._descriptors.changed(self)

    # The network

    def _arrived(self, data: bytes) -> None:
        if self._released:  # "closed with data pending": a reset tells the peer (RFC 1122 section 4.2.2.13)
            self._reset_peer()
            return
        self._received.extend(data)
        if len(self._received) >= RECEIVE_BUFFER:
            self._inbound.reading = False
        self._changed()

    def _arrived_eof(self) -> None:
        self._ended = True
        self._changed()

    def fail(self, number: int = errno.ECONNRESET) -> None:
        """Report an error of the network: the peer has reset the connection, or cannot be reached."""
        if self._dead:
            return
        self._dead = True
        # tcp_reset: a peer that had ended its own output has closed the pipe.
        self._error = errno.EPIPE if number == errno.ECONNRESET and self._ended else number
        self._inbound.drop()
        self._outbound.drop()
        self._changed()

    def tell_client(self, seconds: float) -> None:
        """Let the client notice after this time that the connection is broken."""
        self._kernel.schedule.after(seconds, self._on_reset)

    def break_output(self) -> None:
        """Let writes fail from now on, while the peer's bytes still arrive."""
        self._broken = True
        self._outbound.drop()
        self._changed()

    def abort(self) -> None:
        """Reset the connection from this side."""
        self._released = True
        self._reset_peer()

    def _reset_peer(self) -> None:
        if self._dead:
            return
        self._dead = True
        self._inbound.drop()
        self._outbound.drop()
        self._kernel.schedule.after(self._outbound.conditions.latency, self._on_reset)

    @property
    def unread(self) -> int:
        """The number of bytes that have come and were not read."""
        return len(self._received)

    # The interface of the system

    def _must_be_open(self) -> None:
        super()._must_be_open()
        if self.fate is not None:
            self.fate.call()

    def ready(self) -> int:
        if self._dead:
            return READ | WRITE | GONE
        events = READ if self._received or self._ended else 0
        return events | WRITE if self._broken or self._shut or self._outbound.room > 0 else events

    def recv(self, size: int) -> bytes:
        self._must_be_open()
        received, kernel = self._received, self._kernel
        if received:
            if kernel.faults.spurious and kernel.stream.happens(kernel.faults.spurious):
                raise failure(errno.EAGAIN)
            data = bytes(received[:size])
            del received[:size]
            if not self._inbound.reading and len(received) < RECEIVE_BUFFER:
                self._inbound.reading = True
                self._inbound.plan_delivery()
            return data
        self._tell_error()
        if self._ended or self._dead:
            return b""
        raise failure(errno.EAGAIN)

    def send(self, data: bytes | memoryview) -> int:
        self._must_be_open()
        self._tell_error()
        if self._dead or self._broken or self._shut:
            self.broken = True
            raise failure(errno.EPIPE)
        outbound, kernel = self._outbound, self._kernel
        if outbound.closed:  # the peer has closed: its kernel answers with a reset
            kernel.schedule.after(2 * outbound.conditions.latency, self.fail)
            return len(data)
        fits = min(len(data), outbound.room)
        if fits <= 0 < len(data):
            raise failure(errno.EAGAIN)
        if kernel.faults.partial and kernel.stream.happens(kernel.faults.partial):
            fits = 1 + kernel.stream.choose(fits)
        return outbound.write(bytes(data[:fits]))

    def _tell_error(self) -> None:
        if self._error:
            number, self._error = self._error, 0
            self.broken = True
            raise failure(number)

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        super().setsockopt(level, option, value)
        if self.family == socket.AF_UNIX and level == socket.IPPROTO_TCP:
            raise failure(errno.EOPNOTSUPP)
        if self._dead and self._kernel.stream.happens(self._kernel.faults.options):
            raise failure(errno.EINVAL)
        if option == socket.SO_LINGER and level == socket.SOL_SOCKET:
            self._lingers = False  # the server sets it only to reset

    def shutdown(self, how: int) -> None:
        self._must_be_open()
        if self._dead:
            raise failure(errno.ENOTCONN)
        if how != socket.SHUT_RD:
            self._shut = True
            self._outbound.end()

    def getsockname(self) -> Any:
        return ("127.0.0.1", 0)

    def release(self) -> None:
        self._released = True
        if self._received or self._broken or not self._lingers:
            self._reset_peer()
        elif not self._dead:
            self._outbound.end()
