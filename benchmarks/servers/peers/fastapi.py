"""JSON-RPC as it is written with FastAPI: models in and out, and a look-up between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel

from .uvicorn import run

METHODS: Final[dict[str, Callable[..., str]]] = {"echo": lambda message: message}


class Request(BaseModel):
    """A JSON-RPC 2.0 request."""

    jsonrpc: Literal["2.0"]
    method: str
    params: list[str]
    id: int


class Reply(BaseModel):
    """A JSON-RPC 2.0 result."""

    jsonrpc: Literal["2.0"]
    result: str
    id: int


async def rpc(request: Request) -> Reply:
    """Answer one request."""
    return Reply(jsonrpc="2.0", result=METHODS[request.method](*request.params), id=request.id)


async def over_websocket(socket: WebSocket) -> None:
    """Answer one client's requests, one after another."""
    await socket.accept()
    try:
        while True:
            reply = await rpc(Request.model_validate_json(await socket.receive_text()))
            await socket.send_text(reply.model_dump_json())
    except WebSocketDisconnect:
        pass


def serve() -> None:
    """Serve until the process is ended."""
    application = FastAPI()
    application.add_api_route("/rpc", rpc, methods=["POST"])
    application.add_api_websocket_route("/ws", over_websocket)
    run(application)
