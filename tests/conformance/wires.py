"""Bytes to a server and back, over whatever there is: what a case is spoken through.

A wire blocks, has no threads and knows no protocol. `Silence` is what it raises when nothing will come any more; in
memory that is known at once, on sockets and pipes after `PATIENCE` seconds.
"""

from __future__ import annotations

import os
import select
import socket
from typing import Final, Protocol

from posthouse.core.values.peers import Address

from tests.transports.board import Board

READ_BYTES: Final = 65536

PATIENCE: Final = 5.0
"""Seconds without a byte after which a server is taken to have nothing to say. No outcome that is right needs it."""

FAR: Final = 60.0
"""Seconds of a held clock after which the same holds in memory."""


class Silence(Exception):
    """Nothing came, and no end either."""


class Wire(Protocol):
    """A connection to a server, from the client's side."""

    def send(self, data: bytes) -> None:
        """All of it, as far as the server still takes it."""
        ...

    def receive(self) -> bytes:
        """Some bytes; none at their end. Raises Silence."""
        ...

    def end(self) -> None:
        """There is no more to send; the server may still answer."""
        ...

    def close(self) -> None:
        """The end, in every case."""
        ...


def read_all(wire: Wire) -> bytes:
    """Everything until the server ends. Raises Silence when it does not."""
    received = bytearray()
    while data := wire.receive():
        received += data
    return bytes(received)


class MemoryWire:
    """A socket or a pipe of a board: bytes are carried at once, and time passes only while nothing comes."""

    def __init__(self, board: Board, address: Address) -> None:
        self._board: Final = board
        self._socket: Final = board.open(address)
        self._received = bytearray()

    def send(self, data: bytes) -> None:
        if self._socket not in self._board.closed:
            self._received += self._board.feed(self._socket, data)

    def receive(self) -> bytes:
        board = self._board
        until = board.now + FAR
        while not (self._received or self._ended()):
            self._received += board.take(self._socket)
            due = board.board.next_timeout()
            if self._received:
                break
            if due is None or due > until:
                raise Silence
            board.pass_time(due - board.now)
        self._received += board.take(self._socket)
        data = bytes(self._received)
        self._received.clear()
        return data

    def _ended(self) -> bool:
        return self._socket in self._board.closed or self._socket in self._board.half_closed

    def end(self) -> None:
        self._board.board.received_eof(self._socket, self._board.now)
        self._board.run()

    def close(self) -> None:
        self._board.drop(self._socket)


class SocketWire:
    """A TCP connection over loopback."""

    def __init__(self, place: tuple[str, int]) -> None:
        self._socket: Final = socket.create_connection(place, PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have answered before it closed: whoever reads finds out

    def receive(self) -> bytes:
        try:
            return self._socket.recv(READ_BYTES)
        except TimeoutError:
            raise Silence from None
        except ConnectionResetError:
            return b""

    def end(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()


class PipeWire:
    """Two pipes, as a process has them that speaks over its standard input and output."""

    def __init__(self, source: int, sink: int) -> None:
        self._source: Final = source
        self._sinks: Final = [sink]

    def send(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._sinks[0], rest) :]
        except BrokenPipeError:
            pass  # it may have answered before it went

    def receive(self) -> bytes:
        if not select.select([self._source], [], [], PATIENCE)[0]:
            raise Silence
        return os.read(self._source, READ_BYTES)

    def end(self) -> None:
        while self._sinks:
            os.close(self._sinks.pop())

    def close(self) -> None:
        self.end()
        os.close(self._source)
