"""Whatever write or sync of the disk fails, nothing acknowledged is lost, and the store recovers by itself (row 50).

A disk under SQLite fails at its n-th operation, for every n. Then it works again; or the machine crashes there, and
loses everything that was not synced.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest
from posthouse.adapters.store.sqlite.file import prepare
from posthouse.adapters.store.sqlite.writer import Reader, Writer
from posthouse.core.operations.operations import Failed
from posthouse.core.store.outcomes import Done, MaybeApplied, StoreOutcome
from posthouse.core.store.requests import AddUser, FindUser
from posthouse.core.store.rows import UserRow

from tests.adapters.store.sqlite.disk import Connection, Disk, crashed

GROUPS = 8
FOR_EVER = 10_000
PROFILE = b'"' + b"x" * 3_000 + b'"'


@pytest.fixture
def disk() -> Iterator[Disk]:
    made = Disk()
    yield made
    made.unregister()


def connect(path: str, synchronous: str = "FULL") -> Any:
    return Connection(path, synchronous)


def fresh(folder: Path, number: int) -> str:
    """A file without rows."""
    path = folder / f"{number}.db"
    path.write_bytes((folder / "empty.db").read_bytes())
    return str(path)


def row(name: str) -> UserRow:
    return UserRow(user=name, profile=PROFILE, created_at=0.0)


def write(writer: Writer) -> dict[str, StoreOutcome]:
    """Groups of two writes each, and their outcomes by name."""
    outcomes: dict[str, StoreOutcome] = {}
    for number in range(GROUPS):
        names = [f"{number}a", f"{number}b"]
        outcomes |= zip(names, writer.perform([AddUser("w", row(name), 1_000) for name in names]), strict=True)
    return outcomes


def found(path: str) -> list[str]:
    """The users in the file, which is whole."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [name for (name,) in db.execute("SELECT name FROM users ORDER BY name")]


def check(outcomes: dict[str, StoreOutcome], names: list[str]) -> None:
    """What was acknowledged is there, and what failed is not; the two writes of a group are there together."""
    for name, outcome in outcomes.items():
        assert outcome in (Done(), Failed(), MaybeApplied())
        if outcome == Done():
            assert name in names, f"{name} was acknowledged, and is lost"
        if outcome == Failed():
            assert name not in names, f"{name} has failed, and is there"
    assert all((f"{number}a" in names) == (f"{number}b" in names) for number in range(GROUPS))


def operations(folder: Path, disk: Disk) -> int:
    """How often the disk is written to or synced if it does not fail."""
    prepare(str(folder / "empty.db"))
    path = fresh(folder, 0)
    disk.operations = 0
    writer = Writer(partial(connect, path))
    outcomes = write(writer)
    writer.close()
    assert list(outcomes.values()) == [Done()] * 2 * GROUPS
    assert found(path) == sorted(outcomes)
    return disk.operations


@pytest.mark.parametrize("failures", [1, 5])
@pytest.mark.parametrize("error", [apsw.IOError, apsw.FullError])
def test_whichever_operation_fails_nothing_acknowledged_is_lost_and_the_store_recovers(
    tmp_path: Path, disk: Disk, error: type[Exception], failures: int
) -> None:
    total = operations(tmp_path, disk)
    assert total > 50
    failed: list[StoreOutcome] = []
    for number in range(1, total + 1):
        path = fresh(tmp_path, number)
        disk.operations, disk.fails_at, disk.failures, disk.error = 0, number, failures, error
        writer, reader = Writer(partial(connect, path)), Reader(partial(connect, path))
        outcomes = write(writer)
        failed += [outcome for outcome in outcomes.values() if outcome != Done()]
        disk.fails_at = 0
        assert writer.perform([AddUser("w", row("last"), 1_000)]) == [Done()], f"no recovery from a failure of {number}"
        assert reader.perform([FindUser("last")]) == [Done(row("last"))]
        writer.close()
        reader.close()
        check(outcomes, found(path))
    assert MaybeApplied() in failed


def crash_everywhere(folder: Path, disk: Disk, failures: int, synchronous: str = "FULL") -> int:
    """Let the machine crash after each operation failed, once or for ever. Returns how many writes were lost."""
    total, lost = operations(folder, disk), 0
    for number in range(1, total + 1):
        path = fresh(folder, number)
        disk.operations, disk.fails_at, disk.failures, disk.error, disk.dead = 0, number, failures, apsw.IOError, False
        disk.unsynced.clear()
        writer = Writer(partial(connect, path, synchronous))
        outcomes = write(writer)
        disk.dead = True
        writer.close()
        crashed(path, disk)
        names = found(path)
        check(outcomes, names)
        lost += 2 * GROUPS - len(names)
        disk.fails_at, disk.dead = 0, False
    return lost


@pytest.mark.parametrize("failures", [FOR_EVER, 1], ids=["crash", "failure, then crash"])
def test_a_machine_that_crashes_at_any_operation_loses_nothing_that_was_acknowledged(
    tmp_path: Path, disk: Disk, failures: int
) -> None:
    assert crash_everywhere(tmp_path, disk, failures) > 0


def test_a_store_that_does_not_wait_for_the_disk_would_lose_what_it_has_acknowledged(
    tmp_path: Path, disk: Disk
) -> None:
    with pytest.raises(AssertionError, match="was acknowledged, and is lost"):
        crash_everywhere(tmp_path, disk, FOR_EVER, "NORMAL")


def test_a_disk_that_is_full_for_a_while_fails_writes_and_not_reads(tmp_path: Path, disk: Disk) -> None:
    path = str(tmp_path / "store.db")
    prepare(path)
    writer, reader = Writer(partial(connect, path)), Reader(partial(connect, path))
    assert writer.perform([AddUser("w", row("ada"), 9)]) == [Done()]
    disk.operations, disk.fails_at, disk.failures, disk.error = 0, 1, FOR_EVER, apsw.FullError
    for _ in range(5):
        assert writer.perform([AddUser("w", row("bob"), 9)]) in ([Failed()], [MaybeApplied()])
        assert reader.perform([FindUser("ada")]) == [Done(row("ada"))]
    disk.fails_at = 0
    assert writer.perform([AddUser("w", row("bob"), 9)]) == [Done()]
    writer.close()
    reader.close()
    assert found(path) == ["ada", "bob"]
