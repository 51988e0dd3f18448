"""`running`: a server as an async context manager, for applications that have an event loop of their own.

The server runs in a task of its own, in no task group: the context may be entered in one task and left in another, as
fixtures of tests are.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from contextvars import Context, copy_context
from types import TracebackType
from typing import Final, Unpack

import anyio
from posthouse.adapters.loop.named import asyncio_loop
from posthouse.adapters.server.arguments import Options
from posthouse.adapters.server.serve import serve
from posthouse.adapters.server.server import Server
from posthouse.core.service.service import Service


def running(service: Service, **options: Unpack[Options]) -> AbstractAsyncContextManager[Server]:
    """Serve while the context is entered: `async with running(service, port=0) as server`.

    `options` are those of `serve`. It enters when the server accepts clients, and raises what `serve` raises if that
    fails. At the end it shuts down, and waits until the shut-down has ended. An exception in the body ends the server
    at once. If the server ends by itself, because a lifespan fails or a signal comes, `server.ended()` returns, and the
    end of the context raises the error.
    """
    return Running(service, options)


class Running:
    """One server, for one `async with`. `variables`: its context variables, if not those of the task that enters."""

    def __init__(self, service: Service, options: Options, variables: Context | None = None) -> None:
        self._service: Final = service
        self._options: Final = options
        self._variables: Final = variables
        self._server: Server | None = None
        self._error: BaseException | None = None

    async def __aenter__(self) -> Server:
        self._began = anyio.Event()
        self._ended = anyio.Event()
        self._scope = anyio.CancelScope()
        variables = copy_context() if self._variables is None else self._variables
        loop = asyncio_loop()
        if loop is None:
            import trio

            trio.lowlevel.spawn_system_task(self._serve, name="posthouse", context=variables)
        else:
            # The loop itself would not keep it alive.
            self._task = loop.create_task(self._serve(), name="posthouse", context=variables)
        try:
            await self._began.wait()
        except BaseException:
            await self._cancel()
            raise
        if self._server is None:
            raise self._error or RuntimeError("the server was shut down before it had started")
        return self._server

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        if error is not None:
            await self._cancel()
            if self._error is not None:
                error.add_note(f"the server has failed, too: {self._error!r}")
            return
        self._server.shut_down()
        try:
            await self._ended.wait()
        except BaseException:
            await self._cancel()
            raise
        if self._error is not None:
            raise self._error

    async def _serve(self) -> None:
        options = self._options.copy()
        options["started"] = self._started
        try:
            with self._scope:
                await serve(self._service, **options)
        except BaseException as error:
            self._error = error
        self._ended.set()
        self._began.set()

    def _started(self, server: Server) -> None:
        started = self._options.get("started")
        if started is not None:
            started(server)
        self._server = server
        self._began.set()

    async def _cancel(self) -> None:
        """End the server at once, and wait for its end."""
        self._scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._ended.wait()
