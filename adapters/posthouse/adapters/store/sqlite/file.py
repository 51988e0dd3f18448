"""The file: locked against a second process, opened, and brought to the schema of this version.

A file of another application, one of a newer version, one that another process has, and one with two names, are
refused, each with its own sentence.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from posthouse.adapters.report import INFO, report
from posthouse.core.values.errors import UsageError

from .schema import APPLICATION_ID, MIGRATIONS

OWNER_ONLY: Final = 0o600

OLDEST_SQLITE: Final = (3, 38, 0)
"""STRICT tables came with 3.37, the JSON operators with 3.38."""

WAIT: Final = 5.0
"""Seconds to wait for another program that holds the file for a moment, such as the shell of SQLite."""


class Lock:
    """Holds `PATH.lock`, so that one process at a time has the store. The system frees it when the process ends. A link
    to the file has the lock of the file."""

    def __init__(self, path: str) -> None:
        import fcntl

        self._file: Final = os.open(f"{os.path.realpath(path)}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._file, 32).decode(errors="replace").strip()
            os.close(self._file)
            by = f"process {owner}" if owner.isdigit() else "another process"
            raise UsageError(f"the store {path} is in use by {by}: one process at a time may have it") from None
        os.truncate(self._file, 0)
        os.write(self._file, b"%d\n" % os.getpid())

    def release(self) -> None:
        """Let another process have the store. The lock file stays: who waits for it may have opened it."""
        os.truncate(self._file, 0)
        os.close(self._file)


def connect(path: str, *, query_only: bool = False) -> sqlite3.Connection:
    """A connection of this process to the file, which exists."""
    db = sqlite3.connect(path, timeout=WAIT, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        # FULL: a commit returns when the file system has written it through.
        db.execute("PRAGMA synchronous = FULL")
        if query_only:
            db.execute("PRAGMA query_only = ON")
        return db
    except BaseException:
        db.close()
        raise


def prepare(path: str, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Create the file, or check whose it is, and bring it to the newest schema, with a backup before each step. Raises
    UsageError for a file that is not this version's."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise UsageError(f"a store needs SQLite {wanted}: this Python has {sqlite3.sqlite_version}")
    _create(os.path.realpath(path))
    if os.stat(path).st_nlink > 1:
        raise UsageError(
            f"the store {path} has another name, too (a hard link): each name would have its own lock and its own log; "
            "remove the other name"
        )
    try:
        with closing(connect(path)) as db:
            version = _version(db, path, len(migrations))
            (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise UsageError(f"the store {path} cannot use a write-ahead log: put it on a local file system")
            for number, migration in enumerate(migrations[version:], version + 1):
                if version:  # a new file has nothing to copy
                    _keep_before(db, path, number)
                _migrate(db, number, migration)
    except sqlite3.DatabaseError as error:
        raise UsageError(f"the store {path} cannot be opened: {error}") from error


def _create(path: str) -> None:
    """A file that only its owner may read, and a directory that will have it after a crash. `path` is no link: one that
    leads nowhere would exist, and SQLite would create the file for everyone to read."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY))
        _sync(Path(path).parent)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _version(db: sqlite3.Connection, path: str, newest: int) -> int:
    """The number of the file's schema, 0 for an empty file."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (tables or application or version):
        raise UsageError(f"{path} is not a store of Posthouse, but another SQLite file: give another path")
    assert isinstance(version, int)
    if version > newest:
        raise UsageError(
            f"the store {path} was made by a newer version of Posthouse: it has the schema {version}, and this version "
            f"knows those up to {newest}"
        )
    return version


def _keep_before(db: sqlite3.Connection, path: str, number: int) -> None:
    """Copy the file before it gets this schema."""
    backup = f"{path}.schema-{number - 1}"
    _back_up(db, backup)
    text = "the store {path} gets the schema {number}; before, it was copied to {backup}"
    report(INFO, "store.migrated", text, path=path, number=number, backup=backup)


def _migrate(db: sqlite3.Connection, number: int, migration: str) -> None:
    """Bring the file to this schema: all of it, or nothing."""
    db.executescript(
        f"BEGIN IMMEDIATE;\n{migration}\nPRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {number};\n"
        "COMMIT;"
    )


def _back_up(db: sqlite3.Connection, path: str) -> None:
    """A copy that is complete under its name, whatever happens meanwhile."""
    unfinished = f"{path}.unfinished"
    os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, OWNER_ONLY))
    with closing(sqlite3.connect(unfinished)) as copy:
        db.backup(copy)
    _sync(Path(unfinished))
    os.replace(unfinished, path)
    _sync(Path(path).parent)
