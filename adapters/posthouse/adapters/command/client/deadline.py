"""The deadline of a call, the two failures of a connection, and the stream of bytes that both kinds of peers share."""

from __future__ import annotations

import time
from typing import Final, Protocol

from posthouse.adapters.terminal import Failure

NO_CONNECTION: Final = 3
"""The exit code when there is no connection, or when it ended before the answer."""

READ_BYTES: Final = 65536
"""Read at most this many bytes at once."""


class NoConnection(Failure):
    """The connection cannot be opened, or has ended."""

    def __init__(self, text: str, *, hint: str = "") -> None:
        super().__init__(text, hint=hint, status=NO_CONNECTION)


class TimedOut(Failure):
    """The deadline has passed."""


class Deadline:
    """A number of seconds from now, shared by everything that is done until then."""

    def __init__(self, seconds: float) -> None:
        self.seconds: Final = seconds
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds that are left, always above 0. Raises TimedOut."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise self.expired()
        return left

    def expired(self) -> TimedOut:
        """The exception to raise when the deadline has passed."""
        return TimedOut(f"no answer within {self.seconds:g} s", hint="to wait longer, use --timeout SECONDS")


class Stream(Protocol):
    """Bytes to and from a peer, until `deadline`."""

    deadline: Deadline

    def send(self, data: bytes) -> None:
        """Send all of it. Raises NoConnection or TimedOut."""
        ...

    def receive(self) -> bytes:
        """Some bytes, or none at the end. Raises NoConnection or TimedOut."""
        ...

    def close(self) -> None:
        """Close the stream. Never raises."""
        ...
