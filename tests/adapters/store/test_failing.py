"""Servers whose stores fail, or end with them, over loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from posthouse.adapters.store import Fault, FaultyStore, Request, SqliteStore, Write
from posthouse.core.service.service import Service

from tests.adapters.loopback import connected, serving, websocket

pytestmark = pytest.mark.anyio


def service() -> Service:
    return Service("stored", public=True, sessions="on")


async def test_row_50_a_store_that_fails_for_a_while_loses_nothing_and_is_asked_again() -> None:
    fails = [False]

    def fault(request: Request) -> Fault:
        return Fault(applied=not (fails[0] and isinstance(request, Write)))

    async with serving(service(), store=FaultyStore(fault)) as server, websocket(server) as client:

        async def call(method: str, **params: Any) -> Any:
            return await client.call(method, params)

        created = (await call("session.create", data={"a": 1}))["result"]
        assert created["data"] == {"a": 1}
        fails[0] = True
        for _ in range(3):
            refused = await call("session.update", set={"a": 2})
            assert refused["error"]["code"] == -32035
            assert refused["error"]["data"] == {"retryable": True, "retry_after_ms": 1_000}
            assert (await call("session.get"))["result"]["data"] == {"a": 1}
        fails[0] = False
        assert (await call("session.update", set={"a": 3}))["result"]["version"] == 2
        assert (await call("session.get"))["result"]["data"] == {"a": 3}


async def test_a_session_survives_its_server(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with serving(service(), store=SqliteStore(path)) as server, connected(server) as client:
        status, answer = await client.post("session.create", {"data": {"a": 1}})
        assert status == 200
        created = answer["result"]
    async with serving(service(), store=SqliteStore(path)) as server, websocket(server) as client:
        secrets = {"session": created["id"], "secret": created["secret"]}
        resumed = (await client.call("session.resume", secrets))["result"]
        assert (resumed["id"], resumed["data"]) == (created["id"], {"a": 1})
