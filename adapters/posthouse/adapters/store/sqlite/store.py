"""`SqliteStore`: the lines in front of the writer and the reader, and the file's lock between `open` and `close`."""

from __future__ import annotations

import os
import threading
from functools import partial
from os import PathLike
from typing import Final, get_args

import anyio
from posthouse.core.operations.operations import Failed
from posthouse.core.store.outcomes import StoreOutcome
from posthouse.core.store.requests import Read, Request
from posthouse.core.values.errors import UsageError

from .file import Lock, connect, prepare
from .line import Line, in_thread
from .writer import Reader, Writer

READS: Final = frozenset(get_args(Read))

MOST_WAITING: Final = 1_000


class SqliteStore:
    """Keeps users, tokens and sessions in one SQLite file at `path`, which only its owner may read. Beside it are
    `PATH-wal` and `PATH-shm` of SQLite, and `PATH.lock`, by which one process at a time has the store.

    `Done` to a write means that the disk has it: a crash of the process or the machine loses nothing of it. At most
    `most_waiting` writes, and as many reads, wait; further ones are Busy. Needs a local file system.
    """

    durability: Final = "sqlite"

    def __init__(self, path: str | PathLike[str], *, most_waiting: int = MOST_WAITING) -> None:
        if most_waiting < 1:
            raise UsageError(f"most_waiting is {most_waiting}: it must be at least 1")
        self.path: Final = os.fspath(path)
        self._most: Final = most_waiting
        self._lock: Lock | None = None
        self._writes: Line | None = None
        self._reads: Line | None = None
        self._finishing: Final = threading.Lock()

    async def open(self) -> None:
        """Lock the file and bring it to this version's schema. Raises UsageError if it cannot be used, OSError if it
        cannot be opened."""
        if self._lock is not None:
            raise UsageError(f"the store {self.path} is open already")
        await anyio.to_thread.run_sync(self._prepare)
        writer, reader = Writer(partial(connect, self.path)), Reader(partial(connect, self.path, query_only=True))
        self._writes = Line("posthouse-store", self._most, writer.perform, writer.close)
        self._reads = Line("posthouse-store-reads", self._most, reader.perform, reader.close)

    def _prepare(self) -> None:
        lock = Lock(self.path)
        try:
            prepare(self.path)
        except BaseException:
            lock.release()
            raise
        self._lock = lock

    async def perform(self, request: Request) -> StoreOutcome:
        """Perform a request. See `Store`."""
        line = self._reads if type(request) in READS else self._writes
        return Failed() if line is None else await line.ask(request)

    async def close(self) -> None:
        """Perform what waits, close the file and unlock it. If this is cancelled, a thread goes on with it."""
        await in_thread(self._finish, "posthouse-store-end")

    def _finish(self) -> None:
        with self._finishing:  # a second `close` returns when the file is unlocked, too
            lines = [line for line in (self._reads, self._writes) if line is not None]
            for line in lines:
                line.close()
            for line in lines:
                line.join()
            lock, self._lock = self._lock, None
            if lock is not None:
                lock.release()
