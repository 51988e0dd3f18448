"""A server has its store from before the first client until after the last call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from posthouse.adapters import serve
from posthouse.adapters.server.server import Server
from posthouse.adapters.store.memory import FaultyStore
from posthouse.adapters.store.sqlite.store import SqliteStore
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError

from tests.adapters.loopback import serving

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
