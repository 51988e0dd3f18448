"""The file of a store: whose it is, which schema it has, and that one process at a time has it."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from posthouse.adapters.store.sqlite import file
from posthouse.adapters.store.sqlite.file import Lock, connect, prepare
from posthouse.adapters.store.sqlite.look_ups import LookUps
from posthouse.adapters.store.sqlite.schema import APPLICATION_ID, MIGRATIONS
from posthouse.core.store.rows import SessionRow
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity

from tests.adapters.loopback import ENVIRONMENT


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        assert isinstance(version, int)
        return version


def test_a_new_file_has_the_schema_and_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    prepare(str(path))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA application_id").fetchone() == (0x506F7374,)
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        tables = db.execute("SELECT name, strict FROM pragma_table_list WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
        assert tables.fetchall() == [("revocations", 1), ("sessions", 1), ("tokens", 1), ("users", 1)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    prepare(str(path))
    assert version_of(path) == 2


def test_a_connection_waits_for_the_disk_at_each_commit(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    prepare(path)
    with closing(connect(path)) as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
    with (
        closing(connect(path, query_only=True)) as db,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        db.execute("DELETE FROM users")


def test_a_file_gets_further_schemas_and_each_one_before_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store.db"
    prepare(str(path))
    with closing(connect(str(path))) as db:
        db.execute("INSERT INTO revocations VALUES (1, '', 'ada', 1.0, 2.0)")
    more = (*MIGRATIONS, "ALTER TABLE users ADD COLUMN note TEXT;", "ALTER TABLE tokens ADD COLUMN note TEXT;")
    with caplog.at_level("INFO"):
        prepare(str(path), more)
    assert version_of(path) == 4
    for number in (2, 3):
        backup = tmp_path / f"store.db.schema-{number}"
        assert f"gets the schema {number + 1}; before, it was copied to {backup}" in caplog.text
        assert stat.S_IMODE(backup.stat().st_mode) == 0o600
        assert version_of(backup) == number
        with closing(sqlite3.connect(backup)) as db:
            assert db.execute("SELECT user FROM revocations").fetchall() == [("ada",)]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["store.db", "store.db.schema-2", "store.db.schema-3"]


def test_sessions_of_the_first_schema_are_kept_and_replace_none(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    prepare(str(path), MIGRATIONS[:1])
    old = "INSERT INTO sessions VALUES ('s', '', 'ada', '{\"user\":\"ada\"}', '00', NULL, '[]', '{}', 1, 0.0, 0.0, 9.0)"
    with closing(connect(str(path))) as db:
        db.execute(old)
    prepare(str(path))
    expected = SessionRow(id="s", identity=Identity("ada"), current=b"\0", created_at=0.0, used_at=0.0, ends_at=9.0)
    with closing(connect(str(path))) as db:
        assert LookUps(db).session("s") == expected


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    prepare(str(path))
    with pytest.raises(UsageError, match=r"store\.db cannot be opened: no such table: absent"):
        prepare(str(path), (*MIGRATIONS, "CREATE TABLE more (id INTEGER) STRICT; DROP TABLE absent;"))
    prepare(str(path))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT COUNT(*) FROM sqlite_schema WHERE name = 'more'").fetchone() == (0,)


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    prepare(str(path), (*MIGRATIONS, "CREATE TABLE more (id INTEGER) STRICT;"))
    with pytest.raises(UsageError) as refused:
        prepare(str(path))
    newer = f"the store {path} was made by a newer version of Posthouse"
    assert str(refused.value) == f"{newer}: it has the schema 3, and this version knows those up to 2"


@pytest.mark.parametrize(
    "script",
    ["CREATE TABLE theirs (id)", "PRAGMA application_id = 7", "PRAGMA user_version = 7"],
)
def test_a_file_of_another_application_is_refused_and_left_alone(tmp_path: Path, script: str) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is not a store of Posthouse, but another SQLite file: give another path"):
        prepare(str(path))
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"hello " * 1_000)
    with pytest.raises(UsageError, match=r"store\.db cannot be opened: file is not a database"):
        prepare(str(path))
    assert path.read_bytes() == b"hello " * 1_000


def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "OLDEST_SQLITE", (99, 0, 0))
    with pytest.raises(UsageError, match=r"^a store needs SQLite 99\.0\.0: this Python has "):
        prepare(str(tmp_path / "store.db"))


def test_a_directory_that_does_not_exist_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        prepare(str(tmp_path / "none" / "store.db"))


def test_one_process_at_a_time_has_a_store(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    lock = Lock(path)
    with pytest.raises(UsageError) as refused:
        Lock(path)
    assert (
        str(refused.value) == f"the store {path} is in use by process {os.getpid()}: one process at a time may have it"
    )
    lock.release()
    Lock(path).release()


def test_a_link_to_a_file_has_the_lock_of_the_file(tmp_path: Path) -> None:
    path, link, folder = tmp_path / "store.db", tmp_path / "link.db", tmp_path / "folder"
    link.symlink_to(path)
    folder.symlink_to(tmp_path)
    names = [str(path), str(link), str(folder / "store.db"), str(folder / "link.db")]
    for one in names:
        lock = Lock(one)
        for other in names:
            with pytest.raises(UsageError, match=f"the store {re.escape(other)} is in use by process {os.getpid()}: "):
                Lock(other)
        lock.release()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "link.db", "store.db.lock"]


def test_a_file_behind_a_link_that_leads_nowhere_is_its_owners_alone(tmp_path: Path) -> None:
    path, link = tmp_path / "store.db", tmp_path / "link.db"
    link.symlink_to(path)
    before = os.umask(0o022)
    try:
        prepare(str(link))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_lock_names_the_process_that_has_it_and_ends_with_it(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    code = (
        "import sys; from posthouse.adapters.store.sqlite.file import Lock; lock = Lock(sys.argv[1]); print('locked', "
        "flush=True); input()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=pipe, stdout=pipe, env=dict(ENVIRONMENT), text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(UsageError, match=f"is in use by process {other.pid}: "):
            Lock(path)
        other.kill()
    Lock(path).release()


def test_a_lock_that_names_nobody_is_one_all_the_same(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    lock = Lock(path)
    os.truncate(f"{path}.lock", 0)
    with pytest.raises(UsageError, match="is in use by another process: "):
        Lock(path)
    lock.release()


def test_the_mark_of_a_store_is_the_beginning_of_the_name() -> None:
    assert APPLICATION_ID.to_bytes(4) == b"Post"
