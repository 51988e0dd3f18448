"""A disk below SQLite that fails as a test says, and that loses what was not synced when the machine crashes.

It is a VFS (sqlite.org/vfs.html) under the SQLite of apsw, with the statements and transactions of the store above it:
only the C library in between is another build than the one of Python.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import apsw

NAME: Final = "posthouse-test-disk"


class Disk(apsw.VFS):
    """Counts the writes and syncs of all files. The operation numbered `fails_at`, and the `failures - 1` after it,
    fail with `error`. A `dead` disk fails always: the machine has crashed."""

    def __init__(self) -> None:
        self.base = ""
        super().__init__(NAME, self.base)
        self.operations = 0
        self.fails_at = 0
        self.failures = 1
        self.error: type[Exception] = apsw.IOError
        self.dead = False
        self.unsynced: dict[str, list[tuple[int, bytes, int]]] = {}

    def _open(self, name: Any, flags: list[int]) -> File:
        return File(self, name, flags)

    def operate(self) -> None:
        """A write or a sync."""
        self.operations += 1
        begun = self.fails_at and self.operations >= self.fails_at
        if self.dead or (begun and self.operations < self.fails_at + self.failures):
            raise self.error("the disk fails")

    def lose(self) -> None:
        """Everything that was not synced is gone, the newest first."""
        for name, writes in self.unsynced.items():
            path = Path(name)
            if not path.exists():
                continue
            content = bytearray(path.read_bytes())
            for offset, before, size in reversed(writes):
                content[offset : offset + len(before)] = before
                del content[size:]
            path.write_bytes(content)


class File(apsw.VFSFile):
    """A file of a Disk. It remembers what its writes have replaced, until they are synced. The real disk is not asked
    to sync: only this memory tells what a crash would leave."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)

    def _write(self, data: bytes, offset: int) -> None:
        self._disk.operate()
        size = self.xFileSize()
        before = self.xRead(max(0, min(len(data), size - offset)), offset) if offset < size else b""
        self._disk.unsynced.setdefault(self._name, []).append((offset, before, size))
        super().xWrite(data, offset)

    def _truncate(self, newsize: int) -> None:
        self._disk.operate()
        size = self.xFileSize()
        if newsize < size:
            before = self.xRead(size - newsize, newsize)
            self._disk.unsynced.setdefault(self._name, []).append((newsize, before, size))
        super().xTruncate(newsize)

    def _sync(self, flags: int) -> None:
        self._disk.operate()
        self._disk.unsynced.pop(self._name, None)


for kind, methods in (
    (Disk, {"xOpen": Disk._open}),
    (File, {"xWrite": File._write, "xTruncate": File._truncate, "xSync": File._sync}),
):
    for name, method in methods.items():
        setattr(kind, name, method)  # the names that apsw calls


class Cursor:
    """What the store uses of a cursor of sqlite3."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[Any]:
        return self._rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)


class Connection:
    """What the store uses of a connection of sqlite3, on a Disk."""

    def __init__(self, path: str, synchronous: str = "FULL") -> None:
        with translated():
            self._db = apsw.Connection(path, vfs=NAME)
            self._db.execute(f"PRAGMA synchronous = {synchronous}").fetchall()
            self._db.execute("PRAGMA wal_autocheckpoint = 12").fetchall()

    def execute(self, sql: str, parameters: Any = ()) -> Cursor:
        with translated():
            return Cursor(self._db.execute(sql, parameters).fetchall())

    def close(self) -> None:
        with translated():
            self._db.close(True)


@contextmanager
def translated() -> Iterator[None]:
    """Errors of apsw become those of sqlite3."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise sqlite3.DatabaseError(str(error)) from error
    except apsw.Error as error:
        raise sqlite3.OperationalError(str(error)) from error


def crashed(path: str, disk: Disk) -> None:
    """The machine has crashed: unsynced writes are lost, and so is the memory that processes shared."""
    disk.lose()
    with suppress(FileNotFoundError):
        Path(f"{path}-shm").unlink()
