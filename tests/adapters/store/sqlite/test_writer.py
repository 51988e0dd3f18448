"""Groups of writes: all are done or none, one that cannot be done spoils no other, and a file that fails recovers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from posthouse.adapters.store.sqlite.file import connect, prepare
from posthouse.adapters.store.sqlite.writer import Reader, Writer
from posthouse.core.operations.operations import Failed
from posthouse.core.store.outcomes import EXISTS, Done, MaybeApplied
from posthouse.core.store.requests import AddUser, FindUser, ListUsers
from posthouse.core.store.rows import UserRow


def user(name: str, **members: Any) -> UserRow:
    return UserRow(user=name, **{"created_at": 0.0, **members})


def add(name: str, **members: Any) -> AddUser:
    return AddUser("w", user(name, **members), 100)


class Faulty(sqlite3.Connection):
    """A connection that fails as a test says, before a statement is executed."""

    fails: Callable[[str], Exception | None] = staticmethod(lambda _: None)

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        error = type(self).fails(sql)
        if error is not None:
            raise error
        return super().execute(sql, *parameters)


@pytest.fixture
def path(tmp_path: Path) -> str:
    made = str(tmp_path / "store.db")
    prepare(made)
    return made


@pytest.fixture
def faulty(path: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], Exception | None]], None]:
    """Let the connections of this test fail."""
    ordinary = sqlite3.connect

    def connected(*arguments: Any, **named: Any) -> sqlite3.Connection:
        return ordinary(*arguments, **named, factory=Faulty)

    monkeypatch.setattr(sqlite3, "connect", connected)

    def fail(fails: Callable[[str], Exception | None]) -> None:
        monkeypatch.setattr(Faulty, "fails", staticmethod(fails))

    return fail


def users(path: str) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [name for (name,) in db.execute("SELECT name FROM users ORDER BY name")]


def test_a_group_of_writes_is_one_transaction(path: str) -> None:
    writer = Writer(lambda: connect(path))
    assert writer.perform([add("ada"), add("bob"), add("ada")]) == [Done(), Done(), EXISTS]
    assert users(path) == ["ada", "bob"]
    writer.close()


def test_a_write_that_cannot_be_done_spoils_no_other(path: str, caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer(lambda: connect(path))
    assert writer.perform([add("ada"), add("\ud800"), add("bob")]) == [Done(), Failed(), Done()]
    assert users(path) == ["ada", "bob"]
    assert "the store failed to perform AddUser" in caplog.text
    assert writer.perform([add("\ud800")]) == [Failed()]
    assert writer.perform([add("cy")]) == [Done()]
    writer.close()


@pytest.mark.parametrize("statement", ["BEGIN", "SELECT", "INSERT"])
@pytest.mark.parametrize(
    "error",
    [sqlite3.OperationalError("disk I/O error"), sqlite3.DatabaseError("database disk image is malformed")],
)
def test_a_group_that_fails_before_its_commit_is_not_done(
    path: str, faulty: Any, statement: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(lambda: connect(path))
    faulty(lambda sql: error if sql.startswith(statement) else None)
    with caplog.at_level("INFO"):
        assert writer.perform([add("ada"), add("bob")]) == [Failed(), Failed()]
        assert writer.perform([add("ada")]) == [Failed()]
        assert caplog.text.count(f"the store cannot be written: {error}; writes fail until it can") == 1
        faulty(lambda _: None)
        assert writer.perform([add("ada")]) == [Done()]
        assert writer.perform([add("bob")]) == [Done()]
        assert caplog.text.count("the store can be written again") == 1
    assert users(path) == ["ada", "bob"]
    writer.close()


def test_of_a_commit_that_fails_nobody_knows_whether_it_was_done(path: str, faulty: Any) -> None:
    writer = Writer(lambda: connect(path))
    faulty(lambda sql: sqlite3.OperationalError("disk I/O error") if sql == "COMMIT" else None)
    assert writer.perform([add("ada"), add("bob")]) == [MaybeApplied(), MaybeApplied()]
    faulty(lambda _: None)
    assert users(path) == []
    assert writer.perform([add("ada")]) == [Done()]
    writer.close()


def test_a_file_that_cannot_be_opened_fails_writes_and_reads_until_it_can(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    there = [False]

    def opens() -> sqlite3.Connection:
        if not there[0]:
            raise sqlite3.OperationalError("unable to open database file")
        return connect(path)

    writer, reader = Writer(opens), Reader(opens)
    assert writer.perform([add("ada")]) == [Failed()]
    assert reader.perform([FindUser("ada")]) == [Failed()]
    assert "the store failed to perform FindUser" in caplog.text
    there[0] = True
    assert writer.perform([add("ada")]) == [Done()]
    assert reader.perform([FindUser("ada"), ListUsers()]) == [Done(user("ada")), Done((user("ada"),))]
    writer.close()
    reader.close()


def test_reads_go_on_while_nothing_can_be_written(path: str, faulty: Any) -> None:
    writer, reader = Writer(lambda: connect(path)), Reader(lambda: connect(path, query_only=True))
    assert writer.perform([add("ada")]) == [Done()]
    faulty(lambda sql: sqlite3.OperationalError("disk is full") if sql.startswith("INSERT") else None)
    assert writer.perform([add("bob")]) == [Failed()]
    assert reader.perform([FindUser("ada"), FindUser("bob")]) == [Done(user("ada")), Done(None)]
    writer.close()
    reader.close()


def test_a_connection_that_cannot_be_closed_is_left(path: str) -> None:
    class Stuck(sqlite3.Connection):
        def close(self) -> None:
            super().close()
            raise sqlite3.OperationalError("disk I/O error")

    writer = Writer(lambda: sqlite3.connect(path, factory=Stuck, isolation_level=None))
    assert writer.perform([add("ada")]) == [Done()]
    writer.close()
    assert users(path) == ["ada"]
