"""A socket that is neither connected nor listening: what all of them have in common, and the errors of the rest."""

from __future__ import annotations

import errno
import os
from typing import Any, Final

from .descriptors import Descriptors


def failure(number: int) -> OSError:
    """The exception of an error number, such as BrokenPipeError of EPIPE."""
    return OSError(number, os.strerror(number))


class SimulatedSocket:
    """What connected and listening sockets have in common."""

    def __init__(self, descriptors: Descriptors, family: int) -> None:
        self.family: Final = family
        self._descriptors: Final = descriptors
        self._descriptor = -1

    def fileno(self) -> int:
        return self._descriptor

    def setblocking(self, flag: bool) -> None:
        """Nothing here blocks."""

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        self._must_be_open()

    def number(self) -> None:
        """Give it a descriptor. Raises OSError."""
        self._descriptor = self._descriptors.add(self)

    def _must_be_open(self) -> None:
        if self._descriptor < 0:
            raise failure(errno.EBADF)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._descriptors.close(descriptor)

    def ready(self) -> int:
        return 0

    def release(self) -> None:
        """Its descriptor was closed."""

    # What only one kind of socket can do

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
