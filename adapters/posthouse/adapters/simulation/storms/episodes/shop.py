"""The service behind an ASGI server in an episode. Its handlers say what they know, and when they end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any, Final

import anyio
from posthouse.core.service.authenticators import Bearer
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service
from posthouse.core.values.lifecycle import ConnectionClosed
from posthouse.core.values.peers import Identity

MARK: Final[ContextVar[str]] = ContextVar("mark", default="")
"""A variable that the ASGI server sets for each call: handlers must not see it."""


def shop(
    now: Callable[[], float], running: dict[str, None], ended: dict[str, float], closed_with: list[int | None]
) -> Service:
    """A service. The texts of calls are in `running` while their handlers run, and then in `ended` with the time."""
    service = Service("hosted", public=True)

    @service.lifespan
    async def live() -> AsyncIterator[str]:
        yield "state"

    @service.authenticator("bearer")
    async def verify(credentials: Bearer) -> Identity | None:
        await anyio.sleep(0.2)
        return Identity(credentials.token)

    @service.method
    def echo(context: Context, text: str) -> list[Any]:
        return [text, MARK.get(), context.state]

    @service.method
    async def later(context: Context, text: str, seconds: float) -> list[Any]:
        running[text] = None
        try:
            await anyio.sleep(seconds)
        finally:
            del running[text]
            ended[text] = now()
        return [text, MARK.get(), context.state]

    @service.on("connection.closed")
    def closed(event: ConnectionClosed) -> None:
        if event.kind == "websocket":
            closed_with.append(event.code)

    return service
