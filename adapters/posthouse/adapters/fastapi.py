"""`include`: a service as routes of a FastAPI application, whose callers a dependency identifies.

This module uses the public names of FastAPI and Starlette alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request, Response, WebSocket
from posthouse.adapters.asgi.application import Application, asgi
from posthouse.adapters.asgi.scopes import Receive, Scope, Send
from posthouse.core.service.service import Service
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity

__all__ = ["include"]


def include(app: FastAPI, service: Service | Application, path: str = "/rpc", *, identity: Any = None) -> Application:
    """Register `POST` and WebSocket routes at `path` that serve this service, or this application of `asgi`.

    `identity=Depends(current_user)`: this dependency is resolved for each request and for each handshake, and returns
    the Identity of the caller, or None for a caller who is not authenticated. It refuses a caller as in other routes,
    by raising HTTPException. Resources that it opens for a handshake are closed before the WebSocket opens.

    Returns the application: a service with a lifespan needs `FastAPI(lifespan=gateway.lifespan)`, and so is made with
    `gateway = asgi(service)` before.
    """
    gateway = asgi(service) if isinstance(service, Service) else service
    if identity is not None:
        gateway.identified()

    async def call(request: Request, caller: Any = identity) -> Response:
        return Answered(gateway, _checked(caller))

    async def ask(request: Request) -> Response:
        """A page asks whether it may call. It sends no credentials with that."""
        return Answered(gateway, None)

    app.add_api_route(path, call, methods=["POST"], include_in_schema=False)
    app.add_api_route(path, ask, methods=["OPTIONS"], include_in_schema=False)
    app.router.add_websocket_route(path, Handshakes(app, gateway, path, identity))  # type: ignore[arg-type]
    return gateway


class Answered(Response):
    """The response to a request that the gateway answers as this caller."""

    def __init__(self, gateway: Application, caller: Identity | None) -> None:
        super().__init__()
        self._gateway: Final = gateway
        self._caller: Final = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._gateway.answer(scope, receive, send, identity=self._caller, at_root=True)


class Handshakes:
    """The ASGI application of the WebSockets at one path. A route of its own resolves the dependency, and returns: so
    the dependency ends with the handshake, not with the WebSocket."""

    def __init__(self, app: FastAPI, gateway: Application, path: str, identity: Any) -> None:
        self.__name__: Final = "posthouse"
        self._gateway: Final = gateway
        self._router: Final = APIRouter(dependency_overrides_provider=app)
        self._router.add_api_websocket_route(path, _resolver(identity))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        resolved: list[Any] = []
        await self._router({**scope, RESOLVED: resolved}, receive, send)
        if resolved:  # otherwise it was refused
            await self._gateway.answer(scope, receive, send, identity=_checked(resolved[0]), at_root=True)


RESOLVED: Final = "posthouse.resolved"
"""The place in a scope for the identity of a caller."""


def _resolver(identity: Any) -> Callable[..., Any]:
    async def resolve(websocket: WebSocket, caller: Any = identity) -> None:
        websocket.scope[RESOLVED].append(caller)

    return resolve


def _checked(caller: object) -> Identity | None:
    if caller is not None and not isinstance(caller, Identity):
        raise UsageError(
            f"the dependency of include returned {caller!r}: return an Identity, such as Identity('ada'), or None"
        )
    return caller
