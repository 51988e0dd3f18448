"""The bytes that clients send in scenes, and a service that answers them."""

from __future__ import annotations

from copy import copy
from functools import cache
from typing import Any, Final

import anyio
from msgspec.json import encode
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service
from posthouse.core.values.errors import RpcError

from .stage import Stage

LOCAL: Final = "localhost"

UPGRADE: Final = (
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n"
)


def call(method: str, *params: Any, id: Any = 1, **more: Any) -> bytes:
    """The text of a call. Without an id (None) it is a notification."""
    named = {} if id is None else {"id": id}
    return encode({"jsonrpc": "2.0", "method": method, "params": params, **named, **more})


def post(body: bytes, *headers: str, host: str = LOCAL) -> bytes:
    """A call over HTTP."""
    lines = "".join(f"{header}\r\n" for header in headers)
    head = f"POST /rpc HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{lines}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


def get(target: str, *headers: str, host: str = LOCAL) -> bytes:
    """A request without a body."""
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode("latin-1")


def upgrade(*headers: str) -> bytes:
    """The opening handshake of a WebSocket."""
    return UPGRADE.format("".join(f"{header}\r\n" for header in headers)).encode("latin-1")


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """One frame of a client. Its mask is zero: the payload can be read."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    else:
        length = b"\xfe" + size.to_bytes(2) if size <= 0xFFFF else b"\xff" + size.to_bytes(8)
    return bytes([first]) + length + bytes(4) + payload


def line(body: bytes) -> bytes:
    """One line of a pipe."""
    return body + b"\n"


@cache
def plain(*, secret: bool = False) -> Service:
    """A service with a method for each way in which a call ends. What happens in it is noted. With `secret`, one of
    them requires a scope."""
    service = Service("scene", public=True)

    @service.method
    def echo(token: str) -> str:
        return token

    @service.method
    async def wait(token: str, seconds: float) -> str:
        try:
            await anyio.sleep(seconds)
        except BaseException as error:
            Stage.current.note(f"wait {token} ends with {type(error).__name__}")
            raise
        return token

    @service.method
    async def resist(token: str, seconds: float) -> str:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(seconds)
        Stage.current.note(f"resist {token} has ended")
        return token

    @service.method(blocking=True)
    def block(context: Context, token: str) -> str:
        return f"{token} {context.cancelled}"

    @service.method(timeout=0.2)
    async def brief(token: str) -> str:
        await anyio.sleep(5.0)
        return token

    @service.method
    def fail(token: str) -> None:
        raise ValueError(token)

    @service.method
    def refuse(token: str) -> None:
        raise RpcError(7, token, {"token": token})

    @service.method
    def lose(token: str) -> None:
        raise RpcError(8, token, object())

    @service.method
    def opaque(token: str) -> Any:
        return object()

    if secret:
        service.method("secret", scopes={"vault"})(lambda: "secret")

    @service.method
    def big(size: int) -> str:
        return "x" * size

    @service.method
    def tell(context: Context, method: str, size: int) -> bool:
        return context.notify(method, ["x" * size])

    @service.method
    async def ask(context: Context, token: str, timeout: float) -> Any:
        return await context.call("question", [token], timeout=timeout)

    return service


def sample(*, secret: bool = False) -> Service:
    """A copy of this service, which takes more declarations."""
    service = copy(plain(secret=secret))
    service.methods, service.hooks, service.authenticators = dict(service.methods), dict(service.hooks), {}
    service.document = service._frozen = None
    return service
