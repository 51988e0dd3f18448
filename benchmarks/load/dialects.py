"""The texts of requests and replies. Most servers speak JSON-RPC 2.0; two libraries have a protocol of their own."""

from __future__ import annotations

from typing import Any, Final, Protocol

import msgspec

from benchmarks.servers.catalogue import Dialect

MESSAGE: Final = "What hath God wrought"
FIRST_ID: Final = 100_001
"""Ids have six digits, so that requests of one size have one length."""

ENVELOPE: Final = len('{"jsonrpc":"2.0","method":"echo","params":[""],"id":100001}')


def message(size: int) -> str:
    """Return a message that makes a JSON-RPC request so many bytes long."""
    length = max(0, size - ENVELOPE)
    return (MESSAGE * (length // len(MESSAGE) + 1))[:length]


class Texts(Protocol):
    """How one protocol says an `echo`."""

    path: str
    opening: tuple[bytes, ...]
    """Texts to send when the WebSocket is open, after as many texts from the server, and one more from it."""

    def ask(self, id: int, message: str) -> bytes:
        """Return the text of a request."""
        ...

    def read(self, text: bytes) -> tuple[int, Any]:
        """Return the id and the result of a reply. Raises ValueError for anything else."""
        ...


class JsonRpc:
    """JSON-RPC 2.0."""

    path = "/ws"
    opening: tuple[bytes, ...] = ()

    def ask(self, id: int, message: str, method: str = "echo") -> bytes:
        """Return the text of a request."""
        return b'{"jsonrpc":"2.0","method":"%s","params":[%s],"id":%d}' % (
            method.encode(),
            msgspec.json.encode(message),
            id,
        )

    def read(self, text: bytes) -> tuple[int, Any]:
        """Return the id and the result of a response."""
        reply = msgspec.json.decode(text)
        if not isinstance(reply, dict) or reply.get("jsonrpc") != "2.0" or {*reply} != {"jsonrpc", "result", "id"}:
            raise ValueError(f"not a result: {text[:200]!r}")
        return reply["id"], reply["result"]


class FastapiWebsocketRpc:
    """The messages of fastapi_websocket_rpc: a result is JSON in a JSON string."""

    path = "/ws"
    opening: tuple[bytes, ...] = ()

    def ask(self, id: int, message: str) -> bytes:
        """Return the text of a request."""
        request = {"method": "echo", "arguments": {"message": message}, "call_id": str(id)}
        return msgspec.json.encode({"request": request})

    def read(self, text: bytes) -> tuple[int, Any]:
        """Return the id and the result of a reply."""
        response = msgspec.json.decode(text)["response"]
        return int(response["call_id"]), response["result"]


class SocketIo:
    """Socket.IO 5 in Engine.IO 4: 0 opens the one, 40 the other, 42 is an event, 43 its acknowledgement."""

    path = "/socket.io/?EIO=4&transport=websocket"
    opening: tuple[bytes, ...] = (b"40",)

    def ask(self, id: int, message: str) -> bytes:
        """Return the text of a request."""
        return b"42%d%b" % (id, msgspec.json.encode(["echo", message]))

    def read(self, text: bytes) -> tuple[int, Any]:
        """Return the id and the result of a reply."""
        at = text.index(b"[")
        if not text.startswith(b"43"):
            raise ValueError(f"not an acknowledgement: {text[:200]!r}")
        (result,) = msgspec.json.decode(text[at:])
        return int(text[2:at]), result


DIALECTS: Final[dict[Dialect, Texts]] = {
    "json-rpc": JsonRpc(),
    "fastapi_websocket_rpc": FastapiWebsocketRpc(),
    "socket.io": SocketIo(),
}
