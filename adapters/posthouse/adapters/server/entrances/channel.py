"""One socket: bytes that are read go to the switchboard, bytes that are written go out, closing is reported once.

Bytes are written to the socket directly, without waiting. Those that it does not take are held here until it does.
This module does not know what the bytes mean.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from typing import Final

from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.system.system import READ, WRITE, Socket
from posthouse.core.values.peers import SocketId

ABORT: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of zero: closing then resets the connection and drops unsent bytes."""

Unsent = list[bytes | memoryview]

NOTHING: Final[Unsent] = []
"""The unsent bytes of a socket that took everything. Never changed: a list takes 64 bytes, for each socket."""

SMALL: Final = 16_384
"""More bytes than that are looked at before another socket is read from: many sockets may have as much."""

WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""The errors of a socket, with or without TLS, that is not ready after all."""


class Channel:
    """`id` is the switchboard's name for this socket. Closing tells the switchboard, and calls `forget`, once."""

    __slots__ = (
        "_blocked",
        "_closing",
        "_ended",
        "_finishing",
        "_forget",
        "_held",
        "_read_bytes",
        "_reading",
        "_runner",
        "_unsent",
        "_watched",
        "id",
        "open",
        "socket",
    )

    def __init__(self, id: SocketId, accepted: Socket, runner: Runner, forget: Callable[[SocketId], None]) -> None:
        self.id: Final = id
        self.socket: Final = accepted
        self.open = True
        self._runner: Final = runner
        self._forget: Final = forget
        self._read_bytes: Final = runner.board.config.read_bytes
        self._unsent = NOTHING
        self._held = 0  # the unsent bytes that the switchboard counts
        self._blocked = False
        self._reading = True
        self._ended = False
        self._finishing = False
        self._closing = False
        self._watched = 0

    def start(self) -> None:
        """Begin to read."""
        self._runner.board.attach(self.id, self)
        self._watch()

    def _watch(self) -> None:
        events = 0
        if self._reading and not self._ended:
            events = READ
        if self._blocked:
            events |= WRITE
        self._ask_for(events)

    def _ask_for(self, events: int) -> None:
        self._runner.poller.watch(self.socket, self._watched, events, self)
        self._watched = events

    def ready(self, events: int) -> bool:
        """The socket can be read from, or written to. True: a few bytes were read."""
        if events & WRITE and self._blocked:
            self._blocked = False
            self.flush()
        if not (events & READ and self._watched & READ):
            return False
        try:
            data = self.socket.recv(self._read_bytes)
        except WOULD_BLOCK:
            return False
        except OSError:
            self.close(abort=True)
            return False
        if not data:
            self._ended = True
            self._watch()
        self._runner.read((self.id, data))
        return len(data) <= SMALL

    # In

    def stop_reading(self) -> None:
        self._reading = False
        self._watch()

    def start_reading(self) -> None:
        self._reading = True
        self._watch()

    # Out

    def write(self, data: bytes, report: bool) -> None:
        if self._unsent:
            self._unsent.append(data)
        else:
            self._unsent = [data]
        if report:
            self._held += len(data)
        self._runner.written[self] = None

    def end_writing(self) -> None:
        self._finishing = True
        self._runner.written[self] = None

    def close_when_sent(self) -> None:
        self._closing = True
        self._runner.written[self] = None

    def flush(self) -> None:
        """Write as much as the socket takes. Report the bytes that now wait, and those that no longer wait."""
        if not self.open:
            return
        unsent = self._unsent
        if unsent and not self._blocked:
            data = unsent[0] if len(unsent) == 1 else b"".join(unsent)
            try:
                sent = self.socket.send(data)
            except WOULD_BLOCK:
                sent = 0
            except OSError:
                self.close(abort=True)
                return
            if sent == len(data):
                self._unsent = unsent = NOTHING
                if not (self._held or self._watched & WRITE or self._finishing or self._closing):
                    return
            else:
                self._unsent = unsent = [memoryview(data)[sent:]]
                self._blocked = True
            if unsent or self._held:
                self._report(sent)
        elif unsent:
            self._report(0)
        if self._blocked is not bool(self._watched & WRITE):
            self._watch()
        if not unsent and self._finishing:
            self._finishing = False
            self._finish()
        if not unsent and self._closing:
            self.close()

    def _report(self, sent: int) -> None:
        """Report how many of the held bytes were sent, and how many more are held."""
        unsent = sum(map(len, self._unsent))
        went = min(sent, self._held)
        held = unsent - (self._held - went)
        self._held = unsent
        board, now = self._runner.board, self._runner.now()
        if held:
            board.held(self.id, held, now)
        if went:
            board.sent(self.id, went, now)

    def _finish(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it is broken: the next read reports it

    def close(self, *, abort: bool = False) -> None:
        """Close now, and report it. With `abort` the socket is reset and unsent bytes are dropped."""
        if not self.open:
            return
        self.open = False
        self._ask_for(0)
        if abort:
            try:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            except OSError:
                pass  # macOS, EINVAL: the connection has ended already
        self._close_socket(abort=abort)
        self._unsent = NOTHING
        self._forget(self.id)
        self._runner.board.closed(self.id, self._runner.now())

    def _close_socket(self, *, abort: bool) -> None:
        self.socket.close()
