"""A selector over simulated files. It is level-triggered, as epoll: a file stays ready until it is read or written."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from typing import Final

from posthouse.adapters.system.system import READ

from .descriptors import GONE, Descriptors, File


class Watch:
    """One registration. `changed` is called when the file may have become ready."""

    __slots__ = ("changed", "events", "file")

    def __init__(self, file: File, events: int, changed: Callable[[], None]) -> None:
        self.file: Final = file
        self.changed: Final = changed
        self.events = events


class SimulatedSelector:
    """Tells which files are ready. It forgets a closed descriptor by itself, as epoll does."""

    def __init__(self, descriptors: Descriptors) -> None:
        self._descriptors: Final = descriptors
        self._watched: Final[dict[int, Watch]] = {}
        self._candidates: Final[dict[int, None]] = {}  # descriptors that may be ready
        self._descriptor = descriptors.add(self)

    def fileno(self) -> int:
        return self._descriptor

    def _changed(self, descriptor: int) -> None:
        self._candidates[descriptor] = None
        self._descriptors.changed(self)

    def register(self, descriptor: int, events: int) -> None:
        file = self._descriptors.file(descriptor)
        known = self._watched.get(descriptor)
        if known is not None:
            if known.file is file:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            self._forget(descriptor, known)
        watch = self._watched[descriptor] = Watch(file, events, partial(self._changed, descriptor))
        self._descriptors.watch(file, watch.changed)
        self._changed(descriptor)

    def modify(self, descriptor: int, events: int) -> None:
        self._known(descriptor).events = events
        self._changed(descriptor)

    def unregister(self, descriptor: int) -> None:
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

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """Returns at most `most` ready descriptors, with their events, and never waits. The next poll returns the rest
        first."""
        candidates, told = self._candidates, []
        for descriptor in tuple(candidates):
            watch = self._watched[descriptor]
            if not self._descriptors.is_open(descriptor, watch.file):
                self._forget(descriptor, watch)
                continue
            del candidates[descriptor]
            events = watch.file.ready() & (watch.events | GONE)
            if events:
                told.append((descriptor, events))
                if len(told) == most:
                    break
        candidates.update((descriptor, None) for descriptor, _ in told)
        return told

    def ready(self) -> int:
        """Readable while one of its descriptors is ready: a selector can itself be waited for."""
        return READ if self._candidates and self.poll(0.0, 1) else 0

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._descriptors.close(descriptor)

    def release(self) -> None:
        for descriptor, watch in list(self._watched.items()):
            self._forget(descriptor, watch)
