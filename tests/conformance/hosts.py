"""Places where the service is an ASGI application: under a server made by hand in this process, and under those that
people run, over loopback.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final

import anyio
import anyio.from_thread
import hypercorn
import hypercorn.asyncio
import hypercorn.trio
import uvicorn
from anyio.lowlevel import current_token
from posthouse.adapters.asgi import Application, asgi
from posthouse.core.values.config import Config

from .places import ORIGIN
from .service import service
from .wires import PATIENCE, SocketWire, Wire

Stop = Callable[[], object]

LARGEST: Final = 64 * 1024 * 1024
"""The largest message that the servers let through: the limits of the application are the ones to be seen."""


def uvicorn_thread(http: str, app: Application, listener: socket.socket) -> Stop:
    """Run uvicorn in a thread, until the returned function is called."""
    config = uvicorn.Config(app, http=http, log_config=None, ws_max_size=LARGEST)
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join(PATIENCE)

    return stop


def hypercorn_thread(backend: str, app: Application, listener: socket.socket) -> Stop:
    """Run hypercorn in a thread, until the returned function is called."""
    config = hypercorn.Config()
    config.bind = [f"fd://{listener.detach()}"]  # it closes it
    config.websocket_max_message_size = LARGEST
    config.loglevel = "CRITICAL"
    running: SimpleQueue[Any] = SimpleQueue()

    async def main() -> None:
        stopped = anyio.Event()
        running.put(partial(anyio.from_thread.run_sync, stopped.set, token=current_token()))
        serve: Any = hypercorn.asyncio.serve if backend == "asyncio" else hypercorn.trio.serve
        await serve(app, config, shutdown_trigger=stopped.wait)

    thread = Thread(target=anyio.run, args=(main,), kwargs={"backend": backend}, daemon=True)
    thread.start()
    stop = running.get(timeout=PATIENCE)

    def stop_and_wait() -> None:
        stop()
        thread.join(PATIENCE)

    return stop_and_wait


SERVERS: Final[dict[str, Callable[[Application, socket.socket], Stop]]] = {
    "uvicorn, httptools": partial(uvicorn_thread, "httptools"),
    "uvicorn, h11": partial(uvicorn_thread, "h11"),
    "hypercorn, asyncio": partial(hypercorn_thread, "asyncio"),
    "hypercorn, trio": partial(hypercorn_thread, "trio"),
}
"""The servers, by what they are called."""


class Hosted:
    """One kind of server. It is started for each set of limits when they are first asked for, and ends with the
    place."""

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self._listening: Final[dict[Config, tuple[str, int]]] = {}
        self._stack: Final = ExitStack()

    def close(self) -> None:
        """Stop the servers, and wait until they have ended."""
        self._stack.close()

    @contextmanager
    def stream(self, limits: Config) -> Iterator[Wire]:
        """A TCP connection."""
        at = self._listening.get(limits)
        if at is None:
            listener = self._stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
            app = asgi(service, config=limits, allow_origins=[ORIGIN])
            at = self._listening[limits] = listener.getsockname()
            self._stack.callback(SERVERS[self.name](app, listener))
        with closing(SocketWire(at)) as wire:
            yield wire

    @contextmanager
    def pipe(self, limits: Config) -> Iterator[Wire]:
        """No ASGI server speaks over pipes."""
        raise NotImplementedError
