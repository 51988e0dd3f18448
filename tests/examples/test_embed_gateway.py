"""The gateway under an ASGI host: the test is the host, and speaks to the application in ASGI's messages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from examples.embed_gateway import Application, Message, service
from tests.adapters.loopback import PATIENCE, text

JSON = (b"content-type", b"application/json; charset=utf-8")


def hosted(test: Callable[[Application], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test in an event loop of its own, with an application of its own."""

    async def run() -> None:
        async with asyncio.timeout(PATIENCE):
            await test(Application(service))

    return lambda: asyncio.run(run())


async def request(
    app: Application, *parts: bytes, method: str = "POST", path: str = "/rpc", headers: tuple[Any, ...] = (JSON,)
) -> tuple[int | None, Any]:
    """One HTTP request whose body comes in parts: the status and body of its response; None where there is none."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts[:-1]]
    messages += [{"type": "http.request", "body": part} for part in parts[-1:]]
    messages.append({"type": "http.disconnect"})
    said: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        said.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": headers, "client": ("127.0.0.1", 1)}
    await app(scope, receive, send)
    if not said:
        return None, None
    start, body = said
    return start["status"], json.loads(body["body"]) if body["body"] else None


class Client:
    """The two ends of one WebSocket as a host has them. While `may_send` is not set the client takes nothing."""

    def __init__(self, app: Application, headers: tuple[Any, ...] = ()) -> None:
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.incoming.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": "/ws", "headers": headers, "client": None}
        self.task = asyncio.create_task(app(scope, self.incoming.get, self.send))

    async def send(self, message: Message) -> None:
        await self.may_send.wait()
        self.outgoing.put_nowait(message)

    def say(self, data: bytes) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", "text": data.decode()})

    async def next(self) -> Any:
        message = await self.outgoing.get()
        return json.loads(message["text"]) if "text" in message else message

    async def leave(self, code: int = 1000) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": code})
        await self.task


async def opened(app: Application) -> Client:
    client = Client(app)
    assert await client.next() == {"type": "websocket.accept"}
    return client


# HTTP


@hosted
async def test_it_answers_over_http(app: Application) -> None:
    body = text("add", [1, 2])
    assert await request(app, body) == (200, {"jsonrpc": "2.0", "result": 3.0, "id": 1})
    assert await request(app, body[:10], body[10:]) == (200, {"jsonrpc": "2.0", "result": 3.0, "id": 1})
    assert await request(app, text("nap", [0])) == (200, {"jsonrpc": "2.0", "result": "rested", "id": 1})
    assert await request(app, text("add", [1, 2], None)) == (204, None)
    status, answer = await request(app, b"[" + body + b"," + text("add", {"a": 1}, 2) + b"]")
    assert (status, [entry.get("error", {}).get("code") for entry in answer]) == (200, [None, -32602])
    assert (await request(app, b"{"))[0] == 400
    assert not app.connections
    assert not app.tasks


@hosted
async def test_it_refuses_what_is_no_call(app: Application) -> None:
    body = text("add", [1, 2])
    assert await request(app, body, method="GET") == (404, None)
    assert await request(app, body, path="/") == (404, None)
    assert await request(app, body, headers=()) == (415, None)
    assert await request(app, body, headers=((b"content-type", b"text/plain"),)) == (415, None)
    assert await request(app, body, headers=(JSON, (b"origin", b"https://example.org"))) == (403, None)
    assert await request(app, b" " * 3_000_000, b" " * 3_000_000) == (413, None)
    assert await request(app) == (None, None)
    assert not app.connections


# WebSocket


@hosted
async def test_it_answers_over_websocket(app: Application) -> None:
    client = await opened(app)
    client.say(text("add", {"a": 1, "b": 2}, "mine"))
    assert await client.next() == {"jsonrpc": "2.0", "result": 3.0, "id": "mine"}
    client.say(text("add", ["x", 2]))
    assert (await client.next())["error"]["code"] == -32602
    client.say(text("connection.info"))
    assert (await client.next())["result"]["kind"] == "websocket"
    await client.leave()
    assert not app.connections
    assert app.gateway.stats()["connections.opened"] == 1


@hosted
async def test_it_refuses_pages(app: Application) -> None:
    client = Client(app, ((b"origin", b"https://example.org"),))
    assert (await client.next())["type"] == "websocket.close"
    await client.task


@hosted
async def test_it_cancels_a_handler(app: Application) -> None:
    client = await opened(app)
    client.say(text("nap", [3600], "long"))
    client.say(text("$/cancelRequest", {"id": "long"}, None))
    answer = await client.next()
    assert (answer["id"], answer["error"]["code"]) == ("long", -32800)
    client.say(text("nap", [3600]))
    client.say(text("connection.ping", [], 2))
    assert (await client.next())["id"] == 2
    await client.leave()
    await asyncio.wait(app.tasks.values())
    assert not app.tasks
    assert app.gateway.health(0.0).calls == 0


@hosted
async def test_it_waits_for_who_does_not_read(app: Application) -> None:
    slow = await opened(app)
    other = await opened(app)
    slow.may_send.clear()
    slow.say(text("add", [0, 0], 0))
    while app.gateway.memory == 0:  # until the answer is on its way
        other.say(text("add", [1, 1]))
        assert (await other.next())["result"] == 2.0
    for id in range(1, 10):
        slow.say(text("add", [id, 0], id))
    other.say(text("add", [1, 1]))
    assert (await other.next())["result"] == 2.0
    assert slow.incoming.qsize() >= 8  # it is not read from: one was being waited for already
    slow.may_send.set()
    assert [(await slow.next())["result"] for _ in range(10)] == list(range(10))
    assert app.gateway.memory == 0
    for client in (slow, other):
        await client.leave()


@hosted
async def test_it_tells_everybody(app: Application) -> None:
    clients = [await opened(app) for _ in range(3)]
    assert app.gateway.broadcast("news", {"n": 1}, asyncio.get_running_loop().time()) == 3
    app.perform()
    for client in clients:
        assert await client.next() == {"jsonrpc": "2.0", "method": "news", "params": {"n": 1}}
        await client.leave()


@hosted
async def test_it_closes_who_sends_nonsense(app: Application) -> None:
    client = await opened(app)
    for _ in range(12):
        client.say(b"nonsense")
    while isinstance(answer := await client.next(), dict) and "error" in answer:
        assert answer["error"]["code"] == -32700
    assert answer == {"type": "websocket.close", "code": 4400}
    await client.leave(4400)


@hosted
async def test_it_ends_a_call_at_its_deadline(app: Application) -> None:
    client = await opened(app)
    late = {"jsonrpc": "2.0", "method": "nap", "params": [3600], "id": 1, "meta": {"timeout_ms": 1}}
    client.say(json.dumps(late).encode())
    assert (await client.next())["error"]["code"] == -32030
    await client.leave()
