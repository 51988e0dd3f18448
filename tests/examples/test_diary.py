"""The example with users and sessions, through real clients: registration, scopes, own entries, and a restart."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from posthouse.adapters import Server, running
from posthouse.adapters.store import SqliteStore
from posthouse.core import Config, Identity

from examples.diary import service

pytestmark = pytest.mark.anyio

CHEAP = Config(argon2_memory=8192, argon2_passes=1, argon2_lanes=1, drain_spread=0.0)
OPERATOR = Identity("operator", ("*",), namespace="test")


def served(path: str) -> AbstractAsyncContextManager[Server]:
    """The example on this file, until the context is left."""
    return running(service, port=0, store=SqliteStore(path), config=CHEAP)


async def call(client: httpx.AsyncClient, name: str, key: str = "", /, **params: Any) -> Any:
    """The result of a call, or the code of its error."""
    text = {"jsonrpc": "2.0", "method": name, "params": params, "id": 1}
    headers = {"Posthouse-Session": key} if key else {}
    answer = (await client.post("/rpc", json=text, headers=headers)).json()
    return answer["result"] if "result" in answer else answer["error"]["code"]


async def log_in(client: httpx.AsyncClient, user: str) -> str:
    """A new session of this user: its id and its secret, as the header has them."""
    given = await call(client, "auth.login", method="password", user=user, password="canary", session=True)
    return f"{given['session']['id']}.{given['session']['secret']}"


async def test_users_register_write_and_go_on_after_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "diary.sqlite")
    async with served(path) as server, httpx.AsyncClient(base_url=server.bound[0].url) as client:
        for user in ("ada", "bob"):
            made = await call(client, "user.register", user=user, password="canary", profile={"name": user.title()})
            assert (made["user"], made["profile"], made["durable"]) == (user, {"name": user.title()}, "sqlite")
        assert await call(client, "user.register", user="eve", password="canary", profile={}) == -32602
        assert await call(client, "read") == -32020
        session = await log_in(client, "ada")
        assert await call(client, "write", session, text="hello") == -32021
        await server.call("user.scopes", {"user": "ada", "scopes": ["write"]}, identity=OPERATOR)
        assert await call(client, "read", session) == -32020
        session, other = await log_in(client, "ada"), await log_in(client, "bob")
        assert await call(client, "write", session, text="hello") == 1
        assert await call(client, "read", other) == []
    async with served(path) as server, httpx.AsyncClient(base_url=server.bound[0].url) as client:
        assert await call(client, "write", session, text="again") == 2
        assert await call(client, "read", session) == ["hello", "again"]
        assert await call(client, "read", other) == []
