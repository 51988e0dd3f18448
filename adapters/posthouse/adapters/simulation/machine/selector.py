"""A selector over simulated sockets, level-triggered: what is ready stays so until it is read or written."""

from __future__ import annotations

import errno
import os
import selectors
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from .descriptors import READ, Descriptors, File


class Watch:
    """One registration. `changed` is called when the file may have become ready."""

    __slots__ = ("changed", "data", "events", "file", "key")

    def __init__(self, file: File, descriptor: int, events: int, data: Any, changed: Callable[[int], None]) -> None:
        self.file: Final = file
        self.changed: Final = partial(changed, descriptor)
        self.set(descriptor, events, data)

    def set(self, descriptor: int, events: int, data: Any) -> None:
        self.events = events
        self.key = selectors.SelectorKey(descriptor, descriptor, events, data)


class SimulatedSelector:
    """Which sockets are ready. A closed descriptor is forgotten by itself, as epoll does."""

    def __init__(self, descriptors: Descriptors) -> None:
        self._descriptors: Final = descriptors
        self._watched: Final[dict[int, Watch]] = {}
        self._candidates: Final[dict[int, None]] = {}  # those that may be ready
        self._descriptor = descriptors.add(self)

    def fileno(self) -> int:
        return self._descriptor

    def _changed(self, descriptor: int) -> None:
        self._candidates[descriptor] = None
        self._descriptors.changed(self)

    def register(self, fileobj: Any, events: int, data: Any = None) -> None:
        descriptor = fileobj.fileno()
        file = self._descriptors.file(descriptor)
        known = self._watched.get(descriptor)
        if known is not None:
            if known.file is file:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            self._forget(descriptor, known)
        watch = self._watched[descriptor] = Watch(file, descriptor, events, data, self._changed)
        self._descriptors.watch(file, watch.changed)
        self._changed(descriptor)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> None:
        descriptor = fileobj.fileno()
        self._known(descriptor).set(descriptor, events, data)
        self._changed(descriptor)

    def unregister(self, fileobj: Any) -> None:
        descriptor = fileobj.fileno()
        self._forget(descriptor, self._known(descriptor))

    def _known(self, descriptor: int) -> Watch:
        watch = self._watched.get(descriptor)
        if watch is None or self._descriptors.file(descriptor) is not watch.file:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return watch

    def _forget(self, descriptor: int, watch: Watch) -> None:
        del self._watched[descriptor]
        self._candidates.pop(descriptor, None)
        self._descriptors.unwatch(watch.file, watch.changed)

    def select(self, timeout: float = 0.0) -> list[tuple[selectors.SelectorKey, int]]:
        """Those that are ready now, in the order in which they became so. Does not wait."""
        found = []
        open_files = self._descriptors
        for descriptor in tuple(self._candidates):
            watch = self._watched[descriptor]
            if not open_files.is_open(descriptor, watch.file):
                self._forget(descriptor, watch)
                continue
            events = watch.file.ready() & watch.events
            if events:
                found.append((watch.key, events))
            else:
                del self._candidates[descriptor]
        return found

    def ready(self) -> int:
        """A selector can itself be waited for."""
        return READ if self._candidates and self.select() else 0

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._descriptors.close(descriptor)

    def release(self) -> None:
        for descriptor, watch in list(self._watched.items()):
            self._forget(descriptor, watch)
