"""Descriptors: the numbers of the open files of a process. A new file gets the lowest free number, as POSIX demands.

A file says which events are ready. Selectors and threads that wait for a file are called at each change.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import Final, Protocol, runtime_checkable

from posthouse.adapters.system.system import READ, WRITE

from .threads import SimulatedThreads

GONE: Final = 16
"""The event of a connection that has ended in both directions (EPOLLHUP). A selector always reports it."""

FIRST: Final = 3
"""The first descriptor after input, output and errors."""

PIPE_BUF: Final = 4096


class File(Protocol):
    """An open file: a socket, an end of a pipe, a selector, or the null device."""

    def ready(self) -> int:
        """The events that are ready now. An error makes all of them ready."""
        ...

    def release(self) -> None:
        """Close the file: its last descriptor was closed."""
        ...


@runtime_checkable
class ByteFile(File, Protocol):
    """A file whose bytes are read and written by descriptor."""

    def take(self, size: int) -> bytes | None:
        """Read up to `size` bytes. Returns b"" at the end, None if nothing has come yet. Raises OSError."""
        ...

    def give(self, data: bytes) -> int:
        """Write the bytes that fit. Returns their number. Raises OSError."""
        ...


class Null:
    """The null device."""

    def ready(self) -> int:
        return READ | WRITE

    def release(self) -> None:
        """Do nothing: the null device holds nothing."""

    def take(self, size: int) -> bytes:
        return b""

    def give(self, data: bytes) -> int:
        return len(data)


class Pipe:
    """A pipe: a buffer of `capacity` bytes between two ends. `changed` is called with each end after a change."""

    def __init__(self, changed: Callable[[File], None], capacity: int = 65536) -> None:
        self.data: Final = bytearray()
        self.capacity: Final = capacity
        self.source: Final = PipeSource(self)
        self.sink: Final = PipeSink(self)
        self._changed: Final = changed

    def changed(self) -> None:
        self._changed(self.source)
        self._changed(self.sink)


class PipeSource:
    """The end of a pipe that is read."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe: Final = pipe
        self.closed = False

    def ready(self) -> int:
        return READ if self._pipe.data or self._pipe.sink.closed else 0

    def release(self) -> None:
        self.closed = True
        self._pipe.changed()

    def take(self, size: int) -> bytes | None:
        data = self._pipe.data
        if not data:
            return b"" if self._pipe.sink.closed else None
        taken = bytes(data[:size])
        del data[:size]
        self._pipe.changed()
        return taken

    def give(self, data: bytes) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class PipeSink:
    """The end of a pipe that is written."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe: Final = pipe
        self.closed = False

    def ready(self) -> int:
        # A pipe that is ready takes PIPE_BUF bytes without blocking (POSIX).
        room = self._pipe.capacity - len(self._pipe.data)
        return WRITE if room >= min(PIPE_BUF, self._pipe.capacity) or self._pipe.source.closed else 0

    def release(self) -> None:
        self.closed = True
        self._pipe.changed()

    def take(self, size: int) -> bytes | None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def give(self, data: bytes) -> int:
        if self._pipe.source.closed:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        fits = min(len(data), self._pipe.capacity - len(self._pipe.data))
        self._pipe.data.extend(data[:fits])
        if fits:
            self._pipe.changed()
        return fits


def _go_on() -> None:
    """Interrupt no call."""


class Descriptors:
    """The descriptors of one process: numbers below `most`. They implement `Descriptors` of the system.

    `watch` registers a function that is called at each change of a file. `crowded`: other processes have taken all
    files of the machine. `interrupt` is called at each call of the kernel that uses a socket.
    """

    def __init__(self, threads: SimulatedThreads, most: int = 1024) -> None:
        self.most = most
        self.crowded = False
        self.interrupt: Callable[[], object] = _go_on
        self._threads: Final = threads
        self._files: Final[list[File | None]] = [None] * FIRST
        self._watchers: Final[dict[File, dict[Callable[[], None], None]]] = {}

    # Open files

    def add(self, file: File) -> int:
        """Give a file the lowest free number. Raises OSError if all are in use: EMFILE, or ENFILE on a machine that is
        crowded."""
        if self.crowded:
            raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))
        files = self._files
        try:
            number = files.index(None, FIRST)
        except ValueError:
            number = len(files)
            if number < self.most:
                files.append(None)
        if number >= self.most:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        files[number] = file
        return number

    def file(self, descriptor: int) -> File:
        """The file of a descriptor. Raises OSError (EBADF) if the descriptor is not open."""
        file = self._files[descriptor] if 0 <= descriptor < len(self._files) else None
        if file is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return file

    def is_open(self, descriptor: int, file: File) -> bool:
        """Is this descriptor open, with this file?"""
        return descriptor < len(self._files) and self._files[descriptor] is file

    def has_room(self, count: int) -> bool:
        """Can so many files be opened?"""
        return not self.crowded and FIRST + len(self.open()) + count <= self.most

    def open(self) -> dict[int, File]:
        """All open files, by number."""
        return {number: file for number, file in enumerate(self._files) if file is not None}

    def watch(self, file: File, changed: Callable[[], None]) -> None:
        """Call `changed` whenever the ready events of a file may have changed."""
        self._watchers.setdefault(file, {})[changed] = None

    def unwatch(self, file: File, changed: Callable[[], None]) -> None:
        """End a `watch`."""
        watchers = self._watchers.get(file)
        if watchers is not None and watchers.pop(changed, True) is None and not watchers:
            del self._watchers[file]

    def changed(self, file: File) -> None:
        """Tell the watchers of a file that its ready events may have changed."""
        watchers = self._watchers.get(file)
        if watchers is not None:
            for changed in tuple(watchers):
                changed()

    # The interface of the system

    def limit(self) -> float:
        return self.most

    def null(self) -> int:
        return self.add(Null())

    def pipe(self) -> tuple[int, int]:
        pipe = Pipe(self.changed)
        source = self.add(pipe.source)
        try:
            return source, self.add(pipe.sink)
        except OSError:
            self.close(source)
            raise

    def dup(self, descriptor: int) -> int:
        return self.add(self.file(descriptor))

    def close(self, descriptor: int) -> None:
        file = self.file(descriptor)
        self._files[descriptor] = None
        if file not in self._files:
            file.release()
            self._watchers.pop(file, None)

    def read(self, descriptor: int, size: int) -> bytes:
        file = self._bytes(descriptor)
        while (data := file.take(size)) is None:
            self.waiting(read=(descriptor,))()
        self._threads.pause()
        return data

    def write(self, descriptor: int, data: bytes) -> int:
        file = self._bytes(descriptor)
        while not (written := file.give(data)) and data:
            self.waiting(write=(descriptor,))()
        self._threads.pause()
        return written

    def _bytes(self, descriptor: int) -> ByteFile:
        file = self.file(descriptor)
        if not isinstance(file, ByteFile):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return file

    def waiting(self, *, read: Sequence[int] = (), write: Sequence[int] = ()) -> Callable[[], object]:
        wanted = [(self.file(number), READ) for number in read] + [(self.file(number), WRITE) for number in write]

        def ready() -> bool:
            return any(file.ready() & event for file, event in wanted)

        def wait() -> None:
            condition = self._threads.condition()
            for file, _ in wanted:
                self.watch(file, condition.notify_all)
            try:
                while not ready():
                    condition.wait()
            finally:
                for file, _ in wanted:
                    self.unwatch(file, condition.notify_all)

        return wait
