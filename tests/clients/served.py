"""A server for clients that are not ours: in a thread of its own, with the options that it has without any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from threading import Thread
from typing import Any, Literal, Unpack

import anyio
from posthouse.adapters import Options, Server, run
from posthouse.core import Basic, Bearer, Config, Context, Identity, Service

from tests.adapters.loopback import PATIENCE

MIB = 1024 * 1024

Sessions = Literal["off", "on", "login"]
"""What a service says of sessions."""


class Served:
    """The address of the server, and which of its calls of `wait` were cancelled."""

    def __init__(self, backend: Literal["asyncio", "trio"], sessions: Sessions, options: Options) -> None:
        self.begun: Queue[str] = Queue()
        self.cancelled: Queue[str] = Queue()
        started: Queue[Server] = Queue()
        self._sessions = sessions
        self._thread = Thread(target=self._run, args=(backend, options, started))
        self._thread.start()
        self._server = started.get(timeout=PATIENCE)
        self.port = self._server.bound[0].port
        encrypted = "s" if "tls_cert" in options else ""
        self.rpc = f"http{encrypted}://127.0.0.1:{self.port}/rpc"
        self.ws = f"ws{encrypted}://127.0.0.1:{self.port}/ws"

    def _run(self, backend: Literal["asyncio", "trio"], options: Options, started: Queue[Server]) -> None:
        service = Service("clients", public=True, sessions=self._sessions)

        @service.authenticator("bearer")
        def bearer(credentials: Bearer) -> Identity | None:
            return Identity("ada") if credentials.token == "the-right-token" else None

        @service.authenticator("basic", namespace="passwords")
        def basic(credentials: Basic) -> Identity | None:
            known = credentials == Basic("bob", "the-right-password: ü")
            return Identity("bob") if known else None

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

        usual: Options = {"port": 0}
        more: Options = {"signals": False, "started": started.put}
        run(service, backend=backend, **(usual | options | more))

    def close(self) -> None:
        self._server.shut_down()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@contextmanager
def served(
    backend: Literal["asyncio", "trio"],
    sessions: Sessions = "off",
    **options: Unpack[Options],
) -> Iterator[Served]:
    """The server, until the block ends."""
    usual: Options = {"config": Config(drain_grace=0.0, drain_spread=0.0)}
    server = Served(backend, sessions, usual | options)
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
