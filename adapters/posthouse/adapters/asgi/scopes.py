"""The scopes of ASGI: the request or handshake that each describes, and its client (ASGI HTTP and WebSocket, 2.1 on).

A host and its middleware are trusted: a scope is well-formed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from posthouse.core.values.peers import Address
from posthouse.transports.hosted.request import HostedRequest

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def read_request(scope: Scope) -> HostedRequest:
    """The head of the request or handshake."""
    path: str = scope["path"]
    query: bytes = scope.get("query_string", b"")
    raw: bytes | None = scope.get("raw_path")
    written = len(path.encode("utf-8", "surrogateescape")) if raw is None else len(raw.partition(b"?")[0])
    websocket = scope["type"] == "websocket"
    return HostedRequest(
        method=b"GET" if websocket else scope["method"].encode("ascii"),
        path=_below(path, scope.get("root_path", "")),
        query=query,
        version=scope.get("http_version", "1.1").encode("ascii"),
        headers=tuple([(name.lower(), value.strip(b" \t")) for name, value in scope["headers"]]),
        full_path=path,
        target_bytes=written + (1 + len(query) if query else 0),
        websocket=websocket,
    )


def _below(path: str, root: str) -> str:
    """The path below the place of the application. Not every server puts that place before the path."""
    root = root.rstrip("/")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path


def read_address(scope: Scope) -> Address:
    """The client. A unix socket has none."""
    client = scope.get("client")
    secure = scope.get("scheme") in ("https", "wss")
    if not client:
        return Address(secure=secure)
    host, port = client
    return Address(str(host), port or 0, secure=secure)
