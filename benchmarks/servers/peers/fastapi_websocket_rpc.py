"""The library fastapi_websocket_rpc, which has a protocol of its own, on uvicorn."""

from __future__ import annotations

import logging

from fastapi import FastAPI
from fastapi_websocket_rpc import RpcMethodsBase, WebsocketRPCEndpoint

from .uvicorn import run


class Methods(RpcMethodsBase):
    """The methods."""

    async def echo(self, message: str) -> str:
        """Return the message."""
        return message


def serve() -> None:
    """Serve until the process is ended."""
    logging.disable(logging.INFO)
    application = FastAPI()
    WebsocketRPCEndpoint(Methods()).register_route(application, "/ws")
    run(application)
