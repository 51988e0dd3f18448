"""Two connected sockets of one process, without a network: the bytes of a write can be read at once."""

from __future__ import annotations

import errno
import socket
from typing import Final

from posthouse.adapters.system.system import READ, WRITE

from .descriptors import Descriptors
from .sockets import RECEIVE_BUFFER
from .unconnected import SimulatedSocket, failure


class PairedSocket(SimulatedSocket):
    """One of two connected sockets. `peer`: the other one, None after it was closed."""

    def __init__(self, descriptors: Descriptors) -> None:
        super().__init__(descriptors, socket.AF_UNIX)
        self.received: Final = bytearray()
        self.peer: PairedSocket | None = None

    def ready(self) -> int:
        peer = self.peer
        room = peer is None or len(peer.received) < RECEIVE_BUFFER
        return (READ if self.received or peer is None else 0) | (WRITE if room else 0)

    def recv(self, size: int) -> bytes:
        self._must_be_open()
        if not self.received:
            if self.peer is None:
                return b""
            raise failure(errno.EAGAIN)
        data = bytes(self.received[:size])
        del self.received[:size]
        if self.peer is not None:
            self._descriptors.changed(self.peer)
        return data

    def send(self, data: bytes | memoryview) -> int:
        self._must_be_open()
        peer = self.peer
        if peer is None:
            raise failure(errno.EPIPE)
        fits = min(len(data), RECEIVE_BUFFER - len(peer.received))
        if fits <= 0:
            raise failure(errno.EAGAIN)
        peer.received.extend(data[:fits])
        self._descriptors.changed(peer)
        return fits

    def release(self) -> None:
        peer, self.peer = self.peer, None
        if peer is not None:
            peer.peer = None
            self._descriptors.changed(peer)
