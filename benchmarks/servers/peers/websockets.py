"""JSON-RPC over the library `websockets`, on uvloop, without compression."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, Final

import uvloop
from websockets.asyncio.server import Server, ServerConnection, broadcast
from websockets.asyncio.server import serve as listen

from benchmarks.servers.announcement import listening

servers: Final[list[Server]] = []


def spread(text: str) -> int:
    """Broadcast to every connection, by the function that the library has for it."""
    connections = servers[0].connections
    broadcast(connections, json.dumps({"jsonrpc": "2.0", "method": "tick", "params": [text]}))
    return len(list(connections))


METHODS: Final[dict[str, Callable[..., Any]]] = {"echo": lambda message: message, "spread": spread}


async def converse(connection: ServerConnection) -> None:
    """Answer one client's requests, one after another."""
    async for text in connection:
        request = json.loads(text)
        result = METHODS[request["method"]](*request["params"])
        await connection.send(json.dumps({"jsonrpc": "2.0", "result": result, "id": request["id"]}))


async def accept() -> None:
    """Accept until the process is ended."""
    async with listen(converse, sock=listening(), compression=None, max_size=4 * 1024 * 1024) as server:
        servers.append(server)
        await asyncio.Event().wait()


def serve() -> None:
    """Serve until the process is ended. Clients go without a close handshake, which is no news here."""
    logging.disable()
    uvloop.run(accept())
