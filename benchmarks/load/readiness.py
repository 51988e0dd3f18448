"""Waits for sockets: with epoll where there is one, else with poll. `selectors` costs twice as much for each event."""

from __future__ import annotations

import select
from typing import Final, Protocol


class Descriptor(Protocol):
    """A socket or a file."""

    def fileno(self) -> int:
        """Return its descriptor."""
        ...


class Readiness:
    """Sockets that are waited for."""

    def __init__(self) -> None:
        self._epoll: Final = select.epoll() if hasattr(select, "epoll") else None
        self._poll: Final = None if self._epoll is not None else select.poll()

    def watch(self, connected: Descriptor) -> None:
        """Wait for input from this one, too."""
        if self._epoll is not None:
            self._epoll.register(connected, select.EPOLLIN)
        elif self._poll is not None:
            self._poll.register(connected, select.POLLIN)

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        """Return the descriptors that can be read, after at most so many seconds."""
        if self._epoll is not None:
            return self._epoll.poll(seconds)
        assert self._poll is not None
        return self._poll.poll(seconds * 1000)

    def close(self) -> None:
        """Wait no more."""
        if self._epoll is not None:
            self._epoll.close()
