"""`client_of`: a client of a service in this process. It speaks JSON-RPC, through the ASGI application.

The application runs in a task of its own, in no task group: a client may be entered in one task and left in another, as
fixtures of tests are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from types import TracebackType
from typing import Any, Final, Self

import anyio
from msgspec import UNSET, Raw, Struct, UnsetType, json
from posthouse.adapters.asgi.application import Application, asgi
from posthouse.adapters.asgi.scopes import Message
from posthouse.adapters.handlers.firewall import must_wait
from posthouse.adapters.loop.named import asyncio_loop
from posthouse.core.service.results import answers
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import INTERNAL_ERROR, METHOD_NOT_FOUND, ErrorObject, RpcError
from posthouse.core.values.peers import Identity

from .mailbox import Mailbox

Progress = Callable[[float, str | None], object]
"""Called with the fraction and the message of each progress notification."""


class Received(Struct):
    """Any message of a server."""

    id: int | UnsetType | None = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: ErrorObject | UnsetType = UNSET


class Pending:
    """A call without an outcome."""

    def __init__(self) -> None:
        self.ended: Final = anyio.Event()
        self.outcome: bytes | ErrorObject = b"null"

    def end(self, outcome: bytes | ErrorObject) -> None:
        self.outcome = outcome
        self.ended.set()


def client_of(
    service: Service | Application,
    *,
    identity: Identity | None = None,
    config: Config = Config(),
    answer: dict[str, Callable[..., Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> Client:
    """A client of this service, without a socket: `async with client_of(service) as client`. On asyncio and on trio.

    It is like a WebSocket that has just opened, of this caller (None: one who has not authenticated). The lifespan of
    the service is open meanwhile. Several clients of one service share an application: `gateway = asgi(service)`, and
    `client_of(gateway)` while `gateway.lifespan()` is entered.

    `answer` has functions by the names of methods that the service may ask its clients to call. `headers` are those of
    the handshake, with credentials, for example. Raises RpcError if the handshake is refused.
    """
    return Client(service, identity, config, answer or {}, headers or {})


class Client:
    """One client. `notifications` that came are kept until `notification` returns them. `gateway` is the application:
    `client.gateway.broadcast(…)`. `closed` is the code with which the server has closed the connection, or None."""

    def __init__(
        self,
        service: Service | Application,
        identity: Identity | None,
        config: Config,
        answer: dict[str, Callable[..., Any]],
        headers: dict[str, str],
    ) -> None:
        own = isinstance(service, Service)
        self.gateway: Final = asgi(service, config=config) if isinstance(service, Service) else service
        self.answers: Final = answer
        self.closed: int | None = None
        self._lifespan: Final = self.gateway.lifespan() if own else None
        self._identity: Final = identity
        self._headers: Final = headers
        self._to_server: Final = Mailbox[Message]()
        self._notified: Final = Mailbox[tuple[str, Any] | None]()
        self._pending: Final[dict[int, Pending]] = {}
        self._progress: Final[dict[int, Progress]] = {}
        self._last_id = 0
        self._tasks: Final[dict[asyncio.Task[None], None]] = {}
        self._refused: bytes | None = None

    async def __aenter__(self) -> Self:
        self._opened = anyio.Event()
        self._ended = anyio.Event()
        if self._lifespan is not None:
            await self._lifespan.__aenter__()
        self._to_server.put({"type": "websocket.connect"})
        self._start(self._run())
        try:
            await self._opened.wait()
            if self._refused is not None:
                await self._ended.wait()
                raise RpcError(message=self._refused.decode().strip())
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._to_server.put({"type": "websocket.disconnect", "code": 1000})
        with anyio.CancelScope(shield=True):
            await self._ended.wait()
        if self._lifespan is not None:
            await self._lifespan.__aexit__(None, None, None)

    # What a test does

    async def call(
        self,
        method: str,
        params: object = None,
        *,
        timeout: float | None = None,
        result_type: Any = Any,
        progress: Progress | None = None,
    ) -> Any:
        """Call a method, and wait for its result, read as `result_type`. `timeout` is in seconds: the deadline that
        the request asks for. `progress` is called with each progress. Raises RpcError. Cancelling the task cancels the
        call."""
        read = answers(result_type, "the")
        self._last_id += 1
        id = self._last_id
        meta: dict[str, Any] = {} if timeout is None else {"timeout_ms": round(timeout * 1000)}
        if progress is not None:
            self._progress[id] = progress
            meta["progress_token"] = id
        pending = self._pending[id] = Pending()
        self._send(method, params, id=id, **({"meta": meta} if meta else {}))
        try:
            await pending.ended.wait()
        finally:
            self._progress.pop(id, None)
            if self._pending.pop(id, None) is not None:
                self._send("$/cancelRequest", {"id": id})
        if isinstance(pending.outcome, ErrorObject):
            raise RpcError.of(pending.outcome)
        return read(method, pending.outcome)

    def notify(self, method: str, params: object = None) -> None:
        """Send a notification."""
        self._send(method, params)

    async def notification(self) -> tuple[str, Any]:
        """The next notification of the server: its method and its params. Raises RpcError when the connection has
        closed."""
        received = await self._notified.get()
        if received is None:
            self._notified.put(None)
            raise RpcError(message=f"the connection has closed with code {self.closed}")
        return received

    def _send(self, method: str, params: object, **more: Any) -> None:
        message = {"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params}), **more}
        self._say(json.encode(message))

    def _say(self, data: bytes) -> None:
        if self._ended.is_set():
            raise RpcError(message=f"the connection has closed with code {self.closed}")
        self._to_server.put({"type": "websocket.receive", "text": data.decode()})

    # The connection

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        loop = asyncio_loop()
        if loop is None:
            import trio

            async def run() -> None:
                await coroutine

            trio.lowlevel.spawn_system_task(run, context=copy_context())
        else:
            task = loop.create_task(coroutine)
            self._tasks[task] = None
            task.add_done_callback(self._tasks.pop)

    async def _run(self) -> None:
        given = [("host", self.gateway._hosting.policy.hosts[0]), *self._headers.items()]
        scope = {
            "type": "websocket",
            "path": "/ws",
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in given],
            "client": ("127.0.0.1", 0),
            "extensions": {"websocket.http.response": {}},
        }
        try:
            await self.gateway.answer(scope, self._to_server.get, self._take, identity=self._identity)
        except Exception as error:
            self._refused = self._refused or str(error).encode()
        finally:
            self._ended.set()
            self._opened.set()
            self._notified.put(None)
            gone = ErrorObject(-32000, f"the connection has closed with code {self.closed}")
            for pending in list(self._pending.values()):
                pending.end(gone)
            self._pending.clear()

    async def _take(self, event: Message) -> None:
        """An event of the application."""
        kind = event["type"]
        if kind == "websocket.accept":
            self._opened.set()
        elif kind == "websocket.close":
            self.closed = event["code"]
        elif kind == "websocket.send":
            self._received(event["text"].encode())
        elif kind == "websocket.http.response.body":
            self._refused = event["body"]

    def _received(self, data: bytes) -> None:
        message = json.decode(data, type=Received)
        params = b"null" if message.params is UNSET else bytes(message.params)
        if isinstance(message.method, str) and isinstance(message.id, int):
            self._start(self._reply(message.id, message.method, json.decode(params)))
        elif isinstance(message.method, str):
            self._told(message.method, json.decode(params))
        elif isinstance(message.id, int) and message.id in self._pending:
            outcome = message.error if isinstance(message.error, ErrorObject) else b"null"
            self._pending.pop(message.id).end(outcome if message.result is UNSET else bytes(message.result))

    def _told(self, method: str, params: Any) -> None:
        if method == "$/progress" and params["token"] in self._progress:
            value = params["value"]
            self._progress[params["token"]](value["fraction"], value.get("message"))
        else:
            self._notified.put((method, params))

    async def _reply(self, id: int, method: str, params: Any) -> None:
        """Answer a request of the server."""
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": id}
        try:
            if method not in self.answers:
                raise RpcError(METHOD_NOT_FOUND)
            named = params if isinstance(params, dict) else {}
            result = self.answers[method](*(params if isinstance(params, list) else ()), **named)
            reply["result"] = await result if must_wait(result) else result
        except RpcError as error:
            reply["error"] = error.error_object
        except Exception as error:
            reply["error"] = ErrorObject(INTERNAL_ERROR, repr(error))
        if not self._ended.is_set():
            self._say(json.encode(reply))
