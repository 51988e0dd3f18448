"""The gateway alone, under a host that already speaks HTTP and WebSocket: an ASGI application.

    uvicorn embed_gateway:app

The host has whole texts, so no codec is needed: `Gateway` takes texts and gives effects. `POST /rpc` is one connection
per request, `/ws` one that lasts; to the gateway both are the same kind of thing. What the codecs would see to is the
host's affair here: heartbeats and the sizes of messages are its server's, and who may call is `refusal`'s.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from functools import partial
from typing import Any

from posthouse.core import (
    Accept,
    Address,
    Answer,
    CallId,
    Cancel,
    Config,
    ConnectionId,
    Disconnect,
    Effect,
    Gateway,
    Invoke,
    Kind,
    Multicast,
    PauseReading,
    Peer,
    ResumeReading,
    RpcError,
    Service,
    Transmit,
    http_status,
)

INTERNAL_ERROR = -32603
REQUEST_CANCELLED = -32800

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

service = Service("embedded", public=True)


@service.method
def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


@service.method
async def nap(seconds: float) -> str:
    """Answer later."""
    await asyncio.sleep(seconds)
    return "rested"


class Connection:
    """One client: what is to be done for it, in order, and whether more may be taken from it."""

    def __init__(self) -> None:
        self.effects: asyncio.Queue[Effect] = asyncio.Queue()
        self.may_read = asyncio.Event()
        self.may_read.set()


class Application:
    """One gateway behind the three words of ASGI: scope, receive, send."""

    def __init__(self, service: Service) -> None:
        config = Config(heartbeat_interval=None)
        self.gateway = Gateway(service, config, wall=time.time() - time.monotonic(), entropy=os.urandom)
        self.connections: dict[ConnectionId, Connection] = {}
        self.tasks: dict[CallId, asyncio.Task[object]] = {}
        self.timer: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """What the host calls for every request and every WebSocket."""
        if scope["type"] == "websocket" and scope["path"] == "/ws":
            await self.websocket(scope, receive, send)
        elif scope["type"] == "http" and (scope["method"], scope["path"]) == ("POST", "/rpc"):
            await self.exchange(scope, receive, send)
        elif scope["type"] == "http":
            await respond(send, 404)

    # Mutate, drain, wait

    def perform(self) -> None:
        """Do what the outbox says, while it grows, and see that what is due later will be done."""
        gateway = self.gateway
        for effect in gateway.outbox:
            if isinstance(effect, Invoke):
                self.invoke(effect)
            elif isinstance(effect, Cancel):
                self.tasks[effect.call].cancel()
            elif isinstance(effect, Multicast):
                for connection in effect.connections:
                    self.transmit(Transmit(connection, effect.data))
            elif isinstance(effect, Transmit):
                self.transmit(effect)
            elif isinstance(effect, PauseReading):
                self.connections[effect.connection].may_read.clear()
            elif isinstance(effect, ResumeReading):
                self.connections[effect.connection].may_read.set()
            elif isinstance(effect, Accept | Answer | Disconnect):
                self.connections[effect.connection].effects.put_nowait(effect)
        gateway.outbox.clear()
        if self.timer is not None:
            self.timer.cancel()
        due = gateway.next_timeout()
        wait = math.inf if due is None else max(0.0, due - time.monotonic())
        self.timer = None if due is None else asyncio.get_running_loop().call_later(wait, self.handle_timeout)

    def handle_timeout(self) -> None:
        self.gateway.handle_timeout(time.monotonic())
        self.perform()

    def transmit(self, effect: Transmit) -> None:
        """Into the client's queue. What waits there is held, until the host has taken it."""
        self.connections[effect.connection].effects.put_nowait(effect)
        if not effect.report:
            self.gateway.report_held(effect.connection, len(effect.data), time.monotonic())

    # Handlers

    def invoke(self, effect: Invoke) -> None:
        task = self.tasks[effect.call] = asyncio.create_task(run(effect))
        task.add_done_callback(partial(self.report, effect.call))

    def report(self, call: CallId, task: asyncio.Task[object]) -> None:
        """However a handler ends, its end is reported, once."""
        del self.tasks[call]
        now = time.monotonic()
        if task.cancelled():
            self.gateway.fail(call, RpcError(REQUEST_CANCELLED), now)
        elif error := task.exception():
            self.gateway.fail(call, error if isinstance(error, RpcError) else RpcError(INTERNAL_ERROR), now)
        else:
            self.gateway.complete(call, task.result(), now)
        self.perform()

    # Connections

    def connect(self, kind: Kind, scope: Message) -> tuple[ConnectionId, Connection]:
        host, port = scope.get("client") or ("", 0)
        headers = tuple((name, value) for name, value in scope["headers"])
        peer = Peer(kind, Address(host, port), path=scope["path"], headers=headers)
        id = self.gateway.connect(peer, time.monotonic())
        connection = self.connections[id] = Connection()
        self.perform()
        return id, connection

    def disconnect(self, id: ConnectionId, code: int | None) -> None:
        self.gateway.disconnected(id, code, time.monotonic())
        self.perform()
        del self.connections[id]

    async def exchange(self, scope: Message, receive: Receive, send: Send) -> None:
        """One HTTP request: connected, received, answered, gone."""
        if status := refusal(scope, b"application/json"):
            await respond(send, status)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self.gateway.config.max_body_bytes:
                await respond(send, 413)
                return
        id, connection = self.connect("http", scope)
        try:
            self.gateway.receive(id, body, time.monotonic())
            self.perform()
            effect = await connection.effects.get()
            if not isinstance(effect, Answer):
                await respond(send, 503)
            elif effect.data is None:
                await respond(send, 204)
            else:
                await respond(send, http_status(effect.code), effect.data, effect.retry_after)
        finally:
            self.disconnect(id, None)

    async def websocket(self, scope: Message, receive: Receive, send: Send) -> None:
        """One WebSocket, from the host's `websocket.connect` to its `websocket.disconnect`."""
        await receive()
        if refusal(scope):
            await send({"type": "websocket.close", "code": 1008})
            return
        id, connection = self.connect("websocket", scope)
        writer = asyncio.create_task(self.write(id, connection, send))
        code: int | None = None
        try:
            while (message := await receive())["type"] == "websocket.receive":
                text = message.get("text")
                self.gateway.receive(id, message["bytes"] if text is None else text.encode(), time.monotonic())
                self.perform()
                await connection.may_read.wait()
            code = message.get("code")
        finally:
            writer.cancel()
            self.disconnect(id, code)

    async def write(self, id: ConnectionId, connection: Connection, send: Send) -> None:
        """Perform what is to be done for one WebSocket, in order, until it is closed."""
        with suppress(OSError):  # the client is gone, as `receive` will say
            while True:
                effect = await connection.effects.get()
                if isinstance(effect, Accept):
                    await send({"type": "websocket.accept"})
                elif isinstance(effect, Transmit):
                    await send({"type": "websocket.send", "text": effect.data.decode()})
                    self.gateway.report_sent(id, len(effect.data), time.monotonic())
                    self.perform()
                elif isinstance(effect, Disconnect):
                    await send({"type": "websocket.close", "code": effect.code})
                    return


async def run(effect: Invoke) -> object:
    """What a handler returns."""
    result = effect.method.function(*effect.args, **effect.kwargs)
    return await result if effect.method.is_async else result


def refusal(scope: Message, media_type: bytes | None = None) -> int | None:
    """No page in a browser may call: it would say its origin, and could not send this media type without asking."""
    headers = dict(scope["headers"])
    if b"origin" in headers:
        return 403
    if media_type is not None and headers.get(b"content-type", b"").partition(b";")[0] != media_type:
        return 415
    return None


async def respond(send: Send, status: int, body: bytes = b"", retry_after: float | None = None) -> None:
    """One whole HTTP response."""
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if retry_after is not None:
        headers.append((b"retry-after", b"%d" % math.ceil(retry_after)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


app = Application(service)
