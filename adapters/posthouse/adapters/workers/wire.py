"""What a worker and its supervisor tell each other: lines of JSON over a pair of sockets.

A worker tells its health and what it has measured, for the first time when it serves. The supervisor tells those of all
workers. If one of
them is gone, the other one reads the end of the stream.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from msgspec import DecodeError, json

VARIABLE: Final = "POSTHOUSE_WORKER"
"""The environment variable with the descriptor of a worker's socket."""

PLACE: Final = "POSTHOUSE_PLACE"
"""The environment variable with the place of a worker."""

MEASURED: Final = "measured"
"""The member with the measurements of a worker, beside those of its health."""

EVERY: Final = 1.0
"""Seconds between two lines."""

READ_BYTES: Final = 65_536


class Wire:
    """One end. `socket` does not block."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.socket: Final = end
        self._received = b""
        self._unsent = b""

    def tell(self, value: object) -> None:
        """Send a line. While the last one was not taken, this one is left out: the next one tells more."""
        try:
            if not self._unsent:
                self._unsent = json.encode(value) + b"\n"
            sent = self.socket.send(self._unsent)
            self._unsent = self._unsent[sent:]
        except OSError:
            pass  # it is full, or the other end is gone, which `hear` tells

    def hear(self) -> list[Any] | None:
        """The values that have come. None: the other end is gone."""
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        *lines, self._received = (self._received + data).split(b"\n")
        return [value for line in lines if (value := _decoded(line)) is not None]

    def close(self) -> None:
        """Close this end."""
        self.socket.close()


def _decoded(line: bytes) -> Any:
    try:
        return json.decode(line)
    except DecodeError:
        return None
