"""The library python-socketio, which has a protocol of its own, on uvicorn. A call is an event that is acknowledged."""

from __future__ import annotations

import socketio

from .uvicorn import run


async def echo(_: str, message: str) -> str:
    """Return the message."""
    return message


def serve() -> None:
    """Serve until the process is ended."""
    server = socketio.AsyncServer(async_mode="asgi", max_http_buffer_size=4 * 1024 * 1024)
    server.on("echo", echo)
    run(socketio.ASGIApp(server))
