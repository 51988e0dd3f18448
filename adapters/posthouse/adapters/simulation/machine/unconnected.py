"""The common part of all sockets: a descriptor, and an error for each operation that a kind of socket does not have."""

from __future__ import annotations

import errno
import os
from typing import Any, Final

from .descriptors import Descriptors


def failure(number: int) -> OSError:
    """The exception of an error number, such as BrokenPipeError of EPIPE."""
    return OSError(number, os.strerror(number))


class SimulatedSocket:
    """The base of connected and listening sockets. It has a descriptor; binding, reading and writing fail."""

    def __init__(self, descriptors: Descriptors, family: int) -> None:
        self.family: Final = family
        self._descriptors: Final = descriptors
        self._descriptor = -1

    def fileno(self) -> int:
        return self._descriptor

    def setblocking(self, flag: bool) -> None:
        """Do nothing: no simulated socket blocks."""

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        self._must_be_open()

    def number(self) -> None:
        """Get a descriptor. Raises OSError if all are in use."""
        self._descriptor = self._descriptors.add(self)

    def _must_be_open(self) -> None:
        self._descriptors.interrupt()
        if self._descriptor < 0:
            raise failure(errno.EBADF)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._descriptors.close(descriptor)

    def ready(self) -> int:
        return 0

    def release(self) -> None:
        """Do nothing: there is no connection to release."""

    # Operations that only connected or only listening sockets have

    def bind(self, address: Any) -> None:
        raise failure(errno.EINVAL)

    def listen(self, backlog: int) -> None:
        raise failure(errno.EINVAL)

    def getsockname(self) -> Any:
        raise failure(errno.EINVAL)

    def accept(self) -> tuple[SimulatedSocket, Any]:
        raise failure(errno.EINVAL)

    def recv(self, size: int) -> bytes:
        raise failure(errno.ENOTCONN)

    def send(self, data: bytes | memoryview) -> int:
        raise failure(errno.ENOTCONN)

    def shutdown(self, how: int) -> None:
        raise failure(errno.ENOTCONN)
