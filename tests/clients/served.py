"""A server for clients that are not ours: in a thread of its own, with the options that it has without any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from threading import Thread
from typing import Any, Literal

import anyio
from posthouse.adapters import Server, run
from posthouse.core import Bearer, Config, Context, Identity, Service

from tests.adapters.loopback import PATIENCE

MIB = 1024 * 1024


class Served:
    """The address of the server, and which of its calls of `wait` were cancelled."""

    def __init__(self, backend: Literal["asyncio", "trio"], config: Config) -> None:
        self.begun: Queue[str] = Queue()
        self.cancelled: Queue[str] = Queue()
        started: Queue[Server] = Queue()
        self._thread = Thread(target=self._run, args=(backend, config, started))
        self._thread.start()
        self._server = started.get(timeout=PATIENCE)
        self.port = self._server.bound[0].port
        self.rpc = f"http://127.0.0.1:{self.port}/rpc"
        self.ws = f"ws://127.0.0.1:{self.port}/ws"

    def _run(self, backend: Literal["asyncio", "trio"], config: Config, started: Queue[Server]) -> None:
        service = Service("clients", public=True)

        @service.authenticator("bearer")
        def bearer(credentials: Bearer) -> Identity | None:
            return Identity("ada") if credentials.token == "the-right-token" else None

        @service.method
        def echo(value: Any) -> Any:
            return value

        @service.method
        async def push(context: Context, value: Any) -> bool:
            return context.notify("pushed", [value])

        @service.method
        async def wait(name: str) -> None:
            self.begun.put(name)
            try:
                await anyio.sleep_forever()
            except BaseException:
                self.cancelled.put(name)
                raise

        run(service, backend=backend, port=0, config=config, signals=False, started=started.put)

    def close(self) -> None:
        self._server.shut_down()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@contextmanager
def served(
    backend: Literal["asyncio", "trio"], config: Config = Config(drain_grace=0.0, drain_spread=0.0)
) -> Iterator[Served]:
    """The server, until the block ends."""
    server = Served(backend, config)
    try:
        yield server
    finally:
        server.close()


def text(method: str, *params: object, id: object = 1) -> bytes:
    """A request, or a notification where `id` is None."""
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(message if id is None else {**message, "id": id}).encode()


def result(answer: str | bytes) -> Any:
    """The result in a response with the id 1."""
    message = json.loads(answer)
    assert (message["jsonrpc"], message["id"]) == ("2.0", 1), message
    return message["result"]
