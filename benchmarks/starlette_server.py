"""JSON-RPC as one would write it with Starlette: its own JSON in and out, a look-up between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

METHODS: Final[dict[str, Callable[..., str]]] = {"echo": lambda message: message}


async def rpc(socket: WebSocket) -> None:
    """Answer one client's requests, one after another."""
    await socket.accept()
    try:
        while True:
            request = await socket.receive_json()
            result = METHODS[request["method"]](**request["params"])
            await socket.send_json({"jsonrpc": "2.0", "result": result, "id": request["id"]})
    except WebSocketDisconnect:
        pass


application = Starlette(routes=[WebSocketRoute("/ws", rpc)])
