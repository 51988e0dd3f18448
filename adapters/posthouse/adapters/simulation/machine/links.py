"""Two pipes between the server and a simulated client: their bytes travel over a `Link`."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Final

from posthouse.adapters.simulation.network import Direction
from posthouse.adapters.system.system import READ, WRITE

from .descriptors import PIPE_BUF, File
from .faults import Fate

CAPACITY: Final = 65536
"""The number of bytes that a pipe holds until they are read."""


class LinkSource:
    """The end of a pipe from which the server reads a client's bytes. `changed` is called when it may be ready. `fate`:
    what happens to it."""

    def __init__(self, inbound: Direction, changed: Callable[[File], None]) -> None:
        self._inbound: Final = inbound
        self._changed: Final = changed
        self._data: Final = bytearray()
        self._ended = False
        self._hung_up = False
        self.fate: Fate | None = None
        inbound.deliver = self._arrived
        inbound.deliver_eof = self.end
        inbound.plan_delivery()

    def _arrived(self, data: bytes) -> None:
        self._data.extend(data)
        if len(self._data) >= CAPACITY:
            self._inbound.reading = False
        self._changed(self)

    def end(self) -> None:
        """The client has closed its end."""
        self._ended = True
        self._changed(self)

    def hang_up(self) -> None:
        """Let reads fail from now on: the terminal was closed."""
        self._hung_up = True
        self._changed(self)

    def ready(self) -> int:
        return READ if self._data or self._ended or self._hung_up else 0

    def take(self, size: int) -> bytes | None:
        if self.fate is not None:
            self.fate.call()
        if self._hung_up:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if not self._data:
            return b"" if self._ended else None
        data = bytes(self._data[:size])
        del self._data[:size]
        if not self._inbound.reading and len(self._data) < CAPACITY:
            self._inbound.reading = True
            self._inbound.plan_delivery()
        return data

    def give(self, data: bytes) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def release(self) -> None:
        self._inbound.drop()


class LinkSink:
    """The end of a pipe to which the server writes bytes for a client.

    `told`: a write has failed because the client does not read any more. `torn`: the server has aborted the connection,
    perhaps in the middle of a message. Then `closed` tells the client: the end of a pipe alone would not. `fate`: what
    happens to it.
    """

    def __init__(self, outbound: Direction, changed: Callable[[File], None], closed: Callable[[], None]) -> None:
        self._outbound: Final = outbound
        self._changed: Final = changed
        self._closed: Final = closed
        self._broken = False
        self.torn = False
        self.told = False
        self.fate: Fate | None = None
        outbound.on_room = self._room

    def _room(self) -> None:
        self._changed(self)

    def end(self) -> None:
        """The client has closed its end: writes fail from now on."""
        self._broken = True
        self._changed(self)

    def ready(self) -> int:
        capacity = self._outbound.conditions.capacity
        return WRITE if self._is_broken() or self._outbound.room >= min(PIPE_BUF, capacity) else 0

    def _is_broken(self) -> bool:
        return self._broken or self._outbound.closed

    def take(self, size: int) -> bytes | None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def give(self, data: bytes) -> int:
        if self.fate is not None:
            self.fate.call()
        if self._is_broken():
            self.told = True
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        return self._outbound.write(data[: self._outbound.room])

    def release(self) -> None:
        if self.torn or self._is_broken():
            self._closed()
        else:
            self._outbound.end()
