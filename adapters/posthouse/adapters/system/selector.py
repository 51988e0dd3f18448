"""What a server needs of `select.epoll`, for machines that have another mechanism."""

from __future__ import annotations

import selectors
from typing import Final

from .system import READ, WRITE


class PortableSelector:
    """The best mechanism of this machine, with the interface and the numbers of epoll."""

    __slots__ = ("_selector", "close", "fileno", "unregister")

    def __init__(self) -> None:
        self._selector: Final = selectors.DefaultSelector()
        self.close: Final = self._selector.close
        self.fileno: Final = self._selector.fileno
        self.unregister: Final = self._selector.unregister

    def register(self, descriptor: int, events: int) -> None:
        """Watch for these events."""
        self._selector.register(descriptor, events & READ | (events & WRITE) >> 1)

    def modify(self, descriptor: int, events: int) -> None:
        """Watch for these events in place of others."""
        self._selector.modify(descriptor, events & READ | (events & WRITE) >> 1)

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """The descriptors that are ready, with their events."""
        return [(key.fd, events & READ | (events & 2) << 1) for key, events in self._selector.select(timeout)]
