"""An ASGI server made by hand: it calls an application in this process, and can be as slow as a test wants."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup
from posthouse.adapters.asgi.scopes import Message, Scope
from posthouse.core import Identity

from tests.adapters.loopback import PATIENCE, text

JSON = (b"content-type", b"application/json")
LOCAL = (b"host", b"localhost")

Fields = Sequence[tuple[bytes, bytes]]


class Hand:
    """The server of one application. `root` is the path at which the application is mounted."""

    def __init__(self, app: Any, group: TaskGroup, root: str = "", state: dict[str, Any] | None = None) -> None:
        self.app = app
        self.group = group
        self.root = root
        self.state = {} if state is None else state

    def scope(self, kind: str, path: str, headers: Fields, **more: Any) -> Scope:
        return {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "http",
            "path": self.root + path,
            "root_path": self.root,
            "query_string": b"",
            "headers": [LOCAL, *headers],
            "client": ("127.0.0.1", 5_000),
            "server": ("127.0.0.1", 8_000),
            "state": self.state,
            **more,
        }

    def begin(
        self, method: str, path: str, headers: Fields = (), *, identity: Identity | None = None, **more: Any
    ) -> Request:
        """A request whose body is to come."""
        request = Request()
        self.group.start_soon(self._run, self.scope("http", path, headers, method=method, **more), request, identity)
        return request

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Fields = (), **more: Any
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        """One whole request: status, fields and body of its response."""
        request = self.begin(method, path, headers, **more)
        request.body(body)
        return await request.response()

    async def post(self, method: str, params: object = (), path: str = "/rpc", **more: Any) -> tuple[int, Any]:
        """One call: status, and the response as JSON."""
        data = text(method, params)
        headers = (JSON, (b"content-length", b"%d" % len(data)))
        status, _, body = await self.request("POST", path, data, headers, **more)
        return status, json.loads(body) if body.startswith((b"{", b"[")) else body

    def open(
        self,
        path: str = "/ws",
        headers: Fields = (),
        *,
        extended: bool = True,
        identity: Identity | None = None,
        **more: Any,
    ) -> WebSocket:
        """A WebSocket whose handshake has come."""
        extensions: dict[str, Any] = {"websocket.http.response": {}} if extended else {}
        scope = self.scope("websocket", path, headers, subprotocols=[], extensions=extensions, **more)
        websocket = WebSocket()
        websocket.give({"type": "websocket.connect"})
        self.group.start_soon(self._run, scope, websocket, identity)
        return websocket

    async def opened(self, path: str = "/ws", headers: Fields = (), **more: Any) -> WebSocket:
        """A WebSocket that was accepted."""
        websocket = self.open(path, headers, **more)
        assert (await websocket.event())["type"] == "websocket.accept"
        return websocket

    async def _run(self, scope: Scope, ends: Ends, identity: Identity | None) -> None:
        try:
            if identity is None:
                await self.app(scope, ends.receive, ends.send)
            else:
                await self.app.answer(scope, ends.receive, ends.send, identity=identity)
        except Exception as error:
            ends.error = error
        finally:
            ends.ended.set()


class Mailbox:
    """Events on their way, in order."""

    def __init__(self) -> None:
        self.waiting: list[Message] = []
        self._news = anyio.Event()

    def put(self, message: Message) -> None:
        self.waiting.append(message)
        self._news.set()

    async def get(self) -> Message:
        while not self.waiting:
            self._news = anyio.Event()
            await self._news.wait()
        return self.waiting.pop(0)


class Ends:
    """Both ends of one call of the application. While `may_send` is not set, the application waits when it sends. With
    `broken`, it is told that its peer has gone."""

    def __init__(self) -> None:
        self.given, self.sent = Mailbox(), Mailbox()
        self.may_send = anyio.Event()
        self.may_send.set()
        self.waits = anyio.Event()
        self.ended = anyio.Event()
        self.broken = False
        self.error: Exception | None = None

    def give(self, message: Message) -> None:
        """An event of the server."""
        self.given.put(message)

    async def receive(self) -> Message:
        return await self.given.get()

    async def send(self, message: Message) -> None:
        if self.broken:
            raise BrokenPipeError
        if not self.may_send.is_set():
            self.waits.set()
            await self.may_send.wait()
        self.sent.put(message)

    async def event(self) -> Message:
        """The next event of the application."""
        return await self.sent.get()

    def slow(self) -> None:
        """Take nothing from now on."""
        self.may_send = anyio.Event()
        self.waits = anyio.Event()

    async def end(self) -> None:
        """Wait until the application has returned, and raise what it raised."""
        await self.ended.wait()
        if self.error is not None:
            raise self.error


class Request(Ends):
    """One HTTP request."""

    def body(self, data: bytes, *, more: bool = False) -> None:
        self.give({"type": "http.request", "body": data, "more_body": more})

    def leave(self) -> None:
        self.give({"type": "http.disconnect"})

    async def response(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """Status, fields and body. The application has returned."""
        await self.end()
        start, body = await self.event(), await self.event()
        assert (start["type"], body["type"], self.sent.waiting) == ("http.response.start", "http.response.body", [])
        return start["status"], dict(start["headers"]), body["body"]


class WebSocket(Ends):
    """One WebSocket."""

    def say(self, data: bytes | str) -> None:
        """A text, or a binary message if it is bytes that are no request."""
        self.give({"type": "websocket.receive", "text": data if isinstance(data, str) else data.decode()})

    def binary(self, data: bytes) -> None:
        self.give({"type": "websocket.receive", "bytes": data, "text": None})

    def leave(self, code: int = 1000) -> None:
        self.give({"type": "websocket.disconnect", "code": code})

    async def next(self) -> Any:
        """The next text, as JSON; or the close code."""
        event = await self.event()
        if event["type"] == "websocket.close":
            return event["code"]
        assert event["type"] == "websocket.send", event
        return json.loads(event["text"])

    async def call(self, method: str, params: object = (), id: object = 1) -> Any:
        """One call, and the message that comes next."""
        self.say(text(method, params, id))
        return await self.next()


@asynccontextmanager
async def hand(app: Any, root: str = "", state: dict[str, Any] | None = None) -> AsyncIterator[Hand]:
    """A server of this application, which gets no lifespan. All that still runs at the end is cancelled."""
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            yield Hand(app, group, root, state)
            group.cancel_scope.cancel()


@asynccontextmanager
async def living(app: Any, root: str = "") -> AsyncIterator[Hand]:
    """A server that tells the application of its start and its end, as uvicorn does."""
    async with hand(app, root) as server:
        ends = Ends()
        ends.give({"type": "lifespan.startup"})
        server.group.start_soon(server._run, {"type": "lifespan", "state": server.state}, ends, None)
        assert await ends.event() == {"type": "lifespan.startup.complete"}
        yield server
        ends.give({"type": "lifespan.shutdown"})
        assert await ends.event() == {"type": "lifespan.shutdown.complete"}
        await ends.end()
