"""The example with a database: its service runs with its lifespan, and is called in process and by a client."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from posthouse.adapters import Server, running
from posthouse.adapters.simulation import Conditions, World
from posthouse.core import Config, RpcError

from examples.notes import Note, open_pool, service
from tests.adapters.loopback import websocket

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.setenv("NOTES_DATABASE", str(tmp_path / "notes.sqlite3"))
    async with running(service, port=0, config=Config(drain_spread=0.0)) as server:
        yield server


async def test_notes_are_kept_and_removed(server: Server) -> None:
    first = await server.call("note.add", ["buy milk"], result_type=Note)
    second = await server.call("note.add", {"text": "call Ada", "due_in": 3600}, result_type=Note)
    assert (first.text, first.due) == ("buy milk", None)
    assert await server.call("note.list", result_type=list[Note]) == [first, second]
    assert await server.call("note.remove", [first.id]) is None
    assert await server.call("note.list", result_type=list[Note]) == [second]
    with pytest.raises(RpcError) as caught:
        await server.call("note.remove", [first.id])
    assert (caught.value.code, caught.value.data) == (1, {"id": first.id})
    with pytest.raises(RpcError, match="-32602"):
        await server.call("note.add", [""])


async def test_a_client_is_greeted_and_reminded_once(server: Server) -> None:
    await server.call("note.add", ["first"])
    async with websocket(server) as client:
        assert (await client.next())["params"] == {"count": 1}
        added = (await client.call("note.add", ["now", 0.0]))["result"]
        assert await client.next() == {"jsonrpc": "2.0", "method": "note.due", "params": {"note": added}}
        assert len((await client.call("note.list"))["result"]) == 2


async def test_notes_survive_the_server(tmp_path: Path) -> None:
    for names in (["ada"], ["ada", "bob"]):
        async with open_pool(str(tmp_path / "kept.sqlite3")) as pool:
            await pool.run(partial(insert, names[-1]))
            rows = await pool.run(lambda connection: connection.execute("SELECT text FROM note").fetchall())
            assert [text for (text,) in rows] == names


def insert(text: str, connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO note (text) VALUES (?)", [text])


class Double:
    """A pool without a database."""

    async def run(self, query: Any) -> Any:
        return [(1, "from a double", None)]


def test_in_a_world_the_pool_may_be_a_double() -> None:
    world = World(service=service, conditions=Conditions(state=Double()))
    call = world.client("ada", "http").call("note.list")
    world.run(seconds=1)
    assert call.result == [{"id": 1, "text": "from a double", "due": None}]
    world.finish()
