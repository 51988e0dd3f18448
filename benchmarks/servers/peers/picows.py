"""JSON-RPC over picows, a WebSocket library in Cython, on uvloop and with msgspec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from benchmarks.servers.announcement import listening

decode: Final = msgspec.json.Decoder().decode
encode: Final = msgspec.json.Encoder().encode
connections: Final[dict[WSTransport, None]] = {}


def spread(text: str) -> int:
    """Send one text to every connection."""
    data = encode({"jsonrpc": "2.0", "method": "tick", "params": [text]})
    for connection in connections:
        connection.send(WSMsgType.TEXT, data)
    return len(connections)


METHODS: Final[dict[str, Callable[..., Any]]] = {"echo": lambda message: message, "spread": spread}


class Listener(WSListener):
    """One connection."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        connections[transport] = None

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        connections.pop(transport, None)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
            return
        request = decode(frame.get_payload_as_memoryview())
        result = METHODS[request["method"]](*request["params"])
        transport.send(WSMsgType.TEXT, encode({"jsonrpc": "2.0", "result": result, "id": request["id"]}))


def listener(_: WSUpgradeRequest) -> Listener:
    """Return the listener of a new connection."""
    return Listener()


async def accept() -> None:
    """Accept until the process is ended."""
    server = await ws_create_server(listener, sock=listening())
    await server.serve_forever()


def serve() -> None:
    """Serve until the process is ended."""
    uvloop.run(accept())
