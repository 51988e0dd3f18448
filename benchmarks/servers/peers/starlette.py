"""JSON-RPC as it is written with Starlette: its own JSON in and out, and a look-up between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from .uvicorn import run

METHODS: Final[dict[str, Callable[..., Any]]] = {"echo": lambda message: message}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the response to one request."""
    return {"jsonrpc": "2.0", "result": METHODS[request["method"]](*request["params"]), "id": request["id"]}


async def over_http(request: Request) -> JSONResponse:
    """Answer one request."""
    return JSONResponse(answer(await request.json()))


async def over_websocket(socket: WebSocket) -> None:
    """Answer one client's requests, one after another."""
    await socket.accept()
    try:
        while True:
            await socket.send_json(answer(await socket.receive_json()))
    except WebSocketDisconnect:
        pass


def serve() -> None:
    """Serve until the process is ended."""
    run(Starlette(routes=[Route("/rpc", over_http, methods=["POST"]), WebSocketRoute("/ws", over_websocket)]))
