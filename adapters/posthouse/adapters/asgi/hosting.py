"""The server behind one application, in the event loop that calls it: it starts with the lifespan or the first request.

This module does not know requests.
"""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final

import anyio
from msgspec.structs import replace
from posthouse.adapters.callers import AUTHENTICATED
from posthouse.adapters.embedded import Running
from posthouse.adapters.loop.named import asyncio_loop
from posthouse.adapters.server.arguments import Options
from posthouse.adapters.server.build import BUILD, Build
from posthouse.adapters.server.server import Server
from posthouse.core.service.service import Service
from posthouse.core.values.errors import UsageError
from posthouse.transports.hosted.board import HostedBoard
from posthouse.transports.policy import Policy

from .connection import Ways
from .stopping import hear_signals

REMEDY: Final = (
    "the lifespan of service {service!r} has not started: a mounted application gets no lifespan from its host. Use "
    "FastAPI(lifespan=gateway.lifespan), or `async with gateway.lifespan(app):` in a lifespan of your own"
)


def running_loop() -> object:
    """The event loop that runs here: an object that no other loop has."""
    loop = asyncio_loop()
    if loop is not None:
        return loop
    import trio

    return trio.lowlevel.current_trio_token()


class Hosting:
    """One server at a time. `server` is the one that runs, or ran last. `identified`: its host identifies callers."""

    def __init__(self, service: Service, options: Options, policy: Policy) -> None:
        self.service: Final = service
        self.server: Server | None = None
        self.identified = False
        self.ways: Ways | None = None
        self._options: Final = options
        self.policy: Final = policy
        self._loop: object = None
        self._running: Running | None = None
        self._starting: anyio.Event | None = None
        self._deaf: Callable[[], None] | None = None

    def here(self) -> Ways | None:
        """The parts of the server, if it runs in this loop."""
        try:
            loop: object = get_running_loop()
        except RuntimeError:
            loop = running_loop()
        return self.ways if self._loop is loop else None

    async def started(self) -> Ways:
        """The parts of the server of this loop, which starts now if its service needs no lifespan."""
        while True:
            ways = self.here()
            if ways is not None:
                return ways
            if self.service.lifespans:
                raise UsageError(REMEDY.format(service=self.service.name))
            await self.start(Context())  # those of this request are of one client

    async def start(self, variables: Context) -> None:
        """Start the server with these context variables, unless it runs in this loop or is about to."""
        loop = running_loop()
        if self._loop is loop and self._starting is not None:
            await self._starting.wait()
            return
        if self._loop is loop and self.server is not None and not self.server._ended.is_set():
            return
        self._loop, self._starting = loop, anyio.Event()
        self.server = self.ways = None
        self._hear_no_more()  # the loop of the last server may have ended without a lifespan
        build = BUILD.get(Build())
        callers = (AUTHENTICATED,) if self.identified else ()
        variables.run(BUILD.set, replace(build, board=HostedBoard, hosted=True, callers=callers, policy=self.policy))
        running = self._running = Running(self.service, self._options, variables)
        try:
            server = await running.__aenter__()
        except BaseException:
            self._loop = None
            raise
        finally:
            self._starting.set()
            self._starting = None
        board: Any = server._runner.board
        eager = asyncio_loop() is not None
        self.server, self.ways = server, Ways(server._runner, board, server._endpoints, eager)
        self._deaf = hear_signals(server.shut_down)

    async def stop(self, error: BaseException | None) -> None:
        """Shut the server down, and wait for its end. With an error, end it at once."""
        running, self._running = self._running, None
        self._hear_no_more()
        assert running is not None
        if error is not None:
            self._loop = None  # it has not drained: no request may come to it
        kind, trace = (None, None) if error is None else (type(error), error.__traceback__)
        await running.__aexit__(kind, error, trace)

    def _hear_no_more(self) -> None:
        """Leave signals to the handlers of before."""
        if self._deaf is not None:
            self._deaf()
            self._deaf = None
