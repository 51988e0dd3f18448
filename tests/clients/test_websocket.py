"""WebSocket clients that are not ours call a server with its default options, each as its users would write it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
import websocket
import websockets
import websockets.sync.client

from tests.adapters.loopback import PATIENCE

from .served import MIB, Served, text

Talk = Callable[[str, list[bytes], int], list[Any]]
"""Opens a URL, sends texts, and returns so many of the texts that come."""


def by_websockets(url: str, texts: list[bytes], count: int) -> list[Any]:
    async def main() -> list[Any]:
        async with asyncio.timeout(PATIENCE), websockets.connect(url, max_size=None) as connection:
            for each in texts:
                await connection.send(each.decode())
            return [await connection.recv() for _ in range(count)]

    return asyncio.run(main())


def by_websockets_sync(url: str, texts: list[bytes], count: int) -> list[Any]:
    with websockets.sync.client.connect(url, max_size=None) as connection:
        for each in texts:
            connection.send(each.decode())
        return [connection.recv(PATIENCE) for _ in range(count)]


def by_websocket_client(url: str, texts: list[bytes], count: int) -> list[Any]:
    """It sends an Origin that it makes from the URL."""
    connection = websocket.create_connection(url, timeout=PATIENCE)
    for each in texts:
        connection.send(each.decode())
    heard = [connection.recv() for _ in range(count)]
    connection.close()
    return heard


def by_aiohttp(url: str, texts: list[bytes], count: int, *, compress: int = 0) -> list[Any]:
    async def main() -> list[Any]:
        async with aiohttp.ClientSession() as session:
            connection = await session.ws_connect(url, max_msg_size=0, compress=compress)  # 0: no limit, not compressed
            for each in texts:
                await connection.send_str(each.decode())
            heard = [await connection.receive_str(timeout=PATIENCE) for _ in range(count)]
            await connection.close()
        return heard

    return asyncio.run(main())


def by_aiohttp_compressed(url: str, texts: list[bytes], count: int) -> list[Any]:
    return by_aiohttp(url, texts, count, compress=15)


CLIENTS: list[Talk] = [by_websockets, by_websockets_sync, by_websocket_client, by_aiohttp, by_aiohttp_compressed]

every_client = pytest.mark.parametrize("talk", CLIENTS)


@every_client
def test_calls_errors_and_notifications_are_answered(server: Served, talk: Talk) -> None:
    texts = [text("echo", "é"), text("echo", 1, id=None), text("nothing", id=2), text("push", 3, id=3)]
    heard = {message.get("id"): message for message in map(json.loads, talk(server.ws, texts, 4))}
    assert heard[1] == {"jsonrpc": "2.0", "result": "é", "id": 1}
    assert heard[2]["error"]["code"] == -32601
    assert heard[3] == {"jsonrpc": "2.0", "result": True, "id": 3}
    assert heard[None] == {"jsonrpc": "2.0", "method": "pushed", "params": [3]}


@every_client
def test_a_message_of_almost_four_mib_is_taken(server: Served, talk: Talk) -> None:
    value = "é" + "".join(f"{number} " for number in range(560_000))
    assert 3.5 * MIB < len(value) < 4 * MIB
    (answer,) = talk(server.ws, [text("echo", value)], 1)
    assert json.loads(answer)["result"] == value


def test_a_page_from_elsewhere_is_refused(server: Served) -> None:
    for origin in (
        "https://evil.example",
        f"http://127.0.0.1:{server.port + 1}",
        f"http://localhost:{server.port}",
        "null",
    ):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            websocket.create_connection(server.ws, timeout=PATIENCE, origin=origin)
        assert refused.value.status_code == 403
