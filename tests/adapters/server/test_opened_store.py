"""A server has its store from before the first client until after the last call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import anyio.to_thread
import pytest
from posthouse.adapters import serve
from posthouse.adapters.server.opened_store import opened
from posthouse.adapters.server.server import Server
from posthouse.adapters.store.memory import FaultyStore
from posthouse.adapters.store.sqlite.store import SqliteStore
from posthouse.adapters.store.sqlite.writer import Writer
from posthouse.core.service.service import Service
from posthouse.core.store.requests import AddUser
from posthouse.core.store.rows import UserRow
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError

from tests.adapters.loopback import PATIENCE, serving

pytestmark = pytest.mark.anyio


class Noting(FaultyStore):
    """Notes when it is opened and closed."""

    def __init__(self, closes: Callable[[], Any] | None = None) -> None:
        super().__init__()
        self.notes: list[str] = []
        self._closes = closes

    async def open(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.notes.append("open")

    async def close(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self._closes is not None:
            await self._closes()
        self.notes.append("close")


async def test_a_store_is_open_while_the_server_serves_and_closed_after_it() -> None:
    store = Noting()
    async with serving(Service("stored"), store=store) as server:
        assert store.notes == ["open"]
        gateway = server._runner.board.gateway
        assert gateway.store is None
        assert gateway._storage.durability == "memory"
        server.shut_down(0.0)
        await server.ended()
    assert store.notes == ["open", "close"]


async def test_a_store_is_closed_by_a_server_that_is_cancelled() -> None:
    store = Noting()
    async with serving(Service("stored"), store=store):
        pass
    assert store.notes == ["open", "close"]


async def test_a_store_that_does_not_close_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    store = Noting(anyio.sleep_forever)
    async with serving(Service("stored"), store=store, config=Config(cleanup_grace=0.0)):
        pass
    assert store.notes == ["open"]
    assert "the store was not closed in time: the server ends" in caplog.text


async def test_a_file_whose_disk_hangs_is_left_behind_and_closed_when_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go_on = Event(), Event()
    perform = Writer.perform

    def hang(self: Writer, requests: Any) -> Any:
        begun.set()
        go_on.wait(PATIENCE)
        return perform(self, requests)

    monkeypatch.setattr(Writer, "perform", hang)
    store = SqliteStore(tmp_path / "store.db")
    async with anyio.create_task_group() as group:
        async with opened(store, 0.0):
            group.start_soon(store.perform, AddUser("w", UserRow(user="ada", created_at=0.0), 9))
            await anyio.to_thread.run_sync(begun.wait, PATIENCE)
        assert not go_on.is_set()
        assert "the store was not closed in time: the server ends" in caplog.text
        with pytest.raises(UsageError, match="is in use by process"):
            await SqliteStore(tmp_path / "store.db").open()
        go_on.set()
    await store.close()
    async with opened(SqliteStore(tmp_path / "store.db"), PATIENCE):
        assert [record.getMessage() for record in caplog.records][1:] == []


async def test_a_store_that_another_one_has_ends_the_server_before_it_accepts(tmp_path: Any) -> None:
    started: list[Server] = []
    async with serving(Service("stored"), store=SqliteStore(tmp_path / "store.db")):
        with pytest.raises(UsageError, match="is in use by process"):
            await serve(Service("other"), port=0, store=SqliteStore(tmp_path / "store.db"), started=started.append)
    assert started == []


async def test_something_else_is_not_a_store() -> None:
    store: Any = "store.db"
    with pytest.raises(UsageError, match=r"^store is 'store\.db', but must be a store, such as SqliteStore"):
        await serve(Service("stored"), store=store)
