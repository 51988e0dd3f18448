"""A selector for machines without epoll, with the part of the interface of `select.epoll` that the server uses."""

from __future__ import annotations

import selectors
from typing import Final

from .system import READ, WRITE


class PortableSelector:
    """The default selector of this machine, with the methods and the event numbers of epoll."""

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
        """Replace the events to watch for."""
        self._selector.modify(descriptor, events & READ | (events & WRITE) >> 1)

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """The ready descriptors, with their events. More than `most` may be returned."""
        return [(key.fd, events & READ | (events & 2) << 1) for key, events in self._selector.select(timeout)]
