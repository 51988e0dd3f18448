"""The servers by name: how each is started, which transports it has, and which library it shows."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

NODE: Final = Path(__file__).parent / "node"
Transport = Literal["websocket", "http"]
Dialect = Literal["json-rpc", "fastapi_websocket_rpc", "socket.io"]


class Server(Struct, frozen=True):
    """One server. `command` follows the interpreter. `library`: the
    distribution whose version is told."""

    name: str
    label: str
    command: tuple[str, ...]
    transports: tuple[Transport, ...]
    library: str = ""
    dialect: Dialect = "json-rpc"

    @property
    def ours(self) -> bool:
        """Is it Posthouse?"""
        return self.name.startswith("posthouse")

    @property
    def in_node(self) -> bool:
        """Does it need node?"""
        return self.command[0].endswith(".mjs")

    def started_by(self) -> list[str]:
        """Return the whole command."""
        if self.in_node:
            return ["node", str(NODE / self.command[0])]
        return [sys.executable, "-m", "benchmarks.servers", *self.command]


BOTH: Final[tuple[Transport, ...]] = ("websocket", "http")

SERVERS: Final = {
    server.name: server
    for server in (
        Server("floor", "the floor: hand-made framing, msgspec, uvloop", ("floor",), BOTH, "msgspec"),
        Server("posthouse", "**Posthouse**, asyncio", ("posthouse", "asyncio"), BOTH),
        Server("posthouse-uvloop", "**Posthouse**, uvloop", ("posthouse", "uvloop"), BOTH, "uvloop"),
        Server("posthouse-trio", "**Posthouse**, trio", ("posthouse", "trio"), BOTH, "trio"),
        Server("posthouse-asgi", "**Posthouse**, ASGI on uvicorn (httptools, uvloop)", ("hosted", "alone"), BOTH),
        Server("posthouse-fastapi", "**Posthouse**, mounted in FastAPI on uvicorn", ("hosted", "fastapi"), BOTH),
        Server("picows", "picows, msgspec, uvloop", ("picows",), ("websocket",), "picows"),
        Server("ws", "node `ws`", ("ws.mjs",), ("websocket",), "ws"),
        Server("websockets", "`websockets`, uvloop", ("websockets",), ("websocket",), "websockets"),
        Server("aiohttp", "aiohttp, uvloop", ("aiohttp",), BOTH, "aiohttp"),
        Server("starlette", "Starlette on uvicorn (httptools, uvloop)", ("starlette",), BOTH, "starlette"),
        Server("fastapi", "FastAPI on uvicorn (httptools, uvloop)", ("fastapi",), BOTH, "fastapi"),
        Server(
            "fastapi_websocket_rpc",
            "fastapi_websocket_rpc on uvicorn",
            ("fastapi_websocket_rpc",),
            ("websocket",),
            "fastapi-websocket-rpc",
            "fastapi_websocket_rpc",
        ),
        Server("socketio", "python-socketio on uvicorn", ("socketio",), ("websocket",), "python-socketio", "socket.io"),
        Server("node-http", "node http", ("http.mjs",), ("http",)),
        Server("jayson", "npm jayson", ("jayson.mjs",), ("http",), "jayson"),
        Server("jsonrpcserver", "jsonrpcserver on aiohttp, uvloop", ("jsonrpcserver",), ("http",), "jsonrpcserver"),
    )
}

HOSTED: Final = ("posthouse-asgi", "posthouse-fastapi", "starlette", "fastapi")
"""The ASGI applications that are compared: all under one uvicorn."""

OURS: Final = ("posthouse", "posthouse-uvloop", "posthouse-trio")


def missing() -> str | None:
    """Return why servers in node are left out, or None if node is here."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node or npm is missing: node ws, node http and jayson are left out"
    return None


def available(*names: str) -> list[Server]:
    """Return the servers of these names (none: all) that can run here."""
    servers = [SERVERS[name] for name in names or SERVERS]
    return [server for server in servers if not server.in_node or missing() is None]


def speaking(transport: Transport) -> list[Server]:
    """Return the servers that have a transport and can run here."""
    return [server for server in available() if transport in server.transports]
