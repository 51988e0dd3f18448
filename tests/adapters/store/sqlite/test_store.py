"""A store in a file, from its opening to its end. (What it must do is in the conformance kit.)"""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from posthouse.adapters.store.sqlite.store import SqliteStore
from posthouse.core.operations.operations import Busy, Failed
from posthouse.core.store.outcomes import Done, StoreOutcome
from posthouse.core.store.requests import AddUser, FindUser
from posthouse.core.store.rows import UserRow
from posthouse.core.values.errors import UsageError

pytestmark = pytest.mark.anyio

ADA = UserRow(user="ada", created_at=0.0)


async def test_a_store_keeps_its_rows_and_leaves_its_file_and_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    assert store.durability == "sqlite"
    await store.open()
    assert await store.perform(AddUser("w", ADA, 9)) == Done()
    await store.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["store.db", "store.db.lock"]
    store = SqliteStore(str(path))
    await store.open()
    assert await store.perform(FindUser("ada")) == Done(ADA)
    await store.close()


async def test_a_store_is_opened_once_and_by_one(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    with pytest.raises(UsageError, match="is open already"):
        await store.open()
    with pytest.raises(UsageError, match="is in use by process"):
        await SqliteStore(tmp_path / "store.db").open()
    await store.close()
    await store.open()
    await store.close()


async def test_a_store_that_cannot_be_opened_is_not_locked(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"x" * 4096)
    with pytest.raises(UsageError, match="file is not a database"):
        await SqliteStore(path).open()
    path.unlink()
    store = SqliteStore(path)
    await store.open()
    await store.close()


async def test_a_store_that_is_not_open_does_nothing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    assert await store.perform(FindUser("ada")) == Failed()
    await store.close()
    assert list(tmp_path.iterdir()) == []


async def test_what_was_asked_before_the_end_is_done(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    outcomes: list[StoreOutcome] = []

    async def add(name: str) -> None:
        outcomes.append(await store.perform(AddUser("w", UserRow(user=name, created_at=0.0), 99)))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(add, str(number))
        await anyio.wait_all_tasks_blocked()
        await store.close()
    assert outcomes == [Done()] * 20
    assert await store.perform(FindUser("1")) == Failed()


async def test_writes_beyond_those_that_may_wait_find_it_busy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="most_waiting is 0: it must be at least 1"):
        SqliteStore(tmp_path / "store.db", most_waiting=0)
    store = SqliteStore(tmp_path / "store.db", most_waiting=1)
    await store.open()
    outcomes: list[StoreOutcome] = []

    async def add(name: str) -> None:
        outcomes.append(await store.perform(AddUser("w", UserRow(user=name, created_at=0.0), 999)))

    async with anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(add, str(number))
    assert set(map(repr, outcomes)) == {repr(Done()), repr(Busy())}
    await store.close()
