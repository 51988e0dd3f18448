"""`asgi`: a service as an ASGI application, alone or mounted in another one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from contextvars import copy_context
from os import PathLike
from typing import Any, Final

from msgspec.structs import replace
from posthouse.adapters.journal.file import DEFAULT_BYTES
from posthouse.adapters.server.arguments import Options, check_arguments
from posthouse.adapters.server.entrances.hosts import LOOPBACK_NAMES
from posthouse.adapters.server.server import Server
from posthouse.adapters.system.clock import Clock
from posthouse.core.service.service import Service
from posthouse.core.service.topics.position import Position
from posthouse.core.values.config import Config
from posthouse.core.values.peers import ANONYMOUS, ConnectionId, Identity, Kind
from posthouse.core.values.stats import Health
from posthouse.transports.paths import Paths
from posthouse.transports.policy import Policy

from .exchange import Exchange
from .hosting import Hosting
from .scopes import Receive, Scope, Send, read_request
from .websocket import HTTP_RESPONSE, WebSocket


def asgi(
    service: Service,
    *,
    config: Config = Config(),
    allow_hosts: Sequence[str] = (),
    allow_origins: Sequence[str] = (),
    rpc_path: str = "/rpc",
    ws_path: str = "/ws",
    root_path: str = "",
    identity: Identity = ANONYMOUS,
    access_log: bool = False,
    clock: Clock = Clock(),
    journal: str | PathLike[str] | None = None,
    journal_bytes: int = DEFAULT_BYTES,
    started: Callable[[Server], object] | None = None,
) -> Application:
    """This service as an ASGI application, for uvicorn, hypercorn and others, and for `mount` of FastAPI and Starlette.

    Below the place where it is mounted it answers `POST` at its root and on `/rpc`, WebSockets at its root and on
    `/ws`, `/health` and `/stats`.

    - `allow_hosts`: the only names by which clients may call. Default: the loopback names. `allow_origins`: exact
      origins of web pages from other hosts or ports; those from the server's own may call anyway.
    - `rpc_path`, `ws_path` and `root_path` stand for `/rpc`, `/ws` and the place where it is mounted.
    - `identity`: that of callers who have not authenticated, if the host has authenticated them already.
    - `config`, `access_log`, `clock`, `journal`, `journal_bytes` and `started` are as for `serve`. Heartbeats and the
      limits of sockets are those of the ASGI server.

    Raises UsageError for arguments that are wrong or do not fit together.
    """
    checked = {"config": config, "allow_hosts": allow_hosts, "allow_origins": allow_origins, "started": started}
    check_arguments(service, Options.__annotations__, {**checked, "access_log": access_log}, taker="asgi")
    paths = Paths(rpc_path, ws_path, root_path)
    policy = Policy(tuple(allow_hosts) or LOOPBACK_NAMES, tuple(allow_origins), identity, paths=paths)
    options = Options(
        host=(),
        config=replace(config, heartbeat_interval=None),
        allow_hosts=policy.hosts,
        allow_origins=policy.origins,
        access_log=access_log,
        clock=clock,
        journal=journal,
        journal_bytes=journal_bytes,
        started=started,
    )
    return Application(Hosting(service, options, policy))


class Application:
    """An ASGI application. `lifespan` opens and closes the server; without it, the first request opens it."""

    def __init__(self, hosting: Hosting) -> None:
        self._hosting: Final = hosting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, one WebSocket, or the lifespan of the ASGI server."""
        ways = self._hosting.here() if scope["type"] == "http" else None
        if ways is not None:
            await Exchange(ways, send).run(read_request(scope), scope, receive, None)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self.answer(scope, receive, send)

    def identified(self) -> None:
        """The host identifies callers: nothing is known of those that there will be."""
        self._hosting.identified = True

    async def answer(
        self, scope: Scope, receive: Receive, send: Send, *, identity: Identity | None = None, at_root: bool = False
    ) -> None:
        """One request or one WebSocket of this caller. None: a caller who authenticates, or has not authenticated.
        `at_root`: a route of the host has found it, so that its path does not matter."""
        if scope["type"] not in ("http", "websocket"):
            raise NotImplementedError(f"ASGI has no scope {scope['type']!r} that this application knows")
        ways = self._hosting.here() or await self._hosting.started()
        request = read_request(scope, at_root=at_root)
        if request.websocket:
            extended = HTTP_RESPONSE in (scope.get("extensions") or ())
            await WebSocket(ways, send, extended=extended).run(request, scope, receive, identity)
        else:
            await Exchange(ways, send).run(request, scope, receive, identity)

    # The lifespan

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """The server runs while this is entered: `FastAPI(lifespan=gateway.lifespan)`, or in a lifespan of your own,
        `async with gateway.lifespan(app):`. Raises LifespanError if a lifespan of the service fails."""
        await self._hosting.start(copy_context())
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            await self._hosting.stop(error)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        opened = self.lifespan(self)
        try:
            await opened.__aenter__()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        try:
            await receive()
            await opened.__aexit__(None, None, None)
        except Exception as error:
            await send({"type": "lifespan.shutdown.failed", "message": str(error)})
        else:
            await send({"type": "lifespan.shutdown.complete"})

    # As for a Server

    async def call(
        self,
        method: str,
        params: object = None,
        *,
        identity: Identity | None = None,
        timeout: float | None = None,
        result_type: Any = Any,
    ) -> Any:
        """Call a method in this process, as `Server.call` does. The server starts if need be."""
        await self._hosting.started()
        assert self._hosting.server is not None
        return await self._hosting.server.call(
            method, params, identity=identity, timeout=timeout, result_type=result_type
        )

    def notify(self, to: ConnectionId, method: str, params: object = None) -> bool:
        """Send a notification. False: the connection has closed or cannot be pushed to."""
        server = self._hosting.server
        return server is not None and server.notify(to, method, params)

    def broadcast(
        self,
        method: str,
        params: object = None,
        *,
        kinds: Iterable[Kind] | None = None,
        users: Iterable[str] | None = None,
        namespace: str = "",
    ) -> int:
        """Send a notification to every connection of these kinds and users (None: all). Returns their number."""
        server = self._hosting.server
        if server is None:
            return 0
        return server.broadcast(method, params, kinds=kinds, users=users, namespace=namespace)

    async def publish(self, topic: str, data: object) -> Position:
        """Publish to a topic of the service, as `Server.publish` does. The server starts if need be."""
        await self._hosting.started()
        assert self._hosting.server is not None
        return await self._hosting.server.publish(topic, data)

    def unsubscribe(
        self, *, user: str | None = None, namespace: str = "", session: str | None = None, topic: str | None = None
    ) -> int:
        """End the subscriptions of a user or of a session, as `Server.unsubscribe` does. Returns their number."""
        server = self._hosting.server
        if server is None:
            return 0
        return server.unsubscribe(user=user, namespace=namespace, session=session, topic=topic)

    def revoke(self, user: str, *, namespace: str = "", not_before: float | None = None) -> int:
        """Revoke a user, as `Server.revoke` does. Returns the number of connections."""
        server = self._hosting.server
        return 0 if server is None else server.revoke(user, namespace=namespace, not_before=not_before)

    def health(self) -> Health | None:
        """The state that `/health` reports. None: the server has not started."""
        return None if self._hosting.server is None else self._hosting.server.health()

    def stats(self) -> dict[str, int]:
        """The counters, by name. Empty until the server has started."""
        return {} if self._hosting.server is None else self._hosting.server.stats()

    def shut_down(self, grace: float | None = None) -> None:
        """Begin to shut down, for a host that ends otherwise than by a signal or a lifespan. May be called from a
        signal's handler."""
        if self._hosting.server is not None:
            self._hosting.server.shut_down(grace)
