"""One client at the other end of two pipes, terminals or files, read and written by two threads.

It needs threads because an event loop cannot wait for a regular file, and because an inherited descriptor must not be
made non-blocking: its other owners share that flag. Both threads are bounded, and closing wakes them.

This module does not know what the bytes mean.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from functools import partial
from typing import Final

from posthouse.adapters.loop.runner import Runner
from posthouse.core.values.peers import SocketId


def take_pipes() -> tuple[int, int]:
    """Returns private copies of descriptors 0 and 1. Descriptor 1 becomes standard error and 0 the null device, so that
    a `print` cannot write into a message. For a command, before it imports a service."""
    copies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return copies


class Pipes:
    """Reads from `source` and writes to `sink`. It owns both descriptors, and closes them when the connection ends.

    Up to `write_ahead` bytes wait here without counting as held, as they would in a socket's buffer. All methods belong
    to the event loop's thread, except `_read_all` and `_write_all`, the two threads. `_changed` guards what they share.
    """

    def __init__(
        self, id: SocketId, source: int, sink: int, runner: Runner, forget: Callable[[SocketId], None]
    ) -> None:
        self.id: Final = id
        self.open = True
        self._source: Final = source
        self._runner: Final = runner
        self._descriptors: Final = runner.system.descriptors
        self._sink: Final = sink if sink != source else self._descriptors.dup(sink)
        self._forget: Final = forget
        self._reading = True
        self._eof = False
        self._pending = False
        self._closing = False
        self._uncounted = 0  # unsent bytes that the switchboard considers sent
        self._counted = 0
        self._written = bytearray()
        self._wake, self._waking = self._descriptors.pipe()
        self._changed: Final = runner.system.threads.condition()
        self._wanted = False
        self._over = False
        self._unsent = bytearray()
        self._gone = 0
        self._threads = 2

    def start(self) -> None:
        """Begin to read."""
        for work in (self._read_all, self._write_all):
            self._runner.system.threads.start(work, f"posthouse-{work.__name__[1:]}")
        self._want()

    # In

    def _want(self) -> None:
        """Let the reader thread read once, unless it is reading already."""
        if self._reading and not self._eof and not self._pending:
            self._pending = True
            with self._changed:
                self._wanted = True
                self._changed.notify_all()

    def _received(self, data: bytes) -> None:
        self._pending = False
        if not self.open:
            return
        board, now = self._runner.board, self._runner.now()
        if data:
            board.received(self.id, data, now)
            self._runner.poller.call_soon(self._want)  # after the actions that follow from these bytes
        else:
            self._eof = True
            board.received_eof(self.id, now)

    def stop_reading(self) -> None:
        """Do not read until `start_reading`. At most one piece that is being read now still comes."""
        self._reading = False

    def start_reading(self) -> None:
        self._reading = True
        self._want()

    def _read_all(self) -> None:
        wait = self._descriptors.waiting(read=(self._source, self._wake))
        size = self._runner.board.config.read_bytes
        data = b"\0"
        while data:
            with self._changed:
                while not self._wanted and not self._over:
                    self._changed.wait()
                self._wanted = False
            wait()
            if self._over:
                break
            try:
                data = self._descriptors.read(self._source, size)
            except OSError:
                data = b""  # a terminal that hung up
            if not self._runner.poller.call_soon(partial(self._received, data)):
                break
        self._leave(self._source)

    # Out

    def write(self, data: bytes, report: bool) -> None:
        self._written += data
        if report:
            self._counted += len(data)
        else:
            self._uncounted += len(data)
        self._runner.written[self] = None

    def end_writing(self) -> None:
        """Do nothing: the peer of a pipe would take a half-close for the end of the connection."""

    def close_when_sent(self) -> None:
        self._closing = True
        self._runner.written[self] = None

    def flush(self) -> None:
        """Give written bytes to the writer thread. Report as held the bytes beyond `write_ahead`."""
        if not self.open:
            return
        allowed = 0 if self._closing else self._runner.board.config.write_ahead
        held = self._uncounted - allowed
        if held > 0:
            self._uncounted = allowed
            self._counted += held
            self._runner.board.held(self.id, held, self._runner.now())
        if self._written:
            with self._changed:
                self._unsent += self._written
                self._changed.notify_all()
            self._written.clear()
        if self._closing and not self._counted:
            self.close()

    def _went(self) -> None:
        with self._changed:
            gone, self._gone = self._gone, 0
        if not self.open:
            return
        counted = min(gone, self._counted)
        self._counted -= counted
        self._uncounted -= gone - counted
        if counted:
            self._runner.board.sent(self.id, counted, self._runner.now())
        if self._closing and not self._counted:
            self.close()

    def _broke(self) -> None:
        self.close(abort=True)

    def _write_all(self) -> None:
        wait = self._descriptors.waiting(read=(self._wake,), write=(self._sink,))
        call_soon = self._runner.poller.call_soon
        while True:
            with self._changed:
                while not self._unsent and not self._over:
                    self._changed.wait()
                if self._over:
                    break
                # A pipe that is ready takes this many bytes without blocking (POSIX, PIPE_BUF).
                piece = bytes(self._unsent[: select.PIPE_BUF])
            wait()
            if self._over:
                break
            try:
                size = self._descriptors.write(self._sink, piece)
            except OSError:
                call_soon(self._broke)
                break
            with self._changed:
                del self._unsent[:size]
                first = not self._gone
                self._gone += size
            if first:
                call_soon(self._went)
        self._leave(self._sink)

    def _leave(self, descriptor: int) -> None:
        """End a thread. Only the thread itself knows that its descriptor is no longer in use."""
        self._descriptors.close(descriptor)
        with self._changed:
            self._threads -= 1
            if not self._threads:
                self._descriptors.close(self._wake)

    def close(self, *, abort: bool = False) -> None:
        """Close now: both threads end, and each closes its descriptor."""
        if not self.open:
            return
        self.open = False
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._descriptors.close(self._waking)
        self._forget(self.id)
        self._runner.board.closed(self.id, self._runner.now())
