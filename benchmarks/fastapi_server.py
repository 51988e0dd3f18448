"""JSON-RPC as one would write it with FastAPI: models in and out, a look-up between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from fastapi import FastAPI
from pydantic import BaseModel

METHODS: Final[dict[str, Callable[..., str]]] = {"echo": lambda message: message}


class Request(BaseModel):
    """A JSON-RPC 2.0 request."""

    jsonrpc: Literal["2.0"]
    method: str
    params: dict[str, str]
    id: int


class Reply(BaseModel):
    """Its result."""

    jsonrpc: Literal["2.0"]
    result: str
    id: int


async def rpc(request: Request) -> Reply:
    """Answer one request."""
    return Reply(jsonrpc="2.0", result=METHODS[request.method](**request.params), id=request.id)


application = FastAPI()
application.add_api_route("/rpc", rpc, methods=["POST"])
