"""The scopes of ASGI: the request or handshake that each describes, and its client (ASGI HTTP and WebSocket, 2.1 on).

A host and its middleware are trusted: a scope is well-formed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from posthouse.core.values.peers import Address
from posthouse.transports.hosted.request import HostedRequest

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


METHODS: Final = {"POST": b"POST", "GET": b"GET"}
VERSIONS: Final = {"1.1": b"1.1", "2": b"2"}
"""The usual ones: a look-up takes less time than to encode them."""


def read_request(scope: Scope, *, at_root: bool = False) -> HostedRequest:
    """The head of the request or handshake. `at_root`: a route of the host has found it, so that its path does not
    matter."""
    path: str = scope["path"]
    query: bytes = scope.get("query_string", b"")
    raw: bytes | None = scope.get("raw_path")
    written = len(path.encode("utf-8", "surrogateescape")) if raw is None else len(raw.partition(b"?")[0])
    websocket = scope["type"] == "websocket"
    method = "GET" if websocket else scope["method"]
    version = scope.get("http_version", "1.1")
    root = scope.get("root_path", "")
    return HostedRequest(
        METHODS.get(method) or method.encode("ascii"),
        "" if at_root else _below(path, root) if root else path,
        query,
        VERSIONS.get(version) or version.encode("ascii"),
        tuple([(name, value) for name, value in scope["headers"]]),
        path,
        written + (1 + len(query) if query else 0),
        websocket,
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
