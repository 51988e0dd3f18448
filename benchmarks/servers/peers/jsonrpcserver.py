"""The library jsonrpcserver behind aiohttp, as its documentation has it, on uvloop."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import uvloop
from aiohttp import web
from jsonrpcserver import Success, async_dispatch

from benchmarks.servers.announcement import listening


async def echo(message: str) -> Any:
    """Return the message."""
    return Success(message)


METHODS: Final = {"echo": echo}


async def over_http(request: web.Request) -> web.Response:
    """Answer one request."""
    response = await async_dispatch(await request.text(), methods=METHODS)
    return web.Response(text=response, content_type="application/json")


async def accept() -> None:
    """Accept until the process is ended."""
    application = web.Application()
    application.router.add_post("/rpc", over_http)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening()).start()
    await asyncio.Event().wait()


def serve() -> None:
    """Serve until the process is ended."""
    uvloop.run(accept())
