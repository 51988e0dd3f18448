"""JSON-RPC as it is written with aiohttp's server, on uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import uvloop
from aiohttp import web

from benchmarks.servers.announcement import listening

METHODS: Final[dict[str, Callable[..., Any]]] = {"echo": lambda message: message}
MOST: Final = 4 * 1024 * 1024
"""The largest request in bytes, as ours."""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the response to one request."""
    return {"jsonrpc": "2.0", "result": METHODS[request["method"]](*request["params"]), "id": request["id"]}


async def over_http(request: web.Request) -> web.Response:
    """Answer one request."""
    return web.json_response(answer(await request.json()))


async def over_websocket(request: web.Request) -> web.WebSocketResponse:
    """Answer one client's requests, one after another."""
    socket = web.WebSocketResponse(compress=False, max_msg_size=MOST)
    await socket.prepare(request)
    async for message in socket:
        await socket.send_json(answer(message.json()))
    return socket


async def accept() -> None:
    """Accept until the process is ended."""
    application = web.Application(client_max_size=MOST)
    application.add_routes([web.post("/rpc", over_http), web.get("/ws", over_websocket)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening()).start()
    await asyncio.Event().wait()


def serve() -> None:
    """Serve until the process is ended."""
    uvloop.run(accept())
